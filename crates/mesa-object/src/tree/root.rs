//! The object a commit points at.

use mesa_types::ObjectId;

use super::{NodeRecord, TreeError};
use crate::{Object, OrgKey};

/// A snapshot: the root directory's own record and the table of hard-linked nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The root directory: attributes, xattrs, listing, git tree.
    pub dir: NodeRecord,
    /// The link table's top node, if any node is hard-linked.
    pub links: Option<ObjectId>,
}

impl Root {
    /// Encodes.
    pub fn encode(&self, key: &OrgKey) -> Result<Object, TreeError> {
        let _ = key;
        todo!()
    }

    /// Decodes.
    pub fn decode(bytes: &[u8]) -> Result<Self, TreeError> {
        let _ = bytes;
        todo!()
    }

    /// The value of the commit's `mesa-snapshot` header: over the listing's `snap` and the root's
    /// own mode, owners and xattrs. `None` when the whole snapshot is in git-default state.
    pub fn snapshot_header(&self, key: &OrgKey) -> Option<[u8; 32]> {
        let _ = key;
        todo!()
    }

    /// The same digest, always: two snapshots with equal digests need no new commit.
    pub fn snap(&self, key: &OrgKey) -> [u8; 32] {
        let _ = key;
        todo!()
    }
}
