use std::{fs, path::Path, process::Command};

use futures::executor::block_on;
use mesa_object::OrgKey;
use mesa_types::NodeKind;
use proptest::prelude::*;

use super::*;
use crate::{
    diff::{ContentOptions, Omitted, PatchOptions, diff_contents, write_patch},
    memory::{MemoryStore, Paths},
};

fn store() -> MemoryStore {
    MemoryStore::new(OrgKey::new([5; 32]))
}

fn at(path: &str) -> TreePath {
    TreePath::new(path.as_bytes()).expect("a path")
}

fn files(store: &MemoryStore, files: &[(&str, &[u8])]) -> Paths {
    let nodes = files.iter().map(|(path, text)| {
        let id = path.bytes().fold(7_u64, |id, b| {
            id.wrapping_mul(31).wrapping_add(u64::from(b))
        });
        (at(path), store.file(id, text))
    });
    nodes.collect()
}

fn diff(store: &MemoryStore, before: &Paths, after: &Paths, options: DiffOptions) -> TreeDiff {
    let before = store.snapshot(before).expect("a tree");
    let after = store.snapshot(after).expect("a tree");
    block_on(diff_trees(store, &before, &after, &options)).expect("compares")
}

fn summary(diff: &TreeDiff) -> Vec<String> {
    let entries = diff.entries.iter();
    entries
        .map(|entry| match &entry.status {
            Status::Added => format!("A {}", entry.path),
            Status::Modified => format!("M {}", entry.path),
            Status::Deleted => format!("D {}", entry.path),
            Status::Renamed { from, similarity } => {
                format!("R{similarity} {from} {}", entry.path)
            }
        })
        .collect()
}

#[test]
fn changes_are_found_and_the_rest_is_not_loaded() {
    let store = store();
    let before = files(
        &store,
        &[("a", b"1"), ("d/b", b"2"), ("e/f", b"3"), ("g/h", b"4")],
    );
    let after = files(
        &store,
        &[("a", b"x"), ("d/c", b"y"), ("e/f", b"3"), ("i/j/k", b"5")],
    );
    let found = diff(&store, &before, &after, DiffOptions::git());
    assert_eq!(
        summary(&found),
        ["M a", "D d/b", "A d/c", "D g/h", "A i/j/k"]
    );
    // Two roots, two versions of d, g, i and i/j.
    assert_eq!(found.listings_loaded, 7);
}

fn numbered(n: u8) -> String {
    format!("line {n}\n")
}

#[test]
fn renames_are_found_by_content_then_by_likeness() {
    let store = store();
    let text = |n: u8| {
        (0..20)
            .map(|l| numbered(n.min(l)))
            .collect::<Vec<_>>()
            .concat()
    };
    let (old, new) = (text(20), text(15));
    let before = files(
        &store,
        &[
            ("moved", b"same"),
            ("d/moved", b"same"),
            ("edited", old.as_bytes()),
            ("rewritten", b"a\nb\nc\n"),
        ],
    );
    let after = files(
        &store,
        &[
            ("e/moved", b"same"),
            ("other", b"same"),
            ("edited2", new.as_bytes()),
            ("fresh", b"x\ny\nz\n"),
        ],
    );
    let found = diff(&store, &before, &after, DiffOptions::git());
    assert_eq!(
        summary(&found),
        [
            "R100 d/moved e/moved",
            "R78 edited edited2",
            "A fresh",
            "R100 moved other",
            "D rewritten",
        ]
    );
    let found = diff(
        &store,
        &before,
        &after,
        DiffOptions::git().without_renames(),
    );
    assert_eq!(found.entries.len(), 8);
}

#[test]
fn attributes_count_when_everything_does() {
    let store = store();
    let before = files(&store, &[("f", b"1"), ("d/g", b"2")]);
    let mut after = before.clone();
    after.get_mut(&at("f")).expect("there").attr.mode = 0o600;
    after.insert(at("empty"), MemoryStore::node(NodeKind::Dir, 9));
    after.insert(at("d/p"), MemoryStore::node(NodeKind::Fifo, 10));
    after.insert(at("d/.git"), store.file(11, b"hidden"));
    assert_eq!(
        summary(&diff(&store, &before, &after, DiffOptions::git())),
        [""; 0]
    );
    assert_eq!(
        summary(&diff(&store, &before, &after, DiffOptions::everything())),
        ["A d/.git", "A d/p", "A empty", "M f"]
    );
}

