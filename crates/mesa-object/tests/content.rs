//! Contents: one rule for slices, streams and changed versions.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::{collections::HashMap, io, ops::Range};

use mesa_object::{
    OrgKey,
    content::{self, BuiltContent, Rechunk, Step},
    manifest::{Manifest, RangePlan},
};
use mesa_types::{ContentRef, ObjectId, limits};
use proptest::prelude::*;
use support::{key, noise};

fn rechunk(old: &BuiltContent, data: &[u8], changed: &[Range<u64>]) -> (BuiltContent, u64, u64) {
    let mut rechunk = Rechunk::new(&key(), &old.chunks, data.len() as u64, changed);
    let (mut read, mut fresh) = (0, 0);
    while let Step::Read { offset, len } = rechunk.step() {
        let bytes = &data[offset as usize..][..len];
        let chunk = rechunk.feed(bytes);
        fresh += chunk.map_or(0, |c| u64::from(c.len));
        read += len as u64;
    }
    (rechunk.finish(), read, fresh)
}

/// Reads a range through a plan.
fn read_range(built: &BuiltContent, data: &[u8], range: Range<u64>) -> Vec<u8> {
    let mut at = 0;
    let mut bytes_of: HashMap<ObjectId, &[u8]> = HashMap::new();
    for chunk in &built.chunks {
        bytes_of.insert(chunk.id, &data[at..at + chunk.len as usize]);
        at += chunk.len as usize;
    }
    let mut plan = RangePlan::new(&built.content, range.clone());
    loop {
        let missing = plan.missing();
        if missing.is_empty() {
            break;
        }
        for id in missing {
            let object = built.manifests.iter().find(|m| m.id == id).unwrap();
            plan.supply(id, &object.bytes).unwrap();
        }
    }
    let mut out = Vec::new();
    for slice in plan.into_slices() {
        assert_eq!(slice.offset, range.start + out.len() as u64);
        out.extend(&bytes_of[&slice.id][slice.within.start as usize..slice.within.end as usize]);
    }
    out
}

#[test]
fn sizes_around_the_single_chunk_limit() {
    let single = limits::SINGLE_CHUNK_MAX as usize;
    for len in [0, 1, single - 1, single, single + 1, single + 2] {
        let data = noise(len as u64, len);
        let built = content::of_slice(&key(), &data);
        assert_eq!(built.content.size(), len as u64);
        match built.content {
            ContentRef::Empty => assert_eq!(len, 0),
            ContentRef::Chunk { .. } => assert!((1..=single).contains(&len)),
            ContentRef::Manifest { .. } => assert!(len > single),
        }
        assert_eq!(built.manifests.is_empty(), len <= single);
    }
}

#[test]
fn golden_cuts_and_ids() {
    let built = content::of_slice(&key(), &noise(1, 3_000_001));
    let lens: Vec<u32> = built.chunks.iter().map(|c| c.len).collect();
    assert_eq!(lens, GOLDEN_LENS);
    assert_eq!(format!("{:?}", built.content), GOLDEN_CONTENT);
    let small = content::of_slice(&key(), b"hello\n");
    assert_eq!(format!("{:?}", small.content), "chunk:0c43ad635c61+6");
}

const GOLDEN_LENS: &[u32] = &[
    477_054, 563_279, 238_528, 305_109, 392_241, 414_373, 84_148, 171_831, 353_438,
];
const GOLDEN_CONTENT: &str = "manifest:03b5eda3c677+3000001";

#[test]
fn ids_differ_between_orgs_and_domains() {
    let other = OrgKey::new([43; 32]);
    let data = b"same bytes";
    assert_ne!(key().chunk_id(data), other.chunk_id(data));
    assert_ne!(
        key().hash(mesa_object::Domain::Chunk, data),
        key().hash(mesa_object::Domain::Manifest, data)
    );
}

#[test]
fn appending_a_mebibyte_to_a_large_file_is_cheap() {
    let mut data = noise(9, 64 << 20);
    let old = content::of_slice(&key(), &data);
    data.extend(noise(10, 1 << 20));
    let (new, read, fresh) = rechunk(&old, &data, &[]);
    assert_eq!(new, content::of_slice(&key(), &data));
    assert!(fresh <= 4 << 20, "uploads {fresh}");
    assert!(read <= 12 << 20, "reads {read}");
}

#[test]
fn manifests_grow_levels() {
    let chunk = |n: u32| content::ChunkRef {
        id: key().chunk_id(&n.to_le_bytes()),
        len: 100_000,
    };
    let built = content::of_chunks(&key(), (0..2_500).map(chunk).collect());
    assert_eq!(built.manifests.len(), 4);
    let top = Manifest::decode(&built.manifests[3].bytes).unwrap();
    assert_eq!((top.level, top.entries.len()), (1, 3));
    assert_eq!(top.size(), 250_000_000);
    let mut plan = RangePlan::new(&built.content, 204_750_000..204_850_001);
    let mut fetched = 0;
    while let Some(&id) = plan.missing().first() {
        let object = built.manifests.iter().find(|m| m.id == id).unwrap();
        plan.supply(id, &object.bytes).unwrap();
        fetched += 1;
    }
    assert_eq!(fetched, 3, "the top and the two leaves the range touches");
    let slices = plan.into_slices();
    let ends: Vec<_> = slices.iter().map(|s| s.within.clone()).collect();
    assert_eq!(ends, [50_000..100_000, 0..50_001]);
}

