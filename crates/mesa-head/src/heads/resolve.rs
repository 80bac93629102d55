//! Resolving the conflicts of a change.

use std::collections::BTreeMap;

use mesa_repo::{Actor, Repo};
use mesa_types::{CommitOid, NodeKind};
use mesa_vcs::tree::TreePath;

use super::{
    Heads, SealedAt,
    write::{busy, is_passing, stale},
};
use crate::{
    ViewTarget,
    edit::{ConflictEdit, Describe, Edit, Expect, plan},
    error::{HeadError, HeadErrorKind, Result},
    head::command::Command,
    versions::{
        apply,
        merge::{self, Resolve},
        opened::Opened,
        store::Versions,
        table::Table,
    },
};

/// Attempts while others write to the same change.
const ATTEMPTS: usize = 16;

/// Conflicts to be resolved.
#[derive(Debug, Clone)]
pub struct Resolutions {
    /// A change that takes no more writes gets a new one on top; a bookmark goes along to it.
    pub target: ViewTarget,
    /// By path; paths that are not named stay in conflict.
    pub paths: BTreeMap<Vec<u8>, Resolve>,
    /// What the change says about itself from now on.
    pub describe: Describe,
    /// The commit the caller saw; `STALE_COMMIT` if the change has another one.
    pub base_commit: Option<CommitOid>,
}

impl Heads {
    /// Resolves conflicts of a change, and seals. Side files go.
    pub async fn resolve(
        &self,
        actor: &Actor,
        repo: &Repo,
        wanted: Resolutions,
    ) -> Result<SealedAt> {
        let store = self.versions(repo).await?;
        let id = format!("resolve-{}", self.catalog().unique());
        let mut last = HeadError::gone();
        for attempt in 0..ATTEMPTS {
            let found = self.find_for_write(repo, &wanted.target).await?;
            // Beside the head first: who writes all the time is made to wait only if it must be.
            let held = match attempt {
                0 => None,
                _ => Some(self.call(&repo.org, &found.head, Command::Freeze).await?),
            };
            let at = if let Some(held) = &held {
                held.at.clone()
            } else {
                let at = found.parent.unwrap_or(found.change);
                self.seal_or_root(repo, &at).await?
            };
            let planned = if wanted.base_commit.is_some_and(|oid| at.commit != Some(oid)) {
                Err(stale(wanted.base_commit))
            } else {
                plan_of(&store, &at, &wanted.paths).await
            };
            let (files, conflicts) = match planned {
                Ok(planned) => planned,
                Err(error) => {
                    self.discard(repo, &found).await?;
                    return Err(error);
                }
            };
            let edit = Edit {
                id: id.clone(),
                ids: self.some_ids(repo, plan::ids_wanted(&files)).await?,
                files,
                actor: actor.clone(),
                origin: "rest",
                describe: wanted.describe.clone(),
                expect: Expect {
                    change: Some(found.change),
                    commit: at.commit.filter(|_| found.parent.is_none()),
                    seq: None,
                    bookmark: found.bookmark.clone(),
                    pending: found.parent.is_some(),
                },
                commit: true,
                rebase: None,
                undone: None,
                conflicts,
            };
            match self.edit_held(repo, &found.head, held, edit).await {
                Ok(edited) => return self.edited(repo, &found, edited).await,
                Err(error) if is_passing(&error) || error.code == "STALE_COMMIT" => last = error,
                Err(error) => {
                    self.discard(repo, &found).await?;
                    return Err(error);
                }
            }
        }
        Err(busy(&last))
    }
}

/// The writes that resolve.
async fn plan_of(
    store: &Versions,
    at: &SealedAt,
    resolutions: &BTreeMap<Vec<u8>, Resolve>,
) -> Result<(Vec<crate::edit::Prepared>, ConflictEdit)> {
    let Some(table) = Table::of_root(&store.packs, at.root).await? else {
        return Err(HeadError::new(
            HeadErrorKind::Invalid,
            "NOT_IN_CONFLICT",
            "the change has no conflicts to resolve",
        ));
    };
    let known = table.paths.keys().map(TreePath::as_bytes).collect();
    merge::check_known(resolutions, &known)?;
    let root = store.root(at.root).await?;
    let opened = Opened::read(store, root, table.paths.keys()).await?;
    let (mut files, mut paths) = (Vec::new(), Vec::new());
    for (path, entry) in &table.paths {
        let Some(resolution) = resolutions.get(path.as_bytes()) else {
            continue;
        };
        let mut conflict = entry.conflict.clone();
        if let Some(now) = opened.get(path).filter(|now| now.kind() == NodeKind::File) {
            *conflict.shown = now.node;
        }
        let by = Some(resolution);
        if !merge::resolve(store, path, &conflict, &table.labels, by, &mut files).await? {
            return Err(HeadError::new(
                HeadErrorKind::Invalid,
                "HUNKS_MISSING",
                format!("'{path}': every hunk needs a resolution"),
            ));
        }
        for (side, _) in entry.side_paths(path) {
            files.push(apply::remove(&side)?);
        }
        paths.push(path.clone());
    }
    Ok((files, ConflictEdit::Resolve(paths)))
}
