//! From bytes to a [`ContentRef`], its chunks and its manifests.

use bytes::Bytes;
use mesa_types::{ChunkId, ContentRef};

use crate::{Object, OrgKey};

/// One chunk of a content, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRef {
    /// The chunk.
    pub id: ChunkId,
    /// Its length in bytes.
    pub len: u32,
}

/// A content computed in memory: small contents, and tests.
#[derive(Debug, Clone)]
pub struct BuiltContent {
    /// The reference to keep.
    pub content: ContentRef,
    /// Every chunk, in order, repeated chunks once per occurrence.
    pub chunks: Vec<ChunkRef>,
    /// The manifest objects, children before parents; empty for one-chunk contents.
    pub manifests: Vec<Object>,
}

/// Chunks and hashes a slice (for large files a mapping); keeps no bytes.
pub fn of_slice(key: &OrgKey, data: &[u8]) -> BuiltContent {
    let _ = (key, data);
    todo!()
}

/// Chunks a stream of unknown length, handing each chunk to `sink` as it is cut. Holds at most
/// one chunk of the largest size.
pub fn of_reader<R: std::io::Read, E: From<std::io::Error>>(
    key: &OrgKey,
    reader: R,
    sink: impl FnMut(ChunkRef, Bytes) -> Result<(), E>,
) -> Result<BuiltContent, E> {
    let _ = (key, reader, sink);
    todo!()
}

/// The content made of `chunks` in this order, which must have been cut by this module.
pub fn of_chunks(key: &OrgKey, chunks: Vec<ChunkRef>) -> BuiltContent {
    let _ = (key, chunks);
    todo!()
}

/// What [`Rechunk`] wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Give the bytes of this range of the new content to [`Rechunk::feed`].
    Read {
        /// Offset in the new content.
        offset: u64,
        /// Bytes wanted, all of them.
        len: usize,
    },
    /// [`Rechunk::finish`] has the answer.
    Done,
}

/// Chunks the new version of a content of which the old chunks and the changed ranges are known,
/// reading only around the changes. The outcome equals [`of_slice`] of the whole new version.
/// No I/O: the caller reads (from a file, or from stored chunks).
#[derive(Debug)]
pub struct Rechunk {
    key: OrgKey,
}

impl Rechunk {
    /// `changed` are the ranges of the new version that may differ from the old one at the same
    /// offsets (ascending, disjoint); bytes beyond the old length always count as changed.
    pub fn new(
        key: &OrgKey,
        old: &[ChunkRef],
        new_len: u64,
        changed: &[std::ops::Range<u64>],
    ) -> Self {
        let _ = (old, new_len, changed);
        Self { key: key.clone() }
    }

    /// The next thing to do.
    pub fn step(&mut self) -> Step {
        todo!()
    }

    /// Answers [`Step::Read`]. Returns the chunk cut from the front of `bytes`, if it is one the
    /// old version does not have at all.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<ChunkRef> {
        let _ = (bytes, &self.key);
        todo!()
    }

    /// The new version's content.
    pub fn finish(self) -> BuiltContent {
        todo!()
    }
}
