//! Directory listings, the table of hard-linked files, and snapshot roots.
//!
//! Byte layouts: [`node`] for the nodes listings are made of, [`entry`] for a line of a directory,
//! [`record`] for what is stored about a node, [`root`] for a snapshot's root, [`conflicts`] for
//! paths in conflict.

pub mod conflicts;
pub mod dir;
pub mod entry;
pub mod links;
pub mod load;
pub mod node;
pub mod record;
pub mod root;

pub use conflicts::{ConflictKind, ConflictPath, ConflictTerm, Conflicts};
pub use dir::{SealedDir, empty_dir_id, git_tree, seal_dir};
pub use entry::{Entry, EntryTarget};
pub use links::{LinkLoader, LinkLookup, LinkRecord, build_links};
pub use load::{DirLoader, DirLookup, LookupStep};
pub use record::{DirRef, NodeRecord, Xattrs};
pub use root::Root;

use crate::wire::Truncated;

/// Bytes that are not a valid tree object, or a listing that cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tree object: {what}")]
pub struct TreeError {
    what: &'static str,
}

impl TreeError {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what }
    }
}

impl From<Truncated> for TreeError {
    fn from(_: Truncated) -> Self {
        Self::new("truncated")
    }
}

/// Fails with `what` unless `holds`.
pub(crate) fn ensure(holds: bool, what: &'static str) -> Result<(), TreeError> {
    if holds {
        Ok(())
    } else {
        Err(TreeError::new(what))
    }
}
