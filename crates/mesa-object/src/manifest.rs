//! Manifests: the chunk lists of contents above one chunk.
//!
//! # Bytes
//!
//! All numbers little-endian.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | version, 1 |
//! | 1 | 1 | level: 0 lists chunks, `n` lists manifests of level `n - 1`; at most 3 |
//! | 2 | 4 | number of entries, 1 to 1,024 |
//! | 6 | 8 | length of the content listed: the sum of the entries' lengths |
//! | 14 | 40 each | entry: object id (32), length of the content it covers (8), not 0 |
//!
//! A content's chunks are grouped by 1,024 into manifests of level 0, those by 1,024 into level 1
//! and so on until one is left; only the last manifest of a level may have fewer entries, and only
//! the last chunk fewer bytes than the least. So every entry but the last covers at least
//! 64 KiB x 1,024^level: the number of chunks is bounded by a content's length.

mod plan;

use bytes::Bytes;
use mesa_types::{ContentRef, ObjectId, limits};

pub use plan::{ChunkSlice, RangePlan};

use crate::{
    Domain, Object, OrgKey,
    content::ChunkRef,
    wire::{Reader, Truncated},
};

const VERSION: u8 = 1;
const LEVEL_MAX: u8 = 3;
const ENTRY_BYTES: usize = 40;
/// Full manifests have `1 << FANOUT_BITS` entries.
const FANOUT_BITS: u32 = limits::MANIFEST_FANOUT.trailing_zeros();

/// Bytes that are not a manifest, or do not fit their parent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("manifest: {what}")]
pub struct ManifestError {
    what: &'static str,
}

impl From<Truncated> for ManifestError {
    fn from(_: Truncated) -> Self {
        Self { what: "truncated" }
    }
}

/// A decoded manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// 0: entries are chunks; otherwise manifests of the level below.
    pub level: u8,
    /// Id and length in bytes of what each entry covers, in order.
    pub entries: Vec<(ObjectId, u64)>,
}

impl Manifest {
    /// Length of the content listed.
    pub fn size(&self) -> u64 {
        self.entries.iter().map(|(_, len)| len).sum()
    }

    fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(14 + ENTRY_BYTES * self.entries.len());
        out.extend([VERSION, self.level]);
        out.extend((self.entries.len() as u32).to_le_bytes());
        out.extend(self.size().to_le_bytes());
        for (id, len) in &self.entries {
            out.extend(id.0);
            out.extend(len.to_le_bytes());
        }
        out.into()
    }

    /// Decodes and checks everything that can be checked without the children.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let wrong = |what| Err(ManifestError { what });
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return wrong("unknown version");
        }
        let level = reader.u8()?;
        if level > LEVEL_MAX {
            return wrong("too many levels");
        }
        let count = reader.u32()? as usize;
        let size = reader.u64()?;
        if count == 0 || count > limits::MANIFEST_FANOUT {
            return wrong("bad number of entries");
        }
        if reader.remaining() != count * ENTRY_BYTES {
            return wrong("length does not match the number of entries");
        }
        let mut entries = Vec::with_capacity(count);
        let mut sum = 0_u64;
        for _ in 0..count {
            let id = ObjectId(reader.array()?);
            let len = reader.u64()?;
            let longest = u64::from(limits::CHUNK_MAX) << (FANOUT_BITS * u32::from(level));
            let last = entries.len() + 1 == count;
            let shortest = u64::from(limits::CHUNK_MIN) << (FANOUT_BITS * u32::from(level));
            if len == 0 || len > longest || (!last && len < shortest) {
                return wrong("bad entry length");
            }
            sum = match sum.checked_add(len) {
                Some(sum) if sum <= limits::FILE_MAX => sum,
                _ => return wrong("content too long"),
            };
            entries.push((id, len));
        }
        if sum != size {
            return wrong("entries do not add up to the size");
        }
        Ok(Self { level, entries })
    }
}

/// Builds the manifests over `chunks`; the last one is the top.
pub(crate) fn build(key: &OrgKey, chunks: &[ChunkRef]) -> (ContentRef, Vec<Object>) {
    let mut objects = Vec::new();
    let mut row: Vec<(ObjectId, u64)> = chunks.iter().map(|c| (c.id, u64::from(c.len))).collect();
    let size = row.iter().map(|(_, len)| len).sum();
    let mut level = 0;
    loop {
        let mut above = Vec::with_capacity(row.len().div_ceil(limits::MANIFEST_FANOUT));
        for group in row.chunks(limits::MANIFEST_FANOUT) {
            let manifest = Manifest {
                level,
                entries: group.to_vec(),
            };
            let object = Object::new(key, Domain::Manifest, manifest.encode());
            above.push((object.id, manifest.size()));
            objects.push(object);
        }
        match above[..] {
            [(id, _)] => return (ContentRef::Manifest { id, size }, objects),
            [] => return (ContentRef::Empty, objects),
            _ => {}
        }
        row = above;
        level += 1;
    }
}
