//! Commits.

use mesa_types::{ChangeId, CommitOid, GitOid, Nanos};

/// Who and when, as git writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Name; characters git refuses are dropped when encoding.
    pub name: String,
    /// Address, the same.
    pub email: String,
    /// Time; git keeps whole seconds from 1970 on.
    pub time: Nanos,
    /// Offset from UTC in minutes.
    pub offset_minutes: i16,
}

/// A commit to be encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitText {
    /// The root tree, [`GitOid::EMPTY_TREE`] when nothing is visible.
    pub tree: GitOid,
    /// Parents in order.
    pub parents: Vec<CommitOid>,
    /// Author.
    pub author: Signature,
    /// Committer.
    pub committer: Signature,
    /// The change, written as the `change-id` header.
    pub change: ChangeId,
    /// [`crate::tree::Root::snapshot_header`], written as the `mesa-snapshot` header.
    pub snapshot: Option<[u8; 32]>,
    /// Message; NUL bytes are dropped.
    pub message: String,
}

impl CommitText {
    /// The commit object's bytes (without git's type header) and its oid.
    pub fn encode(&self) -> (Vec<u8>, CommitOid) {
        todo!()
    }
}
