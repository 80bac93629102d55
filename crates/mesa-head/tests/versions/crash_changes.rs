//! The server dies between any two durable steps of what seals, writes, makes, closes or resolves a
//! change: it happened or it did not, and nothing that was acknowledged before is lost.

use std::{sync::Arc, time::Duration};

use mesa_head::{Describe, HeadsConfig, NewChange, Resolve, ViewTarget, Write};
use mesa_repo::ChangeState;
use mesa_testkit::{Backend, InProcess, RawSession};
use mesa_types::{ChangeId, time::SystemClock};

use crate::{
    fuse::{Fuse, Meta, Objects},
    merges::give_back,
    support::{Server, delete, main, pairs, put, rename},
};

#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Seal,
    Write,
    Create,
    Close,
    Resolve,
    Describe,
}

impl Server {
    async fn act(&self, what: What, at: ChangeId) -> mesa_head::Result<()> {
        let heads = &self.backend.heads;
        match what {
            What::Seal => heads
                .seal(&self.repo.org, &self.repo.id, &at)
                .await
                .map(drop),
            What::Write => {
                let edits = vec![put("f", "2"), delete("gone"), rename("d/a", "e/b")];
                self.write(main(), edits).await.map(drop)
            }
            What::Describe => {
                let write = Write {
                    target: main(),
                    edits: Vec::new(),
                    describe: Describe {
                        message: Some("said".to_owned()),
                        ..Describe::default()
                    },
                    base_commit: None,
                };
                heads
                    .write(&self.actor(), &self.repo, write)
                    .await
                    .map(drop)
            }
            What::Create => {
                let new = NewChange {
                    parents: vec![at],
                    edits: vec![put("f", "2"), put("made", "m")],
                    describe: Describe::default(),
                };
                let made = heads.create_change(&self.actor(), &self.repo, new).await?;
                let mut files = self.files(ViewTarget::Change(at)).await;
                files.retain(|(path, _)| path != "f");
                files.extend(pairs(&[("f", "2"), ("made", "m")]));
                files.sort();
                let found = self.files(ViewTarget::Change(made.change)).await;
                assert_eq!(found, files);
                Ok(())
            }
            What::Close => heads
                .close_change(&self.repo, &at, ChangeState::Closed)
                .await
                .map(drop),
            What::Resolve => self.resolve(&[("f", Resolve::Source)]).await.map(drop),
        }
    }
}

/// Answers whether it got to its end.
async fn crash_at(what: What, steps: i64, after: bool) -> bool {
    let meta = Arc::new(mesa_meta::MemoryStore::new());
    let objects = Arc::new(mesa_store::MemoryStore::new());
    let mut server = Server::over(meta.clone(), objects.clone()).await;
    let files = vec![put("f", "1"), put("gone", "x"), put("d/a", "a")];
    let base = server.write(main(), files).await.unwrap().change;
    if what == What::Resolve {
        let side = server.create(base, vec![put("f", "2")], "side").await;
        server.bookmark("side", side.change).await;
        server.write(main(), vec![put("f", "3")]).await.unwrap();
        server.try_merge_allowing("side").await.unwrap();
    }
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    let root = session.root();
    let (_, create) = session.file("", root, "live", b"3");
    session.commit(vec![create]).await;
    give_back(&mut session).await;
    session.stream = None;
    server.api.cut();

    let sane = server.backend.restarted();
    server.backend = sane.clone();
    let at = server.main_change().await;
    let before = server.files(main()).await;
    let fuse = Arc::new(Fuse::new(steps, after));
    server.backend = Backend::over(
        Arc::new(Meta(meta.clone(), Arc::clone(&fuse))),
        Arc::new(Objects(objects.clone(), Arc::clone(&fuse))),
        Arc::new(SystemClock),
        HeadsConfig::default(),
    );
    // A dead server may also never answer.
    let doing = server.act(what, at);
    let done = tokio::time::timeout(Duration::from_secs(10), doing).await;
    let done = matches!(done, Ok(Ok(())));
    let ended = !fuse.is_dead();

    server.backend = sane.restarted();
    server.api = InProcess::new(server.backend.heads.clone(), server.caller.clone());
    let found = server.files(main()).await;
    let expected = match what {
        What::Write => pairs(&[("e", "/"), ("e/b", "a"), ("f", "2"), ("live", "3")]),
        What::Resolve => {
            let mut files = before.clone();
            files
                .iter_mut()
                .filter(|(path, _)| path == "f")
                .for_each(|f| "2".clone_into(&mut f.1));
            files
        }
        What::Seal | What::Create | What::Close | What::Describe => before.clone(),
    };
    let shown = format!("{what:?} step {steps} after {after}");
    let happened = found == expected;
    assert!(happened || (found == before && !done), "{shown}: {found:?}");
    if done && what == What::Seal {
        assert!(server.change(at).await.commit.is_some(), "{shown}");
    }
    if done && what == What::Close {
        assert_eq!(
            server.change(at).await.state,
            ChangeState::Closed,
            "{shown}"
        );
        assert_eq!(
            server.files(ViewTarget::Change(at)).await,
            before,
            "{shown}"
        );
    }
    if what == What::Describe {
        // The commit says what the change says, whoever makes it.
        server.act(What::Seal, at).await.unwrap();
        let change = server.change(at).await;
        let said = change.message == "said";
        assert!(said || (!done && change.message.is_empty()), "{shown}");
        let (catalog, oid) = (&server.backend.catalog, change.commit.unwrap());
        let (org, repo) = (&server.repo.org, &server.repo.id);
        let commit = catalog.commit_by_oid(org, repo, &oid).await.unwrap();
        assert_eq!(commit.unwrap().message, change.message, "{shown}");
    }
    if what == What::Resolve {
        let now = server.main_change().await;
        let conflicts = server.in_conflict(now).await;
        assert_eq!(conflicts.is_empty(), happened, "{shown}");
    }
    // The session goes on, and where its change is closed, on top of it.
    session.api = server.api.clone();
    session.attach().await.unwrap();
    session.lease().await;
    let (_, create) = session.file("", root, "next", b"4");
    session.commit(vec![create]).await;
    give_back(&mut session).await;
    let mut expected = found;
    expected.extend(pairs(&[("next", "4")]));
    expected.sort();
    assert_eq!(server.files(main()).await, expected, "{shown}");
    // What a crash left stands in nobody's way.
    let over = happened && matches!(what, What::Resolve | What::Write);
    if !over {
        let at = server.main_change().await;
        server.act(what, at).await.unwrap();
    }
    ended
}

async fn crash_everywhere(what: What) {
    for after in [false, true] {
        let mut steps = 0;
        while !crash_at(what, steps, after).await {
            steps += 1;
            assert!(steps < 100, "it never ends");
        }
        assert!(steps > 1, "only {steps} durable steps");
    }
}

#[tokio::test]
async fn a_seal_dies_at_any_step() {
    crash_everywhere(What::Seal).await;
}

#[tokio::test]
async fn a_write_dies_at_any_step() {
    crash_everywhere(What::Write).await;
}

#[tokio::test]
async fn a_new_change_dies_at_any_step() {
    crash_everywhere(What::Create).await;
}

#[tokio::test]
async fn closing_a_change_dies_at_any_step() {
    crash_everywhere(What::Close).await;
}

#[tokio::test]
async fn a_resolution_dies_at_any_step() {
    crash_everywhere(What::Resolve).await;
}

#[tokio::test]
async fn a_description_dies_at_any_step() {
    crash_everywhere(What::Describe).await;
}