#[test]
fn contents_are_shown_within_bounds() {
    let store = store();
    let large = vec![b'x'; 2_000_000];
    let before = files(
        &store,
        &[("a", b"1\n"), ("b", b"\0"), ("c", &large), ("z", b"1")],
    );
    let after = files(
        &store,
        &[("a", b"2\n"), ("b", b"\0\0"), ("c", b"small"), ("z", b"2")],
    );
    let found = diff(&store, &before, &after, DiffOptions::git());
    let mut options = ContentOptions {
        files_max: 3,
        ..ContentOptions::default()
    };
    let contents = block_on(diff_contents(&store, &found.entries, &options)).expect("reads");
    let omitted: Vec<_> = contents.iter().map(|content| content.omitted).collect();
    assert_eq!(
        omitted,
        [
            None,
            Some(Omitted::Binary),
            Some(Omitted::TooLarge),
            Some(Omitted::FileLimit)
        ]
    );
    assert_eq!(contents[0].hunks.len(), 1);
    options.files_max = 100;
    options.total_bytes_max = 4 + 2 * crate::diff::content::LINE_BYTES;
    let contents = block_on(diff_contents(&store, &found.entries, &options)).expect("reads");
    let shown: Vec<_> = contents
        .iter()
        .map(|content| content.omitted.is_none())
        .collect();
    assert_eq!(shown, [true, false, false, false]);
}

#[test]
fn many_short_lines_count_for_what_they_take() {
    let store = store();
    let lines = vec![b'\n'; 10_000];
    let names: Vec<String> = (0..8).map(|n| n.to_string()).collect();
    let all: Vec<(&str, &[u8])> = names.iter().map(|name| (&name[..], &lines[..])).collect();
    let before = files(&store, &[]);
    let after = files(&store, &all);
    let found = diff(&store, &before, &after, DiffOptions::git());
    let options = ContentOptions {
        total_bytes_max: 4_000_000,
        ..ContentOptions::default()
    };
    let contents = block_on(diff_contents(&store, &found.entries, &options)).expect("reads");
    let shown = contents.iter().filter(|content| content.omitted.is_none());
    assert_eq!(shown.count(), 3, "1,290,000 each, not 10,000");
    assert_eq!(contents.last().unwrap().omitted, Some(Omitted::TooLarge));
    let lines = contents.iter().flat_map(|content| &content.hunks);
    assert_eq!(lines.map(|hunk| hunk.lines.len()).sum::<usize>(), 30_000);
}

fn git(dir: &Path, args: &[&str]) {
    let done = Command::new("git")
        .args(["-c", "core.autocrlf=false", "-c", "core.safecrlf=false"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git runs");
    let error = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "git {args:?}: {error}");
}

/// Puts a tree into a git index and returns what `git ls-files --stage` says.
fn stage(dir: &Path, store: &MemoryStore, paths: &Paths) -> Vec<u8> {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, os::unix::fs::PermissionsExt as _};
    for (path, node) in paths {
        let to = dir.join(OsStr::from_bytes(path.as_bytes()));
        fs::create_dir_all(to.parent().expect("a parent")).expect("makes");
        match node.attr.kind {
            NodeKind::Symlink => {
                let target = OsStr::from_bytes(&node.target);
                std::os::unix::fs::symlink(target, &to).expect("links");
            }
            NodeKind::File => {
                let bytes = store.get(&node.attr.content).expect("stored");
                fs::write(&to, bytes).expect("writes");
                let mode = fs::Permissions::from_mode(u32::from(node.attr.mode));
                fs::set_permissions(&to, mode).expect("chmods");
            }
            _ => {}
        }
    }
    git(dir, &["add", "-A", "--force"]);
    listing(dir)
}

fn listing(dir: &Path) -> Vec<u8> {
    let listing = Command::new("git")
        .args(["ls-files", "--stage", "-z"])
        .current_dir(dir)
        .output();
    listing.expect("git runs").stdout
}

/// Writes the patch between two trees and has git apply it.
fn applies(
    before_files: &dyn Fn(&MemoryStore) -> Paths,
    after_files: &dyn Fn(&MemoryStore) -> Paths,
) -> Vec<u8> {
    let store = store();
    let (before, after) = (before_files(&store), after_files(&store));
    let found = diff(&store, &before, &after, DiffOptions::git());
    let options = ContentOptions::default();
    let contents = block_on(diff_contents(&store, &found.entries, &options)).expect("reads");
    let mut patch = Vec::new();
    for (entry, content) in found.entries.iter().zip(&contents) {
        write_patch(&mut patch, entry, content, &PatchOptions::with_binary());
    }
    let (ours, theirs) = (tempfile::tempdir(), tempfile::tempdir());
    let (ours, theirs) = (ours.expect("a dir"), theirs.expect("a dir"));
    for dir in [&ours, &theirs] {
        git(dir.path(), &["init", "-q"]);
    }
    stage(ours.path(), &store, &before);
    let expected = stage(theirs.path(), &store, &after);
    if !patch.is_empty() {
        let file = ours.path().join(".git/patch");
        fs::write(&file, &patch).expect("writes");
        git(ours.path(), &["apply", "--index", ".git/patch"]);
    }
    let text = String::from_utf8_lossy(&patch);
    assert_eq!(
        String::from_utf8_lossy(&listing(ours.path())),
        String::from_utf8_lossy(&expected),
        "{text}"
    );
    patch
}

