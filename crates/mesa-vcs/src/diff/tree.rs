//! Differences between two trees.

mod walk;

use mesa_object::tree::Root;

use crate::tree::{TreePath, TreeSource, TreeValue, VcsError};

/// What to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What git sees: visible names, types, executable bits, contents.
    Git,
    /// Everything but times and ids, directories included.
    Everything,
}

/// How to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiffOptions {
    /// What counts.
    pub scope: Scope,
    /// Least similarity of a deleted and an added file, in per cent, for them to be one that was
    /// renamed; `None` looks for no renames.
    pub renames: Option<u8>,
}

impl DiffOptions {
    /// What git sees, with renames from 50 %.
    pub fn git() -> Self {
        Self {
            scope: Scope::Git,
            renames: Some(50),
        }
    }

    /// Everything, with renames from 50 %.
    pub fn everything() -> Self {
        Self {
            scope: Scope::Everything,
            renames: Some(50),
        }
    }

    /// The same without looking for renames.
    #[must_use]
    pub fn without_renames(mut self) -> Self {
        self.renames = None;
        self
    }
}

/// The differences of two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeDiff {
    /// Sorted by path (a renamed file's new one).
    pub entries: Vec<DiffEntry>,
    /// Listings that were loaded.
    pub listings_loaded: usize,
}

/// A path that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffEntry {
    /// The path; of a deleted file, where it was.
    pub path: TreePath,
    /// What happened.
    pub status: Status,
    /// What was there (of a renamed file: at its old path).
    pub before: Option<TreeValue>,
    /// What is there.
    pub after: Option<TreeValue>,
}

/// What happened to a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// There was nothing.
    Added,
    /// Content, type or attributes changed.
    Modified,
    /// There is nothing.
    Deleted,
    /// A file that was elsewhere, possibly changed.
    Renamed {
        /// Where it was.
        from: TreePath,
        /// How much of it is the same, in per cent.
        similarity: u8,
    },
}

impl DiffEntry {
    /// The path before.
    pub fn old_path(&self) -> &TreePath {
        match &self.status {
            Status::Renamed { from, .. } => from,
            _ => &self.path,
        }
    }

    /// Whether both sides are there with the same content and type.
    pub fn has_same_content(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                before.kind() == after.kind()
                    && before.node.attr.content == after.node.attr.content
                    && before.node.target == after.node.target
                    && (before.kind() != mesa_types::NodeKind::Gitlink
                        || before.node.git == after.node.git)
            }
            _ => false,
        }
    }

    /// Whether the type changed.
    pub fn is_type_change(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => before.kind() != after.kind(),
            _ => false,
        }
    }
}

/// Compares two snapshots. Directories that are the same in both are not loaded; contents are read
/// to find renamed files that changed, within bounds ([`super::rename`]).
pub async fn diff_trees<S: TreeSource>(
    source: &S,
    before: &Root,
    after: &Root,
    options: &DiffOptions,
) -> Result<TreeDiff, VcsError<S::Error>> {
    let mut walk = walk::Walk::new(options.scope);
    walk.start(TreeValue::of_root(before), TreeValue::of_root(after));
    while walk.has_more() {
        walk.step(source).await?;
    }
    let mut diff = walk.finish();
    if let Some(least) = options.renames {
        super::rename::find(source, &mut diff.entries, least).await?;
    }
    diff.entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(diff)
}

#[cfg(test)]
mod tests;
