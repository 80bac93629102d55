//! Sealing a directory: from its entries to objects and a [`DirRef`].

use mesa_types::{FileId, GitOid, ObjectId};

use super::{DirRef, Entry, NodeRecord, TreeError};
use crate::{Object, OrgKey};

/// A directory turned into objects.
#[derive(Debug, Clone)]
pub struct SealedDir {
    /// For the directory's record in its parent (or in the root).
    pub dir: DirRef,
    /// The same record's `git`.
    pub git: Option<GitOid>,
    /// The nodes of the listing: one, or leaves and indexes. Nodes the caller knows to be stored
    /// already can be left out by id.
    pub objects: Vec<Object>,
}

/// Encodes the listing and computes all digests.
///
/// `entries` are sorted by name without repeats; every directory among them has its `dir` and
/// `git` set from its own sealing, every file and symlink its `git`. `link` finds the record of a
/// hard-linked node.
pub fn seal_dir<'a>(
    key: &OrgKey,
    entries: &[Entry],
    link: impl Fn(FileId) -> Option<&'a NodeRecord>,
) -> Result<SealedDir, TreeError> {
    let _ = (key, entries, link);
    todo!()
}

/// The id of the listing of an empty directory.
pub fn empty_dir_id(key: &OrgKey) -> ObjectId {
    let _ = key;
    todo!()
}
