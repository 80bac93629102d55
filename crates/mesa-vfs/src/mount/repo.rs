//! One attached repo: its tree and open files behind one lock, its session, and the engine that
//! runs operations over both.
//!
//! An operation is a closure over the locked state that either answers, or says what it lacks
//! ([`Stop::Load`]: a directory's listing). What it lacks is fetched without the lock, then the
//! closure runs again from the start. Operations that change something return a [`Plan`]; it is
//! carried out here as the session's mode demands.

use std::{collections::HashMap, sync::Arc};

use futures::future::Shared;
use mesa_proto::v1;
use mesa_types::{FileId, Nanos};
use parking_lot::Mutex;

use super::{
    env::Env,
    files::{DirHandle, FileState, Files},
};
use crate::{
    content::WorkFile,
    fs::{Caller, FsError, FsResult, Handle, NodeId, Step},
    session::{
        Actor, Applied, ClientSeq, Durability, HeadInfo, HeadSeq, Later, LeaseState, Mode, Refused,
        Session,
    },
    tree::{Origin, Resolved, Tree},
};

/// Attempts of one operation before it fails; each one follows progress elsewhere.
const ATTEMPTS_MAX: usize = 1000;
/// Verdicts of the server that one operation takes for outdated before the caller gets one.
const VERDICTS_MAX: usize = 100;

/// A repo with a session.
pub struct Repo {
    pub env: Arc<Env>,
    pub session: Arc<Session>,
    pub read_only: bool,
    pub(super) state: Mutex<State>,
}

/// What the repo's lock protects.
pub struct State {
    pub tree: Tree,
    pub files: Files,
    pub dirs: HashMap<Handle, DirHandle>,
    /// Listings being read.
    pub loading: HashMap<FileId, Shared<Later<FsResult<()>>>>,
    /// Own content operations not acknowledged.
    pub content_ops: std::collections::BTreeMap<ClientSeq, FileId>,
    /// Access times set by callers; not stored on the server.
    pub atimes: HashMap<FileId, Nanos>,
    /// This client decides alone.
    pub sole: bool,
    asides: u64,
    /// All metadata is about to be read again: changes wait for it.
    pub reloading: Option<Shared<Later<FsResult<()>>>>,
    /// What every operation fails with since the session ended.
    pub fenced: Option<FsError>,
}

/// Why a closure over the state did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It answers this.
    Error(FsError),
    /// It needs the listing of this directory.
    Load(FileId),
    /// It needs what [`Session::mode`] waits for.
    Again,
}

impl State {
    /// See [`Files::check_lost`].
    pub fn check_lost(&mut self, handle: Handle) -> FsResult<()> {
        self.files.check_lost(handle, self.fenced.is_some())
    }

    /// A number for a version of a file that nobody has open.
    pub fn next_aside(&mut self) -> u64 {
        self.asides += 1;
        self.asides
    }
}

impl From<FsError> for Stop {
    fn from(error: FsError) -> Self {
        Self::Error(error)
    }
}

/// Result of a closure over the state.
pub type Try<T> = Result<T, Stop>;

type Finish<T> = Box<dyn FnOnce(&Repo, &mut State) -> FsResult<T> + Send>;

/// What is to happen.
#[allow(clippy::large_enum_variant)] // lives for one call, on the stack
pub enum Plan<T> {
    /// Nothing; the answer is known.
    Answer(T),
    /// An operation, then the answer from the changed state.
    Op(Change<T>),
}

/// An operation to carry out.
pub struct Change<T> {
    /// The operation.
    pub op: v1::op::Kind,
    /// Path hint.
    pub path: Vec<u8>,
    /// Its time.
    pub time: Nanos,
    /// The created file's work file.
    pub work: Option<Arc<WorkFile>>,
    /// It was made for this operation and goes when that fails.
    pub work_is_new: bool,
    /// Content of this file comes before it in the order.
    pub content_first: Option<FileId>,
    /// The answer.
    pub finish: Finish<T>,
}

enum Attempt<T> {
    Done(FsResult<T>),
    Load(FileId),
    Wait(Later<FsResult<()>>),
    Submit(Box<Submitted<T>>),
    Acked(ClientSeq, T),
    Again,
}

/// An operation the server decides.
struct Submitted<T> {
    verdict: Later<FsResult<Applied>>,
    change: Change<T>,
    /// What the plan knew of.
    planned_at: HeadSeq,
    made: Option<Made>,
}

