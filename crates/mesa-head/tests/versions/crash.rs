//! The server dies between any two durable steps of a merge or move: it happened or it did not.

use std::{sync::Arc, time::Duration};

use mesa_head::{HeadsConfig, ViewTarget};
use mesa_testkit::{Backend, InProcess, RawSession};
use mesa_types::time::SystemClock;

use crate::{
    fuse::{Fuse, Meta, Objects},
    merges::give_back,
    support::{Server, main, pairs, put},
};

#[derive(Clone, Copy, PartialEq)]
enum What {
    Merge,
    /// With a conflict that stays.
    Conflict,
    Move,
}

/// Answers whether it got to its end.
async fn crash_at(what: What, steps: i64, after: bool) -> bool {
    let meta = Arc::new(mesa_meta::MemoryStore::new());
    let objects = Arc::new(mesa_store::MemoryStore::new());
    let mut server = Server::over(meta.clone(), objects.clone()).await;
    let base = server.write(main(), vec![put("f", "1")]).await.unwrap();
    let mut theirs = vec![put("g", "2")];
    if what == What::Conflict {
        theirs.push(put("f", "2"));
    }
    let side = server.create(base.change, theirs, "side").await;
    server.bookmark("side", side.change).await;
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    let root = session.root();
    let (_, create) = session.file("", root, "live", b"3");
    session.commit(vec![create]).await;
    give_back(&mut session).await;
    session.stream = None;
    server.api.cut();
    let ours = server.main_change().await;
    let f = if what == What::Conflict { "3" } else { "1" };
    server.write(main(), vec![put("f", f)]).await.unwrap();

    let sane = server.backend.clone();
    let fuse = Arc::new(Fuse::new(steps, after));
    server.backend = Backend::over(
        Arc::new(Meta(meta.clone(), Arc::clone(&fuse))),
        Arc::new(Objects(objects.clone(), Arc::clone(&fuse))),
        Arc::new(SystemClock),
        HeadsConfig::default(),
    );
    let done = {
        let doing = async {
            match what {
                What::Merge => server.merge_with("side", &[]).await.map(|_| ()),
                What::Conflict => server.try_merge_allowing("side").await.map(|_| ()),
                What::Move => server.move_main(side.change, true).await.map(|_| ()),
            }
        };
        // A dead server may also never answer.
        let done = tokio::time::timeout(Duration::from_secs(10), doing).await;
        matches!(done, Ok(Ok(())))
    };
    let ended = !fuse.is_dead();

    server.backend = sane.restarted();
    server.api = InProcess::new(server.backend.heads.clone(), server.caller.clone());
    let now = server.main_change().await;
    let before = pairs(&[("f", f), ("live", "3")]);
    let mut shown = String::new();
    if what == What::Conflict && now != ours {
        assert_eq!(server.in_conflict(now).await, ["f"], "step {steps}");
        shown = server.text("f").await.unwrap();
        assert!(shown.starts_with("<<<<<<<"), "step {steps}: {shown}");
    }
    let target = match what {
        What::Merge => pairs(&[("f", "1"), ("g", "2"), ("live", "3")]),
        What::Conflict => pairs(&[("f", &shown), ("g", "2"), ("live", "3")]),
        What::Move => pairs(&[("f", "1"), ("g", "2")]),
    };
    let found = server.files(main()).await;
    assert!(
        (now == ours && found == before && !done) || (now != ours && found == target),
        "step {steps} after {after}: {found:?}"
    );
    // Nothing acknowledged is lost whatever happened.
    assert_eq!(server.files(ViewTarget::Change(ours)).await, before);
    // The session goes on where the bookmark is.
    session.api = server.api.clone();
    session.attach().await.unwrap();
    session.lease().await;
    let (_, create) = session.file("", root, "next", b"4");
    session.commit(vec![create]).await;
    let mut expected = found;
    expected.extend(pairs(&[("next", "4")]));
    assert_eq!(server.files(main()).await, expected, "step {steps}");
    give_back(&mut session).await;
    if what != What::Move {
        server.try_merge_allowing("side").await.unwrap();
        let merged = server.files(main()).await;
        assert_eq!(merged.len(), 4, "step {steps}: {merged:?}");
        let conflicts = server.in_conflict(server.main_change().await).await;
        assert_eq!(conflicts.is_empty(), what == What::Merge, "step {steps}");
    }
    ended
}

async fn crash_everywhere(what: What, after: bool) {
    let mut steps = 0;
    while !crash_at(what, steps, after).await {
        steps += 1;
        assert!(steps < 100, "it never ends");
    }
    assert!(steps > 3, "only {steps} durable steps");
}

#[tokio::test]
async fn a_merge_dies_before_any_step() {
    crash_everywhere(What::Merge, false).await;
}

#[tokio::test]
async fn a_merge_dies_after_any_step() {
    crash_everywhere(What::Merge, true).await;
}

#[tokio::test]
async fn a_move_dies_before_any_step() {
    crash_everywhere(What::Move, false).await;
}

#[tokio::test]
async fn a_move_dies_after_any_step() {
    crash_everywhere(What::Move, true).await;
}

#[tokio::test]
async fn a_merge_with_conflicts_dies_before_any_step() {
    crash_everywhere(What::Conflict, false).await;
}

#[tokio::test]
async fn a_merge_with_conflicts_dies_after_any_step() {
    crash_everywhere(What::Conflict, true).await;
}
