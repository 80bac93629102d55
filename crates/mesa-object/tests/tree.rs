//! Listings, link tables and roots.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::HashMap;

use bytes::Bytes;
use mesa_object::{
    Object,
    tree::{
        ConflictKind, ConflictPath, ConflictTerm, Conflicts, DirLoader, DirLookup, Entry,
        EntryTarget, LinkLoader, LinkLookup, LookupStep, NodeRecord, Root, TreeError, build_links,
        empty_dir_id, seal_dir,
    },
};
use mesa_types::{ContentRef, EntryName, FileId, NodeKind, ObjectId, Owner};
use proptest::prelude::*;
use support::{dir, file, golden, key, link, name, node, seal, symlink};

fn store(objects: &[Object]) -> HashMap<ObjectId, Bytes> {
    objects.iter().map(|o| (o.id, o.bytes.clone())).collect()
}

fn load(top: ObjectId, objects: &HashMap<ObjectId, Bytes>) -> Result<Vec<Entry>, TreeError> {
    let mut loader = DirLoader::new(top);
    while let Some(&id) = loader.missing().first() {
        loader.supply(id, &objects[&id])?;
    }
    loader.finish().map(|(entries, nodes)| {
        assert!(nodes.contains(&top));
        entries
    })
}

/// Looks a name up; returns the entry and the number of nodes read.
fn look_up(
    top: ObjectId,
    wanted: &[u8],
    objects: &HashMap<ObjectId, Bytes>,
) -> (Option<Entry>, usize) {
    let (mut lookup, mut step) = DirLookup::new(top, EntryName::new(wanted).unwrap());
    let mut read = 0;
    loop {
        match step {
            LookupStep::Fetch(id) => {
                read += 1;
                step = lookup.supply(&objects[&id]).unwrap();
            }
            LookupStep::Found(entry) => return (Some(*entry), read),
            LookupStep::Absent => return (None, read),
        }
    }
}

fn many(count: u32) -> Vec<Entry> {
    (0..count)
        .map(|n| {
            node(
                &format!("file-{n:07}"),
                file(n.to_string().as_bytes(), 0o644),
            )
        })
        .collect()
}

#[test]
fn an_empty_listing_has_the_known_id() {
    let sealed = seal(&[]);
    assert_eq!(sealed.dir.object, empty_dir_id(&key()));
    assert_eq!(sealed.git, None);
    assert_eq!((sealed.dir.sem, sealed.dir.files), ([0; 32], 0));
}

#[test]
fn golden_listing() {
    let mut record = file(b"hello\n", 0o640);
    record.attr.id = FileId(0x0102_0304_0506);
    record.attr.uid = Owner::Id(1000);
    record
        .xattrs
        .insert(b"user.k".to_vec(), Bytes::from_static(b"v"));
    let entries = [
        link("hard", 7, NodeKind::File),
        node("plain", record.clone()),
        node("sym", symlink(b"plain")),
    ];
    let target = file(b"linked", 0o644);
    let sealed = seal_dir(&key(), &entries, |_| Some(&target)).unwrap();
    assert_eq!(sealed.objects.len(), 1);
    golden("listing.hex", &hex::encode(&sealed.objects[0].bytes));
    golden("listing.id", &sealed.dir.object.to_string());
    golden("listing.snap", &hex::encode(sealed.dir.snap));
    golden("listing.sem", &hex::encode(sealed.dir.sem));

    let root = Root {
        dir: dir(&sealed, 0o755),
        links: Some(ObjectId([9; 32])),
        conflicts: None,
    };
    let object = root.encode(&key()).unwrap();
    golden("root.hex", &hex::encode(&object.bytes));
    assert_eq!(Root::decode(&object.bytes).unwrap(), root);
}

#[test]
fn one_edit_in_a_large_directory_writes_few_nodes() {
    let mut entries = many(100_000);
    let before = seal(&entries);
    let known = store(&before.objects);
    assert!(before.objects.len() > 100, "{}", before.objects.len());
    assert!(before.objects.iter().all(|o| o.bytes.len() <= 600 << 10));

    entries[50_000] = node("file-0050000", file(b"other", 0o644));
    entries.remove(7);
    let after = seal(&entries);
    let fresh = after
        .objects
        .iter()
        .filter(|o| !known.contains_key(&o.id))
        .count();
    assert!(fresh <= 2 * 3, "{fresh} nodes for two edits");

    let all = store(&after.objects);
    assert_eq!(load(after.dir.object, &all).unwrap(), entries);
    let (found, read) = look_up(after.dir.object, b"file-0050000", &all);
    assert_eq!(found.as_ref(), Some(&entries[49_999]));
    assert!(read <= 3, "{read} nodes read");
    assert_eq!(look_up(after.dir.object, b"file-0000007", &all).0, None);
    assert_eq!(look_up(after.dir.object, b"a", &all).0, None);
    assert_eq!(look_up(after.dir.object, b"z", &all).0, None);
}

