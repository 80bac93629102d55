//! What follows the header of a successful answer.

use bytes::Bytes;
use zerocopy::IntoBytes;

use crate::wire::reply::{
    AttrOut, CopyFileRangeOut, CreateOut, EntryOut, GetxattrOut, LseekOut, OpenOut, StatfsOut,
    WriteOut,
};

#[derive(Debug)]
pub(crate) enum Body {
    Empty,
    Entry(EntryOut),
    Attr(AttrOut),
    Open(OpenOut),
    Create(CreateOut),
    Write(WriteOut),
    Statfs(StatfsOut),
    XattrSize(GetxattrOut),
    Position(LseekOut),
    Copied(CopyFileRangeOut),
    Data(Bytes),
}

impl Body {
    /// The bytes, in at most two parts.
    pub fn parts(&self) -> [&[u8]; 2] {
        let first = match self {
            Self::Empty => &[],
            Self::Entry(out) => out.as_bytes(),
            Self::Attr(out) => out.as_bytes(),
            Self::Open(out) => out.as_bytes(),
            Self::Create(out) => out.as_bytes(),
            Self::Write(out) => out.as_bytes(),
            Self::Statfs(out) => out.as_bytes(),
            Self::XattrSize(out) => out.as_bytes(),
            Self::Position(out) => out.as_bytes(),
            Self::Copied(out) => out.as_bytes(),
            Self::Data(bytes) => bytes,
        };
        [first, &[]]
    }
}
