//! A server with a clock that tests move, and sessions of programs.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use mesa_head::{
    Action, ActionFilter, At, HeadsConfig, PathConflict, Restore, Rewritten, Undo, UndoOutcome,
    ViewTarget,
};
use mesa_meta::MemoryStore;
use mesa_proto::v1::{self, client_message, server_message::Kind};
use mesa_repo::Scope;
use mesa_testkit::{Backend, InProcess, RawSession, TestClock};
use mesa_types::{ChangeId, NodeKind};

use crate::writes::Server;

pub const SECOND: i64 = 1_000_000_000;
pub const DAY: i64 = 86_400 * SECOND;

pub struct World {
    pub server: Server,
    pub clock: Arc<TestClock>,
    pub meta: Arc<MemoryStore>,
}

/// A node without identity and times: kind, mode, link target or content, xattrs, links.
pub type Shown = (u32, u32, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>, u32);

pub fn actor(exe: &str, group: u32) -> v1::Actor {
    v1::Actor {
        pid: group + 1,
        exe: exe.to_owned(),
        uid: 0,
        group,
    }
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(HeadsConfig::default()).await
    }

    pub async fn start_with(config: HeadsConfig) -> Self {
        let meta = Arc::new(MemoryStore::new());
        let clock = Arc::new(TestClock(AtomicI64::new(1_700_000_000 * SECOND)));
        let backend = Backend::over(
            meta.clone(),
            Arc::new(mesa_store::MemoryStore::new()),
            clock.clone(),
            config,
        );
        let caller = backend.org("acme", &[Scope::Write]).await.unwrap();
        let repo = backend.repo(&caller, "demo").await.unwrap();
        let api = InProcess::new(backend.heads.clone(), caller.clone());
        let server = Server {
            backend,
            caller,
            repo,
            api,
        };
        Self {
            server,
            clock,
            meta,
        }
    }

    pub fn pass(&self, time: i64) {
        self.clock.0.fetch_add(time, Ordering::SeqCst);
    }

    pub fn restart(&mut self) {
        self.server.backend = self.server.backend.restarted();
        let heads = self.server.backend.heads.clone();
        self.server.api = InProcess::new(heads, self.server.caller.clone());
    }

    /// A session of a program; it has asked for the lease.
    pub async fn session(&self, exe: &str, group: u32) -> RawSession {
        let mut session = RawSession::open(&self.server.api, "acme", "demo").await;
        session.actors = vec![actor(exe, group)];
        session.lease().await;
        session
    }

    /// A second session, with which the first one shares from here on.
    pub async fn join(&self, first: &mut RawSession, exe: &str, group: u32) -> RawSession {
        let mut second = RawSession::open(&self.server.api, "acme", "demo").await;
        second.actors = vec![actor(exe, group)];
        let ask = client_message::Kind::LeaseRequest(v1::LeaseRequest {});
        second.send(ask).await;
        give_back(first).await;
        for session in [first, &mut second] {
            session
                .until(|kind| matches!(kind, Kind::LeaseGrant(_)))
                .await;
            session.lease = 0;
        }
        second
    }

    pub async fn change(&self) -> ChangeId {
        self.server.main_change().await
    }

    pub async fn seal(&self) -> mesa_head::SealedAt {
        let (org, repo) = (&self.server.repo.org, &self.server.repo.id);
        let change = self.change().await;
        let heads = &self.server.backend.heads;
        heads.seal(org, repo, &change).await.unwrap()
    }

    pub async fn actions(&self) -> Vec<Action> {
        self.filtered(&ActionFilter::default(), 100).await
    }

    /// All pages of a list.
    pub async fn filtered(&self, filter: &ActionFilter, limit: usize) -> Vec<Action> {
        let (mut found, mut cursor) = (Vec::new(), None);
        let change = self.change().await;
        loop {
            let heads = &self.server.backend.heads;
            let page = heads.actions(&self.server.repo, &change, filter, cursor, limit);
            let page = page.await.unwrap();
            assert!(page.actions.len() <= limit);
            found.extend(page.actions);
            cursor = page.next;
            if cursor.is_none() {
                return found;
            }
        }
    }

    pub fn wanted(change: ChangeId, action: Option<u64>) -> Undo {
        Undo {
            change,
            action,
            onto: ViewTarget::Change(change),
            paths: Vec::new(),
            allow_conflicted: false,
        }
    }

    pub async fn try_undo(&self, wanted: Undo) -> mesa_head::Result<UndoOutcome> {
        let heads = &self.server.backend.heads;
        let actor = self.server.actor();
        heads.undo(&actor, &self.server.repo, wanted).await
    }

    /// Undoes an action, by default the last one; answers its id and what was written.
    pub async fn undo(&self, action: Option<u64>) -> (u64, Rewritten) {
        let wanted = Self::wanted(self.change().await, action);
        match self.try_undo(wanted).await.unwrap() {
            UndoOutcome::Done { undone, rewritten } => (undone, *rewritten),
            UndoOutcome::Conflicts(conflicts) => panic!("{conflicts:?}"),
        }
    }

    pub async fn conflicts(&self, action: Option<u64>) -> Vec<PathConflict> {
        let wanted = Self::wanted(self.change().await, action);
        match self.try_undo(wanted).await.unwrap() {
            UndoOutcome::Conflicts(conflicts) => conflicts,
            UndoOutcome::Done { rewritten, .. } => panic!("{rewritten:?}"),
        }
    }

    pub async fn try_restore(
        &self,
        at: At,
        paths: &[&str],
        allow_remove: bool,
    ) -> mesa_head::Result<Result<Rewritten, mesa_head::NotThere>> {
        let change = self.change().await;
        let wanted = Restore {
            change,
            at,
            onto: ViewTarget::Change(change),
            paths: paths.iter().map(|path| path.as_bytes().to_vec()).collect(),
            allow_remove,
        };
        let heads = &self.server.backend.heads;
        let actor = self.server.actor();
        heads.restore(&actor, &self.server.repo, wanted).await
    }

    pub async fn restore(&self, at: At, paths: &[&str]) -> Rewritten {
        self.try_restore(at, paths, false).await.unwrap().unwrap()
    }

    pub async fn files(&self) -> Vec<(String, String)> {
        self.server.files(crate::writes::main()).await
    }

    /// Everything of the tree but identity and times.
    pub async fn shown(&self) -> BTreeMap<String, Shown> {
        let reader = RawSession::open(&self.server.api, "acme", "demo").await;
        shown(&reader).await
    }
}

