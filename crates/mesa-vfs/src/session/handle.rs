//! The session as the tree uses it.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::stream::BoxStream;
use mesa_client::SyncError;
use mesa_proto::{convert, v1};
use mesa_types::{FileId, Nanos};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, oneshot, watch};

use super::{
    Actor, Applied, ClientSeq, Durability, HeadInfo, HeadSeq, Later, Mode, NodeTimes, OpenError,
    Opened, Refused, SessionConfig, Status, TreeSink,
    bell::{Bell, Hurry, Waiting},
    core::{Core, Readiness},
    identity::{StateDir, is_session_id},
    link, nodes, open,
    queue::{CLIENT_SEQ_MAX, ContentJob, Group, Place, Room},
    watch::Watch,
    way::For,
    works::mark_of,
};
use crate::{
    content::{Content, WorkFile, store, work_dir::WorkDir},
    fs::{FsError, FsResult, Step},
    transfer,
};

/// Coarsest file times of kernels without fine ones, with a margin.
pub(crate) const TICK_NS: i64 = 20_000_000;
/// Looks of one sync at files that somebody goes on writing to.
const LOOKS_MAX: usize = 3;
/// What nobody waits for is held back this long for company: one wake-up, one read and one commit
/// on the server then serve many operations.
pub(super) const COMPANY_WAIT: Duration = Duration::from_millis(10);

/// One attached repo head. All methods may be called from any thread and none blocks.
pub struct Session {
    pub(super) config: SessionConfig,
    pub(super) dir: StateDir,
    pub(super) core: Mutex<Core>,
    pub(super) info: RwLock<Arc<HeadInfo>>,
    pub(super) content: Content,
    pub(super) work_dir: Arc<WorkDir>,
    pub(super) works: Mutex<HashMap<FileId, Weak<WorkFile>>>,
    pub(super) watch: Watch,
    sink: OnceLock<Weak<dyn TreeSink>>,
    /// Bumped whenever something changed that somebody may wait for.
    pub(super) changed: watch::Sender<u64>,
    pub(super) wake_writer: Bell,
    pub(super) wake_transfer: Bell,
    /// Calls that wait for the server.
    hurry: Hurry,
    pub(super) wake_link: Notify,
    pub(super) closing: AtomicBool,
    /// Counts acknowledgements and uploads.
    progress: AtomicU64,
    pub(super) recoveries: Mutex<super::lost::Recoveries>,
    /// In a recovery: what was refused.
    pub(super) refused: Mutex<Option<Vec<super::kept::RefusedOp>>>,
    pub(super) wanted: Mutex<Option<super::switch::Wanted>>,
    pub(super) wake_switch: Notify,
    runtime: tokio::runtime::Handle,
}

impl Session {
    /// Joins the head (or resumes the session of the state directory) and reads the journal.
    pub async fn open(config: SessionConfig) -> Result<Opened, OpenError> {
        open::open(config).await
    }

    pub(super) fn new(
        config: SessionConfig,
        dir: StateDir,
        core: Core,
        info: HeadInfo,
        content: Content,
        work_dir: Arc<WorkDir>,
    ) -> Arc<Self> {
        let hurry = Hurry::default();
        Arc::new(Self {
            watch: Watch::new(Arc::clone(&config.clock), config.tuning.pickup_interval),
            config,
            dir,
            core: Mutex::new(core),
            info: RwLock::new(Arc::new(info)),
            content,
            work_dir,
            works: Mutex::default(),
            sink: OnceLock::new(),
            changed: watch::Sender::new(0),
            wake_writer: Bell::new(&hurry),
            wake_transfer: Bell::new(&hurry),
            hurry,
            wake_link: Notify::new(),
            closing: AtomicBool::new(false),
            progress: AtomicU64::new(0),
            recoveries: Mutex::default(),
            refused: Mutex::default(),
            wanted: Mutex::default(),
            wake_switch: Notify::new(),
            runtime: tokio::runtime::Handle::current(),
        })
    }

