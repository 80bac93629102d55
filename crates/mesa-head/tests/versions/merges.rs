//! Merging into bookmarks and moving them, under sessions that write.

use std::collections::BTreeMap;

use mesa_head::{Describe, HunkResolve, MergeInto, MergeOutcome, Resolve, ViewTarget};
use mesa_proto::v1::{self, client_message::Kind as Message, server_message::Kind};
use mesa_repo::ChangeState;
use mesa_testkit::RawSession;
use mesa_types::ChangeId;

use crate::support::{Server, by_bookmark, delete, main, pairs, put};

const LINES: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";

impl Server {
    pub async fn bookmark(&self, name: &str, change: ChangeId) {
        let (org, repo) = (&self.repo.org, &self.repo.id);
        let name = name.parse().unwrap();
        self.backend
            .catalog
            .create_bookmark(org, repo, &name, change, &self.actor())
            .await
            .unwrap();
    }

    pub async fn merge_with(
        &self,
        source: &str,
        resolutions: &[(&str, Resolve)],
    ) -> mesa_head::Result<MergeOutcome> {
        let wanted = MergeInto {
            target: by_bookmark("main"),
            source: by_bookmark(source),
            describe: Describe::default(),
            resolutions: resolutions
                .iter()
                .map(|(path, r)| (path.as_bytes().to_vec(), r.clone()))
                .collect(),
            allow_conflicted: false,
        };
        let heads = &self.backend.heads;
        heads.merge(&self.actor(), &self.repo, wanted).await
    }

    /// A merge that needs no resolutions.
    pub async fn merge_bookmarks(
        &self,
        target: &str,
        source: &str,
    ) -> mesa_head::Result<MergeOutcome> {
        let wanted = MergeInto {
            target: by_bookmark(target),
            source: by_bookmark(source),
            describe: Describe::default(),
            resolutions: BTreeMap::new(),
            allow_conflicted: false,
        };
        let heads = &self.backend.heads;
        heads.merge(&self.actor(), &self.repo, wanted).await
    }

    pub async fn merged(&self, source: &str) -> ChangeId {
        match self.merge_with(source, &[]).await.unwrap() {
            MergeOutcome::Merged { change, .. } => change,
            other => panic!("{other:?}"),
        }
    }

    /// Names and file ids in a directory of `main`.
    async fn ids(&self, dir: &str) -> BTreeMap<String, u64> {
        let view = self.view(main()).await;
        let entries = view.list(dir.as_bytes()).await.unwrap().unwrap();
        let name = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
        let all = entries.iter();
        all.map(|e| (name(e.name.as_bytes()), e.node.attr.id.0))
            .collect()
    }

    pub async fn move_main(&self, to: ChangeId, backwards: bool) -> mesa_head::Result<ChangeId> {
        let name = "main".parse().unwrap();
        let heads = &self.backend.heads;
        heads
            .move_bookmark(&self.actor(), &self.repo, &name, to, backwards)
            .await
    }
}

/// Gives the exclusive lease back for good.
pub async fn give_back(session: &mut RawSession) {
    let back = v1::LeaseReturn {
        lease: session.lease,
        idle: true,
    };
    session.send(Message::LeaseReturn(back)).await;
    session
        .send(Message::Heartbeat(v1::Heartbeat::default()))
        .await;
    session
        .until(|kind| matches!(kind, Kind::Heartbeat(_)))
        .await;
}

#[tokio::test]
async fn a_merge_brings_both_sides_and_is_made_once() {
    let server = Server::start().await;
    let files = vec![put("f", LINES), put("gone", "x"), put("d/e/kept", "k")];
    let base = server.write(main(), files).await.unwrap().change;
    let edits = vec![
        put("f", &LINES.replace('9', "nine")),
        delete("gone"),
        put("d/e/new/file", "new"),
    ];
    let side = server.create(base, edits, "side").await.change;
    server.bookmark("side", side).await;
    let edit = put("f", &LINES.replace('1', "one"));
    let ours = server.write(main(), vec![edit]).await.unwrap().change;

    let merge = server.merged("side").await;
    assert_eq!(server.main_change().await, merge);
    let f = LINES.replace('1', "one").replace('9', "nine");
    let expected = [
        ("d", "/"),
        ("d/e", "/"),
        ("d/e/kept", "k"),
        ("d/e/new", "/"),
        ("d/e/new/file", "new"),
        ("f", f.as_str()),
    ];
    assert_eq!(server.files(main()).await, pairs(&expected));
    let made = server.change(merge).await;
    assert_eq!(made.parents, [ours, side]);
    assert_eq!(made.message, "Merge 'side' into 'main'");
    for merged in [ours, side] {
        assert_eq!(server.change(merged).await.state, ChangeState::Published);
    }
    let again = server.merge_with("side", &[]).await.unwrap();
    let expected = made.commit;
    assert!(matches!(again, MergeOutcome::Nothing { change, commit }
        if change == merge && commit == expected));
}

