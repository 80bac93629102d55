//! Joining a head and reading the journal.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::Path,
    sync::Arc,
    time::Duration,
};

use mesa_client::SyncError;
use mesa_object::OrgKey;
use mesa_proto::v1;
use mesa_types::ContentRef;
use prost::Message;

use super::{
    ClientSeq, Durability, LeaseState, NodeTimes, OpenError, Opened, RecoveredOp, RecoveredWork,
    Session, SessionConfig, SessionTarget, away,
    core::{Bounds, Core, Lease},
    handle::head_info,
    identity::{Identity, StateDir},
    kept, lost,
    queue::{Body, ContentJob, Pending, Place},
};
use crate::{
    content::{Content, Fetcher, WorkFile, WorkId, work_dir::WorkDir},
    journal::{Found, Journal, OpRecord, Record, Verdict, WorkMark, forget_length},
};

/// Calls to GetChunks and GetManifests at once.
const FETCHES_MAX: usize = 8;
/// A server that does not answer for this long is away, where that can be helped.
const AWAY_AFTER: Duration = Duration::from_secs(3);

/// See [`Session::open`].
pub(super) async fn open(config: SessionConfig) -> Result<Opened, OpenError> {
    open_with(config, false).await
}

/// The same, keeping the journal that was put there for a session yet to be opened.
pub(super) async fn open_seeded(config: SessionConfig) -> Result<Opened, OpenError> {
    open_with(config, true).await
}

