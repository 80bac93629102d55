use futures::executor::block_on;
use mesa_object::OrgKey;
use mesa_types::{FileId, NodeKind, Owner};

use super::*;
use crate::{
    Labels,
    markers::Update,
    memory::{MemoryStore, Paths},
    stored::store_conflict,
    text::{Resolution, TextMerge},
    tree::{Change, ConflictKind, Terms, conflict_text, side_files},
};

struct Case {
    store: MemoryStore,
}

const NOW: Nanos = Nanos(77);

impl Case {
    fn new() -> Self {
        let store = MemoryStore::new(OrgKey::new([7; 32]));
        Self { store }
    }

    /// Files by path; equal paths have equal ids.
    fn files(&self, files: &[(&str, &str)]) -> Paths {
        let nodes = files.iter().map(|(path, text)| {
            let id = path.bytes().fold(7_u64, |id, b| {
                id.wrapping_mul(31).wrapping_add(u64::from(b))
            });
            (at(path), self.store.file(id, text.as_bytes()))
        });
        nodes.collect()
    }

    fn merge(&self, terms: &[&Paths]) -> (MergedTree, Paths) {
        let roots = terms
            .iter()
            .map(|paths| self.store.snapshot(paths).expect("a tree"));
        let roots = Merge::from_terms(roots.collect()).expect("odd");
        self.store.take_reads();
        let options = MergeOptions::new(NOW);
        let merged = block_on(merge_trees(&self.store, &roots, &options)).expect("merges");
        let first = self.store.paths(roots.first()).expect("stored");
        let after = self.store.apply(first, &merged.edits).expect("stored");
        (merged, after)
    }

    fn text(&self, paths: &Paths, path: &str) -> Option<String> {
        let content = paths.get(&at(path))?.attr.content;
        let bytes = self.store.get(&content).expect("stored");
        Some(String::from_utf8(bytes.to_vec()).expect("text"))
    }
}

fn at(path: &str) -> TreePath {
    TreePath::new(path.as_bytes()).expect("a path")
}

fn kinds(merged: &MergedTree) -> Vec<(String, ConflictKind)> {
    let conflicts = merged.conflicts.iter();
    conflicts
        .map(|(path, c)| (path.to_string(), c.kind))
        .collect()
}

#[test]
fn both_sides_changes_are_in_the_merge() {
    let case = Case::new();
    let base = case.files(&[
        ("a", "1\n"),
        ("d/b", "1\n2\n3\n"),
        ("d/gone", "x"),
        ("e/f", "y"),
    ]);
    let first = case.files(&[
        ("a", "2\n"),
        ("d/b", "0\n2\n3\n"),
        ("d/gone", "x"),
        ("e/f", "y"),
    ]);
    let second = case.files(&[
        ("a", "1\n"),
        ("d/b", "1\n2\n4\n"),
        ("e/f", "y"),
        ("n/m", "new"),
    ]);
    let (merged, after) = case.merge(&[&first, &base, &second]);
    assert_eq!(kinds(&merged), []);
    assert_eq!(case.text(&after, "a").as_deref(), Some("2\n"));
    assert_eq!(case.text(&after, "d/b").as_deref(), Some("0\n2\n4\n"));
    assert_eq!(case.text(&after, "d/gone"), None);
    assert_eq!(case.text(&after, "n/m").as_deref(), Some("new"));
    assert_eq!(after[&at("d/b")].attr.mtime, NOW);
    // e is the same everywhere: the three roots and the three versions of d are loaded.
    assert_eq!(merged.listings_loaded, 6);
}

#[test]
fn a_change_against_a_deletion_is_a_conflict() {
    let case = Case::new();
    let base = case.files(&[("a", "1"), ("b", "1"), ("keep", "")]);
    let first = case.files(&[("a", "2"), ("keep", "")]);
    let second = case.files(&[("b", "2"), ("keep", "")]);
    let (merged, _) = case.merge(&[&first, &base, &second]);
    let text = ConflictKind::Text;
    assert_eq!(kinds(&merged), [("a".into(), text), ("b".into(), text)]);
    assert!(merged.conflicts[&at("a")].terms.terms()[2].is_none());
    assert!(merged.edits.is_empty());
}