    /// Attaches: from here on `sink` is called, and the journal is sent. Call once, after the
    /// tree has replayed [`Opened::ops`].
    pub fn start(self: &Arc<Self>, sink: Weak<dyn TreeSink>) {
        if self.sink.set(sink).is_err() {
            tracing::error!("a session was started twice");
            return;
        }
        self.runtime.spawn(link::run(Arc::clone(self)));
        self.runtime.spawn(transfer::run(Arc::clone(self)));
        self.runtime.spawn(super::watch::run(Arc::clone(self)));
        super::lost::resume_recoveries(self);
    }

    /// The tree, while it lives.
    pub(crate) fn sink(&self) -> Option<Arc<dyn TreeSink>> {
        self.sink.get()?.upgrade()
    }

    pub(crate) fn now(&self) -> Nanos {
        self.config.clock.now()
    }

    pub(crate) fn config(&self) -> &SessionConfig {
        &self.config
    }

    pub(super) fn bump(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    pub(crate) fn note_error(&self, message: String) {
        let now = self.now().millis();
        self.core.lock().last_error = Some((now, message));
    }

    /// Something arrived at the server: who waits may wait on.
    pub(crate) fn note_progress(&self) {
        self.progress.fetch_add(1, Ordering::AcqRel);
    }

    /// Changes when something was brought forward.
    pub(super) fn progress(&self) -> u64 {
        self.progress.load(Ordering::Acquire)
    }

    /// The head as last opened.
    pub fn info(&self) -> Arc<HeadInfo> {
        Arc::clone(&self.info.read())
    }

    /// The head went on to another change.
    pub(super) fn note_change(&self, change: &str) {
        let mut info = self.info.write();
        if info.change_id != change {
            let mut next = HeadInfo::clone(&info);
            change.clone_into(&mut next.change_id);
            *info = Arc::new(next);
        }
    }

    /// How a change can be made now. Asks for the lease when there is none.
    pub fn mode(self: &Arc<Self>) -> Mode {
        let (readiness, full, last) = {
            let mut core = self.core.lock();
            (core.readiness(), core.is_full(1), core.queue.last())
        };
        if full {
            // What waits behind the upload of a large file is not to fill the queue.
            self.make_way(last, For::Operation);
        }
        match readiness {
            Readiness::Local => Mode::Local,
            Readiness::Shared => Mode::Shared,
            Readiness::Refused(error) => Mode::Refused(error),
            Readiness::Wait => {
                self.wake_writer.ring();
                let me = Arc::clone(self);
                Mode::Wait(Box::pin(async move {
                    me.wait_until("the lease", |core| match core.readiness() {
                        Readiness::Wait => None,
                        Readiness::Refused(error) => Some(Err(error)),
                        Readiness::Local | Readiness::Shared => Some(Ok(())),
                    })
                    .await
                }))
            }
        }
    }

    /// Nothing is held back for company while the answer lives, and not what is held back now.
    fn hurry(&self) -> Waiting {
        let waiting = self.hurry.begin();
        self.wake_transfer.ring();
        self.wake_writer.ring();
        waiting
    }

    /// Waits for a state, at most the configured deadline.
    pub(super) async fn wait_until<T>(
        &self,
        what: &str,
        mut done: impl FnMut(&mut Core) -> Option<FsResult<T>>,
    ) -> FsResult<T> {
        let _hurry = self.hurry();
        let mut changed = self.changed.subscribe();
        let wait = async {
            loop {
                changed.borrow_and_update();
                let answer = done(&mut self.core.lock());
                if let Some(answer) = answer {
                    return answer;
                }
                self.wake_writer.ring();
                if changed.changed().await.is_err() {
                    return Err(FsError::Io);
                }
            }
        };
        tokio::pin!(wait);
        loop {
            let before = self.progress.load(Ordering::Acquire);
            if let Ok(answer) = tokio::time::timeout(self.config.tuning.deadline, &mut wait).await {
                return answer;
            }
            // A slow link is no reason to fail as long as it brings something forward.
            if self.progress.load(Ordering::Acquire) == before {
                break;
            }
        }
        self.note_error(format!("not synced: waited too long for {what}"));
        Err(FsError::Io)
    }

    /// Takes an operation decided under the exclusive lease: journals it, gives it its place,
    /// queues it. With `work`, the same write marks that file as served from its work file (for a
    /// create). Synchronous and ordered; call it under the lock that orders decisions.
    pub fn append(
        &self,
        op: v1::Op,
        actor: &Actor,
        work: Option<&Arc<WorkFile>>,
    ) -> Result<ClientSeq, Refused> {
        let mark = work.map(|work| mark_of(work));
        let now = self.now();
        let seq = self.core.lock().append(op, actor, mark.as_ref(), now)?;
        if let Some(work) = work {
            self.watch.add(work);
        }
        self.wake_writer.ring();
        Ok(seq)
    }

    /// Gives the present content (and mtime) of `work` a place in the order, if it changed since
    /// the last time; the bytes are read and sent behind it. Allowed in every mode. `path` is the
    /// path hint of the node now, `times` its times as the tree has them (see [`NodeTimes`]).
    /// `None`: nothing changed.
    pub fn append_content(
        &self,
        work: &Arc<WorkFile>,
        path: &[u8],
        times: NodeTimes,
        actor: &Actor,
    ) -> Result<Option<ClientSeq>, Refused> {
        if work.is_dropped() {
            return Ok(None);
        }
        let stat = work.stat().map_err(Refused::Failed)?;
        work.count(&stat);
        let known = work.pick.lock().queued;
        if known.is_some_and(|known| !stat.differs(&known)) {
            return Ok(None);
        }
        let op = v1::Op {
            time_ns: times.content_time(stat.mtime).0,
            path: bytes::Bytes::copy_from_slice(path),
            actor: 0,
            kind: Some(v1::op::Kind::SetContent(v1::SetContent {
                id: work.file().0,
                mtime_ns: stat.mtime.0,
                ..v1::SetContent::default()
            })),
        };
        let job = ContentJob {
            op,
            work: Arc::clone(work),
            times,
            force: false,
            started: false,
            held: false,
            urgent: false,
            size: stat.size,
            place: Place::new(ClientSeq(0)),
        };
        let now = self.now();
        let seq = self.core.lock().append_content(job, actor, now)?;
        // What is written in the same tick of the clock would not show: look once more then.
        let tick = Nanos(stat.ctime.0.saturating_add(TICK_NS));
        let sure = self.work_dir.fine_times() || tick < now;
        work.pick.lock().queued = sure.then_some(stat);
        self.watch.add(work);
        self.wake_transfer.ring();
        Ok(Some(seq))
    }

    /// Sends an operation for the server to decide (shared mode) and waits for its effect. Fails
    /// with the server's verdict, or `Io` after the deadline (the operation may still happen and
    /// then arrives as [`TreeSink::on_applied`]). `Busy`: the mode changed, ask [`Session::mode`]
    /// again.
    pub fn submit(self: &Arc<Self>, op: v1::Op, actor: &Actor) -> Later<FsResult<Applied>> {
        let (reply, answer) = oneshot::channel();
        let now = self.now();
        let queued = self.core.lock().append_undecided(op, actor, reply, now);
        let error = match queued {
            Ok(seq) => {
                self.make_way(seq, For::Operation);
                None
            }
            Err(Refused::Retry) => Some(FsError::Busy),
            Err(Refused::Failed(error)) => Some(error),
        };
        if let Some(error) = error {
            return Box::pin(std::future::ready(Err(error)));
        }
        self.wake_writer.ring();
        let me = Arc::clone(self);
        let hurry = self.hurry();
        Box::pin(async move {
            let _hurry = hurry;
            match tokio::time::timeout(me.config.tuning.deadline, answer).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(FsError::Io),
                Err(_) => {
                    me.note_error("not synced: the server did not decide in time".to_owned());
                    Err(FsError::Io)
                }
            }
        })
    }

