//! What the server says on the stream.

use std::sync::Arc;

use mesa_proto::{
    convert,
    v1::{self, op, server_message::Kind},
};
use mesa_types::FileId;

use super::{
    Applied, ClientSeq, HeadSeq, LeaseState, MergedContent, Reload, Session,
    core::Lease,
    kept::RefusedOp,
    link::{End, invalid, key_state},
    queue::{Body, Pending},
    watch,
    works::mark_of,
};
use crate::fs::FsError;

/// Handles one message; an answer ends the stream.
pub(super) fn handle(session: &Arc<Session>, message: v1::ServerMessage) -> Option<End> {
    match message.kind? {
        Kind::HelloAck(_) => return Some(End::Failed(invalid("a second HelloAck"))),
        Kind::Ack(ack) => {
            let seq = ClientSeq(ack.client_seq);
            acknowledged(session, seq, Some(ack.head_seq), &ack.merged);
        }
        Kind::Reject(reject) => return rejected(session, &reject),
        Kind::Event(event) => {
            if let Some(entry) = event.entry {
                return happened(session, &entry);
            }
        }
        Kind::LeaseGrant(grant) => granted(session, &grant),
        Kind::LeaseRecall(recall) => {
            let mut core = session.core.lock();
            let mine =
                core.lease.state == LeaseState::Exclusive && core.lease.number == recall.lease;
            core.lease.returning |= mine;
            // Granted to a former process of this session, or before a reconnect: nobody but us can
            // give it back, and whoever asks for it waits.
            let unknown = core.lease.state != LeaseState::Exclusive;
            if unknown {
                core.lease.unknown = Some(recall.lease);
            }
            let last = core.queue.last();
            drop(core);
            if unknown {
                session.wake_writer.ring();
            }
            if mine || unknown {
                // Whoever wants it must not wait for uploads.
                session.make_way(last, super::way::For::Recall);
            }
            session.bump();
        }
        Kind::Sealed(sealed) => {
            if let Some(sink) = session.sink() {
                sink.on_sealed(&sealed);
            }
            let me = Arc::clone(session);
            tokio::task::spawn_blocking(move || watch::look_at_all(&me));
        }
        // Another change, but the same files: there is nothing to read again.
        Kind::HeadMoved(moved) if moved.same_tree => session.note_change(&moved.change_id),
        Kind::HeadMoved(moved) => {
            let (head_seq, change) = (HeadSeq(moved.head_seq), moved.change_id.clone());
            {
                let mut core = session.core.lock();
                core.fall_behind(true, true);
                core.head_seq = moved.head_seq;
            }
            if let Some(sink) = session.sink() {
                sink.on_reload(&Reload::HeadMoved(moved), head_seq);
            }
            // Whoever waits for it finds the reading begun.
            session.note_change(&change);
        }
        Kind::Fenced(fenced) => return Some(End::Fenced(fenced)),
        Kind::Ids(range) => {
            session.core.lock().ids.grant(&range);
            session.bump();
        }
        Kind::Heartbeat(_) => {}
        Kind::KeyNotice(notice) => {
            {
                let mut core = session.core.lock();
                core.ended_key = true;
                if core.has_new_credential() {
                    // The stream is begun anew with that one.
                    drop(core);
                    return Some(End::Failed(invalid("the credential of the stream ended")));
                }
            }
            session.note_error(format!("the credential is {}", notice.state));
            key_state(session, false);
        }
    }
    None
}

