//! Changes with conflicts: made by merges, seen as files, resolved by writing.

use std::{
    collections::BTreeMap,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use mesa_head::{
    ConflictsShown, Describe, FileMode, HunkResolve, MergeInto, MergeOutcome, Resolutions, Resolve,
    SealedAt, ViewTarget,
};
use mesa_proto::v1::{self, client_message::Kind as Message, server_message::Kind};
use mesa_repo::ChangeState;
use mesa_testkit::RawSession;
use mesa_types::{ChangeId, ObjectId};

use crate::support::{Server, by_bookmark, delete, main, pairs, put, put_as, rename};

const LINES: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";

impl Server {
    pub async fn try_merge_allowing(&self, source: &str) -> mesa_head::Result<MergeOutcome> {
        let wanted = MergeInto {
            target: by_bookmark("main"),
            source: by_bookmark(source),
            describe: Describe::default(),
            resolutions: BTreeMap::new(),
            allow_conflicted: true,
        };
        let heads = &self.backend.heads;
        heads.merge(&self.actor(), &self.repo, wanted).await
    }

    async fn merge_allowing(&self, source: &str) -> (ChangeId, bool) {
        match self.try_merge_allowing(source).await {
            Ok(MergeOutcome::Merged {
                change, conflicted, ..
            }) => (change, conflicted),
            other => panic!("{other:?}"),
        }
    }

    /// `main` in conflict with `side` in the given files.
    async fn conflicted(&self, files: &[(&str, &str, Option<&str>, Option<&str>)]) -> ChangeId {
        let base = files.iter().map(|(path, base, ..)| put(path, base));
        let base = self.write(main(), base.collect()).await.unwrap().change;
        let to = |path: &str, text: Option<&str>| text.map_or(delete(path), |text| put(path, text));
        let theirs = files.iter().map(|(path, _, _, theirs)| to(path, *theirs));
        let side = self.create(base, theirs.collect(), "side").await.change;
        self.bookmark("side", side).await;
        let ours = files.iter().map(|(path, _, ours, _)| to(path, *ours));
        self.write(main(), ours.collect()).await.unwrap();
        let (change, conflicted) = self.merge_allowing("side").await;
        assert!(conflicted);
        change
    }

    async fn root_of(&self, id: ChangeId) -> Option<ObjectId> {
        let (org, repo) = (&self.repo.org, &self.repo.id);
        self.backend.heads.seal(org, repo, &id).await.unwrap().root
    }

    pub async fn in_conflict(&self, id: ChangeId) -> Vec<String> {
        let root = self.root_of(id).await;
        let found = self.backend.heads.conflict_paths(&self.repo, root).await;
        let paths = found.unwrap().paths.into_iter();
        let paths: Vec<_> = paths.map(|p| String::from_utf8(p).unwrap()).collect();
        assert_eq!(self.change(id).await.conflicted, !paths.is_empty());
        paths
    }

    pub async fn text(&self, path: &str) -> Option<String> {
        let files = self.files(main()).await;
        files.into_iter().find(|(at, _)| at == path).map(|f| f.1)
    }

    /// Waits until these are all files: side files go a moment after what they show.
    async fn until_files(&self, expected: &[(&str, &str)]) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let files = self.files(main()).await;
            if files == pairs(expected) {
                return;
            }
            assert!(Instant::now() < deadline, "{files:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn resolve(&self, paths: &[(&str, Resolve)]) -> mesa_head::Result<SealedAt> {
        let wanted = Resolutions {
            target: main(),
            paths: paths
                .iter()
                .map(|(path, by)| (path.as_bytes().to_vec(), by.clone()))
                .collect(),
            describe: Describe::default(),
            base_commit: None,
        };
        let heads = &self.backend.heads;
        heads.resolve(&self.actor(), &self.repo, wanted).await
    }
}

fn edited(from: &str, two: &str, eight: &str) -> String {
    from.replace('2', two).replace('8', eight)
}

#[tokio::test]
async fn a_conflict_is_shown_and_resolved_part_by_part() {
    let server = Server::start().await;
    let (ours, theirs) = (edited(LINES, "zwei", "acht"), edited(LINES, "two", "eight"));
    let files = [("d/f", LINES, Some(&*ours), Some(&*theirs))];
    let merge = server.conflicted(&files).await;
    assert_eq!(server.in_conflict(merge).await, ["d/f"]);
    let shown = server.text("d/f").await.unwrap();
    assert!(shown.starts_with("1\n<<<<<<< conflict 1 of 2\n"), "{shown}");
    assert!(shown.contains("main ("), "{shown}");

    // Writes beside it leave it alone; the next change has it too.
    server.write(main(), vec![put("other", "x")]).await.unwrap();
    let next = server.main_change().await;
    assert_ne!(next, merge);
    assert_eq!(server.in_conflict(next).await, ["d/f"]);

    let end = "conflict 1 of 2 ends\n";
    let at = shown.find(end).unwrap() + end.len();
    let half = format!("1\nTWO\n{}", &shown[at..]);
    server.write(main(), vec![put("d/f", &half)]).await.unwrap();
    assert_eq!(server.in_conflict(next).await, ["d/f"]);
    let root = server.root_of(next).await;
    let left = server.backend.heads.conflicts(&server.repo, root).await;
    let left = left.unwrap();
    assert_eq!(left[0].hunks.len(), 1);
    assert_eq!(left[0].hunks[0].target.as_deref(), Some(&b"acht\n"[..]));
    assert_eq!(left[0].hunks[0].source.as_deref(), Some(&b"eight\n"[..]));

    // A text with the beginning of a marker is no conflict.
    let done = put("d/f", "<<<<<<< not one\n1\n");
    server.write(main(), vec![done]).await.unwrap();
    assert!(server.in_conflict(next).await.is_empty());
    assert_eq!(server.in_conflict(merge).await, ["d/f"], "the older change");
}

#[tokio::test]
async fn conflicts_survive_the_server_and_end_with_their_file() {
    let server = Server::start().await;
    let merge = server
        .conflicted(&[
            ("f", "1\n", Some("2\n"), Some("3\n")),
            ("g", "1\n", Some("2\n"), Some("3\n")),
            ("h", "1\n", Some("2\n"), None),
        ])
        .await;
    assert_eq!(server.in_conflict(merge).await, ["f", "g", "h"]);
    assert_eq!(server.change(merge).await.state, ChangeState::Closed);
    let edits = vec![delete("f"), rename("g", "elsewhere")];
    server.write(main(), edits).await.unwrap();
    let next = server.main_change().await;
    let again = Server {
        backend: server.backend.restarted(),
        ..server
    };
    assert_eq!(again.in_conflict(next).await, ["h"]);
    let moved = again.text("elsewhere").await.unwrap();
    assert!(moved.contains("<<<<<<<"), "{moved}");
}

#[tokio::test]
async fn what_is_no_text_has_side_files() {
    let server = Server::start().await;
    let files = [
        ("a", "\0", Some("\0ours"), Some("\0theirs")),
        ("b", "\0", Some("\0ours"), Some("\0theirs")),
        ("t", "x", Some("x2"), Some("x3")),
    ];
    let merge = server.conflicted(&files).await;
    assert_eq!(server.in_conflict(merge).await, ["a", "b", "t"]);
    for (path, content) in [
        ("a", "\0ours"),
        ("a.side-1", "\0ours"),
        ("a.base-1", "\0"),
        ("a.side-2", "\0theirs"),
        ("b.side-2", "\0theirs"),
    ] {
        assert_eq!(server.text(path).await.as_deref(), Some(content), "{path}");
    }
    // Side files are not what the change is about.
    let root = server.root_of(merge).await;
    let heads = &server.backend.heads;
    let all = heads
        .diff(&server.repo, None, root, ConflictsShown::Include)
        .await
        .unwrap();
    assert!(all.entries.is_empty());
    assert_eq!(all.conflicts.len(), 3);
    // Writing the file resolves, and the side files go.
    server
        .write(main(), vec![put("a", "\0mine")])
        .await
        .unwrap();
    let next = server.main_change().await;
    assert_eq!(server.in_conflict(next).await, ["b", "t"]);
    let side = [("b", Resolve::Source), ("t", Resolve::Target)];
    server.resolve(&side).await.unwrap();
    assert!(server.in_conflict(next).await.is_empty());
    let expected = [("a", "\0mine"), ("b", "\0theirs"), ("t", "x2")];
    server.until_files(&expected).await;
}

#[tokio::test]
async fn a_type_against_another_is_resolved_by_removing_it() {
    let server = Server::start().await;
    let base = server.write(main(), vec![put("t", "1")]).await.unwrap();
    let edits = vec![delete("t"), put("t/u", "1")];
    let side = server.create(base.change, edits, "side").await.change;
    server.bookmark("side", side).await;
    server.write(main(), vec![put("t", "2")]).await.unwrap();
    let (merge, conflicted) = server.merge_allowing("side").await;
    assert!(conflicted);
    assert_eq!(server.in_conflict(merge).await, ["t"]);
    assert_eq!(server.text("t.side-2/u").await.as_deref(), Some("1"));
    server.write(main(), vec![delete("t")]).await.unwrap();
    let next = server.main_change().await;
    assert!(server.in_conflict(next).await.is_empty());
    server.until_files(&[]).await;
}

#[tokio::test]
async fn hunks_are_resolved_by_name() {
    let server = Server::start().await;
    let (ours, theirs) = (edited(LINES, "zwei", "acht"), edited(LINES, "two", "eight"));
    let files = [("f", LINES, Some(&*ours), Some(&*theirs))];
    let merge = server.conflicted(&files).await;
    let root = server.root_of(merge).await;
    let shown = server.backend.heads.conflicts(&server.repo, root).await;
    let hunks = shown.unwrap()[0].hunks.clone();
    let one = BTreeMap::from([(hunks[0].id, HunkResolve::Source)]);
    let short = server.resolve(&[("f", Resolve::Hunks(one))]).await;
    assert_eq!(short.unwrap_err().code, "HUNKS_MISSING");
    let none = server.resolve(&[("nope", Resolve::Source)]).await;
    assert_eq!(none.unwrap_err().code, "NOT_IN_CONFLICT");
    let both = BTreeMap::from([
        (hunks[0].id, HunkResolve::Source),
        (hunks[1].id, HunkResolve::Content(b"VIII\n".to_vec())),
    ]);
    let done = server.resolve(&[("f", Resolve::Hunks(both))]).await;
    let done = done.unwrap();
    assert_ne!(done.change, merge, "the merge is closed");
    assert!(server.in_conflict(done.change).await.is_empty());
    let expected = edited(LINES, "two", "VIII");
    assert_eq!(server.text("f").await, Some(expected));
    let none = server.resolve(&[("f", Resolve::Source)]).await;
    assert_eq!(none.unwrap_err().code, "NOT_IN_CONFLICT");
}

#[tokio::test]
async fn conflicts_merge_with_more() {
    let server = Server::start().await;
    let files = [("f", "1\n", Some("2\n"), Some("3\n"))];
    let merge = server.conflicted(&files).await;
    // Clean work beside the conflict merges; the conflict stays what it was.
    let root = ChangeId::ROOT;
    let other = server.create(root, vec![put("clean", "c")], "other").await;
    server.bookmark("other", other.change).await;
    let (second, conflicted) = server.merge_allowing("other").await;
    assert!(conflicted);
    assert_eq!(server.in_conflict(second).await, ["f"]);
    assert_eq!(server.text("clean").await.as_deref(), Some("c"));
    let shown = server.text("f").await.unwrap();
    assert!(shown.contains("-1") || shown.contains("+3"), "{shown}");
    // Who resolved it on top of the first merge brings the resolution.
    let resolved = vec![put("f", "done\n")];
    let resolved = server.create(merge, resolved, "resolved").await;
    server.bookmark("resolved", resolved.change).await;
    let (third, conflicted) = server.merge_allowing("resolved").await;
    assert!(!conflicted);
    assert!(server.in_conflict(third).await.is_empty());
    assert_eq!(server.text("f").await.as_deref(), Some("done\n"));
}

#[tokio::test]
async fn side_files_go_with_a_change_that_is_closed_at_once() {
    let server = Server::start().await;
    let files = [("a", "\0", Some("\0ours"), Some("\0theirs"))];
    server.conflicted(&files).await;
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    let id = session.tree().await["a"].id;
    let write = session.write("a", id, b"\0ours", b"\0mine");
    session.commit(vec![write]).await;
    let change = server.main_change().await;
    let heads = &server.backend.heads;
    let closing = heads.close_change(&server.repo, &change, ChangeState::Closed);
    let lease = session.lease;
    let answering = async {
        session
            .until(|kind| matches!(kind, Kind::LeaseRecall(_)))
            .await;
        let back = v1::LeaseReturn { lease, idle: false };
        session.send(Message::LeaseReturn(back)).await;
    };
    let (closed, ()) = tokio::join!(closing, answering);
    closed.unwrap();
    assert!(!server.change(change).await.conflicted);
    let files = server.files(ViewTarget::Change(change)).await;
    assert_eq!(files, pairs(&[("a", "\0mine")]));
    assert_eq!(server.files(main()).await, files);
}

#[tokio::test]
async fn git_has_every_term() {
    let server = Server::start().await;
    let files = [
        ("d/f", "1\n", Some("2\n"), Some("3\n")),
        ("b", "\0", Some("\0ours"), Some("\0theirs")),
    ];
    let merge = server.conflicted(&files).await;
    let dir = tempfile::tempdir().unwrap();
    let git = |args: &[&str]| run_git(dir.path(), args);
    let heads = &server.backend.heads;
    let (org, repo) = (&server.repo.org, &server.repo.id);
    heads.export_git(org, repo, dir.path()).await.unwrap();
    git(&["fsck", "--strict", "--no-dangling"]);
    let at = format!("refs/mesa/changes/{merge}");
    let commit = git(&["cat-file", "commit", &at]);
    let trees = commit.lines().find_map(|l| l.strip_prefix("jj:trees "));
    let trees: Vec<_> = trees.unwrap().split(' ').collect();
    assert_eq!(trees.len(), 3);
    assert!(commit.contains("\njj:conflict-labels main ("), "{commit}");
    let order = [
        "jj:conflict-labels",
        "jj:trees",
        "change-id",
        "mesa-snapshot",
    ];
    let places = order.map(|header| commit.find(&format!("\n{header} ")).unwrap());
    assert!(places.is_sorted(), "{commit}");
    let names = git(&["ls-tree", "--name-only", &at]);
    let expected = ".jjconflict-base-0\n.jjconflict-side-0\n.jjconflict-side-1\n\
        JJ-CONFLICT-README\nb\nd\n";
    assert_eq!(names, expected);
    for (tree, text) in trees.iter().zip(["2\n", "1\n", "3\n"]) {
        assert_eq!(git(&["show", &format!("{tree}:d/f")]), text);
        assert_eq!(git(&["ls-tree", "--name-only", tree]), "b\nd\n");
    }
}

fn run_git(dir: &Path, args: &[&str]) -> String {
    let out = Command::new("git")
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .args(args)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "git {args:?}: {errors}");
    String::from_utf8(out.stdout).unwrap()
}

