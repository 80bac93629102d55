//! Merges and stored conflicts compared with git.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use futures::executor::block_on;
use mesa_object::git::TreeLine;
use mesa_types::{GitOid, Nanos};
use mesa_vcs::{
    Labels, Merge, stored,
    text::{self, TextMerge},
    tree::{MergeOptions, Terms, merge_trees},
};
use proptest::prelude::*;
use support::{File, Files, cases, memory, paths};

fn git(dir: &Path, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new("git")
        .args([
            "-c",
            "merge.renames=false",
            "-c",
            "merge.directoryRenames=false",
        ])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input may end before it is written.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn repo() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    assert!(
        git(dir.path(), &["init", "-q", "--bare"], b"")
            .status
            .success()
    );
    dir
}

/// Texts of lines that occur once, so that there is one way to align them: edits (where, how many
/// lines go, how many come) made to a base by each side.
fn any_sides() -> impl Strategy<Value = Merge<Vec<u8>>> {
    let edit = (0..16_usize, 0..3_usize, 0..3_usize);
    let edits = || prop::collection::vec(edit.clone(), 0..4);
    (edits(), edits()).prop_map(|(first, second)| {
        let base: Vec<String> = (0..16).map(|n| format!("line {n}\n")).collect();
        let side = |name: &str, edits: Vec<(usize, usize, usize)>| {
            let mut lines = base.clone();
            for (number, (at, go, come)) in edits.into_iter().enumerate() {
                let at = at.min(lines.len());
                let end = (at + go).min(lines.len());
                let new = (0..come).map(|n| format!("{name} {number} {n}\n"));
                lines.splice(at..end, new);
            }
            lines.concat().into_bytes()
        };
        Merge::three_way(
            side("first", first),
            base.concat().into_bytes(),
            side("second", second),
        )
    })
}

/// `git merge-file`: the merged text, if there is no conflict.
fn merge_file(dir: &Path, texts: &Merge<Vec<u8>>) -> Option<Vec<u8>> {
    for (name, text) in ["first", "base", "second"].iter().zip(texts) {
        fs::write(dir.join(name), text).unwrap();
    }
    let done = git(dir, &["merge-file", "-p", "first", "base", "second"], b"");
    done.status.success().then_some(done.stdout)
}

