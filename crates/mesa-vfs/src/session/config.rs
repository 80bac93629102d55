//! How to open a session.

use std::{path::PathBuf, sync::Arc, time::Duration};

use mesa_client::SyncApi;
use mesa_types::{ChangeId, OrgSlug, RepoName, time::Clock};

use super::Durability;
use crate::content::ContentStore;

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionTarget {
    /// A bookmark; empty = the repo's default.
    Bookmark(String),
    /// A change.
    Change(ChangeId),
}

/// Everything a session needs from outside.
#[derive(Clone)]
pub struct SessionConfig {
    /// The server.
    pub api: Arc<dyn SyncApi>,
    /// Org.
    pub org: OrgSlug,
    /// Repo.
    pub repo: RepoName,
    /// The repo's id where it is known: what the state directory has of another one of that name is
    /// set aside.
    pub repo_id: Option<String>,
    /// What to join.
    pub target: SessionTarget,
    /// Own change instead of joining the bookmark's.
    pub isolate: bool,
    /// Ask for reading only.
    pub read_only: bool,
    /// Durability class.
    pub durability: Durability,
    /// Directory of this (org, repo, target): session identity, journal, work files. Made if
    /// absent, locked while the session is open.
    pub state_dir: PathBuf,
    /// Cache of clean content, shared by all sessions of the daemon.
    pub content: Arc<ContentStore>,
    /// Client name for the server's log, e.g. `mesa/0.1.0 linux fuse`.
    pub client: String,
    /// Host name for status.
    pub host: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Uniform random 32-bit numbers (jitter).
    pub random: Arc<dyn Fn() -> u32 + Send + Sync>,
    /// Tells whether nobody has the file open for writing or mapped writable any more (a read
    /// lease can be taken on it). Without it a work file is never considered quiet.
    pub quiet: Option<QuietProbe>,
    /// Bounds and deadlines.
    pub tuning: Tuning,
}

/// See [`SessionConfig::quiet`]. Gets a descriptor opened for reading.
pub type QuietProbe = Arc<dyn Fn(std::os::fd::BorrowedFd<'_>) -> bool + Send + Sync>;

/// Bounds and deadlines of a session.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// Longest wait of fsync, open, lease and shared operations before `Io`.
    pub deadline: Duration,
    /// Unacknowledged operations kept before new ones wait.
    pub unacked_ops_max: u64,
    /// Their encoded bytes.
    pub unacked_bytes_max: u64,
    /// Appends sent and not yet acknowledged.
    pub in_flight_max: usize,
    /// First reconnect delay; doubles up to `backoff_max`.
    pub backoff_min: Duration,
    /// Longest reconnect delay.
    pub backoff_max: Duration,
    /// Shared writing is given up after this long without an operation.
    pub idle_return: Duration,
    /// Files open for writing are looked at this often.
    pub pickup_interval: Duration,
    /// File ids kept in reserve before more are asked for.
    pub ids_low: u32,
    /// File ids asked for at once.
    pub ids_batch: u32,
    /// Empty work files made ahead.
    pub work_pool: usize,
    /// Files of one session kept in private files although they could be served from the cache.
    pub works_kept: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            deadline: Duration::from_mins(1),
            unacked_ops_max: 200_000,
            unacked_bytes_max: 512 << 20,
            in_flight_max: 4,
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            idle_return: Duration::from_secs(5),
            pickup_interval: Duration::from_secs(2),
            ids_low: 2_000,
            ids_batch: 10_000,
            work_pool: 32,
            works_kept: 10_000,
        }
    }
}
