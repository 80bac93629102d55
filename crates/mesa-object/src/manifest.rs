//! Manifests: the chunk lists of contents above one chunk.

use std::ops::Range;

use mesa_types::{ChunkId, ContentRef, ObjectId};

use crate::content::ChunkRef;

/// Bytes that are not a manifest, or do not fit their parent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("manifest: {what}")]
pub struct ManifestError {
    what: &'static str,
}

/// A part of a chunk that holds a part of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkSlice {
    /// The chunk.
    pub id: ChunkId,
    /// Whole length of the chunk.
    pub chunk_len: u32,
    /// Where in the content the slice begins.
    pub offset: u64,
    /// The part of the chunk.
    pub within: Range<u32>,
}

/// Finds the chunks that hold a range of a content, asking for manifests as it goes.
///
/// ```text
/// while !plan.missing().is_empty() { fetch them; plan.supply(id, bytes)? for each }
/// plan.into_slices()
/// ```
#[derive(Debug)]
pub struct RangePlan {
    slices: Vec<ChunkSlice>,
}

impl RangePlan {
    /// A plan for `range` of `content`, cut to the content's length.
    pub fn new(content: &ContentRef, range: Range<u64>) -> Self {
        let _ = (content, range);
        todo!()
    }

    /// Manifests needed to go on.
    pub fn missing(&self) -> Vec<ObjectId> {
        todo!()
    }

    /// Gives a verified manifest object's bytes.
    pub fn supply(&mut self, id: ObjectId, bytes: &[u8]) -> Result<(), ManifestError> {
        let _ = (id, bytes);
        todo!()
    }

    /// The slices in order; complete when nothing is [`Self::missing`].
    pub fn into_slices(self) -> Vec<ChunkSlice> {
        self.slices
    }

    /// The same, as whole chunks: all chunks of a content when the range was all of it.
    pub fn into_chunks(self) -> Vec<ChunkRef> {
        todo!()
    }
}