#[tokio::test]
async fn a_mode_against_a_deletion_is_a_conflict_like_others() {
    let server = Server::start().await;
    let base = server.write(main(), vec![put("f", "1\n")]).await.unwrap();
    let edit = put_as("f", "1\n", FileMode::Executable);
    let side = server.create(base.change, vec![edit], "side").await.change;
    server.bookmark("side", side).await;
    server.write(main(), vec![delete("f")]).await.unwrap();
    let MergeOutcome::Conflicts(told) = server.merge_with("side", &[]).await.unwrap() else {
        panic!("it merged");
    };
    assert_eq!(
        (told[0].path.as_slice(), told[0].hunks.len()),
        (&b"f"[..], 0)
    );
    let (merge, conflicted) = server.merge_allowing("side").await;
    assert!(conflicted);
    assert_eq!(server.in_conflict(merge).await, ["f"]);
    assert_eq!(server.text("f.side-2").await.as_deref(), Some("1\n"));
    let root = server.root_of(merge).await;
    let heads = &server.backend.heads;
    let shown = heads
        .diff(&server.repo, None, root, ConflictsShown::Include)
        .await
        .unwrap();
    assert_eq!(shown.conflicts.len(), 1);
    // Anything else goes on.
    server.write(main(), vec![put("g", "2")]).await.unwrap();
    server.resolve(&[("f", Resolve::Source)]).await.unwrap();
    let next = server.main_change().await;
    assert!(server.in_conflict(next).await.is_empty());
    server.until_files(&[("f", "1\n"), ("g", "2")]).await;
}
