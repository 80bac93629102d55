//! What a session tells the tree.

use mesa_proto::v1;
use mesa_types::{ContentRef, FileId, Nanos};

use super::{ClientSeq, HeadSeq, LeaseState, TreeSnapshot};
use crate::{content::WorkStat, fs::FsError};

/// Why everything known about the head must be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    /// The events since the last attachment are no longer available.
    EventsGone,
    /// The head's base changed (rebase, publish, move).
    HeadMoved(v1::HeadMoved),
    /// The session was fenced and a fresh one took its place: the root may belong to another
    /// change, unacknowledged operations are on their way to the recovery change, open handles
    /// from before are stale.
    Replaced {
        /// The change the mount writes to now.
        change_id: String,
        /// Bookmark that holds the work of the old session.
        recovery_bookmark: String,
    },
    /// A fresh session took the place of one that had sent everything: the root may belong to
    /// another change.
    Switched {
        /// The change the mount writes to now.
        change_id: String,
    },
}

/// New content of a file whose bytes were hashed after the operation had its place in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picked {
    /// The file.
    pub file: FileId,
    /// Place of the operation.
    pub seq: ClientSeq,
    /// What the work file held.
    pub content: ContentRef,
    /// The work file's attributes just before it was read.
    pub stat: WorkStat,
    /// The operation's time: the node's ctime from now on (see [`super::NodeTimes`]).
    pub time: Nanos,
}

/// Content that was given a later place before it was on the server (see the client part of
/// `docs/design/sync.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Its place until now; nothing happens there any more.
    pub from: ClientSeq,
    /// Its place from now on.
    pub to: ClientSeq,
}

/// Content of an own operation that the server laid over a newer base.
#[derive(Debug, Clone, PartialEq)]
pub struct MergedContent {
    /// The operation.
    pub seq: ClientSeq,
    /// The file.
    pub file: FileId,
    /// The resulting content.
    pub content: ContentRef,
    /// Its bytes when small.
    pub inline: bytes::Bytes,
}

/// The receiver of everything that happens on a session, implemented by the tree.
///
/// Calls come one at a time, in the head's order, from one task of the session, except
/// [`TreeSink::on_moved`] and [`TreeSink::on_work_changed`], which come from any thread. They must
/// not block and must not call back into the session while holding a lock that
/// [`super::Session::append`] is called under, except for `append*`, which never call the
/// sink. No session lock is held during a call.
pub trait TreeSink: Send + Sync + 'static {
    /// Everything known of the tree, for a process that takes over while the server is away.
    fn snapshot(&self) -> Option<TreeSnapshot> {
        None
    }

    /// Operations of another session.
    fn on_event(&self, entry: &v1::LogEntry);

    /// An operation sent by [`super::Session::submit`] took effect: apply it now. The waiting
    /// caller continues after this returns.
    fn on_applied(&self, seq: ClientSeq, head_seq: HeadSeq, op: &v1::Op);

    /// Everything up to `up_to` is on the server's stable storage; `head_seq` is the place of
    /// the last of it.
    fn on_acked(&self, up_to: ClientSeq, head_seq: HeadSeq, merged: &[MergedContent]);

    /// A content or attribute operation that was not waited for (shared mode) had no effect. The
    /// node is to be read again.
    fn on_rejected(&self, seq: ClientSeq, op: &v1::Op, error: FsError);

    /// The content of an operation queued by [`super::Session::append_content`] is known.
    fn on_picked(&self, picked: &Picked);

    /// Contents got later places. Their old places are acknowledged only after this returned.
    fn on_moved(&self, moved: &[Moved]);

    /// A work file open for writing, or not yet known to be quiet, changed: the tree calls
    /// [`super::Session::append_content`] with the node's present path (or drops the file if it
    /// has no name any more).
    fn on_work_changed(&self, file: FileId);

    /// There are too many work files, and nobody wrote to this one for a while: the tree drops it
    /// and serves the node from the cache if [`super::Session::is_settled`] still holds while no
    /// descriptor of it can be opened.
    fn on_work_settled(&self, file: FileId);

    /// The lease changed.
    fn on_lease(&self, lease: LeaseState);

    /// The head was sealed.
    fn on_sealed(&self, sealed: &v1::Sealed);

    /// All metadata is to be read again.
    fn on_reload(&self, reload: &Reload, head_seq: HeadSeq);

    /// The session can neither decide nor send any more; new operations fail with `error`.
    fn on_fenced(&self, error: FsError, message: &str);

    /// The credential stopped (`false`) or started (`true`) working.
    fn on_key(&self, good: bool);
}
