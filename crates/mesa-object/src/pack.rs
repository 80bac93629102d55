//! Packs: many objects in one immutable file on object storage.
//!
//! # Bytes
//!
//! All numbers little-endian. A pack is a header, frames, the footer, the trailer.
//!
//! Header, 16 bytes: `MESAPACK` (8), version 1 (1), kind (1: data 1, metadata 2), zeros (6).
//!
//! Frame, 48 bytes and the payload:
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | domain of the object ([`Domain`]) |
//! | 1 | 1 | codec: 0 as it is, 1 zstd |
//! | 2 | 2 | zeros |
//! | 4 | 4 | length of the payload |
//! | 8 | 4 | length of the object, at most 16 MiB |
//! | 12 | 4 | CRC-32C of the payload |
//! | 16 | 32 | object id |
//! | 48 | … | payload |
//!
//! Footer: number of objects (4), then for each, ascending by id: id (32), offset of its frame
//! (8), length of the payload (4), length of the object (4), codec (1), domain (1).
//!
//! Trailer, 24 bytes: offset of the footer (8), length of the footer (4), CRC-32C of the footer
//! (4), version 1 (1), zeros (3), `KCAP` (4).
//!
//! Readers with an index need one range per object (its frame); the footer lets the index be
//! rebuilt from the packs alone.

mod reader;
mod writer;

use mesa_types::ObjectId;

pub use reader::{PackFooter, decode_frame, decode_trailer};
pub use writer::PackWriter;

use crate::{Domain, wire::Truncated};

const MAGIC: &[u8; 8] = b"MESAPACK";
const END_MAGIC: &[u8; 4] = b"KCAP";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 16;
const FRAME_BYTES: usize = 48;
const FOOTER_ENTRY_BYTES: usize = 50;

/// Bytes of the trailer at the end of every pack.
pub const TRAILER_BYTES: usize = 24;
/// Largest pack in bytes.
pub const PACK_BYTES_MAX: u64 = 64 << 20;

/// What a pack holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PackKind {
    /// Chunks.
    Data = 1,
    /// Everything else.
    Meta = 2,
}

/// How a payload is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// As it is.
    Raw = 0,
    /// A zstd frame.
    Zstd = 1,
}

impl Codec {
    /// Decodes the stored byte.
    pub fn from_u8(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Raw),
            1 => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Where an object stands in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// Offset of the frame.
    pub offset: u64,
    /// Length of the payload in bytes.
    pub stored: u32,
    /// Length of the object in bytes.
    pub len: u32,
    /// How the payload is stored.
    pub codec: Codec,
    /// What the object is.
    pub domain: Domain,
}

impl Location {
    /// The frame's bytes within the pack.
    pub fn frame(&self) -> std::ops::Range<u64> {
        let end = self
            .offset
            .saturating_add(FRAME_BYTES as u64 + u64::from(self.stored));
        self.offset..end
    }
}

/// Damaged or foreign bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The bytes end early.
    #[error("pack is truncated")]
    Truncated,
    /// Not a pack, or of an unknown version.
    #[error("not a pack of a known version")]
    Format,
    /// A field has an impossible value.
    #[error("pack has a bad {0}")]
    Field(&'static str),
    /// A checksum does not match.
    #[error("checksum of the {0} does not match")]
    Checksum(&'static str),
    /// The payload does not decompress.
    #[error("payload does not decompress")]
    Decompress,
    /// The bytes do not hash to the id.
    #[error("object {0} has other bytes than its id says")]
    Id(ObjectId),
    /// The object does not fit.
    #[error("object is too large for a pack")]
    TooLarge,
}

impl From<Truncated> for PackError {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}
