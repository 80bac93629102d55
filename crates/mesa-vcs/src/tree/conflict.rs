//! Paths that did not merge.

use mesa_object::tree::NodeRecord;
use mesa_types::{ContentRef, NodeKind};

use super::TreeValue;
use crate::Merge;

/// A path in conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// What each of the merged trees has there, as many terms as trees were merged.
    pub terms: Merge<Option<TreeValue>>,
    /// How it can be shown and resolved.
    pub kind: ConflictKind,
    /// The attributes merged, for the file that shows the conflict: identity, mode, owners,
    /// xattrs. Its kind and content are those of the first side that has the path.
    pub shown: Box<NodeRecord>,
}

/// How a conflict can be shown and resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConflictKind {
    /// Texts, absent ones counting as empty: one file with conflict markers.
    Text,
    /// At least one side is not text: side files.
    Binary,
    /// At least one side is too large to be merged by lines: side files.
    TooLarge,
    /// Something else than a regular file takes part: side files.
    Types,
}

impl Conflict {
    /// The terms without those that cancel.
    pub fn simplified(&self) -> Merge<Option<TreeValue>> {
        self.terms.simplify_by(|a, b| {
            a.as_ref().map(TreeValue::substance) == b.as_ref().map(TreeValue::substance)
        })
    }

    /// The contents of a conflict of regular files without terms that cancel, `None` for an
    /// absent one; `None` if something else takes part.
    pub fn contents(&self) -> Option<Merge<Option<ContentRef>>> {
        let contents = self.simplified().try_map(|term| match term {
            None => Ok(None),
            Some(value) if value.kind() == NodeKind::File => Ok(Some(value.node.attr.content)),
            Some(_) => Err(()),
        });
        Some(contents.ok()?.simplify())
    }
}