#[test]
fn lying_manifests_are_refused() {
    let built = content::of_slice(&key(), &noise(3, 400_000));
    let good = built.manifests[0].bytes.to_vec();
    let ContentRef::Manifest { id, size } = built.content else {
        panic!("a manifest")
    };
    let mut plan = RangePlan::new(&ContentRef::Manifest { id, size: size + 1 }, 0..size);
    assert!(plan.supply(id, &good).is_err());
    for (at, value) in [
        (0, 2),
        (1, 9),
        (2, 0),
        (2, 200),
        (6, 0),
        (46, 0xff),
        (53, 0xff),
    ] {
        let mut bad = good.clone();
        assert_ne!(bad[at], value);
        bad[at] = value;
        assert!(Manifest::decode(&bad).is_err(), "byte {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn streams_equal_slices(seed: u64, len in 0_usize..6_000_000, step in 1_usize..3_000_000) {
        struct Dribble<'a>(&'a [u8], usize);
        impl io::Read for Dribble<'_> {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                let len = self.1.min(buf.len());
                self.0.read(&mut buf[..len])
            }
        }
        let data = noise(seed, len);
        let mut seen = Vec::new();
        let built = content::of_reader(&key(), Dribble(&data, step), |chunk, bytes| {
            assert_eq!(chunk.id, key().chunk_id(&bytes));
            seen.extend_from_slice(&bytes);
            Ok::<_, io::Error>(())
        }).unwrap();
        prop_assert!(seen == data);
        prop_assert_eq!(built, content::of_slice(&key(), &data));
    }

    #[test]
    fn changed_versions_equal_fresh_ones(
        seed: u64,
        old_len in 0_usize..5_000_000,
        new_len in 0_usize..5_000_000,
        keep_len: bool,
        edits in prop::collection::vec((0_usize..5_000_000, 1_usize..200_000), 0..4),
    ) {
        let old_data = noise(seed, old_len);
        let old = content::of_slice(&key(), &old_data);
        let mut data = old_data;
        let new_len = if keep_len { old_len } else { new_len };
        data.resize(new_len, 7);
        let mut changed: Vec<Range<u64>> = Vec::new();
        let mut edits = edits;
        edits.sort_unstable();
        for (offset, len) in edits {
            let start = (offset as u64).max(changed.last().map_or(0, |r| r.end));
            let end = (offset + len).min(new_len) as u64;
            if start < end {
                for byte in &mut data[start as usize..end as usize] {
                    *byte ^= 0x5a;
                }
                changed.push(start..end);
            }
        }
        let (new, _, _) = rechunk(&old, &data, &changed);
        prop_assert_eq!(new, content::of_slice(&key(), &data));
    }

    #[test]
    fn ranges_read_what_was_written(
        seed: u64,
        len in 0_usize..3_000_000,
        start in 0_u64..3_000_000,
        count in 0_u64..3_000_000,
    ) {
        let data = noise(seed, len);
        let built = content::of_slice(&key(), &data);
        let end = (start + count).min(len as u64);
        let expected = data.get(start as usize..end as usize).unwrap_or_default();
        prop_assert!(read_range(&built, &data, start..start + count) == expected);
    }

    #[test]
    fn decoding_garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), good: bool) {
        let mut bytes = bytes;
        if good && bytes.len() > 2 {
            bytes[0] = 1;
            bytes[1] &= 3;
        }
        let _ = Manifest::decode(&bytes);
    }
}

#[test]
fn short_entries_stand_only_at_the_end() {
    let text = |level: u8, lengths: &[u64]| {
        let mut bytes = vec![1, level];
        bytes.extend((lengths.len() as u32).to_le_bytes());
        bytes.extend(lengths.iter().sum::<u64>().to_le_bytes());
        for length in lengths {
            bytes.extend([9; 32]);
            bytes.extend(length.to_le_bytes());
        }
        Manifest::decode(&bytes)
    };
    let least = u64::from(limits::CHUNK_MIN);
    assert!(text(0, &[least, 1]).is_ok());
    assert!(text(0, &[least - 1, least]).is_err());
    assert!(text(1, &[least << 10, 1]).is_ok());
    assert!(text(1, &[(least << 10) - 1, least]).is_err());
    // So a few manifests cannot stand for a billion chunks.
    assert!(text(2, &[1; 1024]).is_err());
}
