//! The server dies between any two durable steps of an undo or restore: all of it is there, or
//! nothing.

use std::{
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use mesa_head::{At, HeadsConfig};
use mesa_meta::MemoryStore;
use mesa_repo::Scope;
use mesa_testkit::{Backend, InProcess, TestClock};
use mesa_types::time::SystemClock;

use crate::{
    fuse::{Fuse, Meta, Objects},
    support::World,
    writes::{Server, delete, main, put, rename},
};

/// Answers whether it got to its end.
async fn crash_at(restores: bool, steps: i64, after: bool) -> bool {
    let meta = Arc::new(MemoryStore::new());
    let objects = Arc::new(mesa_store::MemoryStore::new());
    let backend = Backend::over(
        meta.clone(),
        objects.clone(),
        Arc::new(SystemClock),
        HeadsConfig::default(),
    );
    let caller = backend.org("acme", &[Scope::Write]).await.unwrap();
    let repo = backend.repo(&caller, "demo").await.unwrap();
    let server = Server {
        api: InProcess::new(backend.heads.clone(), caller.clone()),
        backend,
        caller,
        repo,
    };
    let mut world = World {
        server,
        clock: Arc::new(TestClock(AtomicI64::new(0))),
        meta: meta.clone(),
    };
    let first = vec![put("d/a", "1"), put("d/b", "1"), put("e", "1")];
    world.server.write(main(), first).await.unwrap();
    let seq = world.actions().await[0].last;
    let before = world.files().await;
    let second = vec![
        rename("d/a", "f"),
        delete("d/b"),
        put("e", "2"),
        put("g", "2"),
    ];
    world.server.write(main(), second).await.unwrap();
    let later = world.files().await;
    let change = world.change().await;

    let sane = world.server.backend.clone();
    let fuse = Arc::new(Fuse::new(steps, after));
    world.server.backend = Backend::over(
        Arc::new(Meta(meta, Arc::clone(&fuse))),
        Arc::new(Objects(objects, Arc::clone(&fuse))),
        Arc::new(SystemClock),
        HeadsConfig::default(),
    );
    let wanted = World::wanted(change, None);
    let done = {
        let doing = async {
            if restores {
                world.try_restore(At::After(seq), &[""], true).await.is_ok()
            } else {
                world.try_undo(wanted).await.is_ok()
            }
        };
        // A dead server may also never answer.
        let done = tokio::time::timeout(Duration::from_secs(10), doing).await;
        done.unwrap_or(false)
    };
    let ended = !fuse.is_dead();
    world.server.backend = sane.restarted();
    let found = world.files().await;
    assert!(
        (found == later && !done) || found == before,
        "step {steps} after {after}: {found:?}"
    );
    // What it left stands in nobody's way.
    if found == later {
        world.undo(None).await;
    }
    assert_eq!(world.files().await, before, "step {steps}");
    ended
}

async fn crash_everywhere(restores: bool, after: bool) {
    let mut steps = 0;
    while !crash_at(restores, steps, after).await {
        steps += 1;
        assert!(steps < 100, "it never ends");
    }
    assert!(steps > 3, "only {steps} durable steps");
}

#[tokio::test]
async fn an_undo_dies_before_any_step() {
    Box::pin(crash_everywhere(false, false)).await;
}

#[tokio::test]
async fn an_undo_dies_after_any_step() {
    Box::pin(crash_everywhere(false, true)).await;
}

#[tokio::test]
async fn a_restore_dies_before_any_step() {
    Box::pin(crash_everywhere(true, false)).await;
}

#[tokio::test]
async fn a_restore_dies_after_any_step() {
    Box::pin(crash_everywhere(true, true)).await;
}
