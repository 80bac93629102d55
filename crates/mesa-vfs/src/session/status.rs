//! Numbers for `mesa status`.

use super::{ClientSeq, HeadSeq, LeaseState};

/// When fsync, close and namespace operations return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// fsync waits for the server; everything else is streamed at once.
    #[default]
    Fsync,
    /// fsync, close of a written file and rename wait.
    Close,
    /// Every operation waits.
    Write,
    /// fsync waits for local stable storage only.
    Local,
}

impl Durability {
    /// The word used in configuration and status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Close => "close",
            Self::Write => "write",
            Self::Local => "local",
        }
    }
}

/// State of the link to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Not attached yet.
    Starting,
    /// The stream is up.
    Attached,
    /// Lost; the next attempt is in this many milliseconds.
    Waiting(u64),
    /// The credential is refused; attempts go on slowly.
    Refused,
    /// Fenced and not replaced.
    Fenced,
    /// Closed by the client.
    Closed,
}

/// A snapshot of a session's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Session id.
    pub session: String,
    /// Change written to.
    pub change_id: String,
    /// Bookmark followed, empty when mounted at a change.
    pub bookmark: String,
    /// Durability class.
    pub durability: Durability,
    /// Link.
    pub connection: Connection,
    /// Lease.
    pub lease: LeaseState,
    /// Whether the session may write at all.
    pub read_only: bool,
    /// Last operation given a place by this client.
    pub appended: ClientSeq,
    /// Last operation known to be on the server.
    pub acked: ClientSeq,
    /// Last head sequence applied.
    pub head_seq: HeadSeq,
    /// Operations not acknowledged.
    pub lag_ops: u64,
    /// Their bytes, content included where known.
    pub lag_bytes: u64,
    /// Age of the oldest in milliseconds; 0 when there is none.
    pub lag_ms: u64,
    /// Files with changes that are not among the operations yet: written to at this moment, or
    /// while nothing can be sent.
    pub unsent_files: u64,
    /// Last failure of the link or of an operation, with its time in Unix milliseconds.
    pub last_error: Option<(i64, String)>,
    /// Directories with operations or files that could not be sent and are kept there.
    pub kept: Vec<std::path::PathBuf>,
    /// `recovered/...` bookmarks made from this state directory that are still being filled.
    pub recovering: Vec<String>,
    /// `recovered/...` bookmarks filled in the last 30 days.
    pub recovered: Vec<String>,
}
