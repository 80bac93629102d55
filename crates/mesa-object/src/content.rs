//! From bytes to a [`ContentRef`], its chunks and its manifests.
//!
//! Contents up to 128 KiB are one chunk. Larger ones are cut by FastCDC (Xia et al. 2020, with
//! normalisation level 1) into chunks of 64 KiB to 1 MiB, 256 KiB on average. The cuts depend on
//! the bytes only, so equal contents of an org have equal references.

mod rechunk;
mod sparse;

use std::io::{self, Read};

use bytes::Bytes;
use fastcdc::v2020::FastCDC;
use mesa_types::{ChunkId, ContentRef, limits};

pub use rechunk::{Rechunk, Step};
pub use sparse::{Sparse, of_sparse};

use crate::{Object, OrgKey, manifest};

/// One chunk of a content, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRef {
    /// The chunk.
    pub id: ChunkId,
    /// Its length in bytes.
    pub len: u32,
}

/// A content that has been chunked.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    let mut chunks = Vec::new();
    let mut rest = data;
    if data.len() as u64 <= limits::SINGLE_CHUNK_MAX {
        chunks.extend((!data.is_empty()).then(|| chunk_ref(key, data)));
    } else {
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(cut(rest));
            chunks.push(chunk_ref(key, head));
            rest = tail;
        }
    }
    of_chunks(key, chunks)
}

/// Chunks a stream of unknown length, handing each chunk to `sink` as it is cut. Holds at most
/// 4 MiB besides what the sink keeps.
pub fn of_reader<R: Read, E: From<io::Error>>(
    key: &OrgKey,
    mut reader: R,
    mut sink: impl FnMut(ChunkRef, Bytes) -> Result<(), E>,
) -> Result<BuiltContent, E> {
    const WINDOW: usize = 4 << 20;
    let chunk_max = limits::CHUNK_MAX as usize;
    let mut chunks = Vec::new();
    let mut window = Vec::new();
    let mut start = 0;
    let mut at_end = false;
    loop {
        if !at_end && window.len() - start < chunk_max {
            window.drain(..start);
            start = 0;
            let wanted = (WINDOW - window.len()) as u64;
            let got = reader.by_ref().take(wanted).read_to_end(&mut window)?;
            at_end = (got as u64) < wanted;
        }
        let rest = &window[start..];
        if rest.is_empty() {
            return Ok(of_chunks(key, chunks));
        }
        let single = chunks.is_empty() && rest.len() as u64 <= limits::SINGLE_CHUNK_MAX;
        let len = if single { rest.len() } else { cut(rest) };
        let chunk = chunk_ref(key, &rest[..len]);
        sink(chunk, Bytes::copy_from_slice(&rest[..len]))?;
        chunks.push(chunk);
        start += len;
    }
}

/// The content made of `chunks` in this order, which must have been cut by this module.
pub fn of_chunks(key: &OrgKey, chunks: Vec<ChunkRef>) -> BuiltContent {
    let size: u64 = chunks.iter().map(|c| u64::from(c.len)).sum();
    let (content, manifests) = match chunks[..] {
        [] => (ContentRef::Empty, Vec::new()),
        [ChunkRef { id, .. }] if size <= limits::SINGLE_CHUNK_MAX => {
            (ContentRef::Chunk { id, size }, Vec::new())
        }
        _ => manifest::build(key, &chunks),
    };
    BuiltContent {
        content,
        chunks,
        manifests,
    }
}

fn chunk_ref(key: &OrgKey, bytes: &[u8]) -> ChunkRef {
    ChunkRef {
        id: key.chunk_id(bytes),
        len: bytes.len() as u32,
    }
}

/// Length of the first chunk of `rest`, which must hold either everything to the content's end or
/// at least the largest chunk.
fn cut(rest: &[u8]) -> usize {
    let window = &rest[..rest.len().min(limits::CHUNK_MAX as usize)];
    FastCDC::new(
        window,
        limits::CHUNK_MIN as usize,
        limits::CHUNK_AVG as usize,
        limits::CHUNK_MAX as usize,
    )
    .cut(0, window.len())
    .1
}