fn fast_import(dir: &Path, trees: &[(&str, &Files)]) {
    let mut stream = Vec::new();
    let mut from = "";
    for (name, files) in trees {
        let header = format!("commit refs/heads/{name}\ncommitter c <c@c> 1 +0000\ndata 0\n{from}");
        stream.extend(header.bytes());
        stream.extend(b"deleteall\n");
        for (path, file) in *files {
            let (mode, bytes) = match file {
                File::Text(text, true) => ("100755", text.clone()),
                File::Text(text, false) => ("100644", text.clone()),
                File::Link(to) => ("120000", to.clone().into_bytes()),
            };
            stream.extend(format!("M {mode} inline {path}\ndata {}\n", bytes.len()).bytes());
            stream.extend(bytes);
            stream.push(b'\n');
        }
        from = "from refs/heads/base\n";
    }
    let done = git(dir, &["fast-import", "--quiet"], &stream);
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// Our merged tree, if there is no conflict.
fn merged_tree(first: &Files, base: &Files, second: &Files) -> Option<GitOid> {
    let store = memory();
    let term = |files| {
        (
            Terms::resolved(store.snapshot(&paths(&store, files)).unwrap()),
            String::new(),
        )
    };
    let terms = Terms::three_way(term(first), term(base), term(second));
    let options = MergeOptions::new(Nanos(1));
    let merged = merge_trees(&store, &terms.roots, &options);
    let merged = block_on(merged).unwrap();
    let stored = block_on(stored::store_conflict(&store, &terms, &merged)).unwrap();
    stored.trees.as_resolved().copied()
}

fn any_tree() -> impl Strategy<Value = Vec<(usize, Merge<Vec<u8>>)>> {
    prop::collection::vec((0..5_usize, any_sides()), 1..6)
}

proptest! {
    #![proptest_config(cases(24))]

    /// Where git merges without conflict, so do we, with the same text; and the other way round.
    #[test]
    fn texts_merge_as_in_git(texts in any_sides()) {
        let dir = tempfile::tempdir().unwrap();
        let theirs = merge_file(dir.path(), &texts);
        let ours = match text::merge(&texts) {
            TextMerge::Resolved(text) => Some(text),
            TextMerge::Conflicted(_) => None,
        };
        if let Some(theirs) = theirs {
            prop_assert_eq!(ours, Some(theirs));
        }
    }

    #[test]
    fn trees_merge_as_in_git(files in any_tree(), gone in 0..5_usize, new in 0..5_usize) {
        let names = ["a", "d/b", "d/e/c", "d/e/f", "g"];
        let mut trees = [Files::new(), Files::new(), Files::new()];
        for (name, texts) in files {
            for (tree, text) in trees.iter_mut().zip(texts) {
                tree.insert(names[name].to_owned(), File::Text(text, false));
            }
        }
        let [mut first, base, mut second] = trees;
        first.remove(names[gone]);
        second.insert(format!("n/{}", names[new]), File::Text(b"new\n".to_vec(), true));
        let dir = repo();
        fast_import(dir.path(), &[("base", &base), ("first", &first), ("second", &second)]);
        let theirs = git(dir.path(), &["merge-tree", "--write-tree", "first", "second"], b"");
        if theirs.status.success() {
            let theirs = String::from_utf8(theirs.stdout).unwrap();
            let ours = merged_tree(&first, &base, &second);
            let ours = ours.map(|oid| oid.to_string());
            prop_assert_eq!(ours.as_deref(), Some(theirs.trim()));
        }
    }
}

#[test]
fn git_accepts_stored_conflicts() {
    let text = |text: &str| File::Text(text.as_bytes().to_vec(), false);
    let tree = |f: &str| Files::from([("d/f".into(), text(f)), ("k".into(), text("k"))]);
    let store = memory();
    let term = |files: &Files, name: &str| {
        let root = store.snapshot(&paths(&store, files)).unwrap();
        (Terms::resolved(root), name.to_owned())
    };
    let terms = Terms::three_way(
        term(&tree("1"), "main"),
        term(&tree("0"), ""),
        term(&tree("2"), "topic"),
    );
    let options = MergeOptions::new(Nanos(1));
    let merged = merge_trees(&store, &terms.roots, &options);
    let merged = block_on(merged).unwrap();
    let conflict = block_on(stored::store_conflict(&store, &terms, &merged)).unwrap();
    assert_eq!(conflict.trees.sides(), 2);

    let dir = repo();
    let write = |kind: &str, bytes: &[u8]| {
        let done = git(
            dir.path(),
            &["hash-object", "-w", "-t", kind, "--stdin"],
            bytes,
        );
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    for blob in ["0", "1", "2", "k", stored::README] {
        write("blob", blob.as_bytes());
    }
    let mut known = BTreeMap::new();
    for (oid, bytes) in &conflict.objects {
        known.insert(*oid, bytes.clone());
    }
    // Trees below before those above: git checks nothing here, fsck does.
    for (oid, bytes) in &known {
        assert_eq!(write("tree", bytes), oid.to_string());
    }
    let d: GitOid = {
        let done = git(
            dir.path(),
            &["rev-parse", &format!("{}:d", conflict.trees.first())],
            b"",
        );
        String::from_utf8(done.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    };
    let k: GitOid = write("blob", b"k").parse().unwrap();
    let lines = [
        TreeLine {
            name: b"d",
            mode: mesa_object::git::Mode::Tree,
            oid: d,
        },
        TreeLine {
            name: b"k",
            mode: mesa_object::git::Mode::File,
            oid: k,
        },
    ];
    let (bytes, root) = stored::conflict_tree(&conflict.trees, &lines).unwrap();
    assert_eq!(write("tree", &bytes), root.to_string());
    let mut commit =
        format!("tree {root}\nauthor a <a@a> 1 +0000\ncommitter a <a@a> 1 +0000\n").into_bytes();
    commit.extend(stored::header_lines(&conflict.trees, &conflict.labels));
    commit.extend(b"change-id kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\n\nmessage\n");
    let oid = write("commit", &commit);
    assert!(
        git(dir.path(), &["update-ref", "refs/heads/main", &oid], b"")
            .status
            .success()
    );
    let fsck = git(dir.path(), &["fsck", "--strict", "--full"], b"");
    assert!(
        fsck.status.success(),
        "{}",
        String::from_utf8_lossy(&fsck.stderr)
    );

    let show = git(dir.path(), &["show", "main:.jjconflict-side-1/d/f"], b"");
    assert_eq!(show.stdout, b"2");
    let raw = git(dir.path(), &["cat-file", "commit", "main"], b"");
    let (trees, labels) = stored::read_commit(&raw.stdout).unwrap().unwrap();
    assert_eq!(trees, conflict.trees);
    assert_eq!(labels.add(0), Some("main"));
    assert_eq!(labels.remove(0), None);
    assert_ne!(labels, Labels::none());
}
