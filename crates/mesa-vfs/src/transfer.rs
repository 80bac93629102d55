//! From work files to content operations: chunk and hash, find what changed, upload what the
//! server lacks, complete the operation that already has its place in the order.

mod extents;
mod pickup;
mod upload;

use std::{sync::Arc, time::Duration};

use mesa_proto::{convert, v1};
use mesa_types::{ContentRef, limits};
use tokio::sync::Semaphore;

use crate::{
    content::WorkFile,
    fs::FsError,
    session::{
        Picked, Session,
        queue::{BULK, ContentJob, Group, Lane, Room},
    },
};
use pickup::Pick;

/// Groups of smaller files worked on at once.
const SMALL_MAX: usize = 3;
/// Large files worked on at once.
const BULK_MAX: usize = 2;

/// Works on content operations until the session is closed. What somebody waits for is begun at
/// once; large files have slots of their own, so that smaller ones never wait for them.
pub(crate) async fn run(session: Arc<Session>) {
    let small = Arc::new(Semaphore::new(SMALL_MAX));
    let bulk = Arc::new(Semaphore::new(BULK_MAX));
    while !session.is_closing() {
        let room = Room {
            small: small.available_permits(),
            bulk: bulk.available_permits(),
        };
        let (generation, groups) = session.start_content(room);
        if groups.is_empty() {
            session.content_wanted().await;
            continue;
        }
        for group in groups {
            // Free: only this task takes them.
            let slot = match group.lane {
                Lane::Urgent => None,
                Lane::Small => Arc::clone(&small).try_acquire_owned().ok(),
                Lane::Bulk => Arc::clone(&bulk).try_acquire_owned().ok(),
            };
            let me = Arc::clone(&session);
            tokio::spawn(async move {
                work(&me, generation, group).await;
                drop(slot);
                me.wake_content();
            });
        }
    }
}

async fn work(session: &Arc<Session>, generation: u64, group: Group) {
    let Group { lane, mut jobs } = group;
    if lane == Lane::Small {
        // They may have grown since they were queued.
        jobs.retain(|job| {
            let size = job.work.stat().map_or(0, |stat| stat.size);
            if size >= BULK {
                session.put_content_back(generation, job, size);
            }
            size < BULK
        });
    }
    let key = session.content().fetcher().key().clone();
    let works: Vec<_> = jobs.iter().map(|job| Arc::clone(&job.work)).collect();
    let quiet = session.config().quiet.clone();
    let read = move || {
        let pick = |work| pickup::pick(&key, work, quiet.as_ref());
        works.iter().map(pick).collect::<Vec<_>>()
    };
    let Ok(picks) = tokio::task::spawn_blocking(read).await else {
        tracing::error!("reading work files failed");
        return;
    };
    let mut large = Vec::new();
    for (job, pick) in jobs.into_iter().zip(picks) {
        match pick {
            Ok(pick) if inline(session, &pick).is_some() => {
                finish(session, generation, job, pick).await;
            }
            Ok(pick) => large.push((job, pick)),
            Err(error) => give_up(session, generation, &job, error),
        }
    }
    if large.is_empty() || !session.is_generation(generation) {
        return;
    }
    let large = upload_all(session, generation, large).await;
    for (job, pick) in large {
        finish(session, generation, job, pick).await;
    }
}

/// Uploads what is missing, for as long as it takes: nothing behind these operations can be sent
/// before. A file that changes under the reader is read again from a copy.
async fn upload_all(
    session: &Arc<Session>,
    generation: u64,
    mut large: Vec<(ContentJob, Pick)>,
) -> Vec<(ContentJob, Pick)> {
    let mut delay = Duration::from_millis(100);
    loop {
        let sources: Vec<_> = large
            .iter()
            .map(|(job, pick)| upload::Source {
                pick,
                known: if job.force {
                    None
                } else {
                    job.work.pick.lock().chunks.clone()
                },
            })
            .collect();
        let failed = match upload::upload(session, &sources).await {
            Ok(()) => return large,
            Err(failed) => failed,
        };
        if session.is_closing() || !session.is_generation(generation) {
            return Vec::new();
        }
        match failed {
            upload::Failed::Changed(index) => {
                let key = session.content().fetcher().key().clone();
                let file = Arc::clone(&large[index].0.work);
                let again = move || pickup::pick_copy(&key, &file);
                if let Ok(Ok(pick)) = tokio::task::spawn_blocking(again).await {
                    large[index].1 = pick;
                } else {
                    let (job, _) = large.remove(index);
                    give_up(session, generation, &job, FsError::Io);
                }
            }
            upload::Failed::Local(index, error) => {
                let (job, _) = large.remove(index);
                give_up(session, generation, &job, error);
            }
            upload::Failed::Call(error) => {
                session.note_error(format!("upload: {}", error.message));
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(session.config().tuning.backoff_max);
            }
        }
    }
}