    /// Place of the last operation.
    pub fn last_seq(&self) -> ClientSeq {
        self.core.lock().queue.last()
    }

    /// Last head sequence the sink was told of.
    pub fn head_seq(&self) -> HeadSeq {
        HeadSeq(self.core.lock().head_seq)
    }

    /// Waits until everything up to `seq` is on the server's stable storage; `Io` after the
    /// deadline.
    pub fn wait_acked(self: &Arc<Self>, seq: ClientSeq) -> Later<FsResult<()>> {
        let generation = {
            let mut core = self.core.lock();
            if core.queue.acked() >= seq {
                return Box::pin(std::future::ready(Ok(())));
            }
            core.queue.hold(seq);
            core.generation
        };
        self.wait_place(seq, generation)
    }

    /// The same for the content of one file and every other operation up to `seq`: content of
    /// other files may make way (see [`super::way`]).
    pub fn wait_file(
        self: &Arc<Self>,
        seq: ClientSeq,
        work: Option<&Arc<WorkFile>>,
    ) -> Later<FsResult<()>> {
        let generation = {
            let mut core = self.core.lock();
            if core.queue.acked() >= seq {
                return Box::pin(std::future::ready(Ok(())));
            }
            if let Some(work) = work {
                core.queue.hurry(seq, work);
            }
            core.generation
        };
        self.make_way(seq, For::Operation);
        self.wake_transfer.ring();
        self.wait_place(seq, generation)
    }

