//! Sessions over the server in memory.

use std::{path::Path, sync::Arc, time::Duration};

use mesa_proto::v1::{self, op::Kind};
use mesa_types::{FileId, Nanos, time::SystemClock};
use mesa_vfs::{
    content::{ContentConfig, ContentStore, WorkFile},
    fs::FsError,
    session::{
        Actor, ClientSeq, HeadSeq, LeaseState, MergedContent, Mode, NodeTimes, Opened, Picked,
        Reload, Session, SessionConfig, SessionTarget, TreeSink, Tuning,
    },
};
use parking_lot::Mutex;

use crate::server::{Api, ROOT, Server};

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
pub struct Sink {
    pub told: Mutex<Vec<String>>,
}

impl Sink {
    fn note(&self, text: String) {
        self.told.lock().push(text);
    }

    pub fn has(&self, text: &str) -> bool {
        self.told.lock().iter().any(|told| told.contains(text))
    }
}

impl TreeSink for Sink {
    fn on_event(&self, entry: &v1::LogEntry) {
        self.note(format!("event {}", entry.first_seq));
    }
    fn on_applied(&self, seq: ClientSeq, _: HeadSeq, op: &v1::Op) {
        self.note(format!("applied {seq} {}", crate::server::label(op)));
    }
    fn on_acked(&self, up_to: ClientSeq, _: HeadSeq, _: &[MergedContent]) {
        self.note(format!("acked {up_to}"));
    }
    fn on_rejected(&self, seq: ClientSeq, _: &v1::Op, error: FsError) {
        self.note(format!("rejected {seq} {error:?}"));
    }
    fn on_picked(&self, picked: &Picked) {
        self.note(format!("picked {} {}", picked.seq, picked.content.size()));
    }
    fn on_moved(&self, moved: &[mesa_vfs::session::Moved]) {
        for moved in moved {
            self.note(format!("moved {} {}", moved.from, moved.to));
        }
    }
    fn on_work_changed(&self, file: FileId) {
        self.note(format!("changed {}", file.0));
    }
    fn on_work_settled(&self, file: FileId) {
        self.note(format!("settled {}", file.0));
    }
    fn on_lease(&self, lease: LeaseState) {
        self.note(format!("lease {lease:?}"));
    }
    fn on_sealed(&self, _: &v1::Sealed) {}
    fn on_reload(&self, reload: &Reload, _: HeadSeq) {
        self.note(format!("reload {reload:?}"));
    }
    fn on_fenced(&self, error: FsError, _: &str) {
        self.note(format!("fenced {error:?}"));
    }
    fn on_key(&self, good: bool) {
        self.note(format!("key {good}"));
    }
}

pub struct Mount {
    pub session: Arc<Session>,
    pub sink: Arc<Sink>,
    pub opened: Opened,
}

pub fn config(server: &Arc<Server>, state: &Path, cache: &Path) -> SessionConfig {
    SessionConfig {
        repo_id: None,
        api: Arc::new(Api(Arc::clone(server))),
        org: "acme".parse().unwrap(),
        repo: "work".parse().unwrap(),
        target: SessionTarget::Bookmark(String::new()),
        isolate: false,
        read_only: false,
        durability: mesa_vfs::session::Durability::Fsync,
        state_dir: state.to_owned(),
        content: ContentStore::open(ContentConfig::new(cache.to_owned())).unwrap(),
        client: "test".to_owned(),
        host: "here".to_owned(),
        clock: Arc::new(SystemClock),
        random: Arc::new(|| 0),
        quiet: None,
        tuning: Tuning {
            deadline: PATIENCE,
            backoff_min: Duration::from_millis(5),
            backoff_max: Duration::from_millis(20),
            ..Tuning::default()
        },
    }
}

/// Opens and starts a session with a cache of its own.
pub async fn mount(server: &Arc<Server>, state: &Path) -> Mount {
    let cache = tempfile::tempdir().unwrap().keep();
    mount_with(config(server, state, &cache)).await
}

pub async fn mount_with(config: SessionConfig) -> Mount {
    let opened = Session::open(config).await.unwrap();
    let session = Arc::clone(&opened.session);
    let sink = Arc::new(Sink::default());
    let weak: std::sync::Weak<Sink> = Arc::downgrade(&sink);
    session.start(weak);
    Mount {
        session,
        sink,
        opened,
    }
}

impl Mount {
    /// As kill -9: tasks end, nothing is said to the server, the state directory stays.
    pub async fn kill(self) {
        self.session.stop();
        let weak = Arc::downgrade(&self.session);
        drop(self);
        until("the session is gone", || weak.strong_count() == 0).await;
    }

    pub async fn decide(&self) {
        loop {
            match self.session.mode() {
                Mode::Local => return,
                Mode::Wait(wait) => wait.await.unwrap(),
                Mode::Shared => panic!("shared"),
                Mode::Refused(error) => panic!("{error}"),
            }
        }
    }

    /// Creates an empty file.
    pub async fn create(&self, name: &str) -> ClientSeq {
        self.create_work(name).await.1
    }

    pub async fn create_work(&self, name: &str) -> (Arc<WorkFile>, ClientSeq) {
        self.decide().await;
        let id = self.session.next_id().unwrap();
        let work = self.session.create_work(id, Nanos(1)).unwrap();
        let op = create_op(id, name);
        let seq = self.session.append(op, &Actor::default(), Some(&work));
        (work, seq.unwrap())
    }

    pub fn close(&self, work: &Arc<WorkFile>) -> Option<ClientSeq> {
        let times = NodeTimes {
            mtime: Nanos(1),
            ctime: Nanos(1),
        };
        self.session
            .append_content(work, b"file", times, &Actor::default())
            .unwrap()
    }

    pub async fn acked(&self, seq: ClientSeq) {
        self.session.wait_acked(seq).await.unwrap();
    }
}

pub fn create_op(id: FileId, name: &str) -> v1::Op {
    v1::Op {
        time_ns: 1,
        kind: Some(Kind::Create(v1::Create {
            parent: ROOT,
            name: name.to_owned().into(),
            id: id.0,
            kind: 1,
            mode: 0o644,
            ..v1::Create::default()
        })),
        ..v1::Op::default()
    }
}

/// Waits for a condition.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Bytes that do not repeat.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// Writes to a work file behind the session's back, as a passthrough descriptor does.
pub fn write(work: &WorkFile, offset: u64, bytes: &[u8]) {
    let backing = work.backing().unwrap();
    let mut at = 0;
    while at < bytes.len() {
        at += rustix::io::pwrite(&backing.file, &bytes[at..], offset + at as u64).unwrap();
    }
}