#[test]
fn file_against_directory_is_a_conflict_of_types() {
    let case = Case::new();
    let base = case.files(&[("x", "1")]);
    let first = case.files(&[("x/y", "1")]);
    let second = case.files(&[("x", "2")]);
    let (merged, _) = case.merge(&[&first, &base, &second]);
    assert_eq!(kinds(&merged), [("x".into(), ConflictKind::Types)]);
}

#[test]
fn binary_and_large_files_merge_by_value() {
    let case = Case::new();
    let base = case.files(&[("b", "1\0\n2\n3\n"), ("same", "\0")]);
    let first = case.files(&[("b", "0\0\n2\n3\n"), ("same", "\0\0")]);
    let second = case.files(&[("b", "1\0\n2\n4\n"), ("same", "\0\0")]);
    let (merged, after) = case.merge(&[&first, &base, &second]);
    assert_eq!(kinds(&merged), [("b".into(), ConflictKind::Binary)]);
    assert_eq!(case.text(&after, "same").as_deref(), Some("\0\0"));

    let text = |head: &str, tail: &str| format!("{head}\n{}\n{tail}\n", "m\n".repeat(40));
    let terms = [text("1", "1"), text("0", "0"), text("2", "0")];
    let roots = terms.map(|text| case.files(&[("l", &text)]));
    let roots = roots.map(|paths| case.store.snapshot(&paths).expect("a tree"));
    let roots = Merge::from_terms(roots.to_vec()).expect("odd");
    case.store.take_reads();
    let options = MergeOptions::new(NOW).content_bytes_max(50);
    let merged = block_on(merge_trees(&case.store, &roots, &options)).expect("merges");
    assert_eq!(kinds(&merged), [("l".into(), ConflictKind::TooLarge)]);
    assert_eq!(case.store.take_reads().contents, 0);
}

#[test]
fn attributes_merge_one_by_one() {
    let case = Case::new();
    let base = case.files(&[("f", "text\n"), ("g", "1\n")]);
    let (mut first, mut second) = (base.clone(), base.clone());
    let x = |paths: &mut Paths, path: &str, change: &dyn Fn(&mut mesa_object::tree::NodeRecord)| {
        change(paths.get_mut(&at(path)).expect("there"));
    };
    x(&mut first, "f", &|n| n.attr.mode = 0o755);
    x(&mut first, "f", &|n| {
        n.xattrs.insert(b"user.a".to_vec(), "1".into());
        n.xattrs.insert(b"user.c".to_vec(), "first".into());
    });
    x(&mut second, "f", &|n| {
        n.attr.mode = 0o600;
        n.attr.uid = Owner::Id(5);
        n.attr.content = case.store.put("changed\n").content;
        n.git = Some(case.store.put("changed\n").git);
        n.xattrs.insert(b"user.b".to_vec(), "2".into());
        n.xattrs.insert(b"user.c".to_vec(), "second".into());
    });
    x(&mut first, "g", &|n| n.attr.gid = Owner::Id(1));
    x(&mut second, "g", &|n| n.attr.gid = Owner::Id(2));
    let (merged, after) = case.merge(&[&first, &base, &second]);
    assert_eq!(kinds(&merged), []);
    let f = &after[&at("f")];
    // 644 -> 755 adds execution, 644 -> 600 takes reading from others.
    assert_eq!(f.attr.mode, 0o711);
    assert_eq!(f.attr.uid, Owner::Id(5));
    assert_eq!(case.text(&after, "f").as_deref(), Some("changed\n"));
    let xattrs: Vec<_> = f.xattrs.iter().map(|(n, v)| (&n[..], &v[..])).collect();
    assert_eq!(
        xattrs,
        [
            (&b"user.a"[..], &b"1"[..]),
            (b"user.b", b"2"),
            (b"user.c", b"first")
        ]
    );
    assert_eq!(after[&at("g")].attr.gid, Owner::Id(1));
    let clashes: Vec<_> = merged
        .clashes
        .iter()
        .map(|c| (c.path.to_string(), &c.field))
        .collect();
    let c = Field::Xattr(b"user.c".to_vec());
    assert_eq!(clashes, [("f".into(), &c), ("g".into(), &Field::Group)]);
}