    /// Content that is not on the server yet lets operations at `up_to` pass.
    pub(super) fn make_way(&self, up_to: ClientSeq, whom: For) {
        let moved = self.core.lock().make_way(up_to, whom);
        if moved.is_empty() {
            return;
        }
        if let Some(sink) = self.sink() {
            sink.on_moved(&moved);
        }
        self.core.lock().moved(&moved);
        self.wake_writer.ring();
    }

    fn wait_place(self: &Arc<Self>, seq: ClientSeq, generation: u64) -> Later<FsResult<()>> {
        let me = Arc::clone(self);
        Box::pin(async move {
            me.wait_until("the server's acknowledgement", |core| {
                if core.generation != generation || seq > core.queue.last() {
                    return Some(Err(FsError::Io));
                }
                if core.queue.acked() >= seq {
                    return Some(Ok(()));
                }
                core.refused.map(Err)
            })
            .await
        })
    }

    /// Waits until content can be queued again.
    pub fn wait_room(self: &Arc<Self>) -> Later<FsResult<()>> {
        self.make_way(self.last_seq(), For::Operation);
        let me = Arc::clone(self);
        Box::pin(async move {
            me.wait_until("room in the queue", |core| match core.refused {
                Some(error) => Some(Err(error)),
                None => (!core.is_full(2)).then_some(Ok(())),
            })
            .await
        })
    }

