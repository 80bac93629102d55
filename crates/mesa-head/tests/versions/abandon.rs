//! Changes that are given up and brought back, and what lies on top of them.

use std::collections::BTreeMap;

use mesa_head::{Describe, MergeInto, MergeOutcome, ViewTarget};
use mesa_proto::v1::server_message::Kind;
use mesa_repo::{ChangeState, PageRequest};
use mesa_testkit::RawSession;
use mesa_types::{ChangeId, CommitOid};

use crate::{
    merges::give_back,
    support::{Server, by_bookmark, main, pairs, put},
};

fn at(id: ChangeId) -> ViewTarget {
    ViewTarget::Change(id)
}

impl Server {
    /// A line of changes from nothing, each with a file of its own, `main` at the last.
    async fn line(&self, names: &[&str]) -> Vec<ChangeId> {
        let mut line = Vec::new();
        for name in names {
            let below = line.last().copied().unwrap_or(ChangeId::ROOT);
            let made = self.create(below, vec![put(name, name)], name).await;
            line.push(made.change);
        }
        self.move_main(*line.last().unwrap(), true).await.unwrap();
        line
    }

    async fn evolution(&self, id: ChangeId) -> Vec<CommitOid> {
        let catalog = &self.backend.catalog;
        let (org, repo) = (&self.repo.org, &self.repo.id);
        let page = PageRequest::default();
        let page = catalog.list_evolution(org, repo, &id, &page).await.unwrap();
        page.items
            .iter()
            .map(|evolution| evolution.commit)
            .collect()
    }

    async fn parents_of(&self, oid: CommitOid) -> Vec<CommitOid> {
        let catalog = &self.backend.catalog;
        let (org, repo) = (&self.repo.org, &self.repo.id);
        let commit = catalog.commit_by_oid(org, repo, &oid).await.unwrap();
        commit.unwrap().parents
    }

    async fn sealed(&self, id: ChangeId) -> CommitOid {
        let heads = &self.backend.heads;
        let at = heads.seal(&self.repo.org, &self.repo.id, &id).await;
        at.unwrap().commit.unwrap()
    }
}

#[tokio::test]
async fn what_is_on_top_of_an_abandoned_change_is_rebased_when_it_is_looked_at() {
    let server = Server::start().await;
    let line = server.line(&["a", "b", "c", "d"]).await;
    let [a, b, c, d] = line[..] else { panic!() };
    let (before_c, before_d) = (server.sealed(c).await, server.sealed(d).await);
    let done = server.abandon(b).await.unwrap();
    assert_eq!((done.parent, done.descendants), (a, 2));
    assert_eq!(server.change(b).await.state, ChangeState::Abandoned);
    // The graph is at once what it is to be; nothing else was done.
    assert_eq!(server.change(c).await.parents, [a]);
    assert!(server.change(c).await.behind && server.change(d).await.behind);
    assert_eq!(server.evolution(c).await, [before_c]);

    let files = server.files(main()).await;
    assert_eq!(files, pairs(&[("a", "a"), ("c", "c"), ("d", "d")]));
    let (now_c, now_d) = (server.sealed(c).await, server.sealed(d).await);
    assert_eq!(server.parents_of(now_d).await, [now_c]);
    assert_eq!(server.parents_of(now_c).await, [server.sealed(a).await]);
    assert_eq!(server.evolution(c).await, [before_c, now_c]);
    assert_eq!(server.evolution(d).await, [before_d, now_d]);
    for id in [c, d] {
        let change = server.change(id).await;
        assert!(!change.behind && change.id == id);
    }
    assert_eq!(server.change(c).await.state, ChangeState::Closed);
    // What was given up is there to be read, and closed to writes.
    let files = server.files(at(b)).await;
    assert_eq!(files, pairs(&[("a", "a"), ("b", "b")]));
    let refused = server.write(at(b), vec![put("x", "x")]).await;
    assert_eq!(refused.unwrap_err().code, "CHANGE_ABANDONED");
    let name = "main".parse().unwrap();
    let (heads, actor) = (&server.backend.heads, server.actor());
    let refused = heads.move_bookmark(&actor, &server.repo, &name, b, true);
    assert_eq!(refused.await.unwrap_err().code, "CHANGE_ABANDONED");
}

