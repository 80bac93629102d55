//! A server that dies at any durable step of abandoning, rebasing and bringing back.

use std::{sync::Arc, time::Duration};

use mesa_head::{HeadsConfig, ViewTarget};
use mesa_repo::ChangeState;
use mesa_testkit::{Backend, InProcess, RawSession};
use mesa_types::{ChangeId, time::SystemClock};

use crate::{
    fuse::{Fuse, Meta, Objects},
    merges::give_back,
    support::{Server, pairs, put},
};

/// What is done: each leads on from the one before.
#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Abandon,
    Rebase,
    BringBack,
    Open,
    Split,
}

impl Server {
    async fn do_it(&self, what: What, [a, b, _, d]: [ChangeId; 4]) -> mesa_head::Result<()> {
        match what {
            What::Abandon => self.abandon(b).await.map(drop),
            What::BringBack => self.bring_back(b).await.map(drop),
            What::Open => self.abandon(d).await.map(drop),
            What::Split => self.move_main(a, true).await.map(drop),
            What::Rebase => {
                let (org, repo) = (&self.repo.org, &self.repo.id);
                let heads = &self.backend.heads;
                heads.seal(org, repo, &d).await.map(drop)
            }
        }
    }

    /// Every change is made on what its parents are, and has what it and they wrote.
    async fn is_sound(&self, ids: [ChangeId; 4], shown: &str) {
        let (heads, catalog) = (&self.backend.heads, &self.backend.catalog);
        let (org, repo) = (&self.repo.org, &self.repo.id);
        for (n, id) in ids.into_iter().enumerate() {
            let oid = heads.seal(org, repo, &id).await.unwrap().commit.unwrap();
            let change = self.change(id).await;
            assert!(!change.behind, "{shown}: {n} is not rebased");
            let commit = catalog.commit_by_oid(org, repo, &oid).await.unwrap();
            let mut below = Vec::new();
            for parent in change.parents.iter().filter(|parent| !parent.is_root()) {
                let at = heads.seal(org, repo, parent).await.unwrap();
                below.extend(at.commit);
            }
            assert_eq!(commit.unwrap().parents, below, "{shown}: {n}");
            let mut files = Vec::new();
            let mut at = vec![id];
            while let Some(id) = at.pop() {
                if let Some(n) = ids.iter().position(|known| *known == id) {
                    let name = ["a", "b", "c", "d"][n];
                    files.push((name.to_owned(), name.to_owned()));
                    at.extend(self.change(id).await.parents);
                }
            }
            if n == 3 {
                files.extend(pairs(&[("live", "1")]));
            }
            files.sort();
            assert_eq!(
                self.files(ViewTarget::Change(id)).await,
                files,
                "{shown}: {n}"
            );
        }
    }
}

/// Answers whether it got to its end.
async fn crash_at(what: What, steps: i64, after: bool) -> bool {
    let meta = Arc::new(mesa_meta::MemoryStore::new());
    let objects = Arc::new(mesa_store::MemoryStore::new());
    let mut server = Server::over(meta.clone(), objects.clone()).await;
    let mut ids = [ChangeId::ROOT; 4];
    for (n, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let below = if n == 0 { ChangeId::ROOT } else { ids[n - 1] };
        ids[n] = server
            .create(below, vec![put(name, name)], name)
            .await
            .change;
    }
    server.move_main(ids[3], true).await.unwrap();
    server.bookmark("dev", ids[3]).await;
    let mut session = RawSession::open(&server.api, "acme", "demo").await;
    session.lease().await;
    let root = session.root();
    let (_, create) = session.file("", root, "live", b"1");
    session.commit(vec![create]).await;
    give_back(&mut session).await;
    let mut beside = mesa_testkit::raw_session::request("acme", "demo");
    beside.target = Some(mesa_proto::v1::Target {
        kind: Some(mesa_proto::v1::target::Kind::Bookmark("dev".to_owned())),
    });
    let mut beside = RawSession::open_with(&server.api, beside).await.unwrap();
    beside.attach().await.unwrap();
    session.stream = None;
    beside.stream = None;
    server.api.cut();
    if matches!(what, What::Rebase | What::BringBack) {
        server.backend = server.backend.restarted();
        server.abandon(ids[1]).await.unwrap();
    }
    if what == What::BringBack {
        server.do_it(What::Rebase, ids).await.unwrap();
    }

    let sane = server.backend.restarted();
    let fuse = Arc::new(Fuse::new(steps, after));
    server.backend = Backend::over(
        Arc::new(Meta(meta.clone(), Arc::clone(&fuse))),
        Arc::new(Objects(objects.clone(), Arc::clone(&fuse))),
        Arc::new(SystemClock),
        HeadsConfig::default(),
    );
    // A dead server may also never answer.
    let doing = server.do_it(what, ids);
    let done = tokio::time::timeout(Duration::from_secs(10), doing).await;
    let done = matches!(done, Ok(Ok(())));
    let ended = !fuse.is_dead();

    server.backend = sane.restarted();
    server.api = InProcess::new(server.backend.heads.clone(), server.caller.clone());
    let shown = format!("{what:?} step {steps} after {after}");
    let state = server.change(ids[1]).await.state;
    let abandoned = state == ChangeState::Abandoned;
    match what {
        What::Abandon => assert!(abandoned || !done, "{shown}: {state:?}"),
        What::BringBack => assert!(!abandoned || !done, "{shown}: {state:?}"),
        What::Rebase => assert!(abandoned, "{shown}"),
        What::Open | What::Split => assert!(!abandoned, "{shown}"),
    }
    server.is_sound(ids, &shown).await;
    // Both sessions go on by their bookmarks, wherever those are.
    for (session, bookmark) in [(&mut session, "main"), (&mut beside, "dev")] {
        session.api = server.api.clone();
        session.attach().await.unwrap();
        session.lease().await;
        let name = format!("by-{bookmark}");
        let root = session.root();
        let (_, create) = session.file("", root, &name, b"2");
        session.commit(vec![create]).await;
        give_back(session).await;
        let now = server.files(crate::support::by_bookmark(bookmark)).await;
        assert!(now.contains(&(name, "2".to_owned())), "{shown}: {now:?}");
    }
    // What a crash left stands in nobody's way.
    server.do_it(what, ids).await.unwrap();
    ended
}

async fn crash_everywhere(what: What) {
    for after in [false, true] {
        let mut steps = 0;
        while !crash_at(what, steps, after).await {
            steps += 1;
            assert!(steps < 100, "it never ends");
        }
        assert!(steps > 0, "only {steps} durable steps");
    }
}

#[tokio::test]
async fn abandoning_dies_at_any_step() {
    crash_everywhere(What::Abandon).await;
}

#[tokio::test]
async fn a_rebase_dies_at_any_step() {
    crash_everywhere(What::Rebase).await;
}

#[tokio::test]
async fn bringing_back_dies_at_any_step() {
    crash_everywhere(What::BringBack).await;
}

#[tokio::test]
async fn abandoning_an_open_change_dies_at_any_step() {
    crash_everywhere(What::Open).await;
}

#[tokio::test]
async fn letting_some_sessions_go_dies_at_any_step() {
    crash_everywhere(What::Split).await;
}