#[tokio::test]
async fn a_bookmark_that_was_merged_holds_nothing_else_until_somebody_writes_to_it() {
    let server = Server::start().await;
    let base = server.write(main(), vec![put("f", "1")]).await.unwrap();
    let side = server
        .create(base.change, vec![put("g", "1")], "side")
        .await;
    let side = side.change;
    server.bookmark("side", side).await;
    let heads = &server.backend.heads;
    let contains =
        async |a: ChangeId, b: ChangeId| heads.contains(&server.repo, &a, &b).await.unwrap();
    assert!(!contains(base.change, side).await);
    let merge = server.merged("side").await;
    assert!(contains(merge, side).await);
    assert!(contains(merge, merge).await);
    assert!(!contains(side, merge).await);
    let later = ViewTarget::Bookmark("side".parse().unwrap());
    let later = server.write(later, vec![put("g", "2")]).await.unwrap();
    assert_ne!(later.change, side);
    assert!(!contains(merge, later.change).await);
}

#[tokio::test]
async fn a_fresh_repo_takes_what_is_merged_into_it() {
    let server = Server::start().await;
    let first = server.create(ChangeId::ROOT, vec![put("f", "1")], "first");
    server.bookmark("side", first.await.change).await;
    server.merged("side").await;
    assert_eq!(server.files(main()).await, pairs(&[("f", "1")]));
}

#[tokio::test]
async fn conflicts_change_nothing_until_they_are_resolved() {
    let server = Server::start().await;
    let files = vec![put("f", LINES), put("both", "base\n"), put("gone", "1\n")];
    let base = server.write(main(), files).await.unwrap().change;
    let edits = vec![
        put("f", &LINES.replace('2', "two").replace('8', "eight")),
        put("both", "theirs\n"),
        put("gone", "kept\n"),
        put("clean", "c"),
    ];
    let side = server.create(base, edits, "side").await.change;
    server.bookmark("side", side).await;
    let edits = vec![
        put("f", &LINES.replace('2', "zwei").replace('8', "acht")),
        put("both", "ours\n"),
        delete("gone"),
    ];
    let ours = server.write(main(), edits).await.unwrap().change;
    let before = server.files(main()).await;

    let MergeOutcome::Conflicts(conflicts) = server.merge_with("side", &[]).await.unwrap() else {
        panic!("it merged");
    };
    let paths: Vec<_> = conflicts.iter().map(|c| c.path.as_slice()).collect();
    assert_eq!(paths, [&b"both"[..], b"f", b"gone"]);
    let hunks = &conflicts[1].hunks;
    assert_eq!(hunks.len(), 2);
    assert_eq!(hunks[0].target.as_deref(), Some(&b"zwei\n"[..]));
    assert_eq!(hunks[0].base.as_deref(), Some(&b"2\n"[..]));
    assert_eq!(hunks[0].source.as_deref(), Some(&b"two\n"[..]));
    assert_eq!(server.main_change().await, ours);
    assert_eq!(server.files(main()).await, before);
    for id in [ours, side] {
        assert_eq!(server.change(id).await.state, ChangeState::Open);
    }

    let one = BTreeMap::from([(hunks[0].id, HunkResolve::Source)]);
    let short = [
        ("f", Resolve::Hunks(one)),
        ("both", Resolve::Source),
        ("gone", Resolve::Target),
    ];
    let left = server.merge_with("side", &short).await.unwrap();
    assert!(matches!(left, MergeOutcome::Conflicts(c) if c.len() == 1 && c[0].path == b"f"));
    let unknown = server
        .merge_with("side", &[("clean", Resolve::Source)])
        .await;
    assert_eq!(unknown.unwrap_err().code, "NOT_IN_CONFLICT");
    let all = BTreeMap::from([
        (hunks[0].id, HunkResolve::Source),
        (hunks[1].id, HunkResolve::Content(b"VIII\n".to_vec())),
    ]);
    let all = [
        ("f", Resolve::Hunks(all)),
        ("both", Resolve::Content("mixed\n".into())),
        ("gone", Resolve::Source),
    ];
    let merged = server.merge_with("side", &all).await.unwrap();
    assert!(matches!(merged, MergeOutcome::Merged { .. }));
    let f = LINES.replace('2', "two").replace('8', "VIII");
    let expected = [
        ("both", "mixed\n"),
        ("clean", "c"),
        ("f", f.as_str()),
        ("gone", "kept\n"),
    ];
    assert_eq!(server.files(main()).await, pairs(&expected));
}

