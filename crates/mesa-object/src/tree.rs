//! Directory listings, the table of hard-linked files, and snapshot roots.

pub mod dir;
pub mod entry;
pub mod links;
pub mod load;
pub mod root;

pub use dir::{SealedDir, seal_dir};
pub use entry::{DirRef, Entry, EntryTarget, NodeRecord, Xattrs};
pub use links::{LinkLoader, LinkRecord, LinkTable};
pub use load::{DirLoader, DirLookup, LookupStep};
pub use root::Root;

/// Bytes that are not a valid tree object, or a listing that cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{object}: {what}")]
pub struct TreeError {
    pub(crate) object: &'static str,
    pub(crate) what: &'static str,
}
