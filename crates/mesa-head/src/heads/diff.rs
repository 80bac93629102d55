//! What differs between two snapshots, and what is in conflict in one.

use std::collections::BTreeSet;

use mesa_repo::Repo;
use mesa_types::{FileId, ObjectId};
use mesa_vcs::{
    diff::{ContentDiff, ContentOptions, DiffEntry, DiffOptions, diff_contents, diff_trees},
    tree::{TreePath, VcsError},
};
use tokio::runtime::Handle;

use super::Heads;
use crate::{
    error::{HeadError, Result},
    versions::{
        merge::{self, PathConflict},
        store::Versions,
        table::Table,
    },
};

/// What to show of paths in conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConflictsShown {
    /// Them and what differs otherwise.
    #[default]
    Include,
    /// Them alone.
    Only,
    /// Only what differs otherwise.
    Exclude,
}

/// What differs between two snapshots.
#[derive(Debug, Default)]
pub struct Difference {
    /// Paths that differ, sorted, without those in conflict and side files.
    pub entries: Vec<DiffEntry>,
    /// The differences inside, in the same order.
    pub contents: Vec<ContentDiff>,
    /// Paths in conflict in the newer snapshot, sorted.
    pub conflicts: Vec<PathConflict>,
}

/// Paths in conflict, raw bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConflictPaths {
    /// Those that need a resolution, sorted.
    pub paths: BTreeSet<Vec<u8>>,
    /// Files that are there to show one.
    pub side_files: BTreeSet<Vec<u8>>,
}

impl Heads {
    /// Compares two snapshots by what git sees, within the bounds of [`ContentOptions`]. `None` is
    /// the empty tree.
    pub async fn diff(
        &self,
        repo: &Repo,
        before: Option<ObjectId>,
        after: Option<ObjectId>,
        shown: ConflictsShown,
    ) -> Result<Difference> {
        let store = self.versions(repo).await?;
        // Comparing texts is long work: not for a thread that serves others.
        let runtime = Handle::current();
        let compared = tokio::task::spawn_blocking(move || {
            runtime.block_on(compare(&store, before, after, shown))
        });
        compared
            .await
            .map_err(|error| HeadError::corrupt("the comparison broke off").with_source(error))?
    }

    /// What is in conflict in a snapshot, with the hunks of as many files as [`Self::diff`] shows.
    pub async fn conflicts(
        &self,
        repo: &Repo,
        root: Option<ObjectId>,
    ) -> Result<Vec<PathConflict>> {
        let store = self.versions(repo).await?;
        match Table::of_root(&store.packs, root).await? {
            Some(table) => conflicts(&store, &table).await,
            None => Ok(Vec::new()),
        }
    }

    /// The paths in conflict in a snapshot.
    pub async fn conflict_paths(
        &self,
        repo: &Repo,
        root: Option<ObjectId>,
    ) -> Result<ConflictPaths> {
        let store = self.versions(repo).await?;
        let Some(table) = Table::of_root(&store.packs, root).await? else {
            return Ok(ConflictPaths::default());
        };
        let bytes = |path: &TreePath| path.as_bytes().to_vec();
        Ok(ConflictPaths {
            paths: table.paths.keys().map(bytes).collect(),
            side_files: table.side_files().iter().map(bytes).collect(),
        })
    }

    pub(super) async fn versions(&self, repo: &Repo) -> Result<Versions> {
        let packs = self.packs(&repo.org).await?;
        Ok(Versions::new(packs, FileId::root_of(repo.tag)))
    }
}

async fn compare(
    store: &Versions,
    before: Option<ObjectId>,
    after: Option<ObjectId>,
    shown: ConflictsShown,
) -> Result<Difference> {
    let mut difference = Difference::default();
    let mut hidden = Vec::new();
    if let Some(table) = Table::of_root(&store.packs, before).await? {
        hidden = table.side_files();
    }
    if let Some(table) = Table::of_root(&store.packs, after).await? {
        hidden.extend(table.all_paths());
        if shown != ConflictsShown::Exclude {
            difference.conflicts = conflicts(store, &table).await?;
        }
    }
    if shown == ConflictsShown::Only {
        return Ok(difference);
    }
    let before = store.root(before).await?;
    let after = store.root(after).await?;
    let found = diff_trees(store, &before, &after, &DiffOptions::git()).await;
    let mut entries = found.map_err(failed)?.entries;
    entries.retain(|entry| !hidden.iter().any(|path| entry.path.is_within(path)));
    let contents = diff_contents(store, &entries, &ContentOptions::default()).await;
    difference.contents = contents.map_err(failed)?;
    difference.entries = entries;
    Ok(difference)
}

/// Conflicts with their hunks. Files that are too large to be shown, or come after too many others,
/// have none.
async fn conflicts(store: &Versions, table: &Table) -> Result<Vec<PathConflict>> {
    let options = ContentOptions::default();
    let mut total = 0;
    let mut found = Vec::with_capacity(table.paths.len());
    for (path, entry) in &table.paths {
        let mut conflict = PathConflict::without_hunks(path, &entry.conflict);
        let is_small = conflict.bytes <= options.blob_bytes_max;
        if is_small && found.len() < options.files_max && total <= options.total_bytes_max {
            let (labels, of) = (&table.labels, &entry.conflict);
            conflict = merge::shown(store, path, of, labels).await?;
            total += conflict.bytes * table.terms as u64;
        }
        found.push(conflict);
    }
    Ok(found)
}

fn failed(error: VcsError<HeadError>) -> HeadError {
    match error {
        VcsError::Source(error) => error,
        other => HeadError::corrupt("the trees could not be compared").with_source(other),
    }
}
