//! One record's bytes.

use bytes::Bytes;
use mesa_proto::{convert, v1};
use mesa_types::{ContentRef, FileId, Nanos};
use prost::Message;

use super::WorkMark;
use crate::{
    content::{WorkId, WorkStat},
    session::ClientSeq,
};

/// Version byte of every payload.
const VERSION: u8 = 1;
/// Bytes before a payload: length and checksum.
pub(super) const HEADER: usize = 8;
/// No record is larger: an operation carries at most 64 KiB of content, an extended attribute
/// at most 64 KiB of value, and two paths.
pub(super) const PAYLOAD_MAX: usize = 1 << 20;

/// Who decides whether an operation happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// This client did, under a lease.
    Decided,
    /// The server will.
    Undecided,
}

/// An operation with its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OpRecord {
    pub seq: ClientSeq,
    pub lease: u64,
    pub actor: v1::Actor,
    pub op: v1::Op,
}

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Record {
    /// An entry or attribute operation; undecided when its lease is 0.
    Op(OpRecord),
    /// A content operation whose bytes are in a work file.
    Content {
        op: OpRecord,
        file: FileId,
        work: WorkId,
    },
    /// A node is served from a work file from here on.
    Work { file: FileId, mark: WorkMark },
    /// It no longer is.
    Unwork { file: FileId, work: WorkId },
    /// Everything up to here was acknowledged.
    Acked(ClientSeq),
    /// What is sent in a place whose content moved to a later one.
    Instead(OpRecord),
}

impl OpRecord {
    /// Who decides.
    pub fn verdict(&self) -> Verdict {
        if self.lease == 0 {
            Verdict::Undecided
        } else {
            Verdict::Decided
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.actor.encoded_len() as u32).to_le_bytes());
        out.extend_from_slice(&self.actor.encode_to_vec());
        out.extend_from_slice(&self.op.encode_to_vec());
    }

    fn decode(seq: u64, lease: u64, mut body: &[u8]) -> Option<Self> {
        let actor_len = take_u32(&mut body)? as usize;
        let (actor, op) = body.split_at_checked(actor_len)?;
        Some(Self {
            seq: ClientSeq(seq),
            lease,
            actor: v1::Actor::decode(actor).ok()?,
            op: v1::Op::decode(Bytes::copy_from_slice(op)).ok()?,
        })
    }
}

impl Record {
    /// Whether it makes room on the disk, or only notes what happened.
    pub fn frees_space(&self) -> bool {
        use v1::op::Kind;
        match self {
            Self::Op(op) => matches!(op.op.kind, Some(Kind::Unlink(_) | Kind::Rmdir(_))),
            Self::Unwork { .. } | Self::Acked(_) => true,
            Self::Work { .. } | Self::Content { .. } | Self::Instead(_) => false,
        }
    }