    /// fsync of one file in this session's durability class: its content as it is now and all
    /// earlier operations. `Busy`: the queue is full, see [`Session::wait_room`].
    pub fn fsync(
        self: &Arc<Self>,
        work: Option<(&Arc<WorkFile>, NodeTimes)>,
        path: &[u8],
        actor: &Actor,
    ) -> Step<()> {
        if let Some((work, times)) = work
            && let Err(refused) = self.append_content(work, path, times, actor)
        {
            let error = match refused {
                Refused::Failed(error) => error,
                Refused::Retry => FsError::Busy,
            };
            return Step::Done(Err(error));
        }
        let me = Arc::clone(self);
        if self.config.durability != Durability::Local {
            return Step::Later(me.wait_file(self.last_seq(), work.map(|(work, _)| work)));
        }
        let backing = match work.map(|(work, _)| work.backing()).transpose() {
            Ok(backing) => backing,
            Err(error) => return Step::Done(Err(error)),
        };
        Step::Later(Box::pin(async move {
            let journal = me.core.lock().journal.sync_handle();
            let sync = move || {
                if let Some(backing) = backing {
                    rustix::fs::fdatasync(&backing.file)?;
                }
                journal?.sync_data()
            };
            match tokio::task::spawn_blocking(sync).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(store::local(&error)),
                Err(_) => Err(FsError::Io),
            }
        }))
    }

    /// A file id that was never used. `None`: the reserve is empty; await what
    /// [`Session::mode`] gives.
    pub fn next_id(&self) -> Option<FileId> {
        let (id, low) = {
            let mut core = self.core.lock();
            let id = core.ids.take();
            (id, core.ids.is_low(core.bounds.ids_low))
        };
        if low {
            self.wake_writer.ring();
        }
        id
    }

    /// Clean content of this repo.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Metadata of directories (see the protocol). Retries until the deadline while nothing was
    /// answered yet.
    pub fn nodes(
        self: &Arc<Self>,
        dirs: Vec<v1::DirRef>,
        depth: u32,
        inline_bytes_max: u32,
        nodes_max: u32,
    ) -> BoxStream<'static, FsResult<v1::NodeBatch>> {
        let request = v1::GetNodesRequest {
            session: self.info().session.clone(),
            dirs,
            depth,
            inline_bytes_max,
            nodes_max,
        };
        nodes::stream(Arc::clone(self), request)
    }

    /// Looks at every work file that may have changed (calling [`TreeSink::on_work_changed`]) and
    /// waits until everything is on the server.
    pub fn sync(self: &Arc<Self>) -> Later<FsResult<()>> {
        let me = Arc::clone(self);
        Box::pin(async move {
            for _ in 0..LOOKS_MAX {
                let look = Arc::clone(&me);
                let looked = tokio::task::spawn_blocking(move || super::watch::look_at_all(&look));
                looked.await.map_err(|_| FsError::Io)?;
                let seq = me.last_seq();
                me.wait_acked(seq).await?;
                let unsent = super::watch::unsent(&me) > 0;
                if unsent && let Some(error) = me.core.lock().refused {
                    // Nothing more was taken, and so there is nothing to wait for.
                    return Err(error);
                }
                if !unsent && !super::watch::any_unsure(&me) {
                    break;
                }
            }
            if super::watch::any_failed(&me) {
                return Err(FsError::Io);
            }
            Ok(())
        })
    }

    /// As [`Session::sync`], and over the loss of the session: what cannot go to its head any more
    /// is in a recovery change when this returns. For those who ask whether everything is safe,
    /// not whether what they wrote is in the head.
    pub fn sync_all(self: &Arc<Self>) -> Later<FsResult<()>> {
        let me = Arc::clone(self);
        Box::pin(async move {
            loop {
                let begun = me.core.lock().generation;
                let synced = me.sync().await;
                let lost = {
                    let core = me.core.lock();
                    core.replacing || core.generation != begun
                };
                if !lost {
                    synced?;
                }
                me.wait_until("the session in the place of the lost one", |core| {
                    (!core.replacing).then_some(Ok(()))
                })
                .await?;
                super::lost::all_filled(&me).await?;
                if !lost {
                    return Ok(());
                }
            }
        })
    }

    /// Whether the head has another base than the one that what is not acknowledged was decided
    /// on.
    pub fn is_displaced(&self) -> bool {
        let behind = self.core.lock().behind;
        behind.is_some_and(|behind| behind.moved)
    }

    /// Everything is read again, and what was decided before is on the server.
    pub fn caught_up(&self) {
        self.core.lock().catch_up();
    }

    /// The session cannot go on in its head: what the server does not have goes to a recovery
    /// change on the state it was decided on, and a fresh session takes its place.
    pub fn give_up(&self) {
        self.core.lock().giving_up = true;
        self.wake_switch.notify_one();
    }

    /// Whether nobody can write to this closed work file any more and everything in it is on the
    /// server. Call it under the lock that orders opens: it holds until the next one.
    pub fn is_settled(&self, work: &Arc<WorkFile>) -> bool {
        let Some(probe) = &self.config.quiet else {
            return false;
        };
        if work.is_dropped() || !work.look_quiet(&**probe) {
            return false;
        }
        let Ok(stat) = work.stat() else { return false };
        let pick = work.pick.lock();
        if pick.unsure {
            return false;
        }
        let same = |known: Option<crate::content::WorkStat>| {
            known.is_some_and(|known| !stat.differs(&known))
        };
        same(pick.queued) && same(pick.stat)
    }

    /// Whether nobody can write to the file, as far as this machine can tell.
    pub fn is_quiet(&self, work: &Arc<WorkFile>) -> bool {
        let probe = self.config.quiet.as_ref();
        work.is_dropped() || probe.is_none_or(|probe| work.look_quiet(&**probe))
    }

    /// Takes the server's word for where the head is.
    pub fn note_place(&self, at: &v1::SealResponse) {
        self.note_change(&at.change_id);
    }

    /// Folds the head into a commit now.
    pub async fn seal(&self) -> Result<v1::SealResponse, SyncError> {
        let request = v1::SealRequest {
            session: self.info().session.clone(),
        };
        self.config
            .api
            .seal(self.config.org.as_str(), request)
            .await
    }

    /// The credential may have changed: try again now. Until the server has judged it, it counts
    /// as good, so that who waits for the server waits for that.
    pub fn credential_changed(&self) {
        self.core.lock().credential += 1;
        link::key_state(self, true);
        self.wake_link.notify_one();
    }

    /// Returns when the server is there; false: the session ends.
    pub async fn attached(&self) -> bool {
        let mut changed = self.changed.subscribe();
        loop {
            if self.is_closing() {
                return false;
            }
            if self.core.lock().connection == super::Connection::Attached {
                return true;
            }
            if changed.changed().await.is_err() {
                return false;
            }
        }
    }

    /// Numbers for status.
    pub fn status(&self) -> Status {
        let info = self.info();
        let now = self.now();
        let unsent_files = super::watch::unsent(self) as u64;
        let core = self.core.lock();
        let age = core.queue.oldest().map_or(0, |t| now.millis() - t.millis());
        let recoveries = self.recoveries.lock();
        Status {
            session: info.session.clone(),
            change_id: info.change_id.clone(),
            bookmark: info.bookmark.clone(),
            durability: self.config.durability,
            connection: core.connection,
            lease: core.lease.state,
            read_only: core.read_only,
            appended: core.queue.last(),
            acked: core.queue.acked(),
            head_seq: HeadSeq(core.head_seq),
            lag_ops: core.queue.len() as u64,
            lag_bytes: core.queue.lag_bytes(),
            lag_ms: u64::try_from(age).unwrap_or(0),
            unsent_files,
            last_error: core.last_error.clone(),
            kept: super::kept::list(&self.dir),
            recovering: recoveries.running.clone(),
            recovered: recoveries.done.clone(),
        }
    }

    /// Syncs, ends the session on the server and deletes its state if nothing is left in it and no
    /// program can still write to its files. With an error everything unsent stays journalled for
    /// the next start.
    pub async fn close(self: &Arc<Self>) -> FsResult<()> {
        let synced = self.sync().await;
        self.stop();
        synced?;
        let me = Arc::clone(self);
        let in_use = tokio::task::spawn_blocking(move || super::watch::any_in_use(&me));
        if in_use.await.unwrap_or(true) {
            tracing::info!("files are still open for writing: the next start goes on with them");
            return Ok(());
        }
        let (session, token, unused) = {
            let mut core = self.core.lock();
            let token = core.identity.token();
            (core.identity.session.clone(), token, core.ids.clear())
        };
        let request = v1::CloseSessionRequest {
            session,
            resume_token: token.into(),
            unused_ids: unused,
        };
        let call = self
            .config
            .api
            .close_session(self.config.org.as_str(), request);
        let closed = tokio::time::timeout(Duration::from_secs(5), call).await;
        if !matches!(closed, Ok(Ok(()))) {
            // The server ends it after a while.
            tracing::debug!("the session was not closed on the server");
        }
        open::forget(self).map_err(|error| store::local(&error))
    }

    /// Stops all tasks without ending the session: it is resumed at the next start.
    pub fn stop(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake_link.notify_one();
        self.wake_writer.ring();
        self.wake_transfer.ring();
        self.watch.wake();
        self.bump();
    }

    /// Content operations to work on, and the session they belong to.
    pub(crate) fn start_content(&self, room: Room) -> (u64, Vec<Group>) {
        let mut core = self.core.lock();
        (core.generation, core.queue.start_content(room))
    }

    /// A content operation that was begun as a small one is large: to be begun as such.
    pub(crate) fn put_content_back(&self, generation: u64, job: &ContentJob, size: u64) {
        let mut core = self.core.lock();
        if core.generation == generation {
            core.queue.put_back(&job.place, size);
        }
    }

    /// Waits until there may be content operations to work on.
    pub(crate) async fn content_wanted(&self) {
        self.wake_transfer.wait(COMPANY_WAIT).await;
    }

    pub(crate) fn wake_content(&self) {
        self.wake_transfer.ring();
    }

    /// A content operation is complete; its place.
    pub(crate) fn resolve_content(
        &self,
        generation: u64,
        job: &ContentJob,
        op: v1::Op,
    ) -> Option<ClientSeq> {
        let seq = {
            let mut core = self.core.lock();
            if core.generation != generation {
                return None;
            }
            core.queue.resolve(&job.place, op)
        };
        self.wake_writer.ring();
        seq
    }

    pub(crate) fn is_generation(&self, generation: u64) -> bool {
        self.core.lock().generation == generation
    }

    pub(crate) fn limits(&self) -> v1::Limits {
        self.core.lock().limits
    }

    pub(crate) fn is_sole_writer(&self) -> bool {
        self.core.lock().lease.state == super::LeaseState::Exclusive
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}

