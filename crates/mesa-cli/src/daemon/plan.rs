//! Everything a worker needs, decided by the command that starts it. Travels over a pipe, since
//! it holds credentials: never through arguments, environment or a file.

use std::path::PathBuf;

use mesa_config::{MountMode, OrgSettings, Rev, Settings, Writes};
use mesa_types::{OrgSlug, RepoName, Secret};
use serde::{Deserialize, Serialize};

/// A mount. Not `Debug`: it holds credentials.
#[derive(Clone, Serialize, Deserialize)]
pub struct Plan {
    pub server: String,
    pub ca_file: Option<PathBuf>,
    pub mount_point: PathBuf,
    pub runtime_dir: PathBuf,
    pub state_dir: PathBuf,
    pub cache: CachePlan,
    pub prefetch: PrefetchPlan,
    pub uid: u32,
    pub gid: u32,
    /// `fsync`, `close`, `write` or `local`.
    pub durability: String,
    /// `off`, `auto` or `on`.
    pub io_uring: String,
    pub allow_other: bool,
    pub read_only: bool,
    /// Own changes for repos that do not say otherwise.
    pub isolate: bool,
    pub orgs: Vec<OrgPlan>,
    /// Used where an org has no credential of its own.
    pub global_token: Option<String>,
    /// Another copy of the worker's pid.
    pub pid_file: Option<PathBuf>,
    /// File to log to; absent: standard error.
    pub log: Option<PathBuf>,
    /// Log filter.
    pub log_filter: String,
    /// How long the start may take in milliseconds.
    pub start_timeout_ms: u64,
    /// For a supervisor: the worker that runs is to be supervised, not another one.
    #[serde(default)]
    pub adopt: bool,
}

/// Content cache.
#[derive(Clone, Serialize, Deserialize)]
pub struct CachePlan {
    /// Absent: not on disk.
    pub path: PathBuf,
    pub enabled: bool,
    pub bytes_max: Option<u64>,
    pub memory_bytes_max: u64,
}

/// Prefetch.
#[derive(Clone, Serialize, Deserialize)]
pub struct PrefetchPlan {
    pub enabled: bool,
    pub depth_max: Option<u32>,
    pub concurrency_max: u32,
    pub pressure_limit: f64,
}

/// One org.
#[derive(Clone, Serialize, Deserialize)]
pub struct OrgPlan {
    pub slug: String,
    /// Every repo, or only the listed ones.
    pub all: bool,
    pub repos: Vec<RepoPlan>,
    pub token: Option<String>,
    /// Credentials of single repos: name, token.
    #[serde(default)]
    pub repo_tokens: Vec<(String, String)>,
    /// When the credential ends, Unix seconds; absent = never or unknown.
    #[serde(default)]
    pub expires_at_s: Option<i64>,
}

/// One repo with settings of its own.
#[derive(Clone, Serialize, Deserialize)]
pub struct RepoPlan {
    pub name: String,
    /// Absent with `change` absent: the default bookmark.
    pub bookmark: Option<String>,
    pub change: Option<String>,
    pub isolate: bool,
    pub read_only: bool,
}

impl OrgPlan {
    /// From the configuration and credentials.
    pub fn new(
        slug: &OrgSlug,
        org: &OrgSettings,
        writes: Writes,
        token: Option<&Secret>,
        repo_tokens: &[(RepoName, Secret)],
    ) -> Self {
        let repos = org.repos.iter().map(|(name, repo)| {
            let (bookmark, change) = match &repo.rev {
                None => (None, None),
                Some(Rev::Bookmark(name)) => (Some(name.to_string()), None),
                Some(Rev::Change(id)) => (None, Some(id.to_string())),
            };
            RepoPlan {
                name: name.to_string(),
                bookmark,
                change,
                isolate: repo.writes.unwrap_or(writes) == Writes::Isolate,
                read_only: repo.read_only,
            }
        });
        Self {
            slug: slug.to_string(),
            all: org.mode == MountMode::All,
            repos: repos.collect(),
            token: token.map(|t| t.expose().to_owned()),
            repo_tokens: repo_tokens
                .iter()
                .map(|(name, token)| (name.to_string(), token.expose().to_owned()))
                .collect(),
            expires_at_s: None,
        }
    }
}

impl Plan {
    /// From settings, without orgs; `runtime_dir` and the other directories may be overridden
    /// where the preferred ones cannot be made.
    pub fn new(settings: &Settings, runtime_dir: PathBuf) -> Self {
        Self {
            server: settings.server.clone(),
            ca_file: settings.ca_file.clone(),
            mount_point: settings.mount_point.clone(),
            runtime_dir,
            state_dir: settings.state_dir.clone(),
            cache: CachePlan {
                path: settings.cache.path.clone(),
                enabled: settings.cache.enabled,
                bytes_max: settings.cache.bytes_max,
                memory_bytes_max: settings.cache.memory_bytes_max,
            },
            prefetch: PrefetchPlan {
                enabled: settings.prefetch.enabled,
                depth_max: settings.prefetch.depth_max,
                concurrency_max: settings.prefetch.concurrency_max,
                pressure_limit: settings.prefetch.pressure_limit,
            },
            uid: settings
                .uid
                .unwrap_or_else(|| rustix::process::geteuid().as_raw()),
            gid: settings
                .gid
                .unwrap_or_else(|| rustix::process::getegid().as_raw()),
            durability: settings.durability.as_str().to_owned(),
            io_uring: settings.io_uring.as_str().to_owned(),
            allow_other: false,
            read_only: false,
            isolate: settings.writes == Writes::Isolate,
            orgs: Vec::new(),
            global_token: None,
            pid_file: settings.daemon.pid_file.clone(),
            log: None,
            log_filter: "info".to_owned(),
            start_timeout_ms: 20_000,
            adopt: false,
        }
    }
}