#[tokio::test]
async fn sessions_go_on_on_top_of_a_merge() {
    let server = Server::start().await;
    let base = server.write(main(), vec![put("f", "1")]).await.unwrap();
    let side = server.create(base.change, vec![put("theirs", "2")], "side");
    server.bookmark("side", side.await.change).await;
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    let root = session.root();
    session.lease().await;
    let (mine, create) = session.file("", root, "mine", b"3");
    session.commit(vec![create]).await;
    let ours = server.main_change().await;

    let lease = session.lease;
    let merging = server.merged("side");
    let answering = async {
        session
            .until(|kind| matches!(kind, Kind::LeaseRecall(_)))
            .await;
        let back = v1::LeaseReturn { lease, idle: false };
        session.send(Message::LeaseReturn(back)).await;
        session
            .until(|kind| matches!(kind, Kind::HeadMoved(m) if !m.same_tree))
            .await
    };
    let (merge, moved) = tokio::join!(merging, answering);
    let names = |tree: BTreeMap<String, _>| tree.into_keys().collect::<Vec<_>>();
    assert_eq!(names(session.tree().await), ["f", "mine", "theirs"]);
    assert_eq!(server.change(merge).await.parents[0], ours);
    session.lease().await;
    let write = session.write("mine", mine, b"3", b"4");
    session.commit(vec![write]).await;
    let next = server.main_change().await;
    assert!(matches!(moved, Kind::HeadMoved(m) if m.change_id == next.to_string()));
    assert_eq!(server.change(next).await.parents, [merge]);
    let expected = [("f", "1"), ("mine", "4"), ("theirs", "2")];
    assert_eq!(server.files(main()).await, pairs(&expected));
    let ours = server.files(ViewTarget::Change(ours)).await;
    assert_eq!(ours, pairs(&[("f", "1"), ("mine", "3")]));

    // Detached while the head moves: everything has to be read again.
    give_back(&mut session).await;
    let seen = session.head_seq;
    session.stream = None;
    server.move_main(merge, true).await.unwrap();
    session.head_seq = seen;
    let ack = session.attach().await.unwrap();
    assert!(!ack.replay_events);
    let expected = [("f", "1"), ("mine", "3"), ("theirs", "2")];
    assert_eq!(server.files(main()).await, pairs(&expected));
}

#[tokio::test]
async fn twenty_merges_at_once_lose_nothing() {
    const AGENTS: usize = 20;
    let server = Server::start().await;
    let lines = |edited: Option<usize>| -> String {
        (0..AGENTS * 3)
            .map(|n| match edited {
                Some(agent) if n == agent * 3 + 1 => format!("agent {agent}\n"),
                _ => format!("line {n}\n"),
            })
            .collect()
    };
    let base = server.write(main(), vec![put("shared", &lines(None))]);
    let base = base.await.unwrap().change;
    for agent in 0..AGENTS {
        let edits = vec![
            put("shared", &lines(Some(agent))),
            put(&format!("own/{agent}"), "mine"),
        ];
        let change = server.create(base, edits, "agent").await.change;
        server.bookmark(&format!("agent-{agent}"), change).await;
    }
    // One more that writes all the time, in a session that shares the right to write.
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    let other = RawSession::open(&server.api, "acme", "demo").await;
    let lease = session.lease().await.lease;
    other.send(Message::LeaseRequest(v1::LeaseRequest {})).await;
    session
        .until(|kind| matches!(kind, Kind::LeaseRecall(_)))
        .await;
    let back = v1::LeaseReturn { lease, idle: false };
    session.send(Message::LeaseReturn(back)).await;
    session
        .until(|kind| matches!(kind, Kind::LeaseGrant(g) if !g.exclusive))
        .await;
    let merges = (0..AGENTS).map(|agent| {
        let server = &server;
        async move { server.merged(&format!("agent-{agent}")).await }
    });
    let root = session.root();
    let writing = async {
        let mut made = Vec::new();
        session.lease = 0;
        for n in 0..10 {
            let (_, create) = session.file("", root, &format!("live{n}"), b"x");
            session.append(vec![create]).await;
            made.push(format!("live{n}"));
            tokio::task::yield_now().await;
        }
        made
    };
    let (_, live) = tokio::join!(futures::future::join_all(merges), writing);
    let last = session.next - 1;
    session
        .until(|kind| matches!(kind, Kind::Ack(ack) if ack.client_seq >= last))
        .await;
    let files = server.files(main()).await;
    let get = |name: &str| &files.iter().find(|(n, _)| n == name).unwrap().1;
    for agent in 0..AGENTS {
        assert!(
            get("shared").contains(&format!("agent {agent}\n")),
            "{agent}"
        );
        assert_eq!(get(&format!("own/{agent}")), "mine");
    }
    for name in live {
        assert_eq!(get(&name), "x");
    }
}

