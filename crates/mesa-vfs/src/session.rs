//! One session per attached repo head: what the local tree decides goes in here, what the server
//! says comes out through a [`TreeSink`].
//!
//! How the tree uses it, for an operation that changes something:
//!
//! 1. [`Session::mode`]: [`Mode::Local`] = decide now; [`Mode::Shared`] = build the operation and
//!    [`Session::submit`] it; [`Mode::Wait`] = answer `Later`, await, start over;
//!    [`Mode::Refused`] = fail.
//! 2. Local: under the tree's lock check, build the operation, [`Session::append`] it, and only
//!    when that returned a sequence change the tree. A refusal (the lease was recalled in between,
//!    the journal is full) means: nothing happened, back to step 1.
//! 3. Wait for [`Session::wait_acked`] where the durability class says so.
//!
//! Content of files is decided by [`Session::append_content`] in every mode; see
//! [`crate::content::WorkFile`] for the life of a file open for writing. Because RELEASE is
//! asynchronous, the tree calls `append_content` also before it appends a rename or link of a file
//! that has a work file, so that content comes before the name in the order.

mod away;
mod bell;
mod config;
mod core;
mod handle;
mod identity;
mod ids;
mod inbound;
mod kept;
mod link;
mod lost;
mod nodes;
mod open;
pub(crate) mod queue;
mod recovered;
mod sink;
mod status;
mod switch;
mod watch;
mod way;
mod works;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use mesa_types::{FileId, Nanos};

pub(crate) use handle::TICK_NS;
pub(crate) use open::{has_unsent, timed_out};

pub use away::{Away, TreeSnapshot};
pub use config::{QuietProbe, SessionConfig, SessionTarget, Tuning};
pub use handle::Session;
pub use sink::{MergedContent, Moved, Picked, Reload, TreeSink};
pub use status::{Connection, Durability, Status};
pub use switch::SwitchError;

use crate::fs::{FsError, FsResult};

/// A boxed future without a borrow.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Place of an operation in its session's order; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ClientSeq(pub u64);

/// Place of an operation in its head's order; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct HeadSeq(pub u64);

impl fmt::Display for ClientSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for HeadSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Right to change the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// Not asked for, or given back.
    None,
    /// Sole writer: decisions are local.
    Exclusive,
    /// Several writers: the server decides.
    Shared,
}

/// A node's times when its content gets a place in the order.
///
/// What `stat` shows must not change when a file is closed, or `git status` hashes everything
/// again. While bytes are in a work file the tree shows its mtime, and as ctime the node's or, if
/// the work file's mtime differs from the node's and is later, that. A content operation's time is
/// computed by the same rule ([`NodeTimes::content_time`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeTimes {
    /// mtime as last set by an operation.
    pub mtime: Nanos,
    /// ctime as last set by an operation.
    pub ctime: Nanos,
}

impl NodeTimes {
    /// ctime of the node, and time of a content operation, when the work file has `mtime`.
    pub fn content_time(self, mtime: Nanos) -> Nanos {
        if mtime == self.mtime {
            self.ctime
        } else {
            self.ctime.max(mtime)
        }
    }
}

/// Who made an operation, as far as known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Actor {
    /// Process id; 0 = unknown.
    pub pid: u32,
    /// Program; empty = unknown.
    pub exe: Arc<str>,
    /// Numeric uid of the caller.
    pub uid: u32,
    /// Process group; 0 = unknown.
    pub group: u32,
}

/// How an operation can be made now.
pub enum Mode {
    /// Decide locally and [`Session::append`].
    Local,
    /// [`Session::submit`] and let the server decide.
    Shared,
    /// Not yet: await this, then ask again. Fails when the session's deadline passes.
    Wait(Later<FsResult<()>>),
    /// Not at all.
    Refused(FsError),
}

/// Why [`Session::append`] did not take an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The mode changed or a bound was reached: ask [`Session::mode`] again.
    Retry,
    /// Not at all.
    Failed(FsError),
}

/// What the server did with a submitted operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Its place in this session's order.
    pub seq: ClientSeq,
    /// Its place in the head's order. [`TreeSink::on_applied`] has already run.
    pub head_seq: HeadSeq,
}

/// An operation found in the journal at start that the server has not acknowledged.
#[derive(Debug, Clone, PartialEq)]
pub enum RecoveredOp {
    /// Decided by this client under an exclusive lease: replay it over the server's metadata.
    Decided(ClientSeq, mesa_proto::v1::Op),
    /// Was waiting for the server's decision: it is sent again, and arrives as
    /// [`TreeSink::on_applied`] or [`TreeSink::on_rejected`]. Do not replay.
    Undecided(ClientSeq, mesa_proto::v1::Op),
    /// Content of this file, to be read from its work file (see [`RecoveredWork`]).
    Content(ClientSeq, FileId),
}

/// A file that had a private work file when the daemon stopped.
#[derive(Debug, Clone)]
pub struct RecoveredWork {
    /// The file.
    pub file: FileId,
    /// Its bytes now. Serve the node from it; call [`Session::append_content`] once after
    /// [`Session::start`] for files that still have a name, [`Session::drop_work`] for others.
    pub work: Arc<crate::content::WorkFile>,
}

/// A session and what the tree starts from.
pub struct Opened {
    /// The session, not yet attached: see [`Session::start`].
    pub session: Arc<Session>,
    /// What was found in the journal, in order.
    pub ops: Vec<RecoveredOp>,
    /// Work files found, in no order.
    pub works: Vec<RecoveredWork>,
    /// The server is away: the tree starts from this.
    pub away: Option<Away>,
}

/// Facts about the head, fixed until [`Reload::Replaced`].
#[derive(Debug, Clone)]
pub struct HeadInfo {
    /// Session id.
    pub session: String,
    /// The repo.
    pub repo: mesa_proto::v1::RepoInfo,
    /// The change written to (perhaps still hidden).
    pub change_id: String,
    /// Bookmark followed; empty when mounted at a change.
    pub bookmark: String,
    /// Root directory as of `head_seq`.
    pub root: mesa_proto::v1::Node,
    /// State of `root`.
    pub head_seq: HeadSeq,
    /// No writing.
    pub read_only: bool,
    /// Largest file in bytes.
    pub file_bytes_max: u64,
    /// Largest file content the tree may ask to get along with metadata.
    pub inline_bytes_max: u32,
}

/// A failed [`Session::open`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The server refused or could not be reached.
    #[error("cannot open {org}/{repo}")]
    Server {
        /// Org.
        org: String,
        /// Repo.
        repo: String,
        /// The server's answer.
        #[source]
        source: mesa_client::SyncError,
    },
    /// The state directory cannot be used.
    #[error("cannot use the state directory {path}")]
    State {
        /// Where.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process has the state directory open.
    #[error("the state directory {0} is in use by another process")]
    InUse(std::path::PathBuf),
    /// The server's answer makes no sense.
    #[error("the server's answer to OpenHead is unusable: {0}")]
    Answer(&'static str),
}