/// Reads a file whose times may hide a change and compares; blocks. True: its content is to be
/// queued.
pub(crate) fn is_changed_unseen(session: &Session, work: &Arc<WorkFile>) -> bool {
    let before = work.pick.lock().clone();
    let key = session.content().fetcher().key();
    let Ok(pick) = pickup::pick(key, work, session.config().quiet.as_ref()) else {
        return false;
    };
    let mut now = work.pick.lock();
    if now.base != before.base || now.stat != before.stat {
        // Read by somebody else meanwhile.
        return false;
    }
    let same_times = before
        .queued
        .is_some_and(|known| !pick.stat.differs(&known));
    if same_times && pick.built.content == before.base {
        now.unsure = !pick.sure;
        return false;
    }
    now.queued = None;
    true
}

/// The bytes to send inside the operation, if they are few enough.
fn inline<'a>(session: &Session, pick: &'a Pick) -> Option<&'a bytes::Bytes> {
    let max = (session.info().inline_bytes_max as usize).min(limits::INLINE_MAX);
    pick.bytes.as_ref().filter(|bytes| bytes.len() <= max)
}

/// Completes an operation.
async fn finish(session: &Arc<Session>, generation: u64, job: ContentJob, pick: Pick) {
    let (base, unknown) = {
        let state = job.work.pick.lock();
        (state.base, state.base_unknown)
    };
    let content = pick.built.content;
    let extents = if unknown {
        None
    } else {
        extents::between(session, &job, base, &pick).await
    };
    // What this client did not change stays what others made of it.
    let nothing = !unknown && content == base;
    let resized = nothing || extents.is_some() && content.size() != base.size();
    let time = job.times.content_time(pick.stat.mtime);
    let inline = inline(session, &pick).cloned();
    if let Some(bytes) = &inline
        && !session.is_sole_writer()
    {
        // What the next change is compared with: the server has it only until somebody else's is
        // sealed.
        session.content().put(content, bytes.clone());
    }
    let set = v1::SetContent {
        id: job.work.file().0,
        base: Some(convert::content_to_wire(&base)),
        content: Some(convert::content_to_wire(&content)),
        inline: inline.clone().unwrap_or_default(),
        extents: extents.unwrap_or_default(),
        resized,
        mtime_ns: pick.stat.mtime.0,
    };
    let op = v1::Op {
        time_ns: time.0,
        kind: Some(v1::op::Kind::SetContent(set)),
        ..job.op.clone()
    };
    {
        let mut state = job.work.pick.lock();
        state.failed = false;
        state.base = content;
        state.base_unknown = false;
        state.stat = Some(pick.stat);
        state.unsure = !pick.sure;
        // Chunks that only ever travelled inside operations are not for sharing yet.
        state.chunks = inline.is_none().then(|| Arc::new(pick.built.chunks));
    }
    let seq = session.resolve_content(generation, &job, op);
    if let (Some(seq), Some(sink)) = (seq, session.sink()) {
        sink.on_picked(&Picked {
            file: job.work.file(),
            seq,
            content,
            stat: pick.stat,
            time,
        });
    }
    session.wake_content();
}

/// The bytes cannot be read: the place in the order is filled with an operation that leaves them
/// as the server has them. As long as the file is there, they are queued again.
fn give_up(session: &Arc<Session>, generation: u64, job: &ContentJob, error: FsError) {
    session.note_error(format!(
        "cannot read the local file of node {}: {error}",
        job.work.file()
    ));
    if job.work.is_there() {
        {
            let mut state = job.work.pick.lock();
            state.failed = true;
            state.queued = None;
        }
        session.watch_again(&job.work);
    }
    let mtime_ns = match &job.op.kind {
        Some(v1::op::Kind::SetContent(set)) => set.mtime_ns,
        _ => job.op.time_ns,
    };
    let set = v1::SetContent {
        id: job.work.file().0,
        base: Some(convert::content_to_wire(&ContentRef::Empty)),
        content: Some(convert::content_to_wire(&ContentRef::Empty)),
        resized: true,
        mtime_ns,
        ..v1::SetContent::default()
    };
    let op = v1::Op {
        kind: Some(v1::op::Kind::SetContent(set)),
        ..job.op.clone()
    };
    session.resolve_content(generation, job, op);
}

/// Whether two contents can be compared byte by byte in memory.
fn is_small(content: &ContentRef) -> bool {
    content.size() <= limits::SINGLE_CHUNK_MAX
}