async fn open_with(mut config: SessionConfig, seeded: bool) -> Result<Opened, OpenError> {
    let dir = StateDir::open(&config.state_dir).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => OpenError::InUse(config.state_dir.clone()),
        _ => state(&config.state_dir, source),
    })?;
    let state_dir = config.state_dir.clone();
    let at = |source| state(&state_dir, source);
    let mut notes = Vec::new();
    let mut stored = dir.load().map_err(at)?;
    if let Some(old) = stored.take_if(|old| old.is_of_other(config.repo_id.as_deref())) {
        let lost = kept::directory(&dir, config.clock.now());
        if leave_behind(&dir, &old, &lost).map_err(at)? {
            notes.push(format!(
                "the repo was deleted, and another one has its name: what was not sent to the former \
                 one is in {}",
                lost.display()
            ));
        }
    }
    let elsewhere = stored.as_ref().and_then(|old| old.elsewhere.clone());
    if let Some(elsewhere) = &elsewhere {
        elsewhere.apply(&mut config).map_err(at)?;
    }
    let other_boot = dir.is_other_boot().map_err(at)?;
    if other_boot {
        // No mount is left that could go on without the server.
        away::remove(dir.path());
        if let Some(identity) = &stored {
            forget_length(&dir.journal_dir(identity.journal)).map_err(at)?;
        }
        if config.durability != Durability::Local {
            distrust(&dir).map_err(at)?;
        }
    }
    dir.note_boot().map_err(at)?;
    let lost = kept::directory(&dir, config.clock.now());
    if stored.is_none() && !seeded {
        if dir.is_closed() {
            empty(&dir).map_err(at)?;
        } else if kept::keep_unknown(&dir, &lost).map_err(at)? {
            notes.push(format!(
                "session.json is missing: the journal and files that were here are in {}",
                lost.display()
            ));
        }
    }
    let known = match &stored {
        Some(identity) => {
            Journal::open(&dir.journal_dir(identity.journal))
                .map_err(at)?
                .1
        }
        None => Found::default(),
    };
    let resume = stored.as_ref().map(|identity| v1::Resume {
        session: identity.session.clone(),
        token: identity.token().into(),
        acked_client_seq: known.acked.0,
        head_seq: identity.head_seq,
        last_client_seq: reach_of(identity, &known),
        give_up: false,
    });
    let away = stored.as_ref().and_then(|old| away::load(dir.path(), old));
    let (mut answer, away) = match (ask(&config, resume, away.is_some()).await, away, &stored) {
        (Ok(answer), ..) => {
            away::remove(dir.path());
            (answer, None)
        }
        (Err(error), Some(away), Some(old)) if is_away(&error) => {
            tracing::warn!("the server is away: going on with what is here");
            (away.answer(old, known.acked), Some(away))
        }
        (Err(error), ..) => return Err(error),
    };
    let was_known = stored.is_some();
    let mut identity = stored;
    if let (Some(lost), Some(old)) = (answer.lost.take(), &identity) {
        lost::set_aside(&dir, old, &lost, known.acked).map_err(at)?;
        // What the server opened along with the bad news may be a session or nothing.
        if answer.session.is_empty() || answer.session == old.session {
            answer = open_head(&config, None).await?;
        }
    }
    let info = head_info(&answer)?;
    let same = identity
        .as_ref()
        .is_some_and(|old| old.session == answer.session);
    let number = match &identity {
        Some(old) if same => old.journal,
        Some(old) => old.journal + 1,
        None => 1,
    };
    let mut next = Identity::new(
        answer.session.clone(),
        &answer.resume_token,
        number,
        if same {
            identity.as_ref().map_or(0, |i| i.head_seq)
        } else {
            answer.head_seq
        },
    );
    if let (Some(old), true) = (&identity, same) {
        next.reach = Some(reach_of(old, &known));
    }
    let reach = ClientSeq(next.reach.unwrap_or(0));
    next.elsewhere = elsewhere;
    next.repo = Some(info.repo.id.clone());
    if !(same || seeded && identity.is_none()) {
        // Leftovers of a start that was cut off before it stored this number.
        kept::keep_damaged(&dir.journal_dir(number), &lost).map_err(at)?;
        remove_dir(&dir.journal_dir(number)).map_err(at)?;
        // There before it is named: one that is missing was lost.
        Journal::open(&dir.journal_dir(number)).map_err(at)?;
    }
    dir.store(&next).map_err(at)?;
    if let (Some(old), false) = (&identity, same) {
        kept::keep_damaged(&dir.journal_dir(old.journal), &lost).map_err(at)?;
        remove_dir(&dir.journal_dir(old.journal)).map_err(at)?;
    }
    identity = Some(next);
    let Some(identity) = identity else {
        return Err(OpenError::Answer("no session"));
    };

    let (journal, found) = Journal::open(&dir.journal_dir(number)).map_err(at)?;
    let work_dir = WorkDir::open_dir(&dir.work_dir(), config.tuning.work_pool).map_err(at)?;
    work_dir.count_in(config.content.private_total());
    let acked = ClientSeq(if same { answer.acked_client_seq } else { 0 });
    let limits = answer.limits.unwrap_or_default();
    let mut core = Core::new(journal, identity, acked, limits, bounds(&config, &limits));
    core.queue.reached(reach);
    core.read_only = answer.read_only;
    let decided_at = core.identity.head_seq;
    core.head_seq = answer.head_seq;
    core.answer = answer.clone();
    if let Some(ids) = &answer.ids {
        core.ids.grant(ids);
    }
    if let Some(away) = &away {
        for range in away.ids(&made_ids(&found)) {
            core.ids.grant(&range);
        }
        if let Some(number) = away.lease() {
            core.lease = Lease {
                state: LeaseState::Exclusive,
                number,
                ..Lease::NONE
            };
        }
    }
    let journalled = same && away.is_none() && !found.ops.is_empty();
    let damage = known.damage.as_ref().or(found.damage.as_ref());
    // Also what a start before this one found and did not come to keep.
    let damaged = damage.is_some() || kept::has_damaged(&dir.journal_dir(number)).map_err(at)?;
    let doubtful = damaged || was_known && !other_boot && !known.whole;
    let aside = doubtful.then(|| lost.join("work"));
    let reason = match damage {
        Some(damage) => damage.to_string(),
        None => "the journal may be incomplete".to_owned(),
    };
    let restored = restore(
        &mut core,
        found,
        &work_dir,
        acked,
        &config,
        aside.as_deref(),
    );
    let (ops, works, kept) = restored.map_err(at)?;
    kept::keep_damaged(&dir.journal_dir(number), &lost).map_err(at)?;
    if damaged || kept > 0 {
        let files = match kept {
            0 => String::new(),
            1 => ", and 1 file that may belong to it,".to_owned(),
            n => format!(", and {n} files that may belong to it,"),
        };
        notes.push(format!(
            "{reason}; what cannot be read of it{files} is in {}",
            lost.display()
        ));
    }
    kept::explain(&lost, &notes).map_err(at)?;
    for message in notes {
        tracing::error!("{message}");
        core.last_error = Some((config.clock.now().millis(), message));
    }
    if journalled {
        // Whether its base was moved meanwhile is told by `HelloAck`.
        let head_seq = std::mem::replace(&mut core.head_seq, decided_at);
        core.fall_behind(false, false);
        core.head_seq = head_seq;
    }
    let content = content_of(&config, &answer, &limits)?;
    let session = Session::new(config, dir, core, info, content, work_dir);
    for work in &works {
        let weak = Arc::downgrade(&work.work);
        session.works.lock().insert(work.file, weak);
        session.watch.add(&work.work);
        if let Ok(stat) = work.work.stat() {
            work.work.count(&stat);
        }
    }
    session.work_dir.fill_later();
    Ok(Opened {
        session,
        ops,
        works,
        away,
    })
}

