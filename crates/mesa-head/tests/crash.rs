//! The server dies between any two durable steps: what was acknowledged is there afterwards, and
//! what is there is a prefix of what was sent.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

#[path = "support/fuse.rs"]
mod fuse;

use std::{sync::Arc, time::Duration};

use fuse::{Fuse, Meta, Objects};
use mesa_client::SyncApi;
use mesa_head::HeadsConfig;
use mesa_proto::v1::{self, op, server_message::Kind};
use mesa_repo::Scope;
use mesa_testkit::{Backend, InProcess, RawSession};
use mesa_types::{NodeKind, time::SystemClock};

/// How far a client got.
#[derive(Default)]
struct Progress {
    sent: usize,
    acked: usize,
    ended: bool,
}

/// The operations of the script, each with the paths that exist after it.
fn script(session: &mut RawSession) -> Vec<(v1::Op, Vec<&'static str>)> {
    let root = session.root();
    let (dir, mkdir) = session.create("", root, "d", NodeKind::Dir);
    let (one, create_one) = session.file("d", dir, "one", b"1");
    let (_, create_two) = session.file("", root, "two", b"2");
    let link = session.op(
        "",
        op::Kind::Link(v1::Link {
            id: one,
            parent: root,
            name: "link".into(),
            source_path: "d/one".into(),
        }),
    );
    let write = session.write("link", one, b"1", b"11");
    let rename = session.op(
        "",
        op::Kind::Rename(v1::Rename {
            parent: root,
            name: "d".into(),
            id: dir,
            new_parent: root,
            new_name: "e".into(),
            ..v1::Rename::default()
        }),
    );
    let unlink = session.unlink("", root, "link", one);
    vec![
        (mkdir, vec!["d"]),
        (create_one, vec!["d", "d/one"]),
        (create_two, vec!["d", "d/one", "two"]),
        (link, vec!["d", "d/one", "link", "two"]),
        (write, vec!["d", "d/one", "link", "two"]),
        (rename, vec!["e", "e/one", "link", "two"]),
        (unlink, vec!["e", "e/one", "two"]),
    ]
}

async fn run(api: &InProcess, session: &mut RawSession, progress: &mut Progress) -> Option<()> {
    session.attach_unconfirmed().await.ok()?;
    session
        .send(v1::client_message::Kind::LeaseRequest(v1::LeaseRequest {}))
        .await;
    loop {
        if let Kind::LeaseGrant(grant) = session.next_message().await.ok()? {
            session.lease = grant.lease;
            break;
        }
    }
    let seal = v1::SealRequest {
        session: session.opened.session.clone(),
    };
    for (index, (op, _)) in script(session).into_iter().enumerate() {
        progress.sent += 1;
        session.append(vec![op]).await;
        loop {
            if let Kind::Ack(_) = session.next_message().await.ok()? {
                break;
            }
        }
        progress.acked += 1;
        if matches!(index, 1 | 3 | 6) {
            let call = api.seal("acme", seal.clone());
            tokio::time::timeout(Duration::from_secs(10), call)
                .await
                .ok()?
                .ok()?;
        }
    }
    progress.ended = true;
    Some(())
}

/// Answers whether the script reached its end.
async fn crash_at(steps: i64, after: bool) -> bool {
    let meta = Arc::new(mesa_meta::MemoryStore::new());
    let objects = Arc::new(mesa_store::MemoryStore::new());
    let sane = Backend::over(
        meta.clone(),
        objects.clone(),
        Arc::new(SystemClock),
        HeadsConfig::default(),
    );
    let caller = sane.org("acme", &[Scope::Write]).await.unwrap();
    sane.repo(&caller, "demo").await.unwrap();

    let fuse = Arc::new(Fuse::new(steps, after));
    let doomed = Backend::over(
        Arc::new(Meta(meta.clone(), Arc::clone(&fuse))),
        Arc::new(Objects(objects.clone(), fuse)),
        Arc::new(SystemClock),
        HeadsConfig::default(),
    );
    let api = InProcess::new(doomed.heads.clone(), caller.clone());
    let mut progress = Progress::default();
    let request = mesa_testkit::raw_session::request("acme", "demo");
    let opened = RawSession::open_with(&api, request).await;
    let mut resumed = None;
    if let Ok(mut session) = opened {
        // An error anywhere is the crash.
        let _ = run(&api, &mut session, &mut progress).await;
        resumed = Some(session);
    }
    api.cut();

    let sane = sane.restarted();
    let api = InProcess::new(sane.heads.clone(), caller);
    let mut after_crash = RawSession::open(&api, "acme", "demo").await;
    let tree = after_crash.tree().await;
    let found: Vec<_> = tree.keys().map(String::as_str).collect();
    let states: Vec<Vec<&str>> = std::iter::once(Vec::new())
        .chain(script(&mut after_crash).into_iter().map(|(_, paths)| paths))
        .collect();
    let possible = &states[progress.acked..=progress.sent];
    assert!(
        possible.contains(&found),
        "step {steps} after {after}: {found:?} is none of {possible:?}"
    );
    if progress.acked >= 5 {
        let one = tree.get("e/one").or_else(|| tree.get("d/one")).unwrap();
        assert_eq!(&one.inline[..], b"11", "step {steps}");
    }
    // The session goes on: it learns how far it got, and nothing is applied twice.
    if let Some(mut session) = resumed.filter(|_| progress.sent > 0) {
        session.api = api.clone();
        let answer = session.resume().await.unwrap();
        assert!(answer.resumed, "step {steps} after {after}: {answer:?}");
        let done = answer.acked_client_seq as usize;
        assert!((progress.acked..=progress.sent).contains(&done));
        assert_eq!(states[done], found, "step {steps}");
    }
    // Whatever is there can be sealed.
    let seal = v1::SealRequest {
        session: after_crash.opened.session.clone(),
    };
    api.seal("acme", seal).await.unwrap();
    progress.ended
}

async fn crash_everywhere(after: bool) {
    let mut steps = 0;
    while !crash_at(steps, after).await {
        steps += 1;
        assert!(steps < 200, "the script never ends");
    }
    assert!(steps > 15, "only {steps} durable steps");
}

#[tokio::test]
async fn before_any_durable_step() {
    crash_everywhere(false).await;
}

#[tokio::test]
async fn after_any_durable_step() {
    crash_everywhere(true).await;
}