#[tokio::test]
async fn bookmarks_move_forward_unless_told_otherwise() {
    let server = Server::start().await;
    let first = server.write(main(), vec![put("f", "1")]).await.unwrap();
    let child = server.create(first.change, vec![put("g", "2")], "child");
    let child = child.await.change;
    let other = server.create(first.change, vec![put("h", "3")], "other");
    let other = other.await.change;
    assert_eq!(server.move_main(child, false).await.unwrap(), first.change);
    let refused = server.move_main(other, false).await.unwrap_err();
    assert_eq!(refused.code, "NON_FORWARD_MOVE");
    assert_eq!(server.move_main(other, true).await.unwrap(), child);
    assert_eq!(server.files(main()).await, pairs(&[("f", "1"), ("h", "3")]));

    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    assert_eq!(session.opened.change_id, other.to_string());
    server.move_main(child, true).await.unwrap();
    let moved = session
        .until(|kind| matches!(kind, Kind::HeadMoved(_)))
        .await;
    let names: Vec<_> = session.tree().await.into_keys().collect();
    assert_eq!(names, ["f", "g"]);
    session.lease().await;
    let root = session.root();
    let (_, create) = session.file("", root, "mine", b"4");
    session.commit(vec![create]).await;
    let next = server.main_change().await;
    assert!(matches!(moved, Kind::HeadMoved(m) if m.change_id == next.to_string()));
    assert_eq!(server.change(next).await.parents, [child]);
    give_back(&mut session).await;
    server.move_main(ChangeId::ROOT, true).await.unwrap();
    assert!(server.files(main()).await.is_empty());
}

#[tokio::test]
async fn what_a_merge_leaves_alone_stays_the_same_node() {
    let server = Server::start().await;
    let files = ["d/a", "d/b", "d/e/c", "d/e/gone", "d/x", "g"].map(|path| put(path, "1"));
    let base = server.write(main(), files.to_vec()).await.unwrap().change;
    // One side alone changed `d`: it is not replaced as a whole.
    let edits = vec![
        put("d/a", "2"),
        delete("d/e/gone"),
        delete("d/x"),
        put("d/x/y", "2"),
        put("d/n/m", "2"),
    ];
    let side = server.create(base, edits, "side").await.change;
    server.bookmark("side", side).await;
    server.write(main(), vec![put("g", "2")]).await.unwrap();
    let before = server.ids("d").await;
    let e = server.ids("d/e").await;
    server.merged("side").await;
    let after = server.ids("d").await;
    for name in ["a", "b", "e"] {
        assert_eq!(before[name], after[name], "{name}");
    }
    assert_eq!(server.ids("d/e").await["c"], e["c"]);
    let expected = [
        ("d", "/"),
        ("d/a", "2"),
        ("d/b", "1"),
        ("d/e", "/"),
        ("d/e/c", "1"),
        ("d/n", "/"),
        ("d/n/m", "2"),
        ("d/x", "/"),
        ("d/x/y", "2"),
        ("g", "2"),
    ];
    assert_eq!(server.files(main()).await, pairs(&expected));
}