/// Everything up to `seq` is on the server. `head_seq`: place of that operation, unknown when it
/// was learned from HelloAck.
pub(super) fn acknowledged(
    session: &Arc<Session>,
    seq: ClientSeq,
    head_seq: Option<u64>,
    merged: &[v1::Merged],
) {
    let (done, files, head_seq) = {
        let mut core = session.core.lock();
        if let Some(at) = head_seq {
            core.head_seq = core.head_seq.max(at);
        }
        let (done, files) = core.ack(seq);
        (done, files, head_seq.unwrap_or(core.head_seq))
    };
    delete(files);
    if done.is_empty() {
        return;
    }
    session.note_progress();
    note_contents(session, &done);
    let merged = merged_contents(&done, merged);
    let sink = session.sink();
    let last = done.last().map_or(seq, |item| item.seq);
    for item in done {
        if item.blocking {
            let place = HeadSeq(head_seq.saturating_sub(last.0 - item.seq.0));
            if let (Some(sink), Body::Ready(op)) = (&sink, &item.body) {
                sink.on_applied(item.seq, place, op);
            }
            if let Some(reply) = item.reply {
                let applied = Applied {
                    seq: item.seq,
                    head_seq: place,
                };
                let _ = reply.send(Ok(applied));
            }
        }
    }
    if let Some(sink) = &sink {
        sink.on_acked(last, HeadSeq(head_seq), &merged);
    }
    session.wake_content();
    session.bump();
}

/// Journals which content of each work file the server has, so that a restart does not read them
/// all again.
fn note_contents(session: &Session, done: &[Pending]) {
    let works = done.iter().filter_map(|item| item.work.as_ref());
    let marks: Vec<_> = works
        .filter(|(work, _)| !work.is_dropped())
        .map(|(work, _)| mark_of(work))
        .collect();
    if !marks.is_empty() {
        // Only a repetition is saved by it.
        let _ = session.core.lock().write(&marks.iter().collect::<Vec<_>>());
    }
}

/// Deletes journal files nobody needs.
fn delete(files: Vec<std::path::PathBuf>) {
    for file in files {
        if let Err(error) = std::fs::remove_file(&file) {
            tracing::warn!(%error, "cannot delete a journal segment");
        }
    }
}

fn merged_contents(done: &[Pending], merged: &[v1::Merged]) -> Vec<MergedContent> {
    let find = |merged: &v1::Merged| {
        let item = done.iter().find(|p| p.seq.0 == u64::from(merged.index))?;
        let Body::Ready(op) = &item.body else {
            return None;
        };
        Some(MergedContent {
            seq: item.seq,
            file: content_file(op)?,
            content: convert::content_from_wire(merged.content.as_ref()).ok()?,
            inline: merged.inline.clone(),
        })
    };
    merged.iter().filter_map(find).collect()
}

fn content_file(op: &v1::Op) -> Option<FileId> {
    match op.kind.as_ref()? {
        op::Kind::SetContent(set) => Some(FileId(set.id)),
        _ => None,
    }
}

fn rejected(session: &Arc<Session>, reject: &v1::Reject) -> Option<End> {
    let seq = ClientSeq(reject.client_seq);
    if reject.code == "MISSING_CHUNKS" {
        let known = session.core.lock().queue.retry_content(seq);
        if known {
            session.wake_transfer.ring();
            return None;
        }
    }
    {
        let mut core = session.core.lock();
        if core.is_displaced(seq, &reject.code) {
            // It stays in the journal, which goes to a change on the former base.
            core.giving_up = true;
            return Some(End::Switch);
        }
    }
    // Everything before it was answered before.
    acknowledged(session, ClientSeq(seq.0.saturating_sub(1)), None, &[]);
    let (done, files) = {
        let mut core = session.core.lock();
        core.head_seq = core.head_seq.max(reject.head_seq);
        core.ack(seq)
    };
    delete(files);
    let error = refusal(&reject.code);
    for item in done {
        tracing::debug!(seq = item.seq.0, code = reject.code, "refused");
        if item.lease != 0 {
            session.note_error(format!(
                "the server refused a decided operation: {} {}",
                reject.code, reject.message
            ));
        }
        keep_refused(session, &item, &reject.code);
        match item.reply {
            Some(reply) => {
                let _ = reply.send(Err(error));
            }
            None => {
                if let (Some(sink), Body::Ready(op)) = (session.sink(), &item.body) {
                    sink.on_rejected(item.seq, op, error);
                }
            }
        }
    }
    session.bump();
    None
}