/// The newest operation of a session found here that may be on the server, as far as this
/// directory's own past tells. What a copy of it sent meanwhile is beyond that.
fn reach_of(identity: &Identity, known: &Found) -> u64 {
    let reach = identity.reach.unwrap_or_else(|| known.last().0);
    reach.max(known.acked.0)
}

/// Ids given to files, as far as the journal tells.
fn made_ids(found: &Found) -> Vec<u64> {
    let made = |record: &Record| match record {
        Record::Op(op) => match &op.op.kind {
            Some(v1::op::Kind::Create(create)) => Some(create.id),
            _ => None,
        },
        _ => None,
    };
    let unnamed = found.unmarked.iter().map(|file| file.0);
    found.ops.iter().filter_map(made).chain(unnamed).collect()
}

/// OpenHead; with `quickly` for somebody who can do without for the time being.
async fn ask(
    config: &SessionConfig,
    resume: Option<v1::Resume>,
    quickly: bool,
) -> Result<v1::OpenHeadResponse, OpenError> {
    let call = open_head(config, resume);
    if !quickly {
        return call.await;
    }
    match tokio::time::timeout(AWAY_AFTER, call).await {
        Ok(answer) => answer,
        Err(_) => Err(refused(config, timed_out())),
    }
}

/// Whether the server did not answer, rather than say no.
fn is_away(error: &OpenError) -> bool {
    use mesa_client::SyncErrorKind as K;
    match error {
        OpenError::Server { source, .. } => {
            matches!(source.kind, K::Unreachable | K::TimedOut | K::Server)
        }
        _ => false,
    }
}