#[test]
fn patches_apply_with_git() {
    let old = (0..30).map(numbered).collect::<Vec<_>>().concat();
    let new = old.replace("line 3\n", "line three\n");
    let patch = applies(
        &|store| {
            let mut paths = files(
                store,
                &[
                    ("renamed from", old.as_bytes()),
                    ("mode", b"x\n"),
                    ("gone", b"bye"),
                    ("no newline", b"a\nb"),
                    ("binary", b"\0one"),
                    ("type", b"file\n"),
                    ("dir", b"was a file\n"),
                    ("\"quoted\\\t\u{e9}", b"1\n"),
                    ("emptied", b"x"),
                ],
            );
            paths.insert(at("link"), store.symlink(77, b"old target"));
            paths
        },
        &|store| {
            let mut paths = files(
                store,
                &[
                    ("sub/renamed to", new.as_bytes()),
                    ("mode", b"x\n"),
                    ("new", b""),
                    ("new exec", b"#!\n"),
                    ("no newline", b"a\nc"),
                    ("binary", b"\0two\n\xff"),
                    ("dir/file", b"now a directory\n"),
                    ("\"quoted\\\t\u{e9}", b"2\n"),
                    ("emptied", b""),
                    (
                        "new binary",
                        &(0..200_000_u32)
                            .map(|n| ((n * 31) >> 3) as u8)
                            .collect::<Vec<_>>(),
                    ),
                ],
            );
            paths.insert(at("link"), store.symlink(77, b"new target"));
            paths.insert(at("type"), store.symlink(78, b"mode"));
            for path in ["mode", "new exec"] {
                paths.get_mut(&at(path)).expect("there").attr.mode = 0o755;
            }
            let raw = TreePath::new(b"raw\xff\xfe").expect("a path");
            paths.insert(raw, store.file(79, b"bytes\n"));
            paths
        },
    );
    let text = String::from_utf8_lossy(&patch);
    for line in [
        "rename from renamed from\n",
        "rename to sub/renamed to\n",
        "old mode 100644\nnew mode 100755\n",
        "new file mode 120000\n",
        "GIT binary patch\n",
        "\\ No newline at end of file\n",
        "diff --git \"a/\\\"quoted\\\\\\t\\303\\251\" \"b/\\\"quoted\\\\\\t\\303\\251\"\n",
        "+++ b/no newline\t\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
}

#[test]
fn binary_differences_can_be_a_line() {
    let store = store();
    let before = files(&store, &[("b", b"\0")]);
    let after = files(&store, &[("b", b"\0\0"), ("c", b"\0c")]);
    let found = diff(&store, &before, &after, DiffOptions::git());
    let options = ContentOptions::default();
    let contents = block_on(diff_contents(&store, &found.entries, &options)).expect("reads");
    let mut patch = Vec::new();
    for (entry, content) in found.entries.iter().zip(&contents) {
        write_patch(&mut patch, entry, content, &PatchOptions::default());
    }
    let text = String::from_utf8(patch).expect("text");
    assert!(text.contains("Binary files a/b and b/b differ\n"), "{text}");
    assert!(
        text.contains("Binary files /dev/null and b/c differ\n"),
        "{text}"
    );
}

type Plain = Vec<(&'static str, Vec<&'static str>, bool)>;

fn any_files() -> impl Strategy<Value = Plain> {
    let path = prop::sample::select(vec!["a", "b c", "d/a", "d/b", "e", "e/x"]);
    let line = prop::sample::select(vec!["a\n", "b\n", "c\n", "\n", "d"]);
    let file = (path, prop::collection::vec(line, 0..12), any::<bool>());
    prop::collection::vec(file, 0..6)
}

fn plain(store: &MemoryStore, list: &Plain) -> Paths {
    let mut paths = Paths::new();
    for (number, (path, lines, executable)) in list.iter().enumerate() {
        paths.retain(|known, _| !known.is_within(&at(path)) && !at(path).is_within(known));
        let mut node = store.file(number as u64 + 2, lines.concat().as_bytes());
        node.attr.mode = if *executable { 0o755 } else { 0o644 };
        paths.insert(at(path), node);
    }
    paths
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(12)
    ))]

    #[test]
    fn any_patch_applies_with_git(before in any_files(), after in any_files()) {
        applies(&|store| plain(store, &before), &|store| plain(store, &after));
    }
}
