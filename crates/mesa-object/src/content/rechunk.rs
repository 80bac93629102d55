//! Chunking a changed content by reading only around the changes.

use std::{
    collections::{HashSet, VecDeque},
    ops::Range,
};

use mesa_types::{ChunkId, limits};

use super::{BuiltContent, ChunkRef, chunk_ref, cut, of_chunks};
use crate::OrgKey;

/// What [`Rechunk`] wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Give the bytes of this range of the new content to [`Rechunk::feed`].
    Read {
        /// Offset in the new content.
        offset: u64,
        /// Bytes wanted, all of them.
        len: usize,
    },
    /// [`Rechunk::finish`] has the answer.
    Done,
}

/// Chunks the new version of a content of which the old chunks and the changed ranges are known,
/// reading only around the changes. The outcome equals [`super::of_slice`] of the whole new
/// version. No I/O: the caller reads (from a file, or from stored chunks).
///
/// ```
/// # use mesa_object::{OrgKey, content::{self, Rechunk, Step}};
/// # let key = OrgKey::new([1; 32]);
/// let mut data: Vec<u8> = (0..3_000_000_u32).map(|i| (i / 7) as u8 ^ (i >> 9) as u8).collect();
/// let old = content::of_slice(&key, &data);
/// data.extend([1; 10]);
/// let mut rechunk = Rechunk::new(&key, &old.chunks, data.len() as u64, &[]);
/// let mut upload = Vec::new();
/// while let Step::Read { offset, len } = rechunk.step() {
///     let bytes = &data[offset as usize..][..len];
///     if let Some(new) = rechunk.feed(bytes) {
///         upload.push(new); // its bytes are the first `new.len` of `bytes`
///     }
/// }
/// assert_eq!(rechunk.finish(), content::of_slice(&key, &data));
/// assert_eq!(upload.len(), 1);
/// ```
#[derive(Debug)]
pub struct Rechunk {
    key: OrgKey,
    /// Old chunks not passed yet, with their offsets.
    old: VecDeque<(u64, ChunkRef)>,
    old_len: u64,
    known: HashSet<ChunkId>,
    new_len: u64,
    changed: VecDeque<Range<u64>>,
    position: u64,
    chunks: Vec<ChunkRef>,
}

/// Whether a cut comes after byte `n` may depend on so many bytes from `n` on.
const LOOK_AHEAD: u64 = 2;

impl Rechunk {
    /// `changed` are the ranges of the new version that may differ from the old one at the same
    /// offsets (ascending, disjoint); bytes beyond the old length always count as changed.
    pub fn new(key: &OrgKey, old: &[ChunkRef], new_len: u64, changed: &[Range<u64>]) -> Self {
        let mut old_len = 0;
        let mut placed = VecDeque::with_capacity(old.len());
        for chunk in old {
            placed.push_back((old_len, *chunk));
            old_len += u64::from(chunk.len);
        }
        // Small contents are one chunk, cut by another rule.
        if old_len <= limits::SINGLE_CHUNK_MAX && new_len > limits::SINGLE_CHUNK_MAX
            || new_len <= limits::SINGLE_CHUNK_MAX && new_len != old_len
        {
            placed.clear();
        }
        Self {
            key: key.clone(),
            old: placed,
            old_len,
            known: old.iter().map(|c| c.id).collect(),
            new_len,
            changed: changed.iter().filter(|r| !r.is_empty()).cloned().collect(),
            position: 0,
            chunks: Vec::new(),
        }
    }

    /// The next thing to do; the same again until it is done.
    pub fn step(&mut self) -> Step {
        while let Some(chunk) = self.reusable() {
            self.chunks.push(chunk);
            self.position += u64::from(chunk.len);
        }
        let left = self.new_len - self.position;
        if left == 0 {
            return Step::Done;
        }
        Step::Read {
            offset: self.position,
            len: left.min(u64::from(limits::CHUNK_MAX)) as usize,
        }
    }

    /// The old chunk at this position, if the new version certainly has the same one here.
    fn reusable(&mut self) -> Option<ChunkRef> {
        while self.old.front().is_some_and(|&(at, _)| at < self.position) {
            self.old.pop_front();
        }
        while self.changed.front().is_some_and(|r| r.end <= self.position) {
            self.changed.pop_front();
        }
        let &(at, chunk) = self.old.front()?;
        if at != self.position {
            return None;
        }
        let end = at + u64::from(chunk.len);
        let seen = if end == self.old_len {
            // Cut by the end of the content.
            if self.new_len != self.old_len {
                return None;
            }
            end
        } else {
            end + LOOK_AHEAD
        };
        if seen > self.new_len.min(self.old_len) {
            return None;
        }
        match self.changed.front() {
            Some(range) if range.start < seen => None,
            _ => Some(chunk),
        }
    }

    /// Answers [`Step::Read`] with all the bytes asked for. Returns the chunk cut from their
    /// front unless the old version had it too.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<ChunkRef> {
        if bytes.is_empty() {
            return None;
        }
        let single = self.new_len <= limits::SINGLE_CHUNK_MAX;
        let len = if single { bytes.len() } else { cut(bytes) };
        let chunk = chunk_ref(&self.key, &bytes[..len]);
        self.chunks.push(chunk);
        self.position = (self.position + len as u64).min(self.new_len);
        self.known.insert(chunk.id).then_some(chunk)
    }

    /// The new version's content.
    pub fn finish(self) -> BuiltContent {
        of_chunks(&self.key, self.chunks)
    }
}