#[tokio::test]
async fn bringing_a_change_back_puts_everything_where_it_was() {
    let server = Server::start().await;
    let line = server.line(&["a", "b", "c", "d"]).await;
    let [_, b, c, d] = line[..] else { panic!() };
    let files = server.files(main()).await;
    for look in [false, true] {
        server.abandon(b).await.unwrap();
        if look {
            assert_eq!(server.files(main()).await.len(), 3);
        }
        let done = server.bring_back(b).await.unwrap();
        assert_eq!(done.descendants, 2);
        assert_eq!(server.change(b).await.state, ChangeState::Closed);
        assert_eq!(server.change(c).await.parents, [b]);
        assert_eq!(server.files(main()).await, files);
        assert!(!server.change(d).await.behind);
    }
    // Both at once, in any order.
    for first in [b, c] {
        let second = if first == b { c } else { b };
        server.abandon(first).await.unwrap();
        server.abandon(second).await.unwrap();
        let left = server.files(main()).await;
        assert_eq!(left, pairs(&[("a", "a"), ("d", "d")]));
        server.bring_back(first).await.unwrap();
        server.bring_back(second).await.unwrap();
        assert_eq!(server.files(main()).await, files, "{first} first");
    }
    assert_eq!(server.bring_back(b).await.unwrap().bookmarks, []);
}

#[tokio::test]
async fn bookmarks_of_an_abandoned_change_go_below_it_and_come_back() {
    let server = Server::start().await;
    let line = server.line(&["a", "b"]).await;
    let [a, b] = line[..] else { panic!() };
    server.bookmark("also", b).await;
    server.bookmark("below", a).await;
    let done = server.abandon(b).await.unwrap();
    let names: Vec<_> = done.bookmarks.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["also", "main"]);
    for name in ["main", "also", "below"] {
        assert_eq!(server.at_bookmark(name).await, a, "{name}");
    }
    assert_eq!(server.abandon(b).await.unwrap().bookmarks, []);
    // One of them goes on before it comes back.
    let written = server.write(by_bookmark("also"), vec![put("x", "x")]).await;
    let written = written.unwrap().change;
    let done = server.bring_back(b).await.unwrap();
    assert_eq!(done.bookmarks, ["main".parse().unwrap()]);
    assert_eq!(server.at_bookmark("main").await, b);
    assert_eq!(server.at_bookmark("also").await, written);
    assert_eq!(server.files(main()).await, pairs(&[("a", "a"), ("b", "b")]));
}

#[tokio::test]
async fn the_same_lines_are_a_conflict_that_ends_when_the_change_is_back() {
    let server = Server::start().await;
    let first = server.write(main(), vec![put("f", "1\n")]).await.unwrap();
    let second = server.create(first.change, vec![put("f", "2\n")], "second");
    let second = second.await.change;
    let third = server.create(second, vec![put("f", "3\n"), put("g", "g")], "third");
    let third = third.await.change;
    let fourth = server
        .create(third, vec![put("h", "h")], "fourth")
        .await
        .change;
    server.move_main(fourth, false).await.unwrap();
    server.abandon(second).await.unwrap();
    for id in [third, fourth] {
        let files: BTreeMap<_, _> = server.files(at(id)).await.into_iter().collect();
        assert!(files["f"].contains("<<<<<<<"), "{files:?}");
        assert_eq!(files["g"], "g");
        server.sealed(id).await;
        assert!(server.change(id).await.conflicted);
    }
    server.bring_back(second).await.unwrap();
    let expected = [("f", "3\n"), ("g", "g"), ("h", "h")];
    assert_eq!(server.files(main()).await, pairs(&expected));
    server.sealed(fourth).await;
    assert!(!server.change(fourth).await.conflicted);
}

#[tokio::test]
async fn published_changes_are_not_abandoned_nor_what_is_below_them() {
    let server = Server::start().await;
    let line = server.line(&["a", "b"]).await;
    let [a, b] = line[..] else { panic!() };
    let side = server
        .create(b, vec![put("side", "s")], "side")
        .await
        .change;
    let top = server
        .create(side, vec![put("top", "t")], "top")
        .await
        .change;
    server.bookmark("top", top).await;
    server.write(main(), vec![put("ours", "o")]).await.unwrap();
    let merge = server.merged("top").await;
    for id in [a, b, side, top] {
        let refused = server.abandon(id).await.unwrap_err();
        assert_eq!(refused.code, "CHANGE_PUBLISHED", "{id}");
    }
    // The merge itself goes: its bookmark is at what it was made on.
    let ours = server.change(merge).await.parents[0];
    server.abandon(merge).await.unwrap();
    assert_eq!(server.main_change().await, ours);
    server.bring_back(merge).await.unwrap();
    server.create(merge, vec![put("more", "m")], "more").await;
    let refused = server.abandon(merge).await.unwrap_err();
    assert_eq!(refused.code, "MERGE_HAS_DESCENDANTS");
    let refused = server.abandon(ChangeId::ROOT).await.unwrap_err();
    assert_eq!(refused.code, "ROOT_CHANGE");
}