#[test]
fn splitting_starts_above_2048_entries() {
    assert_eq!(seal(&many(2048)).objects.len(), 1);
    assert!(seal(&many(2049)).objects.len() > 1);
}

#[test]
fn large_xattrs_split_a_small_directory() {
    let entries: Vec<Entry> = (0..40)
        .map(|n| {
            let mut record = file(b"x", 0o644);
            record
                .xattrs
                .insert(b"user.big".to_vec(), Bytes::from(vec![n; 64 << 10]));
            node(&format!("{n:02}"), record)
        })
        .collect();
    let sealed = seal(&entries);
    assert!(sealed.objects.iter().all(|o| o.bytes.len() <= 600 << 10));
    assert_eq!(
        load(sealed.dir.object, &store(&sealed.objects)).unwrap(),
        entries
    );
}

#[test]
fn times_and_ids_change_the_object_but_no_digest() {
    let a = seal(&[node("f", file(b"x", 0o644))]);
    let mut record = file(b"x", 0o644);
    record.attr.mtime.0 += 1;
    record.attr.id.0 += 1;
    let b = seal(&[node("f", record)]);
    assert_ne!(a.dir.object, b.dir.object);
    assert_eq!(
        (a.dir.sem, a.dir.snap, a.git),
        (b.dir.sem, b.dir.snap, b.git)
    );
    assert!(a.dir.git_default && b.dir.git_default);
}

#[test]
fn snap_sees_what_git_does_not() {
    let plain = seal(&[node("f", file(b"x", 0o644))]);
    let empty = dir(&seal(&[]), 0o755);
    let mut owned = file(b"x", 0o644);
    owned.attr.gid = Owner::Id(5);
    let mut tagged = file(b"x", 0o644);
    tagged.xattrs.insert(b"user.a".to_vec(), Bytes::new());
    let variants = [
        vec![node("f", file(b"x", 0o600))],
        vec![node("f", owned)],
        vec![node("f", tagged)],
        vec![node("e", empty), node("f", file(b"x", 0o644))],
        vec![
            node(".git", file(b"g", 0o644)),
            node("f", file(b"x", 0o644)),
        ],
        vec![node("f", file(b"x", 0o644)), node("p", support::fifo())],
    ];
    let mut snaps = vec![plain.dir.snap];
    for entries in variants {
        let other = seal(&entries);
        assert_eq!(
            (other.dir.sem, other.git),
            (plain.dir.sem, plain.git),
            "{entries:?}"
        );
        assert!(!other.dir.git_default);
        assert!(!snaps.contains(&other.dir.snap));
        snaps.push(other.dir.snap);
    }
    let executable = seal(&[node("f", file(b"x", 0o755))]);
    assert_ne!(executable.dir.sem, plain.dir.sem);
    assert!(executable.dir.git_default);
}

#[test]
fn links_count_and_resolve() {
    let mut shared = file(b"shared", 0o644);
    shared.attr.nlink = 2;
    shared.attr.id = FileId(77);
    let entries = [link("a", 77, NodeKind::File), link("b", 77, NodeKind::File)];
    let sealed = seal_dir(&key(), &entries, |id| (id == FileId(77)).then_some(&shared)).unwrap();
    assert_eq!((sealed.dir.files, sealed.dir.links), (2, 2));
    assert!(!sealed.dir.git_default);
    let alone = seal(&[
        node("a", file(b"shared", 0o644)),
        node("b", file(b"shared", 0o644)),
    ]);
    assert_eq!((sealed.dir.sem, sealed.git), (alone.dir.sem, alone.git));
    assert_ne!(sealed.dir.snap, alone.dir.snap);
    assert!(seal_dir(&key(), &entries, |_| None).is_err());
    let symlink = symlink(b"x");
    assert!(seal_dir(&key(), &entries, |_| Some(&symlink)).is_err());
}

#[test]
fn link_tables_round_trip() {
    let records: Vec<NodeRecord> = (0..5_000_u64)
        .map(|n| {
            let mut record = file(&n.to_le_bytes(), 0o644);
            record.attr.id = FileId(n * 3 + 1);
            record.attr.nlink = 2;
            record
        })
        .collect();
    let (top, objects) = build_links(&key(), &records).unwrap();
    let objects = store(&objects);
    let mut loader = LinkLoader::new(top);
    while let Some(&id) = loader.missing().first() {
        loader.supply(id, &objects[&id]).unwrap();
    }
    assert_eq!(loader.finish().unwrap().0, records);
    for (id, expected) in [(3_001, Some(&records[1_000])), (3_002, None)] {
        let (mut lookup, mut step) = LinkLookup::new(top, FileId(id));
        let found = loop {
            match step {
                LookupStep::Fetch(id) => step = lookup.supply(&objects[&id]).unwrap(),
                LookupStep::Found(record) => break Some(*record),
                LookupStep::Absent => break None,
            }
        };
        assert_eq!(found.as_ref(), expected);
    }
}

