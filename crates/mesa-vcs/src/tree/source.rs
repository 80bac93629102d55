//! Where trees and contents come from.

use std::future::Future;

use bytes::Bytes;
use mesa_object::tree::{Entry, NodeRecord};
use mesa_types::{ContentRef, FileId, GitOid, ObjectId};

/// Reads stored trees. Every call is for many things at once, so that a source with latency is
/// asked once per level of a tree; answers are in the order of the questions.
pub trait TreeSource: Sync {
    /// Why reading failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The entries of whole listings ([`mesa_object::tree::DirRef::object`]), sorted by name.
    fn list(
        &self,
        listings: &[ObjectId],
    ) -> impl Future<Output = Result<Vec<Vec<Entry>>, Self::Error>> + Send;

    /// The records of hard-linked nodes in the link table `table`
    /// ([`mesa_object::tree::Root::links`]), all of which are in it.
    fn linked(
        &self,
        table: ObjectId,
        nodes: &[FileId],
    ) -> impl Future<Output = Result<Vec<NodeRecord>, Self::Error>> + Send;

    /// The bytes of contents. Nothing above
    /// [`MergeOptions::content_bytes_max`](super::MergeOptions) is asked for, and at most
    /// [`CONTENT_BATCH_BYTES`] (or one content's terms) in one call.
    fn read(
        &self,
        contents: &[ContentRef],
    ) -> impl Future<Output = Result<Vec<Bytes>, Self::Error>> + Send;
}

/// How many bytes of content are asked for at once.
pub const CONTENT_BATCH_BYTES: u64 = 32 << 20;

/// Keeps the contents merging makes.
pub trait TreeStore: TreeSource {
    /// Stores contents. A dry run may compute references without storing.
    fn write(
        &self,
        contents: Vec<Bytes>,
    ) -> impl Future<Output = Result<Vec<Stored>, Self::Error>> + Send;
}

/// A stored content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its reference.
    pub content: ContentRef,
    /// Its git blob.
    pub git: GitOid,
}