/// Puts the work files aside: after a power cut any of their bytes may be gone, and content that
/// was synced to the server must not be replaced by what is left. Operations that wait for their
/// bytes are filled with what was there before.
fn distrust(dir: &StateDir) -> io::Result<()> {
    let from = dir.work_dir();
    let aside = dir.work_dir().with_extension("untrusted");
    remove_dir(&aside)?;
    match std::fs::rename(&from, &aside) {
        Ok(()) => {
            tracing::warn!(
                "the machine was restarted: unsynced local files were put in {}",
                aside.display()
            );
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Where this session gets content from.
fn content_of(
    config: &SessionConfig,
    answer: &v1::OpenHeadResponse,
    limits: &v1::Limits,
) -> Result<Content, OpenError> {
    let key = OrgKey::from_slice(&answer.chunk_key).ok_or(OpenError::Answer("no chunk key"))?;
    let fetcher = Fetcher::new(
        Arc::clone(&config.api),
        config.org.as_str().to_owned(),
        answer.session.clone(),
        key,
        config.tuning.deadline,
        FETCHES_MAX,
        limits.chunks_per_call_max,
    );
    Ok(Content::new(Arc::clone(&config.content), fetcher))
}

/// The stricter of the client's and the server's bounds.
pub(super) fn bounds(config: &SessionConfig, limits: &v1::Limits) -> Bounds {
    let stricter = |own: u64, theirs: u64| match theirs {
        0 => own,
        theirs => own.min(theirs),
    };
    Bounds {
        ops: stricter(
            config.tuning.unacked_ops_max,
            u64::from(limits.unacked_ops_max),
        ),
        bytes: stricter(config.tuning.unacked_bytes_max, limits.unacked_bytes_max),
        ids_low: config.tuning.ids_low,
    }
}

/// OpenHead at the configured target.
pub(super) async fn open_head(
    config: &SessionConfig,
    resume: Option<v1::Resume>,
) -> Result<v1::OpenHeadResponse, OpenError> {
    let request = open_request(config, resume);
    let call = config.api.open_head(request);
    match tokio::time::timeout(config.tuning.deadline, call).await {
        Ok(answer) => answer.map_err(|source| refused(config, source)),
        Err(_) => Err(refused(config, timed_out())),
    }
}

fn refused(config: &SessionConfig, source: SyncError) -> OpenError {
    OpenError::Server {
        org: config.org.as_str().to_owned(),
        repo: config.repo.as_str().to_owned(),
        source,
    }
}

pub(crate) fn timed_out() -> SyncError {
    SyncError {
        kind: mesa_client::SyncErrorKind::TimedOut,
        code: String::new(),
        message: "the server did not answer in time".to_owned(),
        retry_after_ms: None,
    }
}

fn open_request(config: &SessionConfig, resume: Option<v1::Resume>) -> v1::OpenHeadRequest {
    let kind = match &config.target {
        SessionTarget::Bookmark(name) => v1::target::Kind::Bookmark(name.clone()),
        SessionTarget::Change(id) => v1::target::Kind::Change(id.to_string()),
    };
    v1::OpenHeadRequest {
        org: config.org.as_str().to_owned(),
        repo: config.repo.as_str().to_owned(),
        target: Some(v1::Target { kind: Some(kind) }),
        isolate: config.isolate,
        read_only: config.read_only,
        resume,
        client: config.client.clone(),
        host: config.host.clone(),
        want_ids: config.tuning.ids_batch,
    }
}

/// Puts what the journal holds back into the queue.
fn restore(
    core: &mut Core,
    found: Found,
    work_dir: &Arc<WorkDir>,
    acked: ClientSeq,
    config: &SessionConfig,
    aside: Option<&Path>,
) -> io::Result<(Vec<RecoveredOp>, Vec<RecoveredWork>, u64)> {
    let keep = needed_works(&found, acked);
    let highest = keep.iter().map(|id| id.0).max().unwrap_or(0);
    work_dir.reserve_below(highest + 1);
    // The operations that name them could not be read.
    let kept = match aside {
        Some(aside) => work_dir.keep_others(&keep, aside)?,
        None => 0,
    };
    work_dir.retain(&keep)?;
    let mut files: HashMap<WorkId, Arc<WorkFile>> = HashMap::new();
    let mut works = Vec::new();
    for (&file, mark) in &found.works {
        if work_dir.stat(mark.work).is_ok() {
            let dir = Arc::clone(work_dir);
            let work = WorkFile::found(dir, mark.work, file, mark.base, mark.clean);
            files.insert(mark.work, Arc::clone(&work));
            works.push(RecoveredWork { file, work });
        }
    }
    let now = config.clock.now();
    let mut ops = Vec::new();
    for record in found.ops {
        let (op, job) = match record {
            Record::Op(op) => (op, None),
            Record::Content { op, file, work } => (op, Some((file, work))),
            _ => continue,
        };
        if op.seq <= acked {
            continue;
        }
        if op.seq != core.queue.next_seq() {
            core.queue.skip_to(ClientSeq(op.seq.0 - 1));
        }
        if op.seq != core.queue.next_seq() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the journal lacks operations before {}", op.seq),
            ));
        }
        ops.push(match (&job, op.verdict()) {
            (Some((file, _)), _) => RecoveredOp::Content(op.seq, *file),
            (None, Verdict::Decided) => RecoveredOp::Decided(op.seq, op.op.clone()),
            (None, Verdict::Undecided) => RecoveredOp::Undecided(op.seq, op.op.clone()),
        });
        let job = job.map(|(file, id)| {
            let made = files.entry(id).or_insert_with(|| {
                let dir = Arc::clone(work_dir);
                let mark = found.works.get(&file).filter(|mark| mark.work == id);
                let base = mark.map_or(ContentRef::Empty, |mark| mark.base);
                let work = WorkFile::found(dir, id, file, base, None);
                work.pick.lock().base_unknown = mark.is_none();
                // Its node is gone, or has another work file: only this operation needs it.
                work.discard();
                work
            });
            // Read again for this operation: what it holds now need not be queued once more.
            made.pick.lock().queued = made.stat().ok();
            Arc::clone(made)
        });
        core.queue.push(pending(op, job, now));
    }
    Ok((ops, works, kept))
}