/// In a recovery, nobody else has what is refused.
fn keep_refused(session: &Session, item: &Pending, code: &str) {
    let mut refused = session.refused.lock();
    let (Some(refused), Body::Ready(op)) = (refused.as_mut(), &item.body) else {
        return;
    };
    // A file whose last name was removed while it was open.
    if op.path.is_empty() && item.work.is_some() && code == "ENOENT" {
        return;
    }
    refused.push(RefusedOp {
        path: op_path(op),
        code: code.to_owned(),
        work: item.work.as_ref().map(|(work, _)| Arc::clone(work)),
    });
}

/// What an operation makes or changes.
fn op_path(op: &v1::Op) -> Vec<u8> {
    let name = match &op.kind {
        Some(op::Kind::Create(create)) => &create.name,
        Some(op::Kind::Link(link)) => &link.name,
        Some(op::Kind::Unlink(unlink)) => &unlink.name,
        Some(op::Kind::Rmdir(rmdir)) => &rmdir.name,
        Some(op::Kind::Rename(rename)) => &rename.name,
        _ => return op.path.to_vec(),
    };
    if op.path.is_empty() {
        return name.to_vec();
    }
    [&op.path[..], b"/", name].concat()
}

fn happened(session: &Arc<Session>, entry: &v1::LogEntry) -> Option<End> {
    let Some(last) = entry.first_seq.checked_add(entry.ops.len() as u64) else {
        return Some(End::Failed(invalid("an event beyond all places")));
    };
    let last = last.saturating_sub(u64::from(!entry.ops.is_empty()));
    // Told before the last reconnect.
    if last <= session.core.lock().head_seq && !entry.ops.is_empty() {
        return None;
    }
    if let Some(sink) = session.sink() {
        sink.on_event(entry);
    }
    let mut core = session.core.lock();
    core.head_seq = core.head_seq.max(last);
    None
}

fn granted(session: &Arc<Session>, grant: &v1::LeaseGrant) {
    let state = {
        let mut core = session.core.lock();
        core.head_seq = core.head_seq.max(grant.head_seq);
        core.last_shared = session.now();
        core.lease = Lease {
            state: if grant.exclusive {
                LeaseState::Exclusive
            } else {
                LeaseState::Shared
            },
            number: grant.lease,
            ..Lease::NONE
        };
        core.lease.state
    };
    if let Some(sink) = session.sink() {
        sink.on_lease(state);
    }
    session.bump();
}

/// The error names of the protocol, as a caller of the filesystem gets them.
pub(super) fn refusal(code: &str) -> FsError {
    match code {
        "ENOENT" => FsError::NotFound,
        "EEXIST" => FsError::Exists,
        "ENOTDIR" => FsError::NotDir,
        "EISDIR" => FsError::IsDir,
        "ENOTEMPTY" => FsError::NotEmpty,
        "EACCES" => FsError::Access,
        "EPERM" => FsError::NotPermitted,
        "EROFS" => FsError::ReadOnly,
        "EINVAL" => FsError::Invalid,
        "ENAMETOOLONG" => FsError::NameTooLong,
        "EMLINK" => FsError::TooManyLinks,
        "EXDEV" => FsError::CrossDevice,
        "ENOSPC" => FsError::NoSpace,
        "EFBIG" => FsError::TooBig,
        "ENODATA" => FsError::NoXattr,
        "ERANGE" => FsError::Range,
        "E2BIG" => FsError::XattrTooBig,
        "ENOTSUP" | "EOPNOTSUPP" => FsError::NotSupported,
        "ESTALE" => FsError::Stale,
        "EBUSY" => FsError::Busy,
        _ => FsError::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_codes_are_io_errors() {
        assert_eq!(refusal("ENOTEMPTY"), FsError::NotEmpty);
        assert_eq!(refusal("FENCED"), FsError::Io);
        assert_eq!(refusal(""), FsError::Io);
    }
}
