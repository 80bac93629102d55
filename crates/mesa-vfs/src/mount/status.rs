//! Numbers for `mesa status`.

use std::sync::Arc;

use super::org::Org;
use crate::session::Status;

/// State of a mount.
#[derive(Debug, Clone)]
pub struct MountStatus {
    /// Its orgs, in the order they were added.
    pub orgs: Vec<OrgStatus>,
}

/// State of one org.
#[derive(Debug, Clone)]
pub struct OrgStatus {
    /// Slug.
    pub org: String,
    /// Repos known, by name.
    pub repos: Vec<RepoStatus>,
}

/// State of one repo.
#[derive(Debug, Clone)]
pub struct RepoStatus {
    /// Name.
    pub repo: String,
    /// Its session; `None` = not touched yet.
    pub session: Option<Status>,
    /// Why it could not be opened.
    pub failure: Option<String>,
    /// Nodes in memory.
    pub nodes: usize,
    /// Open descriptors.
    pub open_files: usize,
    /// Files whose bytes are in private files.
    pub work_files: usize,
}

pub(super) fn of(orgs: &[Arc<Org>]) -> MountStatus {
    let orgs = orgs.iter().map(|org| {
        let repos = org.slots().into_iter().map(|slot| {
            let repo = slot.repo();
            let (nodes, open_files, work_files) = repo.as_ref().map_or((0, 0, 0), |repo| {
                repo.with(|state| {
                    (
                        state.tree.len(),
                        state.files.open_handles(),
                        state.files.with_work().len(),
                    )
                })
            });
            RepoStatus {
                repo: slot.name.to_string(),
                session: repo.map(|r| r.session.status()),
                failure: slot.failure(),
                nodes,
                open_files,
                work_files,
            }
        });
        OrgStatus {
            org: org.config.slug.to_string(),
            repos: repos.collect(),
        }
    });
    MountStatus {
        orgs: orgs.collect(),
    }
}
