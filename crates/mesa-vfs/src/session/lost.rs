//! When the session cannot go on in its head: what it has not seen acknowledged goes to a recovery
//! change, by a session of its own, and a fresh session takes its place.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use mesa_client::SyncError;
use mesa_proto::v1;
use mesa_types::FileId;
use serde::{Deserialize, Serialize};

use super::{
    ClientSeq, HeadSeq, OpenError, Reload, Session, SessionTarget,
    core::Core,
    handle::head_info,
    identity::{Identity, StateDir},
    kept,
    link::invalid,
    open::{self, bounds, remove_dir},
    recovered,
};
use crate::{
    content::{WorkStat, work_dir::WorkDir},
    fs::{FsError, FsResult},
    journal::{Found, Journal, OpRecord, Record},
};

/// Between looks at a recovery that is under way.
const POLL: Duration = Duration::from_millis(200);

/// Recovery changes being filled, and filled, by bookmark.
#[derive(Debug, Default)]
pub(super) struct Recoveries {
    pub running: Vec<String>,
    pub done: Vec<String>,
}

/// Where a recovery goes: `target.json` of its directory.
#[derive(Debug, Serialize, Deserialize)]
struct Destination {
    change: String,
    bookmark: String,
}

/// Makes `recovery/<session>` from the journal of a lost session; nothing if it exists or there
/// is nothing to recover.
/// `acked`: what is known to be acknowledged; the journal may lag behind.
pub(super) fn set_aside(
    dir: &StateDir,
    old: &Identity,
    lost: &v1::Lost,
    acked: ClientSeq,
) -> io::Result<()> {
    let to = dir.recovery_dir().join(&old.session);
    if to.exists() {
        return Ok(());
    }
    // The journal is only read: it stays what it is until the fresh session is stored.
    let (_, mut found) = Journal::open(&dir.journal_dir(old.journal))?;
    found.acked = found.acked.max(acked);
    let from = WorkDir::open_dir(&dir.work_dir(), 0)?;
    let records = renumbered(found, &from);
    if records.is_empty() {
        return Ok(());
    }
    let temporary = dir.recovery_dir().join(format!("{}.new", old.session));
    remove_dir(&temporary)?;
    std::fs::create_dir_all(temporary.join("work"))?;
    let works = WorkDir::open_dir(&temporary.join("work"), 0)?;
    for record in &records {
        if let Record::Content { work, .. } = record {
            match from.link_to(*work, &works) {
                // Without its bytes the operation is filled with what was there before.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
    }
    let destination = Destination {
        change: lost.recovery_change.clone(),
        bookmark: lost.recovery_bookmark.clone(),
    };
    std::fs::write(
        temporary.join("target.json"),
        serde_json::to_vec(&destination)?,
    )?;
    let (mut journal, _) = Journal::open(&temporary.join("journal-1"))?;
    journal.append(&records.iter().collect::<Vec<_>>())?;
    journal.sync_handle()?.sync_all()?;
    File::open(&temporary)?.sync_all()?;
    std::fs::rename(&temporary, &to)?;
    File::open(dir.recovery_dir())?.sync_all()
}

/// Whether a journal has what was never acknowledged.
pub(super) fn is_unsent(found: Found, works: &WorkDir) -> bool {
    !renumbered(found, works).is_empty()
}

/// What is not acknowledged, from 1, for the server to decide. A file that was open for writing
/// comes with the bytes it has.
fn renumbered(found: Found, dir: &WorkDir) -> Vec<Record> {
    let mut records = Vec::new();
    let mut next = 0;
    let mut place = |op: OpRecord| {
        next += 1;
        OpRecord {
            seq: ClientSeq(next),
            lease: 0,
            ..op
        }
    };
    let mut queued = std::collections::HashSet::new();
    for record in found.ops {
        match record {
            Record::Op(op) if op.seq > found.acked => records.push(Record::Op(place(op))),
            Record::Content { op, file, work } if op.seq > found.acked => {
                queued.insert(work);
                let op = place(op);
                records.push(Record::Content { op, file, work });
            }
            _ => {}
        }
    }
    for (file, mark) in found.works {
        let changed = dir.stat(mark.work).is_ok_and(|stat| {
            let stat = WorkStat::of(&stat);
            mark.clean.is_none_or(|clean| stat.differs(&clean))
        });
        if queued.contains(&mark.work) || !changed {
            continue;
        }
        let op = OpRecord {
            seq: ClientSeq(0),
            lease: 0,
            actor: v1::Actor::default(),
            op: bare_content(file),
        };
        let op = place(op);
        records.push(Record::Content {
            op,
            file,
            work: mark.work,
        });
    }
    records
}

fn bare_content(file: FileId) -> v1::Op {
    v1::Op {
        kind: Some(v1::op::Kind::SetContent(v1::SetContent {
            id: file.0,
            ..v1::SetContent::default()
        })),
        ..v1::Op::default()
    }
}

/// Asks the server about a session whose token it refused: the newer token, or the bad news.
pub(super) async fn reopen(session: &Arc<Session>) -> Result<(), SyncError> {
    let resume = resume(session);
    let answer = match open::open_head(&session.present_config(), Some(resume)).await {
        Ok(answer) => answer,
        Err(error) => return Err(call_error(error)),
    };
    if let Some(lost) = answer.lost.clone() {
        return replace_with(session, &lost).await;
    }
    let identity = {
        let mut core = session.core.lock();
        core.giving_up = false;
        if answer.session != core.identity.session {
            return Err(invalid("OpenHead resumed another session"));
        }
        core.identity.set_token(&answer.resume_token);
        if let Some(ids) = &answer.ids {
            core.ids.grant(ids);
        }
        core.identity.clone()
    };
    let me = Arc::clone(session);
    let stored = tokio::task::spawn_blocking(move || me.dir.store(&identity)).await;
    match stored {
        Ok(Ok(())) => Ok(()),
        _ => Err(invalid("cannot store the resume token")),
    }
}

fn resume(session: &Session) -> v1::Resume {
    let core = session.core.lock();
    v1::Resume {
        session: core.identity.session.clone(),
        token: core.identity.token().into(),
        acked_client_seq: core.queue.acked().0,
        head_seq: core.decided_at(),
        last_client_seq: core.queue.reach().0,
        give_up: core.giving_up,
    }
}

/// The server fenced the session.
pub(super) async fn replace(session: &Arc<Session>, fenced: v1::Fenced) -> Result<(), SyncError> {
    tracing::warn!(reason = fenced.reason, "fenced: {}", fenced.message);
    session.note_error(format!("fenced ({}): {}", fenced.reason, fenced.message));
    match fenced.lost {
        Some(lost) => replace_with(session, &lost).await,
        None => reopen(session).await,
    }
}

/// A fresh session in the place of the lost one.
async fn replace_with(session: &Arc<Session>, lost: &v1::Lost) -> Result<(), SyncError> {
    let reason = format!("the session was lost ({})", lost.reason);
    session.note_error(reason.clone());
    let (old, acked) = stop_deciding(session);
    if let Some(sink) = session.sink() {
        sink.on_fenced(FsError::Io, &reason);
    }
    let me = Arc::clone(session);
    let (aside_of, aside_lost) = (old.clone(), lost.clone());
    let aside = move || set_aside(&me.dir, &aside_of, &aside_lost, acked);
    let aside = tokio::task::spawn_blocking(aside);
    match aside.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(invalid(&format!("cannot keep the journal: {error}"))),
        Err(_) => return Err(invalid("cannot keep the journal")),
    }
    let answer = open::open_head(&session.present_config(), None)
        .await
        .map_err(call_error)?;
    let info = head_info(&answer).map_err(call_error)?;
    let number = old.journal + 1;
    let (token, head_seq) = (answer.resume_token.clone(), answer.head_seq);
    let mut identity = Identity::new(answer.session.clone(), &token, number, head_seq);
    identity.repo = Some(info.repo.id.clone());
    identity.elsewhere.clone_from(&old.elsewhere);
    let me = Arc::clone(session);
    let stored = identity.clone();
    let renewed = tokio::task::spawn_blocking(move || {
        let aside = kept::directory(&me.dir, me.now());
        kept::keep_damaged(&me.dir.journal_dir(number), &aside)?;
        kept::keep_damaged(&me.dir.journal_dir(old.journal), &aside)?;
        remove_dir(&me.dir.journal_dir(number))?;
        // There before it is named: one that is missing was lost.
        let journal = Journal::open(&me.dir.journal_dir(number))?.0;
        me.dir.store(&stored)?;
        remove_dir(&me.dir.journal_dir(old.journal))?;
        io::Result::Ok(journal)
    });
    let journal = match renewed.await {
        Ok(Ok(journal)) => journal,
        Ok(Err(error)) => return Err(invalid(&format!("cannot start a journal: {error}"))),
        Err(_) => return Err(invalid("cannot start a journal")),
    };
    let bounds = bounds(&session.config, &answer.limits.unwrap_or_default());
    // The lost session's ids are not given back: its recovery uses them.
    session
        .core
        .lock()
        .replace(journal, identity, &answer, bounds);
    session
        .content
        .fetcher()
        .set_session(answer.session.clone());
    let reload = Reload::Replaced {
        change_id: info.change_id.clone(),
        recovery_bookmark: lost.recovery_bookmark.clone(),
    };
    *session.info.write() = Arc::new(info);
    if let Some(sink) = session.sink() {
        sink.on_reload(&reload, HeadSeq(answer.head_seq));
    }
    resume_recoveries(session);
    session.core.lock().replacing = false;
    session.bump();
    Ok(())
}

/// From here on nothing new is taken; everybody who waits is told. Answers what was acknowledged.
fn stop_deciding(session: &Session) -> (Identity, ClientSeq) {
    let (identity, acked, drained) = {
        let mut core = session.core.lock();
        core.refused = Some(FsError::Io);
        core.replacing = true;
        core.connection = super::Connection::Fenced;
        core.generation += 1;
        let acked = core.queue.acked();
        (core.identity.clone(), acked, core.queue.drain())
    };
    for item in drained {
        if let Some(reply) = item.reply {
            let _ = reply.send(Err(FsError::Io));
        }
    }
    session.bump();
    (identity, acked)
}

fn call_error(error: OpenError) -> SyncError {
    match error {
        OpenError::Server { source, .. } => source,
        other => invalid(&other.to_string()),
    }
}

/// Starts filling every recovery change of the state directory that nobody fills yet; those filled
/// before are known from now on.
pub(super) fn resume_recoveries(session: &Arc<Session>) {
    let known = recovered::load(&session.dir, session.now());
    {
        let done = &mut session.recoveries.lock().done;
        let new: Vec<_> = known
            .into_iter()
            .filter(|name| !done.contains(name))
            .collect();
        done.splice(..0, new);
    }
    let entries = match std::fs::read_dir(session.dir.recovery_dir()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            session.note_error(format!("cannot read the recovery directory: {error}"));
            return;
        }
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|ext| ext == "new") {
            continue;
        }
        let destination = std::fs::read(path.join("target.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Destination>(&bytes).ok());
        let Some(destination) = destination else {
            session.note_error(format!("unusable recovery {}", path.display()));
            continue;
        };
        let name = destination.bookmark.clone();
        let fresh = {
            let mut recoveries = session.recoveries.lock();
            let fresh = !recoveries.running.contains(&name);
            if fresh {
                recoveries.running.push(name.clone());
            }
            fresh
        };
        if fresh {
            let me = Arc::clone(session);
            tokio::spawn(async move {
                recover(&me, path, destination).await;
                me.recoveries
                    .lock()
                    .running
                    .retain(|running| *running != name);
                me.bump();
            });
        }
    }
}

/// Returns when no recovery change is being filled.
pub(super) async fn all_filled(session: &Session) -> FsResult<()> {
    let filled = |_: &mut Core| {
        session
            .recoveries
            .lock()
            .running
            .is_empty()
            .then_some(Ok(()))
    };
    session.wait_until("a recovery change", filled).await
}

async fn recover(session: &Arc<Session>, path: PathBuf, destination: Destination) {
    let mut delay = session.config.tuning.backoff_min;
    while !session.is_closing() {
        match fill(session, &path, &destination).await {
            Ok(true) => {
                let bookmark = destination.bookmark;
                if let Err(error) = recovered::add(&session.dir, &bookmark, session.now()) {
                    tracing::warn!(%error, bookmark, "not noted as recovered");
                }
                let mut recoveries = session.recoveries.lock();
                recoveries.done.retain(|done| *done != bookmark);
                recoveries.done.push(bookmark);
                return;
            }
            Ok(false) => return,
            Err(message) => {
                session.note_error(format!("{}: {message}", destination.bookmark));
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(session.config.tuning.backoff_max);
            }
        }
    }
}

/// One attempt; false when the parent session closed meanwhile.
async fn fill(
    session: &Arc<Session>,
    path: &Path,
    destination: &Destination,
) -> Result<bool, String> {
    let mut config = session.config.clone();
    let change = destination.change.parse();
    config.target = SessionTarget::Change(change.map_err(|error| format!("{error}"))?);
    config.isolate = false;
    config.state_dir = path.to_owned();
    config.tuning.in_flight_max = 64;
    config.tuning.work_pool = 0;
    // Boxed: a recovery is a session, which may itself have recoveries.
    let opened = Box::pin(open::open_seeded(config)).await;
    let recovery = opened.map_err(|error| full_message(&error))?.session;
    *recovery.refused.lock() = Some(Vec::new());
    let sink: std::sync::Weak<Nobody> = std::sync::Weak::new();
    recovery.start(sink);
    let mut seen = 0;
    loop {
        let left = {
            let core = recovery.core.lock();
            core.queue.len()
        };
        if left == 0 {
            break;
        }
        if session.is_closing() {
            recovery.stop();
            return Ok(false);
        }
        // Whoever waits for it waits on the parent.
        let progress = recovery.progress();
        if progress != std::mem::replace(&mut seen, progress) {
            session.note_progress();
        }
        tokio::time::sleep(POLL).await;
    }
    let refused = recovery.refused.lock().take().unwrap_or_default();
    // Names alone are often there already: the journal may know less than the server.
    if refused.iter().any(|op| op.work.is_some()) {
        let to = kept::directory(&session.dir, session.now());
        let message = format!(
            "{}: {} operations do not fit there; they are in {}",
            destination.bookmark,
            refused.len(),
            to.display()
        );
        let keep = tokio::task::spawn_blocking(move || kept::keep_refused(&refused, &to));
        let kept = keep.await.map_err(|error| error.to_string())?;
        kept.map_err(|error| error.to_string())?;
        session.note_error(message);
    }
    recovery.close().await.map_err(|error| error.to_string())?;
    let path = path.to_owned();
    let parent = Arc::clone(session);
    let removed = tokio::task::spawn_blocking(move || {
        // What could not be sent there either outlives the directory.
        kept::adopt(&recovery.dir, &parent.dir)?;
        remove_dir(&path)
    });
    let removed = removed.await;
    removed
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    Ok(true)
}

fn full_message(error: &OpenError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// A sink for sessions without a tree; there is never one.
enum Nobody {}

impl super::TreeSink for Nobody {
    fn on_event(&self, _: &v1::LogEntry) {}
    fn on_applied(&self, _: ClientSeq, _: HeadSeq, _: &v1::Op) {}
    fn on_acked(&self, _: ClientSeq, _: HeadSeq, _: &[super::MergedContent]) {}
    fn on_rejected(&self, _: ClientSeq, _: &v1::Op, _: FsError) {}
    fn on_picked(&self, _: &super::Picked) {}
    fn on_moved(&self, _: &[super::Moved]) {}
    fn on_work_changed(&self, _: FileId) {}
    fn on_work_settled(&self, _: FileId) {}
    fn on_lease(&self, _: super::LeaseState) {}
    fn on_sealed(&self, _: &v1::Sealed) {}
    fn on_reload(&self, _: &Reload, _: HeadSeq) {}
    fn on_fenced(&self, _: FsError, _: &str) {}
    fn on_key(&self, _: bool) {}
}
