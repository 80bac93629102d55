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
    fs::FsError,
    session::{ClientSeq, Picked, Session, queue::ContentJob},
};
use pickup::Pick;

/// Files read together.
const GROUP: usize = 256;
/// Bytes read together, about.
const GROUP_BYTES: u64 = 8 << 20;
/// Groups worked on at once.
const GROUPS_MAX: usize = 4;

type Job = (ClientSeq, ContentJob);

/// Works on content operations until the session is closed.
pub(crate) async fn run(session: Arc<Session>) {
    let slots = Arc::new(Semaphore::new(GROUPS_MAX));
    while !session.is_closing() {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let (generation, jobs) = session.start_content(GROUP);
        if jobs.is_empty() {
            drop(slot);
            session.content_wanted().await;
            continue;
        }
        let mut slot = Some(slot);
        for group in groups(jobs) {
            let slot = match slot.take() {
                Some(slot) => slot,
                None => match Arc::clone(&slots).acquire_owned().await {
                    Ok(slot) => slot,
                    Err(_) => return,
                },
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

/// Small files together, large ones alone.
fn groups(jobs: Vec<Job>) -> Vec<Vec<Job>> {
    let mut groups = Vec::new();
    let mut group = Vec::new();
    let mut bytes = 0;
    for job in jobs {
        let size = job.1.work.stat().map_or(0, |stat| stat.size);
        if size >= GROUP_BYTES {
            groups.push(vec![job]);
            continue;
        }
        if bytes + size > GROUP_BYTES {
            groups.push(std::mem::take(&mut group));
            bytes = 0;
        }
        bytes += size;
        group.push(job);
    }
    // First: what waits behind a large file waits anyway.
    if !group.is_empty() {
        groups.insert(0, group);
    }
    groups
}

async fn work(session: &Arc<Session>, generation: u64, jobs: Vec<Job>) {
    let key = session.content().fetcher().key().clone();
    let works: Vec<_> = jobs.iter().map(|(_, job)| Arc::clone(&job.work)).collect();
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
    mut large: Vec<(Job, Pick)>,
) -> Vec<(Job, Pick)> {
    let mut delay = Duration::from_millis(100);
    loop {
        let sources: Vec<_> = large
            .iter()
            .map(|((_, job), pick)| upload::Source {
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
                let file = Arc::clone(&large[index].0.1.work);
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

/// The bytes to send inside the operation, if they are few enough.
fn inline<'a>(session: &Session, pick: &'a Pick) -> Option<&'a bytes::Bytes> {
    let max = (session.info().inline_bytes_max as usize).min(limits::INLINE_MAX);
    pick.bytes.as_ref().filter(|bytes| bytes.len() <= max)
}

/// Completes an operation.
async fn finish(session: &Arc<Session>, generation: u64, (seq, job): Job, pick: Pick) {
    let base = job.work.pick.lock().base;
    let content = pick.built.content;
    let extents = extents::between(session, &job, base, &pick).await;
    let time = job.times.content_time(pick.stat.mtime);
    let inline = inline(session, &pick).cloned();
    let set = v1::SetContent {
        id: job.work.file().0,
        base: Some(convert::content_to_wire(&base)),
        content: Some(convert::content_to_wire(&content)),
        inline: inline.clone().unwrap_or_default(),
        extents,
        resized: content.size() != base.size(),
        mtime_ns: pick.stat.mtime.0,
    };
    let op = v1::Op {
        time_ns: time.0,
        kind: Some(v1::op::Kind::SetContent(set)),
        ..job.op
    };
    {
        let mut state = job.work.pick.lock();
        state.base = content;
        state.stat = Some(pick.stat);
        // Chunks that only ever travelled inside operations are not for sharing yet.
        state.chunks = inline.is_none().then(|| Arc::new(pick.built.chunks));
    }
    session.resolve_content(generation, seq, op);
    if let Some(sink) = session.sink() {
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

/// The bytes cannot be read: the place in the order is filled with what was there before.
fn give_up(session: &Arc<Session>, generation: u64, (seq, job): &Job, error: FsError) {
    session.note_error(format!(
        "cannot read the local file of node {}: {error}",
        job.work.file()
    ));
    let base = job.work.pick.lock().base;
    let mtime_ns = match &job.op.kind {
        Some(v1::op::Kind::SetContent(set)) => set.mtime_ns,
        _ => job.op.time_ns,
    };
    let set = v1::SetContent {
        id: job.work.file().0,
        base: Some(convert::content_to_wire(&base)),
        content: Some(convert::content_to_wire(&base)),
        mtime_ns,
        ..v1::SetContent::default()
    };
    let op = v1::Op {
        kind: Some(v1::op::Kind::SetContent(set)),
        ..job.op.clone()
    };
    session.resolve_content(generation, *seq, op);
}

/// Whether two contents can be compared byte by byte in memory.
fn is_small(content: &ContentRef) -> bool {
    content.size() <= limits::SINGLE_CHUNK_MAX
}
