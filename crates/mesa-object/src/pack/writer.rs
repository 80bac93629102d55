//! Writing a pack.

use mesa_types::ObjectId;

use super::{
    Codec, END_MAGIC, FOOTER_ENTRY_BYTES, FRAME_BYTES, HEADER_BYTES, Location, MAGIC,
    PACK_BYTES_MAX, PackError, PackKind, TRAILER_BYTES, VERSION,
};
use crate::{Object, object::OBJECT_BYTES_MAX};

/// Payloads below this are stored as they are: zstd's frame would eat the gain.
const COMPRESS_BYTES_MIN: usize = 64;
/// Payloads from here on are tried on a sample first.
const SNIFF_BYTES_MIN: usize = 16 << 10;
const SAMPLE_BYTES: usize = 4 << 10;

/// Collects objects into a pack in memory.
pub struct PackWriter {
    bytes: Vec<u8>,
    compressor: Option<zstd::bulk::Compressor<'static>>,
    entries: Vec<(ObjectId, Location)>,
}

impl PackWriter {
    /// An empty pack; `level` is zstd's, 1 to 3.
    pub fn new(kind: PackKind, level: i32) -> Self {
        let mut bytes = Vec::with_capacity(64 << 10);
        bytes.extend_from_slice(MAGIC);
        bytes.extend([VERSION, kind as u8, 0, 0, 0, 0, 0, 0]);
        debug_assert_eq!(bytes.len(), HEADER_BYTES);
        Self {
            bytes,
            // Without a compressor (out of memory) everything is stored as it is.
            compressor: zstd::bulk::Compressor::new(level.clamp(1, 3)).ok(),
            entries: Vec::new(),
        }
    }

    /// Adds an object, which must not be in the pack yet. [`PackError::TooLarge`] when the object
    /// is over the limit or the pack would be; then the pack is as before.
    pub fn push(&mut self, object: &Object) -> Result<Location, PackError> {
        let after = self.finished_bytes() + object.bytes.len() + FRAME_BYTES + FOOTER_ENTRY_BYTES;
        if object.bytes.len() > OBJECT_BYTES_MAX || after as u64 > PACK_BYTES_MAX {
            return Err(PackError::TooLarge);
        }
        let compressed = self.compress(&object.bytes);
        let (codec, payload) = match &compressed {
            Some(smaller) => (Codec::Zstd, smaller.as_slice()),
            None => (Codec::Raw, &object.bytes[..]),
        };
        let location = Location {
            offset: self.bytes.len() as u64,
            stored: payload.len() as u32,
            len: object.bytes.len() as u32,
            codec,
            domain: object.domain,
        };
        self.bytes.extend([object.domain as u8, codec as u8, 0, 0]);
        self.bytes.extend(location.stored.to_le_bytes());
        self.bytes.extend(location.len.to_le_bytes());
        self.bytes.extend(crc32c::crc32c(payload).to_le_bytes());
        self.bytes.extend(object.id.0);
        self.bytes.extend_from_slice(payload);
        self.entries.push((object.id, location));
        Ok(location)
    }

    /// The compressed bytes, if that saves at least a sixteenth.
    fn compress(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let compressor = self.compressor.as_mut()?;
        if bytes.len() < COMPRESS_BYTES_MIN {
            return None;
        }
        let mut worth = |bytes: &[u8]| {
            let smaller = compressor.compress(bytes).ok()?;
            (smaller.len() <= bytes.len() - bytes.len() / 16).then_some(smaller)
        };
        if bytes.len() >= SNIFF_BYTES_MIN {
            // Head and middle: compressed formats often have plain headers.
            let middle = bytes.len() / 2;
            let head = &bytes[..SAMPLE_BYTES];
            let inner = &bytes[middle..middle + SAMPLE_BYTES];
            if worth(inner).is_none() && worth(head).is_none() {
                return None;
            }
        }
        worth(bytes)
    }

    /// Objects added.
    pub fn objects(&self) -> &[(ObjectId, Location)] {
        &self.entries
    }

    /// Size of the pack if it were finished now, in bytes.
    pub fn finished_bytes(&self) -> usize {
        self.bytes.len() + 4 + self.entries.len() * FOOTER_ENTRY_BYTES + TRAILER_BYTES
    }

    /// The whole pack, and where its objects stand.
    pub fn finish(self) -> (Vec<u8>, Vec<(ObjectId, Location)>) {
        let Self {
            mut bytes,
            mut entries,
            ..
        } = self;
        entries.sort_by_key(|(id, _)| *id);
        let start = bytes.len();
        bytes.extend((entries.len() as u32).to_le_bytes());
        for (id, location) in &entries {
            bytes.extend(id.0);
            bytes.extend(location.offset.to_le_bytes());
            bytes.extend(location.stored.to_le_bytes());
            bytes.extend(location.len.to_le_bytes());
            bytes.extend([location.codec as u8, location.domain as u8]);
        }
        let footer = &bytes[start..];
        let (len, crc) = (footer.len() as u32, crc32c::crc32c(footer));
        bytes.extend((start as u64).to_le_bytes());
        bytes.extend(len.to_le_bytes());
        bytes.extend(crc.to_le_bytes());
        bytes.extend([VERSION, 0, 0, 0]);
        bytes.extend_from_slice(END_MAGIC);
        (bytes, entries)
    }
}