/// Waits for the recall of the exclusive lease and returns it.
pub async fn give_back(session: &mut RawSession) {
    session
        .until(|kind| matches!(kind, Kind::LeaseRecall(_)))
        .await;
    let back = v1::LeaseReturn {
        lease: session.lease,
        ..v1::LeaseReturn::default()
    };
    session.send(client_message::Kind::LeaseReturn(back)).await;
}

/// Returns the lease without being asked.
pub async fn release(session: &mut RawSession) {
    let back = v1::LeaseReturn {
        lease: session.lease,
        idle: true,
    };
    session.send(client_message::Kind::LeaseReturn(back)).await;
    let beat = v1::Heartbeat::default();
    session.send(client_message::Kind::Heartbeat(beat)).await;
    session
        .until(|kind| matches!(kind, Kind::Heartbeat(_)))
        .await;
}

pub async fn shown(session: &RawSession) -> BTreeMap<String, Shown> {
    let shown = |node: v1::Node| {
        let xattrs = node.xattrs.iter();
        let xattrs = xattrs.map(|x| (x.name.to_vec(), x.value.to_vec()));
        let mut xattrs: Vec<_> = xattrs.collect();
        xattrs.sort();
        let mut bytes = node.inline.to_vec();
        if node.kind == NodeKind::Dir as u32 {
            bytes.clear();
        }
        (node.kind, node.mode, bytes, xattrs, node.nlink)
    };
    let tree = session.tree().await;
    tree.into_iter()
        .map(|(path, node)| (path, shown(node)))
        .collect()
}
