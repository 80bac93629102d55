//! What a listing says about each name.

use std::collections::BTreeMap;

use bytes::Bytes;
use mesa_types::{Attr, EntryName, FileId, GitOid, NodeKind, ObjectId};

/// Extended attributes: full name (`user.x`) to value.
pub type Xattrs = BTreeMap<Vec<u8>, Bytes>;

/// A name in a directory with what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Unique in the directory; listings are sorted by its bytes.
    pub name: EntryName,
    /// The node.
    pub target: EntryTarget,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryTarget {
    /// A node that has only this name.
    Node(Box<NodeRecord>),
    /// One of several names of a node whose record is in the snapshot's [`super::LinkTable`].
    Link {
        /// The node.
        id: FileId,
        /// Its type, so that listings need no look-up.
        kind: NodeKind,
    },
}

/// Everything stored about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// Attributes. `nlink` is above 1 only in the link table.
    pub attr: Attr,
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// Target of a symlink (its chunk is not stored apart), empty for everything else.
    pub target: Bytes,
    /// The node's git object wherever it stands: blob of a file or symlink, tree of a directory
    /// (`None` when nothing below is visible to git), commit of a gitlink; `None` for others.
    pub git: Option<GitOid>,
    /// The content may not appear in git under its name (a hostile `.gitmodules`); see
    /// [`crate::git::hidden`].
    pub git_refused: bool,
    /// The listing of a directory, `None` for everything else.
    pub dir: Option<DirRef>,
}

/// A sealed directory's listing and what is known of everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirRef {
    /// The listing (its only or topmost node).
    pub object: ObjectId,
    /// Digest of what git sees: visible names, kinds, exec bit, content. Nothing visible: zeros.
    pub sem: [u8; 32],
    /// Digest of everything but times and file ids (a hard-linked node's id counts: it is what
    /// says which names are one node).
    pub snap: [u8; 32],
    /// Entries below that are not directories.
    pub files: u64,
    /// Entries below that are [`EntryTarget::Link`]: walks that look for the names of a
    /// hard-linked node skip directories where this is 0.
    pub links: u64,
    /// Everything below is in git-default state, so git alone could restore it.
    pub git_default: bool,
}

impl Entry {
    /// Type of the node.
    pub fn kind(&self) -> NodeKind {
        match &self.target {
            EntryTarget::Node(node) => node.attr.kind,
            EntryTarget::Link { kind, .. } => *kind,
        }
    }

    /// Identity of the node.
    pub fn file_id(&self) -> FileId {
        match &self.target {
            EntryTarget::Node(node) => node.attr.id,
            EntryTarget::Link { id, .. } => *id,
        }
    }
}
