//! Reading packs.

use std::ops::Range;

use bytes::Bytes;
use mesa_types::ObjectId;

use super::{
    Codec, END_MAGIC, FOOTER_ENTRY_BYTES, FRAME_BYTES, HEADER_BYTES, Location, PACK_BYTES_MAX,
    PackError, TRAILER_BYTES, VERSION,
};
use crate::{Domain, OrgKey, object::OBJECT_BYTES_MAX, wire::Reader};

/// Reads the object `id` from the bytes of its frame ([`Location::frame`]), checks the sum and
/// that the object hashes to `id`.
pub fn decode_frame(
    key: &OrgKey,
    id: ObjectId,
    frame: &[u8],
) -> Result<(Domain, Bytes), PackError> {
    let mut reader = Reader::new(frame);
    let domain = Domain::stored_from_u8(reader.u8()?).ok_or(PackError::Field("domain"))?;
    let codec = Codec::from_u8(reader.u8()?).ok_or(PackError::Field("codec"))?;
    if reader.u16()? != 0 {
        return Err(PackError::Field("reserved field"));
    }
    let stored = reader.u32()? as usize;
    let len = reader.u32()? as usize;
    let crc = reader.u32()?;
    let stored_id = ObjectId(reader.array()?);
    if len > OBJECT_BYTES_MAX {
        return Err(PackError::Field("length"));
    }
    if stored_id != id {
        return Err(PackError::Id(id));
    }
    if reader.remaining() != stored {
        return Err(PackError::Truncated);
    }
    let payload = reader.take(stored)?;
    if crc32c::crc32c(payload) != crc {
        return Err(PackError::Checksum("payload"));
    }
    let bytes = match codec {
        Codec::Raw => Bytes::copy_from_slice(payload),
        Codec::Zstd => zstd::bulk::decompress(payload, len)
            .map_err(|_| PackError::Decompress)?
            .into(),
    };
    if bytes.len() != len {
        return Err(PackError::Field("length"));
    }
    if key.hash(domain, &bytes) != id {
        return Err(PackError::Id(id));
    }
    Ok((domain, bytes))
}

/// Reads the trailer, the last [`TRAILER_BYTES`] of a pack of `pack_bytes`: where the footer is,
/// and its checksum.
pub fn decode_trailer(
    trailer: &[u8; TRAILER_BYTES],
    pack_bytes: u64,
) -> Result<(Range<u64>, u32), PackError> {
    let mut reader = Reader::new(trailer);
    let offset = reader.u64()?;
    let len = u64::from(reader.u32()?);
    let crc = reader.u32()?;
    let version = reader.u8()?;
    let zeros: [u8; 3] = reader.array()?;
    let magic: [u8; 4] = reader.array()?;
    if &magic != END_MAGIC || version != VERSION || zeros != [0; 3] {
        return Err(PackError::Format);
    }
    let fits = pack_bytes <= PACK_BYTES_MAX
        && offset >= HEADER_BYTES as u64
        && offset.checked_add(len + TRAILER_BYTES as u64) == Some(pack_bytes);
    if fits {
        Ok((offset..offset + len, crc))
    } else {
        Err(PackError::Field("footer position"))
    }
}

/// The list of what a pack holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackFooter {
    /// Objects ascending by id.
    pub objects: Vec<(ObjectId, Location)>,
}

impl PackFooter {
    /// Reads a footer of which the trailer told the position and checksum.
    pub fn decode(footer: &[u8], at: &Range<u64>, crc: u32) -> Result<Self, PackError> {
        if crc32c::crc32c(footer) != crc {
            return Err(PackError::Checksum("footer"));
        }
        let mut reader = Reader::new(footer);
        let count = reader.count(FOOTER_ENTRY_BYTES)?;
        if reader.remaining() != count * FOOTER_ENTRY_BYTES {
            return Err(PackError::Truncated);
        }
        let mut objects: Vec<(ObjectId, Location)> = Vec::with_capacity(count);
        for _ in 0..count {
            let id = ObjectId(reader.array()?);
            let location = Location {
                offset: reader.u64()?,
                stored: reader.u32()?,
                len: reader.u32()?,
                codec: Codec::from_u8(reader.u8()?).ok_or(PackError::Field("codec"))?,
                domain: Domain::stored_from_u8(reader.u8()?).ok_or(PackError::Field("domain"))?,
            };
            let frame = location.frame();
            if frame.start < HEADER_BYTES as u64
                || frame.end > at.start
                || location.len as usize > OBJECT_BYTES_MAX
            {
                return Err(PackError::Field("frame position"));
            }
            if objects.last().is_some_and(|(last, _)| *last >= id) {
                return Err(PackError::Field("order of ids"));
            }
            objects.push((id, location));
        }
        Ok(Self { objects })
    }

    /// Reads the footer of a whole pack in memory.
    pub fn of_pack(pack: &[u8]) -> Result<Self, PackError> {
        let header = pack.get(..HEADER_BYTES).ok_or(PackError::Truncated)?;
        if &header[..8] != super::MAGIC || header[8] != VERSION {
            return Err(PackError::Format);
        }
        let trailer = pack.last_chunk().ok_or(PackError::Truncated)?;
        let (at, crc) = decode_trailer(trailer, pack.len() as u64)?;
        let footer = pack
            .get(at.start as usize..at.end as usize)
            .ok_or(PackError::Truncated)?;
        Self::decode(footer, &at, crc)
    }
}

const _: () = assert!(FRAME_BYTES == 48);
