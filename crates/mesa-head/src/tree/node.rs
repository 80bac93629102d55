//! A node in memory.

use std::collections::BTreeMap;

use bytes::Bytes;
use mesa_object::tree::{DirRef, NodeRecord, Xattrs};
use mesa_types::{Attr, EntryName, FileId, GitOid, NodeKind};

/// A file, directory or other node.
#[derive(Debug, Clone)]
pub struct Node {
    /// Attributes; `nlink` counts all names, also those not in memory.
    pub attr: Attr,
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// Target of a symlink.
    pub target: Bytes,
    /// Git object of the node as last sealed; `None` when the content changed since.
    pub git: Option<GitOid>,
    /// See [`NodeRecord::git_refused`].
    pub git_refused: bool,
    /// Names in listings that are in memory. The root has none.
    pub names: Vec<(FileId, EntryName)>,
    /// Directories only.
    pub dir: Option<Dir>,
}

/// What only directories have.
#[derive(Debug, Clone, Default)]
pub struct Dir {
    /// The listing, once loaded.
    pub children: Option<BTreeMap<EntryName, FileId>>,
    /// The listing as last sealed.
    pub sealed: Option<DirRef>,
    /// Sequence of the last operation that changed the listing, or anything below it.
    pub changed: u64,
}

impl Node {
    /// A node as stored.
    pub fn from_record(record: NodeRecord) -> Self {
        let dir = (record.attr.kind == NodeKind::Dir).then(|| Dir {
            children: if record.dir.is_none() {
                Some(BTreeMap::new())
            } else {
                None
            },
            sealed: record.dir,
            changed: 0,
        });
        Self {
            attr: record.attr,
            xattrs: record.xattrs,
            target: record.target,
            git: record.git,
            git_refused: record.git_refused,
            names: Vec::new(),
            dir,
        }
    }

    /// The node as to be stored; a directory's `dir` and `git` are those of its last sealing.
    pub fn to_record(&self) -> NodeRecord {
        NodeRecord {
            attr: self.attr.clone(),
            xattrs: self.xattrs.clone(),
            target: self.target.clone(),
            git: self.git,
            git_refused: self.git_refused,
            dir: self.dir.as_ref().and_then(|dir| dir.sealed.clone()),
        }
    }

    /// Whether the node's record is in the link table.
    pub fn is_linked(&self) -> bool {
        self.attr.nlink > 1
    }

    /// Bytes of all extended attributes.
    pub fn xattr_bytes(&self) -> usize {
        self.xattrs
            .iter()
            .map(|(n, v)| n.len() + v.len() + mesa_types::limits::XATTR_OVERHEAD)
            .sum()
    }
}