    /// Adds the record's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        out.push(VERSION);
        match self {
            Self::Op(op) => {
                out.push(match op.verdict() {
                    Verdict::Decided => 1,
                    Verdict::Undecided => 2,
                });
                out.extend_from_slice(&op.seq.0.to_le_bytes());
                out.extend_from_slice(&op.lease.to_le_bytes());
                op.encode(out);
            }
            Self::Content { op, file, work } => {
                out.push(3);
                out.extend_from_slice(&op.seq.0.to_le_bytes());
                out.extend_from_slice(&op.lease.to_le_bytes());
                out.extend_from_slice(&file.0.to_le_bytes());
                out.extend_from_slice(&work.0.to_le_bytes());
                op.encode(out);
            }
            Self::Work { file, mark } => {
                out.push(4);
                out.extend_from_slice(&file.0.to_le_bytes());
                out.extend_from_slice(&mark.work.0.to_le_bytes());
                out.push(u8::from(mark.clean.is_some()));
                if let Some(stat) = &mark.clean {
                    out.extend_from_slice(&stat.size.to_le_bytes());
                    out.extend_from_slice(&stat.mtime.0.to_le_bytes());
                    out.extend_from_slice(&stat.ctime.0.to_le_bytes());
                }
                out.extend_from_slice(&convert::content_to_wire(&mark.base).encode_to_vec());
            }
            Self::Unwork { file, work } => {
                out.push(5);
                out.extend_from_slice(&file.0.to_le_bytes());
                out.extend_from_slice(&work.0.to_le_bytes());
            }
            Self::Acked(seq) => {
                out.push(6);
                out.extend_from_slice(&seq.0.to_le_bytes());
            }
            Self::Instead(op) => {
                out.push(7);
                out.extend_from_slice(&op.seq.0.to_le_bytes());
                out.extend_from_slice(&op.lease.to_le_bytes());
                op.encode(out);
            }
        }
        let length = ((out.len() - start - HEADER) as u32).to_le_bytes();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&length), &out[start + HEADER..]);
        out[start..start + 4].copy_from_slice(&length);
        out[start + 4..start + HEADER].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads the record at the front of `bytes` and says how long it is. `None`: not a record.
    pub fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut header = bytes.get(..HEADER)?;
        let length = take_u32(&mut header)? as usize;
        let crc = take_u32(&mut header)?;
        if length > PAYLOAD_MAX {
            return None;
        }
        let payload = bytes.get(HEADER..HEADER + length)?;
        let found = crc32c::crc32c_append(crc32c::crc32c(&bytes[..4]), payload);
        if found != crc {
            return None;
        }
        Some((Self::decode_payload(payload)?, HEADER + length))
    }

    fn decode_payload(payload: &[u8]) -> Option<Self> {
        let (&[version, kind], mut body) = payload.split_first_chunk::<2>()?;
        if version != VERSION {
            return None;
        }
        match kind {
            1 | 2 => {
                let (seq, lease) = (take_u64(&mut body)?, take_u64(&mut body)?);
                if (lease == 0) != (kind == 2) {
                    return None;
                }
                Some(Self::Op(OpRecord::decode(seq, lease, body)?))
            }
            3 => {
                let (seq, lease) = (take_u64(&mut body)?, take_u64(&mut body)?);
                let (file, work) = (take_u64(&mut body)?, take_u64(&mut body)?);
                Some(Self::Content {
                    op: OpRecord::decode(seq, lease, body)?,
                    file: FileId(file),
                    work: WorkId(work),
                })
            }
            4 => {
                let (file, work) = (take_u64(&mut body)?, take_u64(&mut body)?);
                let clean = match body.split_off_first()? {
                    0 => None,
                    1 => Some(WorkStat {
                        size: take_u64(&mut body)?,
                        blocks: 0,
                        mtime: Nanos(take_u64(&mut body)?.cast_signed()),
                        ctime: Nanos(take_u64(&mut body)?.cast_signed()),
                    }),
                    _ => return None,
                };
                let base = v1::ContentRef::decode(Bytes::copy_from_slice(body)).ok()?;
                let base: ContentRef = convert::content_from_wire(Some(&base)).ok()?;
                Some(Self::Work {
                    file: FileId(file),
                    mark: WorkMark {
                        work: WorkId(work),
                        base,
                        clean,
                    },
                })
            }
            5 => {
                let (file, work) = (take_u64(&mut body)?, take_u64(&mut body)?);
                body.is_empty().then_some(Self::Unwork {
                    file: FileId(file),
                    work: WorkId(work),
                })
            }
            6 => {
                let seq = take_u64(&mut body)?;
                body.is_empty().then_some(Self::Acked(ClientSeq(seq)))
            }
            7 => {
                let (seq, lease) = (take_u64(&mut body)?, take_u64(&mut body)?);
                Some(Self::Instead(OpRecord::decode(seq, lease, body)?))
            }
            _ => None,
        }
    }
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*head))
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*head))
}
