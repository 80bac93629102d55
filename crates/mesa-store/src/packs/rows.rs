//! Index rows.
//!
//! Table `Chunks`, key (org, object id): version 1 (1), pack id (16), offset of the frame (8),
//! length of the payload (4), length of the object (4), codec (1), domain (1).
//!
//! Table `Packs`, key (org, pack id): version 1 (1), kind (1), size in bytes (8), objects (4).
//!
//! Numbers are little-endian; a pack id is a ULID's 16 bytes.

use mesa_meta::KeyBuf;
use mesa_object::{
    Domain,
    pack::{Codec, Location, PackKind},
};
use mesa_types::{ObjectId, OrgId};

use crate::{StoreError, StoreErrorKind};

const VERSION: u8 = 1;

/// Identity of a pack: a ULID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackId(pub [u8; 16]);

/// Key of an object's row.
pub fn chunk_key(org: &OrgId, id: &ObjectId) -> mesa_meta::Key {
    KeyBuf::new(org.as_str()).fixed(&id.0).into()
}

/// Key of a pack's row.
pub fn pack_key(org: &OrgId, pack: PackId) -> mesa_meta::Key {
    KeyBuf::new(org.as_str()).fixed(&pack.0).into()
}

/// Where an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRow {
    /// The pack.
    pub pack: PackId,
    /// The place in it.
    pub at: Location,
}

impl ChunkRow {
    /// The row's value.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(35);
        out.push(VERSION);
        out.extend(self.pack.0);
        out.extend(self.at.offset.to_le_bytes());
        out.extend(self.at.stored.to_le_bytes());
        out.extend(self.at.len.to_le_bytes());
        out.extend([self.at.codec as u8, self.at.domain as u8]);
        out
    }

    /// Reads a row's value.
    pub fn decode(value: &[u8]) -> Result<Self, StoreError> {
        Self::try_decode(value)
            .ok_or_else(|| StoreError::new(StoreErrorKind::Corrupt, "read index row", None))
    }

    fn try_decode(value: &[u8]) -> Option<Self> {
        let (&[VERSION], rest) = value.split_first_chunk()? else {
            return None;
        };
        let (pack, rest) = rest.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (stored, rest) = rest.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let &[codec, domain] = rest else {
            return None;
        };
        let at = Location {
            offset: u64::from_le_bytes(*offset),
            stored: u32::from_le_bytes(*stored),
            len: u32::from_le_bytes(*len),
            codec: Codec::from_u8(codec)?,
            domain: Domain::stored_from_u8(domain)?,
        };
        Some(Self {
            pack: PackId(*pack),
            at,
        })
    }
}

/// A pack's row value.
pub fn pack_value(kind: PackKind, bytes: u64, objects: u32) -> Vec<u8> {
    let mut out = vec![VERSION, kind as u8];
    out.extend(bytes.to_le_bytes());
    out.extend(objects.to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_round_trip_and_refuse_damage() {
        let row = ChunkRow {
            pack: PackId([1; 16]),
            at: Location {
                offset: 16,
                stored: 100,
                len: 200,
                codec: Codec::Zstd,
                domain: Domain::Manifest,
            },
        };
        let mut value = row.encode();
        assert_eq!(ChunkRow::decode(&value).unwrap(), row);
        for len in 0..value.len() {
            assert!(ChunkRow::decode(&value[..len]).is_err());
        }
        value.push(0);
        assert!(ChunkRow::decode(&value).is_err());
        value.pop();
        value[0] = 2;
        assert!(ChunkRow::decode(&value).is_err());
    }
}