#[test]
fn attributes_alone_do_not_keep_a_deleted_file() {
    let case = Case::new();
    let base = case.files(&[("f", "1"), ("k", "")]);
    let first = case.files(&[("k", "")]);
    let mut second = base.clone();
    second.get_mut(&at("f")).expect("there").attr.mode = 0o600;
    let (merged, after) = case.merge(&[&first, &base, &second]);
    assert_eq!(kinds(&merged), []);
    assert!(!after.contains_key(&at("f")));
}

#[test]
fn empty_directories_merge_by_their_presence() {
    let case = Case::new();
    let dir = |id| MemoryStore::node(NodeKind::Dir, id);
    let mut base = case.files(&[("gone/f", "1"), ("emptied/f", "1")]);
    base.insert(at("old"), dir(90));
    let mut first = case.files(&[("emptied/f", "1")]);
    first.insert(at("old"), dir(90));
    first.insert(at("new"), dir(91));
    let mut second = case.files(&[("gone/f", "1")]);
    second.insert(at("emptied"), dir(92));
    let (merged, after) = case.merge(&[&first, &base, &second]);
    assert_eq!(kinds(&merged), []);
    let left: Vec<String> = after.keys().map(ToString::to_string).collect();
    assert_eq!(left, ["emptied", "new"]);
}

#[test]
fn a_directory_deleted_here_and_added_to_there_stays_with_the_addition() {
    let case = Case::new();
    let base = case.files(&[("d/a", "1"), ("k", "")]);
    let first = case.files(&[("k", "")]);
    let second = case.files(&[("d/a", "1"), ("d/b", "2"), ("k", "")]);
    let (merged, after) = case.merge(&[&first, &base, &second]);
    assert_eq!(kinds(&merged), []);
    let left: Vec<String> = after.keys().map(ToString::to_string).collect();
    assert_eq!(left, ["d", "d/b", "k"]);
    assert!(matches!(merged.edits[0].change, Change::Dir(_)));
}

#[test]
fn names_are_bytes() {
    let case = Case::new();
    let name = TreePath::new(b"\xff\xfe/x").expect("a path");
    let base = case.files(&[("k", "")]);
    let mut second = base.clone();
    second.insert(name.clone(), case.store.file(50, b"1"));
    let (_, after) = case.merge(&[&base, &base, &second]);
    assert!(after.contains_key(&name));
}

#[test]
fn symlinks_and_special_files_merge_by_value() {
    let case = Case::new();
    let mut base = Paths::new();
    base.insert(at("l"), case.store.symlink(5, b"old"));
    base.insert(at("p"), MemoryStore::node(NodeKind::Fifo, 6));
    let (mut first, mut second) = (base.clone(), base.clone());
    first.remove(&at("p"));
    second.insert(at("l"), case.store.symlink(5, b"new"));
    let (merged, after) = case.merge(&[&first, &base, &second]);
    assert_eq!(kinds(&merged), []);
    assert_eq!(&after[&at("l")].target[..], b"new");
    assert!(!after.contains_key(&at("p")));
    first.insert(at("l"), case.store.symlink(5, b"other"));
    let (merged, _) = case.merge(&[&first, &base, &second]);
    assert_eq!(kinds(&merged), [("l".into(), ConflictKind::Types)]);
}

#[test]
fn hard_links_stay_together() {
    let case = Case::new();
    let mut base = Paths::new();
    base.insert(at("a"), case.store.file(5, b"1\n2\n3\n"));
    base.insert(at("b/c"), case.store.file(5, b"1\n2\n3\n"));
    let mut first = base.clone();
    first.insert(at("a"), case.store.file(5, b"0\n2\n3\n"));
    first.insert(at("b/c"), case.store.file(5, b"0\n2\n3\n"));
    let mut second = Paths::new();
    second.insert(at("a"), case.store.file(5, b"1\n2\n4\n"));
    second.insert(at("b/c"), case.store.file(5, b"1\n2\n4\n"));
    second.insert(at("d"), case.store.file(5, b"1\n2\n4\n"));
    let (merged, after) = case.merge(&[&first, &base, &second]);
    assert_eq!(kinds(&merged), []);
    for path in ["a", "b/c"] {
        assert_eq!(
            case.text(&after, path).as_deref(),
            Some("0\n2\n4\n"),
            "{path}"
        );
    }
    assert!(
        after
            .values()
            .filter(|n| n.attr.kind == NodeKind::File)
            .all(|n| n.attr.id == FileId(5))
    );
}

