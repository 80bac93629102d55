//! Callers that go away, and several at once: nobody is answered for another change, and nobody
//! keeps a head still.

use std::{
    future::poll_fn,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use mesa_head::{Describe, MergeInto, MergeOutcome, Write};
use mesa_proto::v1::{self, client_message::Kind as Message, server_message::Kind};
use mesa_repo::ChangeState;
use mesa_testkit::{RawSession, raw_session::request};
use mesa_types::{BookmarkName, ChangeId};

use crate::{
    merges::give_back,
    support::{Server, by_bookmark, main, put},
};

/// Longer than any write takes, shorter than a head is held still.
const SOON: Duration = Duration::from_secs(10);

impl Server {
    async fn try_merge_into(&self, target: &str, source: &str) -> MergeOutcome {
        let wanted = MergeInto {
            target: by_bookmark(target),
            source: by_bookmark(source),
            describe: Describe::default(),
            resolutions: std::collections::BTreeMap::new(),
            allow_conflicted: false,
        };
        let heads = &self.backend.heads;
        let merged = heads.merge(&self.actor(), &self.repo, wanted).await;
        merged.unwrap()
    }

    async fn close(&self, change: ChangeId) {
        let heads = &self.backend.heads;
        let closed = heads.close_change(&self.repo, &change, ChangeState::Closed);
        closed.await.unwrap();
    }

    async fn named_change(&self, name: &str) -> ChangeId {
        let name: BookmarkName = name.parse().unwrap();
        let (org, repo) = (&self.repo.org, &self.repo.id);
        let read = self.backend.catalog.bookmark(org, repo, &name).await;
        read.unwrap().unwrap().change
    }
}

fn bookmark(name: &str) -> mesa_head::ViewTarget {
    mesa_head::ViewTarget::Bookmark(name.parse().unwrap())
}

#[tokio::test]
async fn a_change_that_is_closed_meanwhile_is_merged_all_the_same() {
    let server = Server::start().await;
    let base = server.write(main(), vec![put("f", "1")]).await.unwrap();
    server.close(base.change).await;
    for n in 0..20 {
        let source = format!("source-{n}");
        server.bookmark(&source, base.change).await;
        for target in 0..3 {
            server
                .bookmark(&format!("{target}-of-{n}"), base.change)
                .await;
        }
        let mut session = RawSession::open_with(&server.api, {
            let mut open = request("acme", "demo");
            open.target = Some(v1::Target {
                kind: Some(v1::target::Kind::Bookmark(source.clone())),
            });
            open
        })
        .await
        .unwrap();
        session.attach().await.unwrap();
        session.lease().await;
        let root = session.root();
        let (_, create) = session.file("", root, "new", b"2");
        session.commit(vec![create]).await;
        give_back(&mut session).await;
        let change = server.named_change(&source).await;
        let merges = (0..3).map(|target| {
            let (server, source) = (&server, &source);
            async move {
                server
                    .try_merge_into(&format!("{target}-of-{n}"), source)
                    .await
            }
        });
        let closing = async {
            for _ in 0..n {
                tokio::task::yield_now().await;
            }
            server.close(change).await;
        };
        let (merged, ()) = tokio::join!(futures::future::join_all(merges), closing);
        for (target, outcome) in merged.into_iter().enumerate() {
            assert!(
                matches!(outcome, MergeOutcome::Merged { .. }),
                "{n} {target}: {outcome:?}"
            );
            let files = server.files(bookmark(&format!("{target}-of-{n}"))).await;
            assert_eq!(files.len(), 2, "{n} {target}");
        }
    }
}

#[tokio::test]
async fn writes_beside_a_close_name_the_change_that_has_them() {
    let server = Server::start().await;
    for n in 0..40 {
        let path = format!("f{n}");
        let before = server
            .write(main(), vec![put("seed", &path)])
            .await
            .unwrap();
        let closing = async {
            for _ in 0..n {
                tokio::task::yield_now().await;
            }
            server.close(before.change).await;
        };
        let (written, ()) = tokio::join!(server.write(main(), vec![put(&path, "x")]), closing);
        let at = written.unwrap();
        let commit = server.change(at.change).await;
        assert!(commit.commit.is_some(), "{n}");
        let files = server.files(mesa_head::ViewTarget::Change(at.change)).await;
        assert!(
            files.iter().any(|(name, _)| *name == path),
            "{n}: {files:?}"
        );
        // It was written by the bookmark.
        let files = server.files(main()).await;
        assert!(
            files.iter().any(|(name, _)| *name == path),
            "{n}: {files:?}"
        );
    }
}

#[tokio::test]
async fn many_writes_and_descriptions_at_once_leave_the_streams_alone() {
    let server = Server::start().await;
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    for round in 0..10 {
        let writes = (0..12).map(|n| {
            let server = &server;
            async move {
                let message = (n % 3 == 0).then(|| format!("message {n}"));
                let write = Write {
                    target: main(),
                    edits: vec![put(&format!("{round}-{n}"), "x")],
                    describe: Describe {
                        message,
                        ..Describe::default()
                    },
                    base_commit: None,
                };
                let heads = &server.backend.heads;
                heads.write(&server.actor(), &server.repo, write).await
            }
        });
        let closing = async {
            let change = server.main_change().await;
            if !change.is_root() {
                server.close(change).await;
            }
        };
        let (written, ()) = tokio::join!(futures::future::join_all(writes), closing);
        for at in written {
            let at = at.unwrap();
            assert!(server.change(at.change).await.commit.is_some());
        }
        let files = server.files(main()).await;
        assert_eq!(files.len(), 12 * (round + 1));
    }
    session
        .send(Message::Heartbeat(v1::Heartbeat::default()))
        .await;
    session
        .until(|kind| matches!(kind, Kind::Heartbeat(_)))
        .await;
}

#[tokio::test]
async fn opposite_moves_do_not_wait_for_each_other() {
    let server = Server::start().await;
    let base = server.write(main(), vec![put("f", "1")]).await.unwrap();
    server.close(base.change).await;
    server.bookmark("dev", base.change).await;
    let mut sessions = Vec::new();
    for name in ["main", "dev"] {
        let mut open = request("acme", "demo");
        open.target = Some(v1::Target {
            kind: Some(v1::target::Kind::Bookmark(name.to_owned())),
        });
        let mut session = RawSession::open_with(&server.api, open).await.unwrap();
        session.attach().await.unwrap();
        session.lease().await;
        let root = session.root();
        let (_, create) = session.file("", root, name, b"1");
        session.commit(vec![create]).await;
        give_back(&mut session).await;
        sessions.push(session);
    }
    let (one, two) = (server.main_change().await, server.named_change("dev").await);
    let heads = &server.backend.heads;
    let (actor, dev) = (server.actor(), "dev".parse().unwrap());
    let moves = async {
        tokio::join!(
            server.move_main(two, true),
            heads.move_bookmark(&actor, &server.repo, &dev, one, true)
        )
    };
    let (first, second) = Box::pin(tokio::time::timeout(SOON, moves))
        .await
        .expect("both end");
    assert_eq!(first.unwrap(), one);
    assert_eq!(second.unwrap(), two);
    assert_eq!(server.main_change().await, two);
    assert_eq!(server.named_change("dev").await, one);
}

#[tokio::test]
async fn a_call_that_waits_in_a_head_that_is_lost_is_asked_again() {
    let server = crate::moved::server().await;
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    let root = session.root();
    let other = server.backend.restarted();
    let writing = server.write(main(), vec![put("w", "1")]);
    let losing = async {
        session
            .until(|kind| matches!(kind, Kind::LeaseRecall(_)))
            .await;
        // Another process takes the head over; this one notices with its next commit.
        let api = mesa_testkit::InProcess::new(other.heads.clone(), server.caller.clone());
        RawSession::open(&api, "acme", "demo").await;
        let (_, create) = session.file("", root, "f", b"2");
        session.append(vec![create]).await;
        session.until_end().await;
    };
    let both = async { tokio::join!(writing, losing) };
    let (written, ()) = tokio::time::timeout(SOON, Box::pin(both))
        .await
        .expect("it is answered");
    assert!(written.unwrap().commit.is_some());
}

#[tokio::test]
async fn a_change_without_operations_has_a_commit_when_it_is_asked_for() {
    let server = Server::start().await;
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    let root = session.root();
    let (_, create) = session.file("", root, "f", b"1");
    session.commit(vec![create]).await;
    let lost = session.resume_or(true).await.unwrap().lost.unwrap();
    let change: ChangeId = lost.recovery_change.parse().unwrap();
    let (org, repo) = (&server.repo.org, &server.repo.id);
    let at = server.backend.heads.seal(org, repo, &change).await.unwrap();
    assert!(at.commit.is_some() && at.change == change);
    assert_eq!(server.change(change).await.commit, at.commit);
}

/// Polls `work` so many times, with everybody else at work in between, and drops it. Answers
/// whether it was done before.
async fn polled<T>(times: usize, work: impl Future<Output = T>) -> bool {
    let mut work = pin!(work);
    for _ in 0..times {
        let poll = |cx: &mut Context<'_>| Poll::Ready(work.as_mut().poll(cx).is_ready());
        if poll_fn(poll).await {
            return true;
        }
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
    }
    false
}

#[tokio::test]
async fn a_merge_whose_caller_goes_away_keeps_nobody_waiting() {
    let server = Server::start().await;
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    let root = session.root();
    let (_, create) = session.file("", root, "f", b"1");
    session.commit(vec![create]).await;
    give_back(&mut session).await;
    let mut done = 0;
    for n in 0..400 {
        if done > 2 {
            break;
        }
        let base = server.main_change().await;
        let side = server.create(base, vec![put(&format!("side/{n}"), "s")], "side");
        let name = format!("side-{n}");
        server.bookmark(&name, side.await.change).await;
        // Something live, so that the head has to be held still.
        server
            .write(main(), vec![put("live", &n.to_string())])
            .await
            .unwrap();
        done += usize::from(Box::pin(polled(n, server.try_merge_into("main", &name))).await);
        let write = server.write(main(), vec![put("after", &n.to_string())]);
        let written = tokio::time::timeout(SOON, write).await;
        written.expect("the head goes on").unwrap();
    }
    assert!(done > 2, "no merge came to its end");
}

#[tokio::test]
async fn a_bookmark_made_anew_under_a_session_can_be_merged_into() {
    let server = Server::start().await;
    let base = server.write(main(), vec![put("f", "1")]).await.unwrap();
    server.close(base.change).await;
    let side = server.create(base.change, vec![put("g", "2")], "side");
    server.bookmark("side", side.await.change).await;
    server.bookmark("target", base.change).await;
    let mut open = request("acme", "demo");
    open.target = Some(v1::Target {
        kind: Some(v1::target::Kind::Bookmark("target".to_owned())),
    });
    let mut session = RawSession::open_with(&server.api, open).await.unwrap();
    session.attach().await.unwrap();
    let (org, repo) = (&server.repo.org, &server.repo.id);
    let name: BookmarkName = "target".parse().unwrap();
    let catalog = &server.backend.catalog;
    let actor = server.actor();
    let removed = catalog.delete_bookmark(org, repo, &name, &actor);
    removed.await.unwrap();
    let other = server.create(base.change, vec![put("h", "3")], "other");
    let other = other.await.change;
    server.close(other).await;
    server.bookmark("target", other).await;
    let merged = server.try_merge_into("target", "side").await;
    assert!(matches!(merged, MergeOutcome::Merged { .. }), "{merged:?}");
    let files = server.files(bookmark("target")).await;
    assert_eq!(files.len(), 3, "{files:?}");
}

#[tokio::test]
async fn a_bookmark_goes_along_only_while_a_session_follows_it() {
    let server = Server::start().await;
    let mut follower = RawSession::open(&server.api, "acme", "demo").await;
    follower.lease().await;
    let root = follower.root();
    let (_, create) = follower.file("", root, "f", b"1");
    follower.commit(vec![create]).await;
    let change = server.main_change().await;
    let close = v1::CloseSessionRequest {
        session: follower.opened.session.clone(),
        resume_token: follower.token.clone(),
        ..v1::CloseSessionRequest::default()
    };
    let heads = &server.backend.heads;
    heads.close_session(&server.caller, close).await.unwrap();

    // One that works on the change by its id, and goes on in the next.
    let mut open = request("acme", "demo");
    open.target = Some(v1::Target {
        kind: Some(v1::target::Kind::Change(change.to_string())),
    });
    let mut other = RawSession::open_with(&server.api, open).await.unwrap();
    other.attach().await.unwrap();
    server.close(change).await;
    other
        .until(|kind| matches!(kind, Kind::HeadMoved(m) if m.same_tree))
        .await;
    other.lease().await;
    let (_, create) = other.file("", root, "g", b"2");
    other.commit(vec![create]).await;
    assert_eq!(server.main_change().await, change);
    assert_eq!(server.files(main()).await.len(), 1);

    // A move of the bookmark leaves it where it is, and whoever opens it begins there.
    let side = server.create(change, vec![put("s", "3")], "side").await;
    server.move_main(side.change, true).await.unwrap();
    other
        .send(Message::Heartbeat(v1::Heartbeat::default()))
        .await;
    let next = other
        .until(|kind| matches!(kind, Kind::HeadMoved(_) | Kind::Heartbeat(_)))
        .await;
    assert!(matches!(next, Kind::Heartbeat(_)), "{next:?}");
    let fresh = RawSession::open(&server.api, "acme", "demo").await;
    let names: Vec<_> = fresh.tree().await.into_keys().collect();
    assert_eq!(names, ["f", "s"]);
}