/// Keeps a node in memory from its creation until the caller has it: another session may take its
/// name away at once.
struct Made {
    repo: Arc<Repo>,
    id: FileId,
    node: NodeId,
}

impl Drop for Made {
    fn drop(&mut self) {
        self.repo
            .with(|state| state.tree.unhold(self.id, self.node));
    }
}

impl Repo {
    pub fn new(env: Arc<Env>, session: Arc<Session>, tree: Tree, read_only: bool) -> Self {
        Self {
            env,
            session,
            read_only,
            state: Mutex::new(State {
                tree,
                files: Files::default(),
                dirs: HashMap::new(),
                loading: HashMap::new(),
                content_ops: std::collections::BTreeMap::new(),
                atimes: HashMap::new(),
                sole: false,
                asides: 0,
                reloading: None,
                fenced: None,
            }),
        }
    }

    /// The head as opened.
    pub fn info(&self) -> Arc<HeadInfo> {
        self.session.info()
    }

    /// Runs `work` with the lock held; notices go out after it is released.
    pub fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let result = work(&mut state);
        for (id, before) in state.tree.take_split() {
            state.files.split(id, before);
        }
        let mut dropped: Vec<Arc<WorkFile>> = Vec::new();
        for id in state.tree.take_unnamed() {
            for work in state.files.works(id) {
                work.note_names(0);
            }
            // Nothing is uploaded of a file that is gone before it was.
            if let Some(work) = state.files.remove_closed(id) {
                dropped.push(work);
            }
        }
        for id in state.tree.take_freed() {
            state.atimes.remove(&id);
            if let Some(work) = state.files.remove_closed(id) {
                dropped.push(work);
            }
        }
        let notices = state.tree.take_notices();
        drop(state);
        for work in dropped {
            self.session.drop_work(&work);
        }
        if !notices.is_empty() {
            self.env.notify(notices);
        }
        result
    }

    /// An operation that changes nothing.
    pub fn read<T: Send + 'static>(
        self: &Arc<Self>,
        ask: impl Fn(&Self, &mut State) -> Try<T> + Send + 'static,
    ) -> Step<T> {
        let first = match self.with(|state| ask(self, state)) {
            Ok(answer) => return Step::Done(Ok(answer)),
            Err(Stop::Error(error)) => return Step::Done(Err(error)),
            Err(Stop::Load(dir)) => Some(dir),
            Err(Stop::Again) => None,
        };
        let repo = Arc::clone(self);
        Step::Later(Box::pin(async move {
            let mut lacking = first;
            for _ in 0..ATTEMPTS_MAX {
                match lacking {
                    Some(dir) => repo.load(dir).await?,
                    None => tokio::task::yield_now().await,
                }
                match repo.with(|state| ask(&repo, state)) {
                    Ok(answer) => return Ok(answer),
                    Err(Stop::Error(error)) => return Err(error),
                    Err(Stop::Load(dir)) => lacking = Some(dir),
                    Err(Stop::Again) => lacking = None,
                }
            }
            Err(FsError::Io)
        }))
    }

    /// An operation that changes something. `plan` runs under the lock, possibly several times.
    pub fn change<T: Send + 'static>(
        self: &Arc<Self>,
        caller: Caller,
        plan: impl Fn(&Self, &mut State) -> Try<Plan<T>> + Send + 'static,
    ) -> Step<T> {
        let actor = self.env.actor(caller);
        let mut attempt = match self.attempt(&actor, &plan) {
            Attempt::Done(answer) => return Step::Done(answer),
            other => other,
        };
        let repo = Arc::clone(self);
        Step::Later(Box::pin(async move {
            let mut verdicts = 0;
            for _ in 0..ATTEMPTS_MAX {
                match attempt {
                    Attempt::Done(answer) => return answer,
                    Attempt::Load(dir) => repo.load(dir).await?,
                    Attempt::Wait(wait) => wait.await?,
                    Attempt::Submit(mut submitted) => match (&mut submitted.verdict).await {
                        Ok(_) => {
                            let Submitted { change, made, .. } = *submitted;
                            let answer = repo.decided(change);
                            drop(made);
                            return answer;
                        }
                        Err(error) => {
                            repo.failed(submitted.change.new_work());
                            // Events come before the verdict: what it goes by is in the tree now,
                            // and the plan made from that says what the caller gets.
                            let outdated = is_verdict(error)
                                && verdicts < VERDICTS_MAX
                                && repo.session.head_seq() > submitted.planned_at;
                            verdicts += 1;
                            // Busy: the mode changed meanwhile.
                            if error != FsError::Busy && !outdated {
                                return Err(error);
                            }
                        }
                    },
                    Attempt::Acked(seq, answer) => {
                        repo.session.wait_file(seq, None).await?;
                        return Ok(answer);
                    }
                    Attempt::Again => tokio::task::yield_now().await,
                }
                attempt = repo.attempt(&actor, &plan);
            }
            Err(FsError::Io)
        }))
    }

    fn attempt<T>(
        self: &Arc<Self>,
        actor: &Actor,
        plan: &impl Fn(&Self, &mut State) -> Try<Plan<T>>,
    ) -> Attempt<T> {
        if let Some(wait) = self.with(|state| state.reloading.clone()) {
            return Attempt::Wait(Box::pin(wait));
        }
        let mode = match self.session.mode() {
            Mode::Local => None,
            Mode::Shared => Some(()),
            Mode::Wait(wait) => {
                // What cannot be done anyway is not worth waiting for.
                return match self.with(|state| plan(self, state)) {
                    Ok(Plan::Answer(answer)) => Attempt::Done(Ok(answer)),
                    Err(Stop::Error(error)) => Attempt::Done(Err(error)),
                    Err(Stop::Load(dir)) => Attempt::Load(dir),
                    Ok(Plan::Op(change)) => {
                        self.failed(change.new_work());
                        Attempt::Wait(wait)
                    }
                    Err(Stop::Again) => Attempt::Wait(wait),
                };
            }
            Mode::Refused(refused) => {
                // A more telling reason comes first.
                return match self.with(|state| plan(self, state)) {
                    Ok(Plan::Answer(answer)) => Attempt::Done(Ok(answer)),
                    Err(Stop::Error(error)) => Attempt::Done(Err(error)),
                    Err(Stop::Load(dir)) => Attempt::Load(dir),
                    Ok(Plan::Op(change)) => {
                        self.failed(change.new_work());
                        Attempt::Done(Err(refused))
                    }
                    Err(Stop::Again) => Attempt::Done(Err(refused)),
                };
            }
        };
        if mode.is_some() {
            return self.submit(actor, plan);
        }
        let mut unused = None;
        let attempt = self.with(|state| {
            let change = match self.prepare(actor, state, plan) {
                Ok(Plan::Answer(answer)) => return Attempt::Done(Ok(answer)),
                Ok(Plan::Op(change)) => change,
                Err(stop) => return stop.into(),
            };
            let op = change.to_op();
            let waits = match self.env.durability() {
                Durability::Write => true,
                Durability::Close => matches!(op.kind, Some(v1::op::Kind::Rename(_))),
                Durability::Fsync | Durability::Local => false,
            };
            let kept = op.clone();
            let seq = match self.session.append(op, actor, change.work.as_ref()) {
                Ok(seq) => seq,
                Err(refused) => {
                    unused = change.new_work();
                    return match refused {
                        Refused::Retry => Attempt::Again,
                        Refused::Failed(error) => Attempt::Done(Err(error)),
                    };
                }
            };
            state.tree.apply(&kept, Origin::Own);
            match (change.finish)(self, state) {
                Ok(answer) if waits => Attempt::Acked(seq, answer),
                answer => Attempt::Done(answer),
            }
        });
        self.failed(unused);
        attempt
    }

    fn submit<T>(
        self: &Arc<Self>,
        actor: &Actor,
        plan: &impl Fn(&Self, &mut State) -> Try<Plan<T>>,
    ) -> Attempt<T> {
        let planned_at = self.session.head_seq();
        let planned: Try<_> = self.with(|state| {
            let planned = self.prepare(actor, state, plan)?;
            let made = match &planned {
                Plan::Op(change) => change.made(),
                Plan::Answer(_) => None,
            };
            let made = made.map(|id| {
                state.tree.hold(id);
                (id, state.tree.node_id(id))
            });
            Ok((planned, made))
        });
        let (change, made) = match planned {
            Ok((Plan::Answer(answer), _)) => return Attempt::Done(Ok(answer)),
            Ok((Plan::Op(change), made)) => (change, made),
            Err(stop) => return stop.into(),
        };
        Attempt::Submit(Box::new(Submitted {
            verdict: self.session.submit(change.to_op(), actor),
            change,
            planned_at,
            made: made.map(|(id, node)| Made {
                repo: Arc::clone(self),
                id,
                node,
            }),
        }))
    }

    /// The server decided for a change, and the tree has it already.
    fn decided<T>(&self, change: Change<T>) -> FsResult<T> {
        if let Some(work) = &change.work {
            self.session.mark_work(work)?;
        }
        self.with(|state| (change.finish)(self, state))
    }

    /// A change did not happen.
    fn failed(&self, work: Option<Arc<WorkFile>>) {
        if let Some(work) = work {
            self.session.drop_work(&work);
        }
    }

    /// The plan, with content that must come first given its place.
    fn prepare<T>(
        &self,
        actor: &Actor,
        state: &mut State,
        plan: &impl Fn(&Self, &mut State) -> Try<Plan<T>>,
    ) -> Try<Plan<T>> {
        if let Some(error) = state.fenced {
            return Err(error.into());
        }
        if state.reloading.is_some() {
            return Err(Stop::Again);
        }
        let plan = plan(self, state)?;
        if let Plan::Op(change) = &plan
            && let Some(file) = change.content_first
        {
            self.append_content(state, file, actor)?;
        }
        Ok(plan)
    }

    /// Gives what was written to a file so far its place in the order.
    pub fn append_content(
        &self,
        state: &mut State,
        file: FileId,
        actor: &Actor,
    ) -> Try<Option<ClientSeq>> {
        let works = state.files.works(file);
        let mut last = None;
        for work in works {
            let Some(path) = state.tree.path(file) else {
                return Ok(None);
            };
            if state.tree.get(file).is_none_or(|node| node.nlink == 0) {
                return Ok(None);
            }
            let times = super::open::times(state, file);
            work.note_names(state.tree.get(file).map_or(1, |node| node.nlink));
            match self.session.append_content(&work, &path, times, actor) {
                Ok(Some(seq)) => {
                    // A place given before may serve for what was written since, too.
                    if state.content_ops.insert(seq, file).is_none() {
                        state.tree.add_pending(file);
                    }
                    last = Some(seq);
                }
                Ok(None) => {}
                Err(Refused::Retry) => return Err(Stop::Again),
                Err(Refused::Failed(error)) => return Err(error.into()),
            }
        }
        Ok(last)
    }

    /// The present node a number names.
    #[allow(clippy::unused_self)] // reads as a question to the repo
    pub fn live(&self, state: &State, node: NodeId) -> FsResult<FileId> {
        match state.tree.resolve(node) {
            Resolved::Live(id) | Resolved::Old(id) if state.tree.get(id).is_some() => Ok(id),
            _ => Err(FsError::Stale),
        }
    }

    /// The lease changed.
    pub(super) fn lease(&self, lease: LeaseState) {
        let head_seq = self.session.head_seq();
        self.with(|state| {
            if state.sole {
                state.tree.raise_floor(head_seq.0);
            }
            state.sole = lease == LeaseState::Exclusive;
        });
    }

    /// Open state of a file, whichever version the handle belongs to.
    pub fn file_of(state: &mut State, handle: Handle) -> FsResult<&mut FileState> {
        state.files.of_handle(handle).ok_or(FsError::BadHandle)
    }
}

