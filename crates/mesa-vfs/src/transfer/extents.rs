//! Which ranges of a file a writer changed against the version it started from.

use std::{collections::HashSet, ops::Range, sync::Arc};

use mesa_object::content::ChunkRef;
use mesa_proto::v1;
use mesa_types::ContentRef;

use super::{is_small, pickup::Pick};
use crate::{
    fs::Step,
    session::{Session, queue::ContentJob},
};

/// Extents in one operation; closer ones are joined beyond that.
const EXTENTS_MAX: usize = 1024;
/// Changed bytes compared with the base byte by byte.
const COMPARE_MAX: u64 = 8 << 20;

/// The changed ranges; `None` when they are not known (everything). Under an exclusive lease the
/// base is what the server has, so that ranges of whole chunks will do; with other writers they
/// are exact, as far as the base can be read.
pub(super) async fn between(
    session: &Arc<Session>,
    job: &ContentJob,
    base: ContentRef,
    pick: &Pick,
) -> Option<Vec<v1::Extent>> {
    let content = pick.built.content;
    if base == content || content == ContentRef::Empty {
        return Some(Vec::new());
    }
    if base == ContentRef::Empty {
        return Some(vec![v1::Extent {
            offset: 0,
            length: content.size(),
        }]);
    }
    let known = job.work.pick.lock().chunks.clone();
    if session.is_sole_writer() {
        return known.map(|old| wire(changed_chunks(&old, &pick.built.chunks)));
    }
    if is_small(&base) && is_small(&content) {
        let old = match session.content().read(base, 0, base.size() as u32) {
            Step::Done(old) => old,
            Step::Later(old) => old.await,
        };
        return match (old, &pick.bytes) {
            (Ok(old), Some(new)) => Some(wire(changed_bytes(&old, new, 0))),
            _ => None,
        };
    }
    let old = match known {
        Some(old) => old,
        None => match session.content().slices(&base, 0..base.size()).await {
            Ok(slices) => Arc::new(slices.iter().map(whole).collect()),
            Err(_) => return None,
        },
    };
    let ranges = changed_chunks(&old, &pick.built.chunks);
    if ranges.iter().map(|r| r.end - r.start).sum::<u64>() > COMPARE_MAX {
        return Some(wire(ranges));
    }
    let mut exact = Vec::new();
    for range in ranges {
        let old = match session
            .content()
            .read(base, range.start, (range.end - range.start) as u32)
        {
            Step::Done(old) => old,
            Step::Later(old) => old.await,
        };
        match (old, pick.range(range.start, range.end - range.start)) {
            (Ok(old), Some(new)) => exact.extend(changed_bytes(&old, &new, range.start)),
            _ => exact.push(range),
        }
    }
    Some(wire(exact))
}

fn whole(slice: &mesa_object::manifest::ChunkSlice) -> ChunkRef {
    ChunkRef {
        id: slice.id,
        len: slice.chunk_len,
    }
}

/// Ranges of the new version that no chunk at the same offset of the old one covers.
fn changed_chunks(old: &[ChunkRef], new: &[ChunkRef]) -> Vec<Range<u64>> {
    let mut at = 0;
    let mut there = HashSet::with_capacity(old.len());
    for chunk in old {
        there.insert((at, chunk.id));
        at += u64::from(chunk.len);
    }
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut at = 0;
    for chunk in new {
        let end = at + u64::from(chunk.len);
        if !there.contains(&(at, chunk.id)) {
            match ranges.last_mut() {
                Some(last) if last.end == at => last.end = end,
                _ => ranges.push(at..end),
            }
        }
        at = end;
    }
    ranges
}

/// Ranges (moved by `offset`) where `new` differs from `old`, bytes behind its end included.
fn changed_bytes(old: &[u8], new: &[u8], offset: u64) -> Vec<Range<u64>> {
    let common = old.len().min(new.len());
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut at = 0;
    while at < common {
        let same = old[at..common]
            .iter()
            .zip(&new[at..common])
            .take_while(|(a, b)| a == b)
            .count();
        at += same;
        let differing = old[at..common]
            .iter()
            .zip(&new[at..common])
            .take_while(|(a, b)| a != b)
            .count();
        if differing > 0 {
            ranges.push(offset + at as u64..offset + (at + differing) as u64);
        }
        at += differing;
    }
    if new.len() > common {
        let (start, end) = (offset + common as u64, offset + new.len() as u64);
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(start..end),
        }
    }
    ranges
}

/// As sent, with the smallest gaps closed when there are too many.
fn wire(mut ranges: Vec<Range<u64>>) -> Vec<v1::Extent> {
    if ranges.len() > EXTENTS_MAX {
        let mut gaps: Vec<u64> = ranges
            .windows(2)
            .map(|pair| pair[1].start - pair[0].end)
            .collect();
        let surplus = ranges.len() - EXTENTS_MAX;
        let (_, &mut limit, _) = gaps.select_nth_unstable(surplus - 1);
        let mut joined: Vec<Range<u64>> = Vec::with_capacity(EXTENTS_MAX);
        for range in ranges {
            match joined.last_mut() {
                Some(last) if range.start - last.end <= limit => last.end = range.end,
                _ => joined.push(range),
            }
        }
        ranges = joined;
    }
    let extent = |range: Range<u64>| v1::Extent {
        offset: range.start,
        length: range.end - range.start,
    };
    ranges.into_iter().map(extent).collect()
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // lists of ranges are what is compared
mod tests {
    use mesa_types::ObjectId;
    use proptest::prelude::*;

    use super::*;

    fn chunk(id: u8, len: u32) -> ChunkRef {
        ChunkRef {
            id: ObjectId([id; 32]),
            len,
        }
    }

    #[test]
    fn chunks_are_compared_by_place() {
        let old = [chunk(1, 10), chunk(2, 10), chunk(3, 10)];
        let new = [chunk(1, 10), chunk(9, 10), chunk(3, 10), chunk(4, 5)];
        assert_eq!(changed_chunks(&old, &new), [10..20, 30..35]);
        let shifted = [chunk(1, 10), chunk(8, 11), chunk(3, 10)];
        assert_eq!(changed_chunks(&old, &shifted), [10..31]);
        assert_eq!(changed_chunks(&old, &old), []);
    }

    #[test]
    fn bytes_are_exact() {
        assert_eq!(
            changed_bytes(b"abcdef", b"aXcdYYgh", 100),
            [101..102, 104..108]
        );
        assert_eq!(changed_bytes(b"abc", b"ab", 0), []);
        assert_eq!(changed_bytes(b"", b"ab", 7), [7..9]);
    }

    #[test]
    fn too_many_extents_are_joined_over_the_smallest_gaps() {
        let ranges: Vec<_> = (0..3000u64).map(|i| i * 10..i * 10 + 1 + i % 2).collect();
        let sent = wire(ranges);
        assert!(sent.len() <= EXTENTS_MAX);
        assert_eq!(sent[0].offset, 0);
        let last = sent.last().unwrap();
        assert_eq!(last.offset + last.length, 29_992);
    }

    proptest! {
        #[test]
        fn laying_the_changes_over_the_old_bytes_gives_the_new(
            old in prop::collection::vec(0u8..3, 0..200),
            new in prop::collection::vec(0u8..3, 0..200),
        ) {
            let mut laid = old.clone();
            laid.resize(new.len(), 0);
            for range in changed_bytes(&old, &new, 0) {
                let range = range.start as usize..range.end as usize;
                laid[range.clone()].copy_from_slice(&new[range]);
            }
            prop_assert_eq!(laid, new);
        }
    }
}
