//! Merging trees.
//!
//! Level by level from the roots: the listings of all directories that are not the same in every
//! tree, or changed in one way only, are loaded together and their entries merged by value.
//! Regular files that changed in more than one way are then merged by lines. Everything else that
//! does not resolve is a conflict, which is data and no failure.

mod files;
mod level;
mod outcome;

use std::collections::BTreeMap;

use mesa_object::tree::Root;
use mesa_types::Nanos;

use super::{Conflict, Edit, TreePath, TreeStore, TreeValue, VcsError};
use crate::Merge;

/// How to merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergeOptions {
    /// Files of which a side is larger are merged by value only.
    pub content_bytes_max: u64,
    /// The change time of what the merge changes.
    pub now: Nanos,
}

impl MergeOptions {
    /// The defaults: contents up to 16 MiB are merged by lines.
    pub fn new(now: Nanos) -> Self {
        Self {
            content_bytes_max: 16 << 20,
            now,
        }
    }

    /// The same with another bound for merging by lines.
    #[must_use]
    pub fn content_bytes_max(mut self, bytes: u64) -> Self {
        self.content_bytes_max = bytes;
        self
    }
}

/// The outcome of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedTree {
    /// What leads from the first tree to the merged one, sorted by path, directories before what
    /// is in them. Nothing for paths in conflict, where the first tree's entry still stands.
    pub edits: Vec<Edit>,
    /// Paths in conflict. Nothing below such a path is in any other list.
    pub conflicts: BTreeMap<TreePath, Conflict>,
    /// Attributes the sides disagree about; the merge kept the first side's.
    pub clashes: Vec<Clash>,
    /// Listings that were loaded.
    pub listings_loaded: usize,
}

/// An attribute of which the first side's value was kept though another side changed it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// The entry.
    pub path: TreePath,
    /// The attribute.
    pub field: Field,
}

/// An attribute git does not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// The owning user.
    User,
    /// The owning group.
    Group,
    /// An extended attribute, by name.
    Xattr(Vec<u8>),
}

/// Merges snapshots.
///
/// New contents (files merged by lines) are written to the store as they come, so memory is
/// bounded by what the answer lists and one batch of contents.
pub async fn merge_trees<S: TreeStore>(
    store: &S,
    roots: &Merge<Root>,
    options: &MergeOptions,
) -> Result<MergedTree, VcsError<S::Error>> {
    run(store, roots, options, None).await
}

/// As [`merge_trees`], but outside of `paths` (and what is below them) everything stays as it is
/// in the first tree, as for undoing or restoring some paths.
pub async fn merge_paths<S: TreeStore>(
    store: &S,
    roots: &Merge<Root>,
    paths: &[TreePath],
    options: &MergeOptions,
) -> Result<MergedTree, VcsError<S::Error>> {
    run(store, roots, options, Some(paths)).await
}

async fn run<S: TreeStore>(
    store: &S,
    roots: &Merge<Root>,
    options: &MergeOptions,
    only: Option<&[TreePath]>,
) -> Result<MergedTree, VcsError<S::Error>> {
    let values = roots.map(|root| Some(TreeValue::of_root(root)));
    let mut walk = level::Walk::new(options.now, only);
    walk.start(values);
    while walk.has_more() {
        walk.step(store).await?;
    }
    let (mut outcome, contents) = walk.finish();
    files::merge(store, contents, options, &mut outcome).await?;
    Ok(outcome.finish())
}

#[cfg(test)]
mod tests;
