//! What is mounted, and how.

use std::{path::PathBuf, time::Duration};

use mesa_vfs::session::Durability;

use crate::credential::Credential;

/// A mount to be opened. Make it with [`MountOptions::new`] and set what differs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MountOptions {
    /// Address of the server, with or without `/v1`.
    pub server: String,
    /// Address of the REST API, where it is another one.
    pub control_plane: Option<String>,
    /// What the mount calls the server with.
    pub credential: Credential,
    /// The repos shown.
    pub repos: Vec<RepoMount>,
    /// Orgs of which every repo that the credential sees is shown at `/<org>/<repo>`.
    pub whole_orgs: Vec<String>,
    /// Nothing may be written.
    pub read_only: bool,
    /// Every repo gets a change of its own instead of joining the bookmark's.
    pub isolate: bool,
    /// When fsync, close and operations on names return.
    pub durability: Durability,
    /// Where the journal and what was not sent yet are kept from one process to the next. Absent:
    /// a temporary directory that goes with the mount; what was not sent when the process is
    /// killed is lost.
    pub state_dir: Option<PathBuf>,
    /// Where content is cached. All mounts of the process that name the same directory share the
    /// cache. Absent: a temporary one, shared by the process.
    pub cache_dir: Option<PathBuf>,
    /// Bytes the cache may take on the disk, files being written included; 10 GiB when absent.
    pub cache_disk_bytes_max: Option<u64>,
    /// Bytes the cache may take in memory; 64 MiB when absent.
    pub cache_memory_bytes_max: Option<u64>,
    /// Read metadata ahead of its use, up to 50,000 entries of a repo.
    pub prefetch: bool,
    /// PEM file with further CA certificates.
    pub ca_file: Option<PathBuf>,
    /// How the program calls itself to the server.
    pub user_agent: String,
    /// Permission bits that new entries do not get.
    pub umask: u32,
    /// Longest wait for the server; a call fails after it, and what it wrote stays journalled.
    pub deadline: Duration,
    /// Where background work runs. Absent: on threads of this crate, which all mounts of the
    /// process share.
    pub runtime: Option<tokio::runtime::Handle>,
}

impl MountOptions {
    /// Of this server, nothing shown yet.
    pub fn new(server: impl Into<String>, credential: Credential) -> Self {
        Self {
            server: server.into(),
            control_plane: None,
            credential,
            repos: Vec::new(),
            whole_orgs: Vec::new(),
            read_only: false,
            isolate: false,
            durability: Durability::default(),
            state_dir: None,
            cache_dir: None,
            cache_disk_bytes_max: None,
            cache_memory_bytes_max: None,
            prefetch: true,
            ca_file: None,
            user_agent: concat!("mesa-fs/", env!("CARGO_PKG_VERSION")).to_owned(),
            umask: 0o022,
            deadline: Duration::from_mins(1),
            runtime: None,
        }
    }
}

/// One repo of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepoMount {
    /// Its org.
    pub org: String,
    /// Its name.
    pub name: String,
    /// What of it.
    pub at: At,
    /// It may not be written to.
    pub read_only: bool,
    /// A change of its own instead of joining the bookmark's.
    pub isolate: bool,
    /// Where it is shown; `/<org>/<name>` when absent. No repo can be shown inside another.
    pub path: Option<PathBuf>,
}

impl RepoMount {
    /// At its default bookmark, for reading and writing.
    pub fn new(org: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            org: org.into(),
            name: name.into(),
            at: At::DefaultBookmark,
            read_only: false,
            isolate: false,
            path: None,
        }
    }
}

/// A version of a repo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// Where the repo's default bookmark is.
    DefaultBookmark,
    /// Where a bookmark is.
    Bookmark(String),
    /// A change, by its id. It is written to if it is open; else in a new one on top.
    Change(String),
}