#[test]
fn roots_in_default_state_need_no_header() {
    let sealed = seal(&[node("f", file(b"x", 0o644))]);
    let root = |mode| Root {
        dir: dir(&sealed, mode),
        links: None,
        conflicts: None,
    };
    assert_eq!(root(0o755).snapshot_header(&key()), None);
    assert!(root(0o700).snapshot_header(&key()).is_some());
    assert_ne!(root(0o700).snap(&key()), root(0o755).snap(&key()));
}

#[test]
fn impossible_records_are_refused() {
    let refused = |record: NodeRecord| {
        let entries = [node("x", record)];
        assert!(seal_dir(&key(), &entries, |_| None).is_err());
    };
    let mut record = file(b"x", 0o644);
    record.attr.mode = 0o10_000;
    refused(record);
    let mut record = file(b"x", 0o644);
    record.attr.nlink = 2;
    refused(record);
    let mut record = symlink(b"x");
    record.target = Bytes::from_static(b"longer");
    refused(record);
    let mut record = dir(&seal(&[]), 0o755);
    record.dir = None;
    refused(record);
    let mut record = file(b"x", 0o644);
    record.xattrs.insert(Vec::new(), Bytes::new());
    refused(record);
    let unsorted = [node("b", file(b"", 0o644)), node("a", file(b"", 0o644))];
    assert!(seal_dir(&key(), &unsorted, |_| None).is_err());
    let twice = [node("a", file(b"", 0o644)), node("a", file(b"", 0o644))];
    assert!(seal_dir(&key(), &twice, |_| None).is_err());
}

#[test]
fn a_parent_that_lies_about_a_child_is_noticed() {
    let sealed = seal(&many(3_000));
    let objects = store(&sealed.objects);
    let mut loader = DirLoader::new(sealed.dir.object);
    loader
        .supply(sealed.dir.object, &objects[&sealed.dir.object])
        .unwrap();
    let missing = loader.missing();
    let other = &objects[&missing[1]];
    assert!(loader.supply(missing[0], other).is_err());
}

prop_compose! {
    fn any_record()(
        kind in 0..4_usize,
        content in prop::collection::vec(any::<u8>(), 1..40),
        mode in 0..=0o7777_u16,
        uid in prop::option::of(any::<u32>()),
        gid in prop::option::of(any::<u32>()),
        id: u64, mtime: i64, ctime: i64, refused: bool,
        xattrs in prop::collection::btree_map(
            prop::collection::vec(any::<u8>(), 1..20),
            prop::collection::vec(any::<u8>(), 0..50).prop_map(Bytes::from), 0..3),
    ) -> NodeRecord {
        let mut record = match kind {
            0 => file(&content, mode),
            1 => symlink(&content),
            2 => dir(&seal(&[node("x", file(&content, 0o644))]), mode),
            _ => support::fifo(),
        };
        record.attr.id = FileId(id);
        record.attr.mode = mode;
        record.attr.uid = uid.map_or(Owner::Mounter, Owner::Id);
        record.attr.gid = gid.map_or(Owner::Mounter, Owner::Id);
        record.attr.mtime.0 = mtime;
        record.attr.ctime.0 = ctime;
        record.git_refused = refused;
        record.xattrs = xattrs;
        record
    }
}