#[tokio::test]
async fn a_mount_of_an_abandoned_change_goes_below_it_and_loses_nothing() {
    let server = Server::start().await;
    let base = server.write(main(), vec![put("kept", "k")]).await.unwrap();
    let heads = &server.backend.heads;
    let closed = heads.close_change(&server.repo, &base.change, ChangeState::Closed);
    closed.await.unwrap();
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    let root = session.root();
    let (_, create) = session.file("", root, "mine", b"1");
    session.commit(vec![create]).await;
    let given_up = server.main_change().await;
    give_back(&mut session).await;
    server.abandon(given_up).await.unwrap();
    session
        .until(|kind| matches!(kind, Kind::HeadMoved(moved) if !moved.same_tree))
        .await;
    assert_eq!(server.main_change().await, base.change);
    assert_eq!(
        session.tree().await.into_keys().collect::<Vec<_>>(),
        ["kept"]
    );
    // What it had written is in the change that was given up.
    let files = server.files(at(given_up)).await;
    assert_eq!(files, pairs(&[("kept", "k"), ("mine", "1")]));
    session.lease().await;
    let (_, create) = session.file("", root, "next", b"2");
    session.commit(vec![create]).await;
    give_back(&mut session).await;
    let next = server.main_change().await;
    assert_eq!(server.change(next).await.parents, [base.change]);
    assert_eq!(
        server.files(main()).await,
        pairs(&[("kept", "k"), ("next", "2")])
    );
    // Its bookmark went on: only the change comes back.
    assert_eq!(server.bring_back(given_up).await.unwrap().bookmarks, []);
}

#[tokio::test]
async fn an_open_change_is_rebased_under_its_mount() {
    let server = Server::start().await;
    let line = server.line(&["a", "b", "c"]).await;
    let [a, b, c] = line[..] else { panic!() };
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    let root = session.root();
    let (file, create) = session.file("", root, "mine", b"1");
    session.commit(vec![create]).await;
    let open = server.main_change().await;
    assert_eq!(open, c);
    give_back(&mut session).await;
    server.abandon(b).await.unwrap();
    // It is open in a mount: nobody else has to look.
    let gone = |kind: &Kind| {
        let Kind::Event(event) = kind else {
            return false;
        };
        let origin = event.entry.as_ref().map(|entry| entry.origin.as_str());
        origin == Some("rebase")
    };
    session.until(gone).await;
    let names = |tree: BTreeMap<String, _>| tree.into_keys().collect::<Vec<_>>();
    assert_eq!(names(session.tree().await), ["a", "c", "mine"]);
    // The same session goes on, in the same change.
    session.lease().await;
    let write = session.write("mine", file, b"1", b"2");
    session.commit(vec![write]).await;
    give_back(&mut session).await;
    assert_eq!(server.main_change().await, c);
    let commit = server.sealed(c).await;
    assert_eq!(server.parents_of(commit).await, [server.sealed(a).await]);
    let expected = [("a", "a"), ("c", "c"), ("mine", "2")];
    assert_eq!(server.files(main()).await, pairs(&expected));
}

#[tokio::test]
async fn conflicts_of_an_open_change_go_with_it() {
    let server = Server::start().await;
    let first = server.write(main(), vec![put("f", "1\n")]).await.unwrap();
    let second = server.create(first.change, vec![put("f", "2\n")], "second");
    let second = second.await.change;
    let other = server.create(second, vec![put("other", "o")], "other");
    let other = other.await.change;
    let third = server.create(other, vec![put("f", "3\n")], "third");
    let third = third.await.change;
    server.move_main(third, false).await.unwrap();
    server.abandon(second).await.unwrap();
    server.sealed(third).await;
    assert!(server.change(third).await.conflicted);
    // Written to while it is in conflict, and rebased again.
    server.write(main(), vec![put("mine", "m")]).await.unwrap();
    server.abandon(other).await.unwrap();
    let files: BTreeMap<_, _> = server.files(main()).await.into_iter().collect();
    assert!(files["f"].contains("<<<<<<<") && files["mine"] == "m");
    assert!(!files.contains_key("other"), "{files:?}");
    server.bring_back(other).await.unwrap();
    server.bring_back(second).await.unwrap();
    let expected = [("f", "3\n"), ("mine", "m"), ("other", "o")];
    assert_eq!(server.files(main()).await, pairs(&expected));
    server.sealed(third).await;
    assert!(!server.change(third).await.conflicted);
}