#[test]
fn work_is_in_proportion_to_what_changed() {
    let case = Case::new();
    let node = case.store.file(1, b"same\n");
    let mut base = Paths::new();
    for n in 0..300_000_u64 {
        let mut node = node.clone();
        node.attr.id = FileId(1000 + n);
        let path = format!("d{:02}/e{:02}/f{n}", n / 10_000, n / 100 % 100);
        base.insert(at(&path), node);
    }
    let change = |path: &str, text: &str| {
        let mut paths = base.clone();
        let id = paths[&at(path)].attr.id;
        paths.insert(at(path), case.store.file(id.0, text.as_bytes()));
        paths
    };
    let first = change("d00/e00/f1", "first\n");
    let second = change("d29/e99/f299999", "second\n");
    let roots = Merge::three_way(&first, &base, &second)
        .map(|paths| case.store.snapshot(paths).expect("a tree"));
    case.store.take_reads();
    let merged = block_on(merge_trees(&case.store, &roots, &MergeOptions::new(NOW)));
    let merged = merged.expect("merges");
    let reads = case.store.take_reads();
    // The three roots; below, each change is one-sided.
    assert_eq!(
        (reads.list_calls, reads.listings, reads.contents),
        (1, 3, 0)
    );
    assert_eq!(merged.edits.len(), 1);

    let both = change("d00/e00/f2", "second\n");
    let roots = Merge::three_way(&first, &base, &both)
        .map(|paths| case.store.snapshot(paths).expect("a tree"));
    case.store.take_reads();
    let merged = block_on(merge_trees(&case.store, &roots, &MergeOptions::new(NOW)));
    let reads = case.store.take_reads();
    assert_eq!(
        (reads.list_calls, reads.listings, reads.contents),
        (3, 9, 0)
    );
    assert_eq!(merged.expect("merges").edits.len(), 1);
}

#[test]
fn nothing_changes_outside_of_the_wanted_paths() {
    let case = Case::new();
    let after = case.files(&[("a", "2\n"), ("d/x", "2\n"), ("d/y", "2\n"), ("e/z", "2")]);
    let before = case.files(&[("a", "1\n"), ("d/x", "1\n"), ("d/y", "1\n"), ("f/new", "1")]);
    let head = case.files(&[
        ("a", "2\n"),
        ("d/x", "2\nmore\n"),
        ("d/y", "2\n"),
        ("e/z", "2"),
    ]);
    let roots = Merge::three_way(&head, &after, &before);
    let roots = roots.map(|paths| case.store.snapshot(paths).expect("a tree"));
    let undo = |paths: &[TreePath]| {
        let options = MergeOptions::new(NOW);
        block_on(merge_paths(&case.store, &roots, paths, &options)).expect("merges")
    };
    let merged = undo(&[at("d/y"), at("f")]);
    let edited: Vec<_> = merged
        .edits
        .iter()
        .map(|edit| edit.path.to_string())
        .collect();
    assert_eq!(
        (edited, merged.conflicts.len()),
        (vec!["d/y".into(), "f".into()], 0)
    );
    let merged = undo(&[at("d"), at("e/z")]);
    let edited: Vec<_> = merged
        .edits
        .iter()
        .map(|edit| edit.path.to_string())
        .collect();
    // Nothing wanted e itself to go.
    assert_eq!(edited, ["d/y", "e/z"]);
    assert_eq!(kinds(&merged), [("d/x".into(), ConflictKind::Text)]);
    assert_eq!(undo(&[]).edits, []);
}

