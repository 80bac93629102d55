//! From a range of a content to slices of chunks.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use mesa_types::{ChunkId, ContentRef, ObjectId};

use super::{LEVEL_MAX, Manifest, ManifestError};
use crate::content::ChunkRef;

/// A part of a chunk that holds a part of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkSlice {
    /// The chunk.
    pub id: ChunkId,
    /// Whole length of the chunk in bytes.
    pub chunk_len: u32,
    /// Where in the content the slice begins.
    pub offset: u64,
    /// The part of the chunk.
    pub within: Range<u32>,
}

/// Finds the chunks that hold a range of a content, asking for manifests as it goes.
///
/// ```
/// # use mesa_object::{OrgKey, content, manifest::RangePlan};
/// # let key = OrgKey::new([1; 32]);
/// # let data = vec![7; 300_000];
/// # let built = content::of_slice(&key, &data);
/// # let fetch = |id| built.manifests.iter().find(|m| m.id == id).unwrap().bytes.clone();
/// let mut plan = RangePlan::new(&built.content, 250_000..260_000);
/// loop {
///     let missing = plan.missing();
///     if missing.is_empty() {
///         break;
///     }
///     for id in missing {
///         plan.supply(id, &fetch(id))?;
///     }
/// }
/// let bytes: usize = plan.into_slices().iter().map(|s| s.within.len()).sum();
/// assert_eq!(bytes, 10_000);
/// # Ok::<(), mesa_object::manifest::ManifestError>(())
/// ```
#[derive(Debug)]
pub struct RangePlan {
    range: Range<u64>,
    slices: BTreeMap<u64, ChunkSlice>,
    open: HashMap<ObjectId, Vec<Open>>,
}

/// A place where a manifest stands in the content.
#[derive(Debug, Clone, Copy)]
struct Open {
    offset: u64,
    size: u64,
    /// `None` for the topmost, whose level is not known before it is read.
    level: Option<u8>,
}

impl RangePlan {
    /// A plan for `range` of `content`, cut to the content's length.
    pub fn new(content: &ContentRef, range: Range<u64>) -> Self {
        let mut plan = Self {
            range: range.start..range.end.min(content.size()),
            slices: BTreeMap::new(),
            open: HashMap::new(),
        };
        match *content {
            ContentRef::Empty => {}
            ContentRef::Chunk { id, size } => plan.add_chunk(id, 0, size),
            ContentRef::Manifest { id, size } => plan.add_manifest(
                id,
                Open {
                    offset: 0,
                    size,
                    level: None,
                },
            ),
        }
        plan
    }

    fn overlaps(&self, offset: u64, size: u64) -> bool {
        offset < self.range.end && self.range.start < offset.saturating_add(size)
    }

    fn add_chunk(&mut self, id: ChunkId, offset: u64, size: u64) {
        if !self.overlaps(offset, size) {
            return;
        }
        let start = self.range.start.saturating_sub(offset);
        let end = size.min(self.range.end - offset);
        let slice = ChunkSlice {
            id,
            chunk_len: size as u32,
            offset: offset + start,
            within: start as u32..end as u32,
        };
        self.slices.insert(slice.offset, slice);
    }

    fn add_manifest(&mut self, id: ObjectId, place: Open) {
        if self.overlaps(place.offset, place.size) {
            self.open.entry(id).or_default().push(place);
        }
    }

    /// Manifests needed to go on.
    pub fn missing(&self) -> Vec<ObjectId> {
        self.open.keys().copied().collect()
    }

    /// Gives a verified manifest object's bytes. Ids that are not missing are ignored.
    pub fn supply(&mut self, id: ObjectId, bytes: &[u8]) -> Result<(), ManifestError> {
        let Some(places) = self.open.remove(&id) else {
            return Ok(());
        };
        let manifest = Manifest::decode(bytes)?;
        let size = manifest.size();
        for place in places {
            if place.size != size {
                return Err(ManifestError {
                    what: "size differs from what the parent says",
                });
            }
            if place.level.unwrap_or(LEVEL_MAX.min(manifest.level)) != manifest.level {
                return Err(ManifestError {
                    what: "level differs from what the parent says",
                });
            }
            let mut offset = place.offset;
            for &(child, len) in &manifest.entries {
                match manifest.level.checked_sub(1) {
                    None => self.add_chunk(child, offset, len),
                    level => self.add_manifest(
                        child,
                        Open {
                            offset,
                            size: len,
                            level,
                        },
                    ),
                }
                offset += len;
            }
        }
        Ok(())
    }

    /// The slices in order; complete when nothing is [`Self::missing`].
    pub fn into_slices(self) -> Vec<ChunkSlice> {
        self.slices.into_values().collect()
    }

    /// The same, as whole chunks: all chunks of a content when the range was all of it.
    pub fn into_chunks(self) -> Vec<ChunkRef> {
        self.slices
            .into_values()
            .map(|slice| ChunkRef {
                id: slice.id,
                len: slice.chunk_len,
            })
            .collect()
    }
}