#[tokio::test]
async fn a_mount_about_to_write_on_top_of_a_rebased_change_goes_along() {
    let server = Server::start().await;
    let line = server.line(&["a", "b", "c"]).await;
    let [_, b, c] = line[..] else { panic!() };
    let heads = &server.backend.heads;
    let closed = heads.close_change(&server.repo, &c, ChangeState::Closed);
    closed.await.unwrap();
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    give_back(&mut session).await;
    server.abandon(b).await.unwrap();
    // Somebody looks at what it is on top of.
    server.sealed(c).await;
    session
        .until(|kind| matches!(kind, Kind::HeadMoved(moved) if !moved.same_tree))
        .await;
    let names: Vec<_> = session.tree().await.into_keys().collect();
    assert_eq!(names, ["a", "c"]);
    // One that is missed is put right by what it writes.
    server.bring_back(b).await.unwrap();
    session.lease().await;
    let root = session.root();
    let (_, create) = session.file("", root, "mine", b"1");
    session.commit(vec![create]).await;
    give_back(&mut session).await;
    let expected = [("a", "a"), ("b", "b"), ("c", "c"), ("mine", "1")];
    assert_eq!(server.files(main()).await, pairs(&expected));
    let top = server.main_change().await;
    assert_eq!(server.change(top).await.parents, [c]);
}

#[tokio::test]
async fn rebased_changes_merge_and_say_what_they_are_made_on() {
    let server = Server::start().await;
    let line = server.line(&["a", "b", "c"]).await;
    let [a, b, c] = line[..] else { panic!() };
    let side = server
        .create(a, vec![put("side", "s")], "side")
        .await
        .change;
    server.abandon(b).await.unwrap();
    // By their ids, and nobody has looked at them since.
    let wanted = MergeInto {
        target: at(side),
        source: at(c),
        describe: Describe::default(),
        resolutions: BTreeMap::new(),
        allow_conflicted: false,
    };
    let heads = &server.backend.heads;
    let merged = heads
        .merge(&server.actor(), &server.repo, wanted.clone())
        .await;
    let MergeOutcome::Merged { change, commit, .. } = merged.unwrap() else {
        panic!("there is something to merge");
    };
    let made = server.change(change).await;
    assert_eq!(
        (made.parents.as_slice(), made.state),
        (&[side, c][..], ChangeState::Closed)
    );
    assert!(!made.behind && made.message.starts_with("Merge '"));
    let sides = [server.sealed(side).await, server.sealed(c).await];
    assert_eq!(server.parents_of(commit).await, sides);
    let files = server.files(at(change)).await;
    assert_eq!(files, pairs(&[("a", "a"), ("c", "c"), ("side", "s")]));
    // No bookmark moved, and both sides are there for good.
    assert_eq!(server.main_change().await, c);
    for id in [side, c] {
        assert_eq!(server.change(id).await.state, ChangeState::Published);
    }
    let again = MergeInto {
        target: at(change),
        source: main(),
        ..wanted.clone()
    };
    let again = heads.merge(&server.actor(), &server.repo, again).await;
    assert!(matches!(again.unwrap(), MergeOutcome::Nothing { change: at, .. } if at == change));
    let given_up = MergeInto {
        source: at(b),
        ..wanted
    };
    let refused = heads.merge(&server.actor(), &server.repo, given_up).await;
    assert_eq!(refused.unwrap_err().code, "CHANGE_ABANDONED");
}

#[tokio::test]
async fn a_change_goes_into_a_bookmark_by_its_id() {
    let server = Server::start().await;
    let line = server.line(&["a"]).await;
    let side = server.create(line[0], vec![put("side", "s")], "side");
    let side = side.await.change;
    server.write(main(), vec![put("ours", "o")]).await.unwrap();
    let wanted = MergeInto {
        target: main(),
        source: at(side),
        describe: Describe::default(),
        resolutions: BTreeMap::new(),
        allow_conflicted: false,
    };
    let heads = &server.backend.heads;
    let merged = heads.merge(&server.actor(), &server.repo, wanted).await;
    let MergeOutcome::Merged { change, .. } = merged.unwrap() else {
        panic!("there is something to merge");
    };
    assert_eq!(server.main_change().await, change);
    let expected = [("a", "a"), ("ours", "o"), ("side", "s")];
    assert_eq!(server.files(main()).await, pairs(&expected));
}

#[tokio::test]
async fn undo_does_not_take_a_rebase_for_somebodys_action() {
    let server = Server::start().await;
    let line = server.line(&["a", "b", "c"]).await;
    let [_, b, c] = line[..] else { panic!() };
    server.write(main(), vec![put("mine", "m")]).await.unwrap();
    server.abandon(b).await.unwrap();
    server.sealed(c).await;
    let undo = mesa_head::Undo {
        change: c,
        action: None,
        onto: main(),
        paths: Vec::new(),
        allow_conflicted: false,
    };
    let heads = &server.backend.heads;
    let undone = heads.undo(&server.actor(), &server.repo, undo).await;
    assert!(
        matches!(undone, Ok(mesa_head::UndoOutcome::Done { .. })),
        "{undone:?}"
    );
    assert_eq!(server.files(main()).await, pairs(&[("a", "a"), ("c", "c")]));
}
