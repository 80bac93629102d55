use mesa_proto::v1;
use mesa_types::{ContentRef, FileId, Nanos, ObjectId};

use proptest::prelude::*;

use super::{Journal, OpRecord, Record, WorkMark, forget_length, scan::Loss, segment};
use crate::{
    content::{WorkId, WorkStat},
    session::ClientSeq,
};

fn op(seq: u64, name: &str) -> Record {
    Record::Op(OpRecord {
        seq: ClientSeq(seq),
        lease: 3,
        actor: v1::Actor {
            pid: 7,
            exe: "/bin/sh".into(),
            uid: 0,
            group: 3,
        },
        op: v1::Op {
            time_ns: 1,
            path: bytes::Bytes::from_static(b"dir"),
            actor: 0,
            kind: Some(v1::op::Kind::Rmdir(v1::Rmdir {
                parent: 1,
                name: name.to_owned().into(),
                id: 2,
            })),
        },
    })
}

fn mark(work: u64) -> Record {
    Record::Work {
        file: FileId(40 + work),
        mark: WorkMark {
            work: WorkId(work),
            base: ContentRef::Chunk {
                id: ObjectId([9; 32]),
                size: 5,
            },
            clean: Some(WorkStat {
                size: 5,
                blocks: 0,
                mtime: Nanos(-6),
                ctime: Nanos(7),
            }),
        },
    }
}

fn all_kinds() -> Vec<Record> {
    let Record::Op(base) = op(2, "b") else {
        unreachable!()
    };
    vec![
        op(1, "a"),
        Record::Op(OpRecord {
            lease: 0,
            ..base.clone()
        }),
        Record::Content {
            op: OpRecord {
                seq: ClientSeq(3),
                ..base.clone()
            },
            file: FileId(41),
            work: WorkId(1),
        },
        mark(1),
        Record::Unwork {
            file: FileId(41),
            work: WorkId(1),
        },
        Record::Instead(OpRecord {
            seq: ClientSeq(3),
            ..base
        }),
    ]
}

#[test]
fn records_round_trip() {
    for record in all_kinds() {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        assert_eq!(Record::decode(&bytes), Some((record, bytes.len())));
    }
}

#[test]
fn golden_bytes() {
    let mut bytes = Vec::new();
    Record::Unwork {
        file: FileId(0x0102),
        work: WorkId(3),
    }
    .encode(&mut bytes);
    assert_eq!(
        hex::encode(&bytes[8..]),
        "010502010000000000000300000000000000"
    );
    assert_eq!(&bytes[..4], &18u32.to_le_bytes());
    let crc = crc32c::crc32c(&[&bytes[..4], &bytes[8..]].concat());
    assert_eq!(&bytes[4..8], &crc.to_le_bytes());

    let mut bytes = Vec::new();
    op(1, "a").encode(&mut bytes);
    assert_eq!(
        hex::encode(&bytes[8..]),
        concat!(
            "0101010000000000000003000000000000000d000000080712072f62696e2f73",
            "682003080212036469726a15090100000000000000120161190200000000000000",
            "",
        )
    );
}

#[test]
fn a_journal_cut_at_any_byte_keeps_a_prefix() {
    let tmp = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(tmp.path()).unwrap();
    let mut ends = vec![4];
    for seq in 1..=4 {
        journal.append(&[&op(seq, "name")]).unwrap();
        ends.push(journal.active.len());
    }
    drop(journal);
    let whole = std::fs::read(segment::path(tmp.path(), 1)).unwrap();
    for cut in 0..=whole.len() {
        let tmp = tempfile::tempdir().unwrap();
        std::fs::write(segment::path(tmp.path(), 1), &whole[..cut]).unwrap();
        let (mut journal, found) = Journal::open(tmp.path()).unwrap();
        let want = ends
            .iter()
            .filter(|&&end| end <= cut as u64)
            .count()
            .saturating_sub(1);
        assert_eq!(found.ops.len(), want, "cut at {cut}");
        assert_eq!(found.damage, None, "cut at {cut}");
        // It goes on, and reads back as one.
        journal.append(&[&op(want as u64 + 1, "more")]).unwrap();
        drop(journal);
        let (_, found) = Journal::open(tmp.path()).unwrap();
        assert_eq!(found.ops.len(), want + 1, "cut at {cut}");
    }
}

#[test]
fn a_journal_cut_at_any_byte_tells_what_is_missing() {
    let tmp = tempfile::tempdir().unwrap();
    let (mut journal, found) = Journal::open(tmp.path()).unwrap();
    assert!(!found.whole, "nothing is known of what was here");
    for seq in 1..=3 {
        journal.append(&[&op(seq, "name")]).unwrap();
    }
    drop(journal);
    let whole = std::fs::read(segment::path(tmp.path(), 1)).unwrap();
    for cut in 0..=whole.len() {
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(tmp.path().join("length"), copy.path().join("length")).unwrap();
        std::fs::write(segment::path(copy.path(), 1), &whole[..cut]).unwrap();
        let (_, found) = Journal::open(copy.path()).unwrap();
        let missing = (whole.len() - cut) as u64;
        assert_eq!(found.whole, missing == 0, "cut at {cut}");
        let loss = found.damage.map(|damage| damage.loss);
        assert_eq!(loss, (missing > 0).then_some(Loss::Bytes(missing)));
        let (_, found) = Journal::open(copy.path()).unwrap();
        assert!(found.whole && found.damage.is_none(), "it is told once");
        // After another start of the machine nothing else is to be expected.
        std::fs::write(segment::path(copy.path(), 3), b"").unwrap();
        forget_length(copy.path()).unwrap();
        let (_, found) = Journal::open(copy.path()).unwrap();
        assert_eq!((found.whole, found.damage), (false, None));
    }
}