#[test]
fn conflicts_are_shown_and_resolved() {
    let case = Case::new();
    let base = case.files(&[("f", "a\n0\nb\n5\nc\n"), ("t", "x")]);
    let first = case.files(&[("f", "a\n1\nb\n6\nc\n"), ("t/u", "x")]);
    let second = case.files(&[("f", "a\n2\nb\n7\nc\n"), ("t", "y")]);
    let (merged, _) = case.merge(&[&first, &base, &second]);
    let conflict = &merged.conflicts[&at("f")];
    let text = block_on(conflict_text(&case.store, conflict, &Labels::none()));
    let text = text.expect("reads").expect("texts");
    let shown = text.shown();
    assert_eq!(text.update(&shown), Update::Unchanged);
    let hunks = text.hunks();
    let lines: Vec<_> = hunks
        .iter()
        .map(|h| (h.old_start, h.old_lines, h.new_start))
        .collect();
    assert_eq!(lines, [(2, 1, 2), (4, 1, 4)]);
    assert_eq!(hunks[0].source.as_deref(), Some(&b"2\n"[..]));
    let sides = hunks.iter().zip([0, text.source_side()]);
    let all = sides
        .map(|(hunk, side)| (hunk.id, Resolution::Side(side)))
        .collect();
    assert_eq!(
        text.resolve(&all),
        Ok(TextMerge::Resolved(b"a\n1\nb\n7\nc\n".to_vec()))
    );

    // One of two resolved in the file: the conflict goes on with the other.
    let shown = String::from_utf8(shown).expect("text");
    let start = shown.find("<<<<<<<").expect("a marker");
    let end = shown.find("1 of 2 ends\n").expect("a marker") + "1 of 2 ends\n".len();
    let written = format!("{}mine\n{}", &shown[..start], &shown[end..]);
    let Update::Conflicted(texts) = text.update(written.as_bytes()) else {
        panic!("one conflict is left");
    };
    let stored = texts.into_map(|text| Some(case.store.put(text)));
    let left = conflict.updated(&stored).expect("fits");
    let text = block_on(conflict_text(&case.store, &left, &Labels::none()));
    let text = text.expect("reads").expect("texts");
    assert_eq!(text.hunks().len(), 1);
    assert_eq!(text.hunks()[0].id, hunks[1].id);
    assert!(
        text.shown()
            .starts_with(b"a\nmine\nb\n<<<<<<< conflict 1 of 1\n")
    );

    let types = &merged.conflicts[&at("t")];
    let name = mesa_types::EntryName::new(&b"t"[..]).expect("a name");
    let files = side_files(types, &name, |name| name == b"t.side-1");
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_bytes()).collect();
    assert_eq!(names, [&b"t.side-1~"[..], b"t.base-1", b"t.side-2"]);
}

#[test]
fn terms_of_a_conflict_are_whole_trees() {
    let case = Case::new();
    let base = case.files(&[("d/f", "0"), ("g", "0"), ("k", "0")]);
    let first = case.files(&[("d/f", "1"), ("g", "1"), ("k", "0")]);
    let second = case.files(&[("d/f", "2"), ("g", "0"), ("k", "2"), ("new/file", "2")]);
    let trees = [&first, &base, &second].map(|paths| case.store.snapshot(paths).expect("a tree"));
    let [ours, old, theirs] = trees.map(Terms::resolved);
    let terms = Terms::three_way(
        (ours, "main".to_owned()),
        (old, "base".to_owned()),
        (theirs, "topic".to_owned()),
    );
    let merged = block_on(merge_trees(
        &case.store,
        &terms.roots,
        &MergeOptions::new(NOW),
    ));
    let merged = merged.expect("merges");
    let stored = block_on(store_conflict(&case.store, &terms, &merged)).expect("folds");
    let expected = ["1", "0", "2"].map(|f| {
        let paths = case.files(&[("d/f", f), ("g", "1"), ("k", "2"), ("new/file", "2")]);
        case.store
            .snapshot(&paths)
            .expect("a tree")
            .dir
            .git
            .expect("visible")
    });
    assert_eq!(stored.trees.terms(), expected);
    assert_eq!(stored.labels.add(1), Some("topic"));
    for oid in expected {
        assert!(stored.objects.iter().any(|(known, _)| *known == oid));
    }
}

#[test]
fn merging_a_conflict_again_with_its_change_undone_resolves() {
    let case = Case::new();
    let base = case.files(&[("f", "base\n")]);
    let first = case.files(&[("f", "first\n")]);
    let second = case.files(&[("f", "second\n")]);
    let (merged, _) = case.merge(&[&first, &base, &second, &second, &base]);
    assert_eq!(kinds(&merged), []);
    let third = case.files(&[("f", "third\n")]);
    let (merged, _) = case.merge(&[&first, &base, &second, &base, &third]);
    assert_eq!(merged.conflicts[&at("f")].terms.terms().len(), 5);
}