fn pending(op: OpRecord, work: Option<Arc<WorkFile>>, now: mesa_types::Nanos) -> Pending {
    let times = NodeTimes {
        mtime: mesa_types::Nanos(i64::MIN),
        ctime: mesa_types::Nanos(op.op.time_ns),
    };
    let verdict = op.verdict();
    let size = work
        .as_ref()
        .and_then(|work| work.stat().ok())
        .map_or(0, |stat| stat.size);
    Pending {
        seq: op.seq,
        lease: op.lease,
        actor: Arc::new(op.actor),
        bytes: op.op.encoded_len() as u64,
        work: work.clone().map(|work| (work, times)),
        blocking: work.is_none() && verdict == Verdict::Undecided,
        body: match work {
            Some(work) => Body::Content(ContentJob {
                op: op.op,
                work,
                times,
                force: false,
                started: false,
                held: false,
                urgent: false,
                size,
                place: Place::new(op.seq),
            }),
            None => Body::Ready(op.op),
        },
        reply: None,
        since: now,
    }
}

fn needed_works(found: &Found, acked: ClientSeq) -> HashSet<WorkId> {
    let marks = found.works.values().map(|mark: &WorkMark| mark.work);
    let jobs = found.ops.iter().filter_map(|record| match record {
        Record::Content { op, work, .. } if op.seq > acked => Some(*work),
        _ => None,
    });
    marks.chain(jobs).collect()
}

/// Deletes the state of a session that ended in good order.
pub(super) fn forget(session: &Session) -> io::Result<()> {
    session.dir.forget()?;
    session.work_dir.retain(&HashSet::new())?;
    empty(&session.dir)
}

/// Whether a state directory that nobody uses has what is not known to be on the server.
pub(crate) fn has_unsent(path: &Path) -> io::Result<bool> {
    let dir = StateDir::open(path)?;
    if !kept::list(&dir).is_empty() || is_recovering(&dir) {
        return Ok(true);
    }
    let Some(identity) = dir.load()? else {
        return Ok(false);
    };
    let (_, found) = Journal::open(&dir.journal_dir(identity.journal))?;
    let works = WorkDir::open_dir(&dir.work_dir(), 0)?;
    Ok(lost::is_unsent(found, &works))
}

fn is_recovering(dir: &StateDir) -> bool {
    std::fs::read_dir(dir.recovery_dir()).is_ok_and(|mut dirs| dirs.next().is_some())
}

/// The session's repo is gone for good. What it never sent is kept in `aside`; says whether there
/// is any.
fn leave_behind(dir: &StateDir, old: &Identity, aside: &Path) -> io::Result<bool> {
    let (_, found) = Journal::open(&dir.journal_dir(old.journal))?;
    let damaged = kept::keep_damaged(&dir.journal_dir(old.journal), aside)?;
    let works = WorkDir::open_dir(&dir.work_dir(), 0)?;
    let unsent = lost::is_unsent(found, &works);
    let recovering = is_recovering(dir);
    if unsent {
        kept::keep_unknown(dir, aside)?;
    }
    if recovering {
        std::fs::create_dir_all(aside)?;
        std::fs::rename(dir.recovery_dir(), aside.join("recovery"))?;
    }
    away::remove(dir.path());
    dir.forget()?;
    works.retain(&HashSet::new())?;
    empty(dir)?;
    Ok(damaged || unsent || recovering)
}

/// Deletes what an ended session left.
fn empty(dir: &StateDir) -> io::Result<()> {
    for entry in std::fs::read_dir(dir.path())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("journal-") {
            remove_dir(&entry.path())?;
        }
    }
    dir.emptied()
}

pub(super) fn remove_dir(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn state(path: &Path, source: io::Error) -> OpenError {
    OpenError::State {
        path: path.to_owned(),
        source,
    }
}