#[test]
fn a_missing_segment_is_noticed_also_after_a_rotation() {
    let tmp = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(tmp.path()).unwrap();
    journal.append(&[&op(1, "a"), &mark(1)]).unwrap();
    journal.rotate().unwrap();
    drop(journal);
    assert!(Journal::open(tmp.path()).unwrap().1.whole);
    for number in segment::list(tmp.path()).unwrap() {
        if number > 1 {
            std::fs::remove_file(segment::path(tmp.path(), number)).unwrap();
        }
    }
    let (mut journal, found) = Journal::open(tmp.path()).unwrap();
    assert!(matches!(found.damage.unwrap().loss, Loss::Bytes(1..)));
    assert_eq!(found.ops, vec![op(1, "a")]);
    journal.append(&[&op(2, "b")]).unwrap();
    drop(journal);
    let (_, found) = Journal::open(tmp.path()).unwrap();
    assert!(found.whole);
    assert_eq!(found.ops.len(), 2);
}

#[test]
fn damage_in_the_middle_is_kept_aside() {
    let tmp = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(tmp.path()).unwrap();
    journal.append(&[&op(1, "a")]).unwrap();
    let good = journal.active.len() as usize;
    journal.append(&[&op(2, "b")]).unwrap();
    journal.append(&[&op(3, "c")]).unwrap();
    drop(journal);
    let path = segment::path(tmp.path(), 1);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[good + 20] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (_, found) = Journal::open(tmp.path()).unwrap();
    assert_eq!(found.ops, vec![op(1, "a")]);
    let damage = found.damage.unwrap();
    assert_eq!(damage.offset, good as u64);
    assert_eq!(std::fs::read(damage.aside).unwrap(), &bytes[good..]);
}

#[test]
fn acknowledged_segments_go_and_marks_stay() {
    let tmp = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(tmp.path()).unwrap();
    journal.append(&[&op(1, "a"), &mark(1)]).unwrap();
    journal.append(&[&op(2, "b"), &mark(2)]).unwrap();
    journal.rotate().unwrap();
    journal.append(&[&op(3, "c")]).unwrap();
    assert!(journal.acked(ClientSeq(1)).is_empty());
    for done in journal.acked(ClientSeq(2)) {
        std::fs::remove_file(done).unwrap();
    }
    journal
        .append(&[&Record::Unwork {
            file: FileId(41),
            work: WorkId(1),
        }])
        .unwrap();
    drop(journal);
    let (_, found) = Journal::open(tmp.path()).unwrap();
    assert_eq!(found.ops, vec![op(3, "c")]);
    assert_eq!(found.works.len(), 1);
    assert_eq!(found.works[&FileId(42)].work, WorkId(2));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Record::decode(&bytes);
        // With a fitting header, so that the payload is looked at too.
        let length = (bytes.len() as u32).to_le_bytes();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&length), &bytes).to_le_bytes();
        let framed = [&length[..], &crc, &bytes].concat();
        let _ = Record::decode(&framed);
        let tmp = tempfile::tempdir().unwrap();
        std::fs::write(segment::path(tmp.path(), 1), [b"MSJ1", &framed[..]].concat()).unwrap();
        prop_assert!(Journal::open(tmp.path()).is_ok());
    }

    #[test]
    fn a_flipped_bit_is_noticed(at in 0usize..60, bit in 0u8..8) {
        let mut bytes = Vec::new();
        op(1, "name").encode(&mut bytes);
        bytes[at] ^= 1 << bit;
        prop_assert_eq!(Record::decode(&bytes), None);
    }
}

#[test]
fn the_reserve_is_for_removals_on_a_full_disk() {
    let tmp = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(tmp.path()).unwrap();
    let reserve = tmp.path().join("reserve");
    assert_eq!(std::fs::metadata(&reserve).unwrap().len(), 1 << 20);
    journal.append(&[&op(1, "a")]).unwrap();
    drop(journal);
    // It is no segment.
    let (_, found) = Journal::open(tmp.path()).unwrap();
    assert_eq!((found.ops.len(), found.damage), (1, None));
    assert!(op(1, "a").frees_space());
    assert!(!mark(1).frees_space());
}

#[test]
fn marks_of_many_files_do_not_fill_the_journal() {
    let tmp = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(tmp.path()).unwrap();
    let files = 60_000;
    for work in 0..files {
        journal.append(&[&mark(work)]).unwrap();
    }
    for seq in 1..=20_000 {
        journal.append(&[&op(seq, "a")]).unwrap();
        journal.acked(ClientSeq(seq));
    }
    let segments = segment::list(tmp.path()).unwrap();
    assert!(segments.len() <= 6, "{segments:?}");
    let newest = *segments.last().unwrap();
    assert!(newest <= 6, "{newest} segments were made");
}