/// Whether the server may have judged by names that the plan did not know of.
fn is_verdict(error: FsError) -> bool {
    matches!(
        error,
        FsError::NotFound
            | FsError::Exists
            | FsError::NotDir
            | FsError::IsDir
            | FsError::NotEmpty
            | FsError::Invalid
            | FsError::NoXattr
            | FsError::TooManyLinks
            | FsError::Stale
    )
}

impl<T> From<Stop> for Attempt<T> {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Error(error) => Self::Done(Err(error)),
            Stop::Load(dir) => Self::Load(dir),
            Stop::Again => Self::Again,
        }
    }
}

impl<T> Change<T> {
    /// A change without the rare parts.
    pub fn new(
        op: v1::op::Kind,
        path: Vec<u8>,
        time: Nanos,
        finish: impl FnOnce(&Repo, &mut State) -> FsResult<T> + Send + 'static,
    ) -> Self {
        Self {
            op,
            path,
            time,
            work: None,
            work_is_new: false,
            content_first: None,
            finish: Box::new(finish),
        }
    }

    /// The node it makes.
    fn made(&self) -> Option<FileId> {
        match &self.op {
            v1::op::Kind::Create(create) => Some(FileId(create.id)),
            _ => None,
        }
    }

    fn new_work(&self) -> Option<Arc<WorkFile>> {
        self.work.clone().filter(|_| self.work_is_new)
    }

    fn to_op(&self) -> v1::Op {
        v1::Op {
            time_ns: self.time.0,
            path: self.path.clone().into(),
            actor: 0,
            kind: Some(self.op.clone()),
        }
    }
}
