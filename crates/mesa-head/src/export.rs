//! A repo's history as a bare git repository on disk.
//!
//! Every bookmark becomes a branch, every change with a commit a ref `refs/mesa/changes/<id>`;
//! everything reachable from them is written as loose objects. What git cannot hold is not part of
//! it (see `docs/design/model.md`).

mod loose;
mod tree;

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
};

use mesa_repo::{Page, PageRequest};
use mesa_types::{ChangeId, CommitOid, FileId, OrgId, RepoId};

use self::{loose::Loose, tree::TreeWriter};
use crate::{
    Heads,
    error::{HeadError, HeadErrorKind, Result},
    versions::store::Versions,
};

/// What an export wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exported {
    /// Commits.
    pub commits: u64,
    /// Objects of all kinds.
    pub objects: u64,
    /// Branches and other refs.
    pub refs: u64,
}

impl Heads {
    /// Seals every change of the repo and writes the history into `dir`, which must not exist or
    /// be empty. `HEAD` names the default bookmark.
    pub async fn export_git(&self, org: &OrgId, repo: &RepoId, dir: &Path) -> Result<Exported> {
        let record = self.catalog().living_repo(org, repo).await?.record;
        let packs = self.packs(org).await?;
        let mut tips: BTreeMap<ChangeId, CommitOid> = BTreeMap::new();
        let mut cursor = None;
        loop {
            let page = page(cursor);
            let Page { items, next } = self.catalog().list_changes(org, repo, &page).await?;
            for change in items {
                let at = self.seal(org, repo, &change.id).await?;
                if let Some(commit) = at.commit {
                    tips.insert(change.id, commit);
                }
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        let mut refs: BTreeMap<String, CommitOid> = tips
            .iter()
            .map(|(change, commit)| (format!("refs/mesa/changes/{change}"), *commit))
            .collect();
        loop {
            let page = page(cursor);
            let Page { items, next } = self
                .catalog()
                .list_bookmarks(org, repo, None, &page)
                .await?;
            for bookmark in items {
                if let Some(commit) = tips.get(&bookmark.change) {
                    refs.insert(format!("refs/heads/{}", bookmark.name), *commit);
                }
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }

        let mut loose = Loose::create(dir).map_err(failed)?;
        let mut exported = Exported {
            refs: refs.len() as u64,
            ..Exported::default()
        };
        let mut seen: HashSet<CommitOid> = HashSet::new();
        let mut queue: Vec<CommitOid> = refs.values().copied().collect();
        let store = Versions::new(packs.clone(), FileId::root_of(record.tag));
        let mut trees = TreeWriter::new(&store, self.config().pointer_bytes);
        while let Some(oid) = queue.pop() {
            if !seen.insert(oid) {
                continue;
            }
            let commit = self
                .catalog()
                .commit_by_oid(org, repo, &oid)
                .await?
                .ok_or_else(|| HeadError::corrupt("a commit is missing"))?;
            let bytes = packs.get(commit.git).await?;
            loose.write(oid, "commit", &bytes).map_err(failed)?;
            exported.commits += 1;
            match commit.root {
                Some(root) => trees.write_snapshot(root, &mut loose).await?,
                None => trees.write_empty(&mut loose)?,
            }
            queue.extend(commit.parents);
        }
        loose
            .finish(record.default_bookmark.as_str(), &refs)
            .map_err(failed)?;
        exported.objects = loose.written();
        Ok(exported)
    }
}

fn page(cursor: Option<String>) -> PageRequest {
    PageRequest {
        cursor,
        limit: Some(mesa_repo::page::LIMIT_MAX),
    }
}

fn failed(error: std::io::Error) -> HeadError {
    let full = error.kind() == std::io::ErrorKind::StorageFull;
    let kind = if full {
        HeadErrorKind::Full
    } else {
        HeadErrorKind::Invalid
    };
    HeadError::new(
        kind,
        "EXPORT_FAILED",
        "the export directory cannot be written",
    )
    .with_source(error)
}

/// Makes a directory that must be empty or absent.
fn empty_dir(dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    if fs::read_dir(dir)?.next().is_some() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::AlreadyExists,
            "the directory is not empty",
        ));
    }
    Ok(())
}
