//! Content of a writer whose base is not the newest: the ranges it wrote go over what is there.

use std::ops::Range;

use mesa_types::ContentRef;

use crate::op::SetContent;

/// The outcome.
#[derive(Debug, PartialEq, Eq)]
pub struct Layered {
    /// The whole new content.
    pub bytes: Vec<u8>,
    /// The writer overwrote ranges that somebody else had written since the writer's base.
    pub overwrote: bool,
}

/// Lays the extents of `new` (the writer's whole result on `base`) over `current`. Without `base`
/// every difference counts as overwritten.
pub fn layer(set: &SetContent, base: Option<&[u8]>, current: &[u8], new: &[u8]) -> Layered {
    let mut bytes = current.to_vec();
    if set.resized {
        // An extension never cuts what another writer appended; a truncation does.
        let truncated = (new.len() as u64) < set.base.size();
        if truncated || new.len() > bytes.len() {
            bytes.resize(new.len(), 0);
        }
    }
    let mut overwrote = bytes.len() < current.len() && base.is_none_or(|b| b.len() < current.len());
    for extent in &set.extents {
        let range = extent.start as usize..(extent.end as usize).min(new.len());
        if range.is_empty() {
            continue;
        }
        if bytes.len() < range.end {
            bytes.resize(range.end, 0);
        }
        overwrote |= changed_since(base, current, &range) && !same(current, new, &range);
        bytes[range.clone()].copy_from_slice(&new[range]);
    }
    Layered { bytes, overwrote }
}

/// Whether the whole content is replaced, so that nothing has to be read.
pub fn replaces(set: &SetContent, current: &ContentRef) -> bool {
    set.base == *current || (set.extents.is_empty() && !set.resized)
}

/// Whether somebody wrote in `range` since `base`.
fn changed_since(base: Option<&[u8]>, current: &[u8], range: &Range<usize>) -> bool {
    base.is_none_or(|base| !same(base, current, range))
}

/// Whether two contents agree in a range as far as they reach into it.
fn same(one: &[u8], other: &[u8], range: &Range<usize>) -> bool {
    let part = |bytes: &[u8]| {
        bytes
            .get(range.start.min(bytes.len())..range.end.min(bytes.len()))
            .map(<[u8]>::to_vec)
    };
    part(one) == part(other)
}

#[cfg(test)]
mod tests {
    use mesa_types::{FileId, Nanos, ObjectId};

    use super::*;

    fn set(base: &[u8], new: &[u8], extent: Range<u64>, resized: bool) -> SetContent {
        let content = |bytes: &[u8]| match bytes.len() as u64 {
            0 => ContentRef::Empty,
            size => ContentRef::Chunk {
                id: ObjectId(*blake3::hash(bytes).as_bytes()),
                size,
            },
        };
        SetContent {
            id: FileId(2),
            base: content(base),
            content: content(new),
            inline: bytes::Bytes::copy_from_slice(new),
            extents: vec![extent],
            resized,
            mtime: Nanos(0),
        }
    }

    #[test]
    fn disjoint_ranges_both_survive() {
        let set = set(b"aaaabbbb", b"aaaabbXX", 6..8, false);
        let out = layer(&set, Some(b"aaaabbbb"), b"YYaabbbb", b"aaaabbXX");
        assert_eq!(out.bytes, b"YYaabbXX");
        assert!(!out.overwrote);
    }

    #[test]
    fn overlapping_ranges_are_told() {
        let set = set(b"aaaa", b"aXXa", 1..3, false);
        let out = layer(&set, Some(b"aaaa"), b"aaYa", b"aXXa");
        assert_eq!(out.bytes, b"aXXa");
        assert!(out.overwrote);
        assert!(layer(&set, None, b"aaYa", b"aXXa").overwrote);
    }

    #[test]
    fn two_appends_overlap_and_the_longer_is_not_cut() {
        let set = set(b"aa", b"aaX", 2..3, true);
        let out = layer(&set, Some(b"aa"), b"aaYYY", b"aaX");
        assert_eq!(out.bytes, b"aaXYY");
        assert!(out.overwrote);
    }

    #[test]
    fn truncation_wins() {
        let set = set(b"aaaa", b"aX", 1..2, true);
        let out = layer(&set, Some(b"aaaa"), b"aaaaYY", b"aX");
        assert_eq!(out.bytes, b"aX");
        assert!(out.overwrote);
    }

    #[test]
    fn writing_beyond_a_truncated_content_fills_with_zeros() {
        let set = set(b"aaaa", b"aaaX", 3..4, false);
        let out = layer(&set, Some(b"aaaa"), b"a", b"aaaX");
        assert_eq!(out.bytes, b"a\0\0X");
    }
}
