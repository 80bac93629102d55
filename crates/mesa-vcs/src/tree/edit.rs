//! A merge's outcome as changes to a tree.

use mesa_object::tree::NodeRecord;

use super::{TreePath, TreeValue};

/// A change to one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The path; its directory exists, or an earlier edit makes it.
    pub path: TreePath,
    /// What happens there.
    pub change: Change,
}

/// What happens to a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The entry goes, with everything below it.
    Remove,
    /// The entry becomes this, whatever was there before; a directory comes with everything below
    /// it. `nlink` and `ctime` are the applier's to set, and an id may stand at other paths only
    /// if the node is hard-linked there.
    Put(Box<TreeValue>),
    /// The entry is a directory with these attributes: an existing directory keeps what is in it,
    /// anything else is replaced by an empty one. `dir` and `git` of the record mean nothing.
    Dir(Box<NodeRecord>),
}

/// Sorts edits by path and drops those below a removed path.
pub(crate) fn tidy(mut edits: Vec<Edit>) -> Vec<Edit> {
    edits.sort_by(|a, b| a.path.cmp(&b.path));
    let mut removed: Option<TreePath> = None;
    edits.retain(|edit| {
        if removed.as_ref().is_some_and(|r| edit.path.is_within(r)) {
            return false;
        }
        if edit.change == Change::Remove {
            removed = Some(edit.path.clone());
        }
        true
    });
    edits
}
