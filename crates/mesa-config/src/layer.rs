//! One source of settings, everything optional, and the merge of two.

use std::{collections::BTreeMap, path::PathBuf};

use mesa_types::{BookmarkName, ChangeId, OrgSlug, RepoName, Secret};

use crate::{
    secrets::Backend,
    settings::{Durability, IoUring, Writes},
};

/// What one file, the environment or the command line says.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Layer {
    /// From `api-url` or `service-domain`.
    pub server: Option<String>,
    pub ca_file: Option<PathBuf>,
    pub mount_point: Option<PathBuf>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub durability: Option<Durability>,
    pub io_uring: Option<IoUring>,
    pub writes: Option<Writes>,
    pub ignore_file: Option<PathBuf>,
    pub secrets_backend: Option<Backend>,
    pub cache_enabled: Option<bool>,
    pub cache_path: Option<PathBuf>,
    pub cache_bytes_max: Option<u64>,
    pub cache_memory_bytes_max: Option<u64>,
    pub prefetch_enabled: Option<bool>,
    pub prefetch_depth_max: Option<u32>,
    pub prefetch_concurrency_max: Option<u32>,
    pub prefetch_pressure_limit: Option<f64>,
    pub runtime_dir: Option<PathBuf>,
    pub state_dir: Option<PathBuf>,
    pub pid_file: Option<PathBuf>,
    pub log_target: Option<LogTarget>,
    pub log_color: Option<LogColor>,
    pub collector_url: Option<String>,
    pub orgs: BTreeMap<OrgSlug, OrgLayer>,
}

/// `[organizations.O]`.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)]
pub struct OrgLayer {
    pub mount: Option<MountMode>,
    pub repos: BTreeMap<RepoName, RepoLayer>,
    /// The old `api-key`; to be moved to the secret store.
    pub api_key: Option<Secret>,
}

/// `[organizations.O.repos.R]`.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs)]
pub struct RepoLayer {
    pub rev: Option<Rev>,
    pub writes: Option<Writes>,
    pub read_only: Option<bool>,
}

/// Which repos of an org a mount shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountMode {
    /// Every repo the credential sees, new ones included.
    All,
    /// The listed ones.
    Explicit,
}

/// A pinned revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rev {
    /// Follow a bookmark.
    Bookmark(BookmarkName),
    /// A change.
    Change(ChangeId),
}

/// Where the daemon logs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to.
    File(PathBuf),
}

/// Colours in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogColor {
    /// When it is a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Layer {
    /// Fills what is absent from a source of lower rank, key by key.
    #[must_use]
    pub fn or(self, lower: Self) -> Self {
        let mut orgs = self.orgs;
        for (slug, low) in lower.orgs {
            let org = orgs.entry(slug).or_default();
            org.mount = org.mount.or(low.mount);
            org.api_key = org.api_key.take().or(low.api_key);
            for (name, low) in low.repos {
                let repo = org.repos.entry(name).or_default();
                repo.rev = repo.rev.take().or(low.rev);
                repo.writes = repo.writes.or(low.writes);
                repo.read_only = repo.read_only.or(low.read_only);
            }
        }
        Self {
            server: self.server.or(lower.server),
            ca_file: self.ca_file.or(lower.ca_file),
            mount_point: self.mount_point.or(lower.mount_point),
            uid: self.uid.or(lower.uid),
            gid: self.gid.or(lower.gid),
            durability: self.durability.or(lower.durability),
            io_uring: self.io_uring.or(lower.io_uring),
            writes: self.writes.or(lower.writes),
            ignore_file: self.ignore_file.or(lower.ignore_file),
            secrets_backend: self.secrets_backend.or(lower.secrets_backend),
            cache_enabled: self.cache_enabled.or(lower.cache_enabled),
            cache_path: self.cache_path.or(lower.cache_path),
            cache_bytes_max: self.cache_bytes_max.or(lower.cache_bytes_max),
            cache_memory_bytes_max: self.cache_memory_bytes_max.or(lower.cache_memory_bytes_max),
            prefetch_enabled: self.prefetch_enabled.or(lower.prefetch_enabled),
            prefetch_depth_max: self.prefetch_depth_max.or(lower.prefetch_depth_max),
            prefetch_concurrency_max: self
                .prefetch_concurrency_max
                .or(lower.prefetch_concurrency_max),
            prefetch_pressure_limit: self
                .prefetch_pressure_limit
                .or(lower.prefetch_pressure_limit),
            runtime_dir: self.runtime_dir.or(lower.runtime_dir),
            state_dir: self.state_dir.or(lower.state_dir),
            pid_file: self.pid_file.or(lower.pid_file),
            log_target: self.log_target.or(lower.log_target),
            log_color: self.log_color.or(lower.log_color),
            collector_url: self.collector_url.or(lower.collector_url),
            orgs,
        }
    }
}