/// Reads the root of an answer.
pub(super) fn head_info(answer: &v1::OpenHeadResponse) -> Result<HeadInfo, OpenError> {
    let missing = OpenError::Answer;
    let repo = answer.repo.clone().ok_or(missing("no repo"))?;
    let root = answer.root.clone().ok_or(missing("no root"))?;
    convert::attr_from_wire(&root).map_err(|_| missing("a malformed root"))?;
    if answer.session.is_empty() || answer.resume_token.is_empty() {
        return Err(missing("no session"));
    }
    if !is_session_id(&answer.session) {
        return Err(missing("a malformed session id"));
    }
    if answer.acked_client_seq > CLIENT_SEQ_MAX {
        return Err(missing("an acknowledgement of what cannot be"));
    }
    let limits = answer.limits.unwrap_or_default();
    Ok(HeadInfo {
        session: answer.session.clone(),
        repo,
        change_id: answer.change_id.clone(),
        bookmark: answer.bookmark.clone(),
        root,
        head_seq: HeadSeq(answer.head_seq),
        read_only: answer.read_only,
        file_bytes_max: match limits.file_bytes_max {
            0 => mesa_types::limits::FILE_MAX,
            max => max,
        },
        inline_bytes_max: limits.inline_bytes_max,
    })
}
