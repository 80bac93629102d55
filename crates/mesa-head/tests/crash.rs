//! The server dies between any two durable steps: what was acknowledged is there afterwards, and
//! what is there is a prefix of what was sent.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

use std::{
    ops::Range as Span,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use mesa_client::SyncApi;
use mesa_head::HeadsConfig;
use mesa_meta::{
    Batch, Committed, Entry, Key, MetaError, MetaErrorKind, MetaStore, Range, Row, Table,
};
use mesa_proto::v1::{self, op, server_message::Kind};
use mesa_repo::Scope;
use mesa_store::{ObjectInfo, ObjectName, ObjectStore, StoreError, StoreErrorKind};
use mesa_testkit::{Backend, InProcess, RawSession};
use mesa_types::{NodeKind, time::SystemClock};

/// Burns down with every durable step; afterwards nothing works any more.
struct Fuse {
    left: AtomicI64,
    /// The last step has its effect, only its answer is lost.
    after: bool,
}

enum Fate {
    Lives,
    DiesBefore,
    DiesAfter,
}

impl Fuse {
    fn step(&self) -> Fate {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            1.. => Fate::Lives,
            0 if self.after => Fate::DiesAfter,
            _ => Fate::DiesBefore,
        }
    }

    fn is_dead(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }
}

struct Meta(Arc<mesa_meta::MemoryStore>, Arc<Fuse>);

fn gone() -> MetaError {
    MetaError {
        kind: MetaErrorKind::Unavailable,
        step: "crashed",
        source: None,
    }
}

impl Meta {
    fn alive(&self) -> Result<(), MetaError> {
        if self.1.is_dead() {
            Err(gone())
        } else {
            Ok(())
        }
    }
}

#[async_trait::async_trait]
impl MetaStore for Meta {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Row>, MetaError> {
        self.alive()?;
        self.0.get(table, key).await
    }

    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Row>>, MetaError> {
        self.alive()?;
        self.0.get_many(table, keys).await
    }

    async fn scan(
        &self,
        table: Table,
        range: &Range,
        limit: usize,
        descending: bool,
    ) -> Result<Vec<Entry>, MetaError> {
        self.alive()?;
        self.0.scan(table, range, limit, descending).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, MetaError> {
        match self.1.step() {
            Fate::Lives => self.0.commit(batch).await,
            Fate::DiesBefore => Err(gone()),
            Fate::DiesAfter => {
                self.0.commit(batch).await?;
                Err(gone())
            }
        }
    }

    async fn ping(&self) -> Result<(), MetaError> {
        self.alive()
    }
}

struct Objects(Arc<mesa_store::MemoryStore>, Arc<Fuse>);

fn lost() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "crashed", None)
}

#[async_trait::async_trait]
impl ObjectStore for Objects {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        match self.1.step() {
            Fate::Lives => self.0.put(name, bytes).await,
            Fate::DiesBefore => Err(lost()),
            Fate::DiesAfter => {
                self.0.put(name, bytes).await?;
                Err(lost())
            }
        }
    }

    async fn get_range(&self, name: &ObjectName, range: Span<u64>) -> Result<Bytes, StoreError> {
        if self.1.is_dead() {
            return Err(lost());
        }
        self.0.get_range(name, range).await
    }

    async fn size(&self, name: &ObjectName) -> Result<u64, StoreError> {
        self.0.size(name).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, StoreError> {
        self.0.list(prefix, after, limit).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.0.delete(name).await
    }
}

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

    let fuse = Arc::new(Fuse {
        left: AtomicI64::new(steps),
        after,
    });
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
