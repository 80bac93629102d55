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

/// What is said of a repo that was listed once.
const GONE: &str = "it was deleted, or the key does not permit to see it any more; what was not sent is \
                    kept here";

pub(super) fn of(orgs: &[Arc<Org>]) -> MountStatus {
    let orgs = orgs.iter().map(|org| {
        let listed = org.slots().into_iter().map(|slot| (slot, None));
        let gone = org.gone().into_iter().map(|slot| (slot, Some(GONE)));
        let repos = listed.chain(gone).map(|(slot, gone)| {
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
                failure: gone.map(str::to_owned).or_else(|| slot.failure()),
                nodes,
                open_files,
                work_files,
            }
        });
        let missing = org.missing().into_iter().map(|name| RepoStatus {
            repo: name.to_string(),
            session: None,
            failure: Some(GONE.to_owned()),
            nodes: 0,
            open_files: 0,
            work_files: 0,
        });
        OrgStatus {
            org: org.config.slug.to_string(),
            repos: repos.chain(missing).collect(),
        }
    });
    MountStatus {
        orgs: orgs.collect(),
    }
}
