//! The projection, judged by git itself.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::{
    collections::HashSet,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use mesa_object::{
    git::{self, CommitText, Mode, Signature, TreeLine, Verdict},
    tree::{Entry, git_tree},
};
use mesa_types::{ChangeId, GitOid, Nanos, NodeKind};
use support::{dir, fifo, file, gitlink, node, seal, symlink};

/// A bare repository driven by the real git.
struct Git {
    dir: tempfile::TempDir,
}

impl Git {
    fn new() -> Self {
        let git = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        git.run(&["init", "-q", "--bare", "--initial-branch=main", "."], b"");
        git
    }

    fn output(&self, args: &[&str], input: &[u8]) -> std::process::Output {
        let mut child = Command::new("git")
            .args(args)
            .current_dir(self.dir.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    fn run(&self, args: &[&str], input: &[u8]) -> String {
        let output = self.output(args, input);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Writes objects of one type without git's checks and returns their oids.
    fn write(&self, kind: &str, bodies: &[Vec<u8>]) -> Vec<GitOid> {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for (n, body) in bodies.iter().enumerate() {
            let path = folder.path().join(n.to_string());
            std::fs::write(&path, body).unwrap();
            paths.push(path);
        }
        let mut args = vec!["hash-object", "-w", "--literally", "-t", kind];
        args.extend(paths.iter().map(|p| Path::to_str(p).unwrap()));
        self.run(&args, b"")
            .lines()
            .map(|line| line.parse().unwrap())
            .collect()
    }

    /// The objects strict fsck finds fault with.
    fn faulty(&self) -> (HashSet<GitOid>, String) {
        let output = self.output(&["fsck", "--strict", "--no-dangling"], b"");
        let text = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        let found = text
            .lines()
            .filter(|line| line.starts_with("error in "))
            .filter_map(|line| line.split([' ', ':']).nth(3))
            .map(|oid| oid.parse().unwrap())
            .collect();
        (found, text)
    }
}

/// Names that git refuses for any kind of entry.
const DOT_GIT: &[&[u8]] = &[
    b".git",
    b".GIT",
    b".gIt",
    b".git ",
    b".git. .",
    b".git::$INDEX_ALLOCATION",
    b".git:x",
    b".git\\x",
    b"git~1",
    b"GIT~1",
    b"git~1.",
    b"git~1:stream",
    b"a\\.git",
    b"a\\git~1",
    b"a\\.git\\b",
    b"\\.git",
    ".g\u{200c}it".as_bytes(),
    "\u{200d}.git".as_bytes(),
    ".\u{feff}G\u{202e}i\u{206f}t\u{200f}".as_bytes(),
    b".git\xff",
    b".git\xe2\x80\x8c\xff",
];

/// Names git reads `.gitmodules` from, in some filesystem.
const GITMODULES: &[&[u8]] = &[
    b".gitmodules",
    b".GITmodules",
    b".gitmodules ",
    b".gitmodules:$DATA",
    b"gitmod~1",
    b"GITMOD~4",
    b"gi7eba~1",
    b"gi7eb~12",
    b"~1000000",
    ".git\u{200c}modules".as_bytes(),
];

const GITATTRIBUTES: &[&[u8]] = &[
    b".gitattributes",
    b".GitAttributes.",
    b"gitatt~1",
    b"gi7d29~9",
];

/// Names close to the special ones that are none.
const HARMLESS: &[&[u8]] = &[
    b".gi",
    b".gitx",
    b".git-hooks",
    b".gitignore",
    b".github",
    b"git",
    b"git~2",
    b"git~10",
    b"git~1x",
    b".gitmodules2",
    b"gitmodules",
    b"gitmod~5",
    b"gi7ebb~1",
    b"~0000000",
    b"x.git",
    b"a\\b",
    b"a.git\\b",
    b"\xff\xfe",
    ".g\u{e9}it".as_bytes(),
    b".mailmap",
    b"CON",
    b"-rf",
];

/// `.gitmodules` contents and whether git refuses them.
const MODULE_FILES: &[(&str, bool)] = &[
    ("", false),
    (
        "[submodule \"a\"]\n\tpath = a\n\turl = https://h/a.git\n",
        false,
    ),
    (
        "# note\n[submodule \"libs/a b\"]\r\n\tpath = \"libs/a b\"\r\n\turl = ../a.git\n",
        false,
    ),
    (
        "[submodule \"a\"]\n\turl = git@h:a.git\n\tupdate = rebase\n[core]\n\tx = y\n",
        false,
    ),
    ("[submodule \"..\"]\n\tpath = a\n\turl = u\n", true),
    ("[submodule \"a/../../b\"]\n\tpath = a\n\turl = u\n", true),
    ("[submodule \"a\"]\n\tpath = a\n\turl = -u./payload\n", true),
    ("[submodule \"a\"]\n\tpath = -a\n\turl = u\n", true),
    (
        "[submodule \"a\"]\n\tpath = a\n\turl = u\n\tupdate = !command\n",
        true,
    ),
    ("[submodule \"a\"]\n\turl = https://h/%0ahost=other\n", true),
    ("[submodule \"a\"]\n\turl = ../../../:x\n", true),
    ("[submodule \"a\"]\n\turl = http:///x\n", true),
];

fn body(lines: &[TreeLine<'_>]) -> Vec<u8> {
    git::encode_tree(lines).unwrap().0
}

/// Trees with one entry of the given kind; a second entry makes the oid unique.
fn suspicious(git: &Git, rows: &[(&[u8], NodeKind)]) -> Vec<Vec<u8>> {
    let blobs: Vec<Vec<u8>> = (0..rows.len())
        .map(|n| format!("row {n}").into_bytes())
        .collect();
    let oids = git.write("blob", &blobs);
    let subtrees: Vec<Vec<u8>> = oids
        .iter()
        .map(|&oid| {
            body(&[TreeLine {
                name: b"f",
                mode: Mode::File,
                oid,
            }])
        })
        .collect();
    let subtrees = git.write("tree", &subtrees);
    rows.iter()
        .enumerate()
        .map(|(n, &(name, kind))| {
            let (mode, oid) = match kind {
                NodeKind::Dir => (Mode::Tree, subtrees[n]),
                NodeKind::Symlink => (Mode::Symlink, oids[n]),
                NodeKind::Gitlink => (Mode::Gitlink, GitOid([7; 20])),
                _ => (Mode::File, oids[n]),
            };
            let unique = TreeLine {
                name: b"zzz",
                mode: Mode::File,
                oid: oids[n],
            };
            body(&[TreeLine { name, mode, oid }, unique])
        })
        .collect()
}

#[test]
fn every_hidden_name_is_one_git_refuses() {
    let mut rows: Vec<(&[u8], NodeKind)> = Vec::new();
    for &name in DOT_GIT {
        rows.extend([NodeKind::File, NodeKind::Dir, NodeKind::Symlink].map(|kind| (name, kind)));
    }
    rows.extend(GITMODULES.iter().map(|&name| (name, NodeKind::Symlink)));
    for &(name, kind) in &rows {
        assert!(
            matches!(git::verdict(name, kind), Verdict::Hidden(_)),
            "{} {kind:?}",
            name.escape_ascii()
        );
    }
    let git = Git::new();
    let trees = suspicious(&git, &rows);
    let oids = git.write("tree", &trees);
    let (faulty, text) = git.faulty();
    for (oid, (name, kind)) in oids.iter().zip(&rows) {
        assert!(
            faulty.contains(oid),
            "{} {kind:?}: git has no objection",
            name.escape_ascii()
        );
    }
    assert!(
        text.contains("hasDotgit") && text.contains("gitmodulesSymlink"),
        "{text}"
    );
}

#[test]
fn directories_in_place_of_special_files_are_hidden() {
    for &name in GITMODULES.iter().chain(GITATTRIBUTES) {
        for kind in [NodeKind::Dir, NodeKind::Gitlink] {
            assert!(
                matches!(git::verdict(name, kind), Verdict::Hidden(_)),
                "{name:?} {kind:?}"
            );
        }
        assert_eq!(git::verdict(name, NodeKind::File), Verdict::CheckContent);
    }
    let git = Git::new();
    let rows = [
        (GITMODULES[0], NodeKind::Dir),
        (GITATTRIBUTES[0], NodeKind::Dir),
    ];
    let trees = suspicious(&git, &rows);
    git.write("tree", &trees);
    let (_, text) = git.faulty();
    assert!(
        text.contains("gitmodulesBlob") && text.contains("gitattributesBlob"),
        "{text}"
    );
}

#[test]
fn conflict_names_and_special_kinds_are_hidden() {
    for name in [&b".jjconflict-base-0"[..], b".jjconflict-side-1"] {
        assert!(matches!(
            git::verdict(name, NodeKind::Dir),
            Verdict::Hidden(_)
        ));
    }
    for kind in [NodeKind::Fifo, NodeKind::Socket] {
        assert!(matches!(git::verdict(b"x", kind), Verdict::Hidden(_)));
    }
}

#[test]
fn names_close_to_special_ones_are_visible_and_accepted() {
    let mut rows: Vec<(&[u8], NodeKind)> = Vec::new();
    for &name in HARMLESS {
        rows.extend([NodeKind::File, NodeKind::Dir, NodeKind::Symlink].map(|kind| (name, kind)));
    }
    for &(name, kind) in &rows {
        assert_eq!(
            git::verdict(name, kind),
            Verdict::Visible,
            "{}",
            name.escape_ascii()
        );
    }
    let git = Git::new();
    let trees = suspicious(&git, &rows);
    git.write("tree", &trees);
    let (faulty, text) = git.faulty();
    assert!(faulty.is_empty(), "{text}");
}

#[test]
fn module_files_are_judged_like_git_judges_them() {
    for &(text, refused) in MODULE_FILES {
        assert_eq!(
            git::content_refused(b".gitmodules", text.as_bytes()),
            refused,
            "{text}"
        );
        assert!(!git::content_refused(b".gitattributes", text.as_bytes()));
        let git = Git::new();
        let blob = git.write("blob", &[text.as_bytes().to_vec()])[0];
        let line = TreeLine {
            name: b".gitmodules",
            mode: Mode::File,
            oid: blob,
        };
        git.write("tree", &[body(&[line])]);
        let (faulty, report) = git.faulty();
        assert_eq!(faulty.contains(&blob), refused, "{text}{report}");
    }
    for stricter in [
        "[a\n",
        "x = y\n",
        "[submodule \"a\"]\n\turl\n",
        "[submodule \"a\\\\\"]\n",
        "\u{0}",
    ] {
        assert!(
            git::content_refused(b"gitmod~1", stricter.as_bytes()),
            "{stricter}"
        );
    }
}

#[test]
fn attribute_files_are_judged_like_git_judges_them() {
    for (len, refused) in [(2047, false), (2048, true)] {
        let text = [vec![b'a'; len], b"\nshort\n".to_vec()].concat();
        assert_eq!(git::content_refused(b".gitattributes", &text), refused);
        let git = Git::new();
        let blob = git.write("blob", &[text])[0];
        let line = TreeLine {
            name: b".gitattributes",
            mode: Mode::File,
            oid: blob,
        };
        git.write("tree", &[body(&[line])]);
        assert_eq!(git.faulty().0.contains(&blob), refused, "{len}");
    }
}

fn signature(name: &str, email: &str, seconds: i64, offset_minutes: i16) -> Signature {
    Signature {
        name: name.into(),
        email: email.into(),
        time: Nanos::from_parts(seconds, 0),
        offset_minutes,
    }
}

fn commit(tree: GitOid, parents: Vec<GitOid>) -> CommitText {
    CommitText {
        conflict: Vec::new(),
        tree,
        parents,
        author: signature("A U Thor", "a@example.org", 1_700_000_000, -90),
        committer: signature("C", "c@example.org", 1_700_000_001, 0),
        change: ChangeId([3; 16]),
        snapshot: None,
        message: "subject\n\nbody\n".into(),
    }
}

#[test]
fn golden_commit() {
    let mut text = commit(GitOid::EMPTY_TREE, vec![GitOid([0xab; 20])]);
    text.snapshot = Some([0xcd; 32]);
    let (bytes, _) = text.encode().unwrap();
    let expected = format!(
        "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nparent {}\n\
         author A U Thor <a@example.org> 1700000000 -0130\n\
         committer C <c@example.org> 1700000001 +0000\n\
         change-id {}\nmesa-snapshot {}\n\nsubject\n\nbody\n",
        "ab".repeat(20),
        "zw".repeat(16),
        "cd".repeat(32)
    );
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
}

#[test]
fn hostile_signatures_and_messages_pass_fsck() {
    let git = Git::new();
    let tree = git.write("tree", &[Vec::new()])[0];
    let mut bodies = Vec::new();
    let mut oids = Vec::new();
    for (name, email, seconds, offset) in [
        ("", "", 0, 0),
        ("<>\n", ">\u{0}<", -5, i16::MIN),
        ("x\u{7f}\r\ny <z>", "a b", i64::MAX, i16::MAX),
        (" é ", "ü@ö", 1, 845),
    ] {
        let mut text = commit(tree, Vec::new());
        text.author = signature(name, email, seconds, offset);
        text.committer = signature(email, name, seconds, offset);
        text.message = format!("{name}\u{0}{email}");
        text.snapshot = Some([1; 32]);
        let (bytes, oid) = text.encode().unwrap();
        bodies.push(bytes);
        oids.push(oid);
    }
    assert_eq!(git.write("commit", &bodies), oids);
    let (faulty, text) = git.faulty();
    assert!(faulty.is_empty(), "{text}");
}

/// A snapshot with everything git cannot hold projects to a history git accepts and checks out.
#[test]
fn a_projected_snapshot_is_a_repository() {
    let git = Git::new();
    let contents: [&[u8]; 4] = [b"plain\n", b"#!/bin/sh\n", b"target", b"inner\n"];
    git.write("blob", &contents.map(<[u8]>::to_vec));
    let inner = vec![node("f", file(contents[3], 0o600))];
    let empty = seal(&[]);
    let only_hidden = vec![node(".GIT", file(b"x", 0o644)), node("pipe", fifo())];
    let mut entries: Vec<Entry> = vec![
        node(".git", dir(&seal(&inner), 0o755)),
        node("a", dir(&seal(&inner), 0o755)),
        node("a-b", file(contents[0], 0o644)),
        node("a.b", file(contents[1], 0o755)),
        node("a0", symlink(contents[2])),
        node("empty", dir(&empty, 0o755)),
        node("hidden", dir(&seal(&only_hidden), 0o755)),
        node("sub", gitlink([5; 20])),
        node("x", file(contents[0], 0o4711)),
    ];
    entries.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    let sealed = seal(&entries);
    let (root, root_oid) = git_tree(&entries, |_| None).unwrap().unwrap();
    assert_eq!(sealed.git, Some(root_oid));
    let (sub, sub_oid) = git_tree(&inner, |_| None).unwrap().unwrap();
    assert_eq!(git.write("tree", &[root, sub]), [root_oid, sub_oid]);
    let (bytes, oid) = commit(root_oid, Vec::new()).encode().unwrap();
    assert_eq!(git.write("commit", &[bytes]), [oid]);
    git.run(&["update-ref", "refs/heads/main", &oid.to_string()], b"");
    let (faulty, text) = git.faulty();
    assert!(faulty.is_empty(), "{text}");

    let listed = git.run(
        &[
            "ls-tree",
            "-r",
            "-t",
            "--format=%(objectmode) %(path)",
            "main",
        ],
        b"",
    );
    let expected =
        "100644 a-b\n100755 a.b\n040000 a\n100644 a/f\n120000 a0\n160000 sub\n100755 x\n";
    assert_eq!(listed, expected);
    let out = tempfile::tempdir().unwrap();
    let tree = format!("--work-tree={}", out.path().display());
    git.run(
        &[
            &tree,
            "-c",
            "core.symlinks=true",
            "checkout",
            "-qf",
            "main",
            "--",
            ".",
        ],
        b"",
    );
    assert_eq!(std::fs::read(out.path().join("a.b")).unwrap(), contents[1]);
    assert_eq!(std::fs::read(out.path().join("a/f")).unwrap(), contents[3]);
    assert_eq!(
        std::fs::read_link(out.path().join("a0")).unwrap(),
        Path::new("target")
    );
}

#[test]
fn blob_hashing_streams() {
    let data = vec![9; 100_000];
    let mut hasher = git::BlobHasher::new(data.len() as u64);
    data.chunks(777).for_each(|part| hasher.update(part));
    assert_eq!(hasher.finish(), git::blob_oid(&data));
    let git = Git::new();
    assert_eq!(
        git.write("blob", std::slice::from_ref(&data)),
        [git::blob_oid(&data).unwrap()]
    );
}