fn any_entries() -> impl Strategy<Value = Vec<Entry>> {
    let any_name = prop::collection::vec(any::<u8>(), 1..12)
        .prop_filter("a valid name", |n| EntryName::check(n).is_ok());
    prop::collection::btree_map(any_name, any_record(), 0..30).prop_map(|map| {
        map.into_iter()
            .map(|(n, record)| Entry {
                name: name(&n),
                target: EntryTarget::Node(Box::new(record)),
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn listings_round_trip(entries in any_entries()) {
        let sealed = seal(&entries);
        prop_assert_eq!(load(sealed.dir.object, &store(&sealed.objects)).unwrap(), entries);
    }

    /// Whatever decodes is what the encoder would have written.
    #[test]
    fn damaged_listings_never_panic(
        entries in any_entries(),
        cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let sealed = seal(&entries);
        let mut bytes = sealed.objects[0].bytes.to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(bytes.len() - cut.index(bytes.len()) / 4);
        let id = ObjectId([1; 32]);
        if let Ok(entries) = load(id, &HashMap::from([(id, Bytes::from(bytes.clone()))])) {
            let again = seal_dir(&key(), &entries, |_| None);
            if let Ok(again) = again {
                prop_assert_eq!(&again.objects[0].bytes[..], &bytes[..]);
            }
        }
    }

    #[test]
    fn garbage_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..300), level in 0..6_u8) {
        if bytes.len() > 2 {
            bytes[0] = 1;
            bytes[1] = level;
        }
        let id = ObjectId([1; 32]);
        let mut loader = DirLoader::new(id);
        let _ = loader.supply(id, &bytes);
        let mut loader = LinkLoader::new(id);
        let _ = loader.supply(id, &bytes);
        let (mut lookup, _) = DirLookup::new(id, EntryName::new(*b"x").unwrap());
        let _ = lookup.supply(&bytes);
        let _ = Root::decode(&bytes);
    }

    /// The digests do not depend on how the directory came to be.
    #[test]
    fn sealing_is_a_function_of_the_entries(count in 2_000_u32..6_000, drop in 0_usize..2_000) {
        let mut entries = many(count);
        let removed = entries.remove(drop);
        let first = seal(&entries);
        entries.insert(drop, removed);
        entries.remove(drop);
        prop_assert_eq!(first.dir, seal(&entries).dir);
    }
}

/// A table of a text and a conflict of types.
fn conflicts() -> Conflicts {
    let term = |record, links| {
        Some(ConflictTerm {
            node: record,
            links,
        })
    };
    let path = |path: &[u8], kind, terms| ConflictPath {
        path: path.to_vec(),
        kind,
        terms,
        seen: ContentRef::Empty,
        sides: Vec::new(),
    };
    let text = vec![
        term(file(b"1", 0o644), None),
        None,
        term(file(b"2", 0o755), None),
    ];
    let links = Some(ObjectId([7; 32]));
    let types = vec![
        term(file(b"3", 0o644), None),
        None,
        term(file(b"4", 0o644), links),
    ];
    let side = EntryName::new(&b"t.side-1"[..]).unwrap();
    Conflicts {
        terms: 3,
        roots: vec![ObjectId([1; 32]), ObjectId([2; 32]), ObjectId([3; 32])],
        labels: vec!["main".to_owned(), String::new(), "side".to_owned()],
        paths: vec![
            path(b"d/f", ConflictKind::Text, text),
            ConflictPath {
                sides: vec![(side, 2)],
                ..path(b"t", ConflictKind::Types, types)
            },
        ],
    }
}

#[test]
fn conflicts_keep_their_bytes() {
    let table = conflicts();
    let object = table.encode(&key()).unwrap();
    golden("conflicts.hex", &hex::encode(&object.bytes));
    assert_eq!(Conflicts::decode(&object.bytes).unwrap(), table);
    for end in 0..object.bytes.len() {
        assert!(Conflicts::decode(&object.bytes[..end]).is_err(), "{end}");
    }
    for at in 0..object.bytes.len() {
        for bit in 0..8 {
            let mut bytes = object.bytes.to_vec();
            bytes[at] ^= 1 << bit;
            // Never a panic; what is taken is what would be written.
            if let Ok(other) = Conflicts::decode(&bytes) {
                assert_eq!(other.encode(&key()).unwrap().bytes, bytes);
            }
        }
    }
}

#[test]
fn impossible_conflicts_are_refused() {
    let refused = |change: &dyn Fn(&mut Conflicts)| {
        let mut table = conflicts();
        change(&mut table);
        assert!(table.encode(&key()).is_err(), "{table:?}");
    };
    refused(&|t| t.terms = 2);
    refused(&|t| t.terms = 5);
    refused(&|t| t.roots.truncate(2));
    refused(&|t| drop(t.labels.pop()));
    refused(&|t| t.labels[0] = "x".repeat(5000));
    refused(&|t| t.paths.clear());
    refused(&|t| t.paths.reverse());
    refused(&|t| t.paths[0].path = b"a//b".to_vec());
    refused(&|t| t.paths[0].path = b"..".to_vec());
    refused(&|t| drop(t.paths[0].terms.pop()));
    refused(&|t| t.paths[0].terms = vec![None, None, None]);
    refused(&|t| t.paths[1].sides[0].1 = 3);
}

#[test]
fn a_root_with_conflicts_is_another_snapshot() {
    let sealed = seal(&[node("a", file(b"x", 0o644))]);
    let plain = Root {
        dir: dir(&sealed, 0o755),
        links: None,
        conflicts: None,
    };
    let conflicted = Root {
        conflicts: Some(ObjectId([8; 32])),
        ..plain.clone()
    };
    assert_ne!(plain.snap(&key()), conflicted.snap(&key()));
    assert_eq!(plain.snapshot_header(&key()), None);
    assert!(conflicted.snapshot_header(&key()).is_some());
    let object = conflicted.encode(&key()).unwrap();
    assert_eq!(Root::decode(&object.bytes).unwrap(), conflicted);
}
