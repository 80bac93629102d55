//! Settings with everything decided.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use mesa_types::{OrgSlug, RepoName, Secret};

use crate::{
    address,
    environment::Environment,
    layer::{Layer, LogColor, LogTarget, MountMode, OrgLayer, Rev},
    paths::Paths,
    secrets::Backend,
};

/// When a call on a mount may return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// fsync waits for the server; everything else is streamed at once.
    #[default]
    Fsync,
    /// Close of a written file and rename wait as well.
    Close,
    /// Every operation waits.
    Write,
    /// fsync waits for local stable storage only.
    Local,
}

impl Durability {
    /// The word in configuration and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Close => "close",
            Self::Write => "write",
            Self::Local => "local",
        }
    }
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fsync" => Ok(Self::Fsync),
            "close" => Ok(Self::Close),
            "write" => Ok(Self::Write),
            "local" => Ok(Self::Local),
            _ => Err("must be fsync, close, write or local".to_owned()),
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether requests come over io_uring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IoUring {
    /// No. A worker that dies is replaced without programs noticing.
    #[default]
    Off,
    /// If the kernel has it switched on.
    Auto,
    /// It is switched on if need be; mounting fails where that is impossible.
    On,
}

impl IoUring {
    /// The word in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Auto => "auto",
            Self::On => "on",
        }
    }
}

impl FromStr for IoUring {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            _ => Err("must be off, auto or on".to_owned()),
        }
    }
}

/// Where the first write goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Writes {
    /// A new change on top, and the bookmark follows.
    #[default]
    Follow,
    /// A change of its own per session; the bookmark stays.
    Isolate,
}

impl FromStr for Writes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "follow" => Ok(Self::Follow),
            "isolate" => Ok(Self::Isolate),
            _ => Err("must be follow or isolate".to_owned()),
        }
    }
}

/// A credential given in the environment. Never written to disk, except [`Credential::Orgs`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// `MESA_ACCESS_TOKEN`.
    AccessToken(Secret),
    /// `MESA_API_KEY`.
    ApiKey(Secret),
}

impl Credential {
    /// The text.
    pub fn secret(&self) -> &Secret {
        match self {
            Self::AccessToken(secret) | Self::ApiKey(secret) => secret,
        }
    }
}

/// One org to mount.
#[derive(Debug, Clone, PartialEq)]
pub struct OrgSettings {
    /// Which repos appear.
    pub mode: MountMode,
    /// Repos with settings of their own; in explicit mode the only ones mounted.
    pub repos: BTreeMap<RepoName, RepoSettings>,
}

/// Settings of one repo.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RepoSettings {
    /// Absent = the default bookmark.
    pub rev: Option<Rev>,
    /// Absent = [`Settings::writes`].
    pub writes: Option<Writes>,
    /// Refuse writes here, whatever the key allows.
    pub read_only: bool,
}

/// Content cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSettings {
    /// Keep content on disk.
    pub enabled: bool,
    /// Directory.
    pub path: PathBuf,
    /// Bytes on disk; absent = bounded by free space.
    pub bytes_max: Option<u64>,
    /// Bytes in memory.
    pub memory_bytes_max: u64,
}

/// Prefetch of listings and content.
#[derive(Debug, Clone, PartialEq)]
pub struct PrefetchSettings {
    /// On or off.
    pub enabled: bool,
    /// Levels below a visited directory; absent = the whole tree.
    pub depth_max: Option<u32>,
    /// Requests at once.
    pub concurrency_max: u32,
    /// Stops when the cache is fuller than this share.
    pub pressure_limit: f64,
}

/// The daemon's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonSettings {
    /// Holds the control socket and the pid files.
    pub runtime_dir: PathBuf,
    /// Another copy of the worker's pid.
    pub pid_file: Option<PathBuf>,
    /// Absent = a file in the runtime directory when daemonized, else standard error.
    pub log_target: Option<LogTarget>,
    /// Colours.
    pub log_color: LogColor,
}

/// Everything, with defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Address as given; a client normalises it.
    pub server: String,
    /// Further CA certificates.
    pub ca_file: Option<PathBuf>,
    /// Root of the mount.
    pub mount_point: PathBuf,
    /// Mounting identity; absent = the mounting user.
    pub uid: Option<u32>,
    /// Mounting identity; absent = the mounting user's group.
    pub gid: Option<u32>,
    /// Durability class.
    pub durability: Durability,
    /// Transport of the kernel's requests.
    pub io_uring: IoUring,
    /// Where first writes go.
    pub writes: Writes,
    /// `.mesaignore`.
    pub ignore_file: PathBuf,
    /// Configured backend; absent = to be chosen on the first run.
    pub secrets_backend: Option<Backend>,
    /// Orgs to mount.
    pub orgs: BTreeMap<OrgSlug, OrgSettings>,
    /// Cache.
    pub cache: CacheSettings,
    /// Prefetch.
    pub prefetch: PrefetchSettings,
    /// Daemon.
    pub daemon: DaemonSettings,
    /// Sessions, journals, work files: what must survive a restart.
    pub state_dir: PathBuf,
    /// Traces go here; absent = nowhere.
    pub collector_url: Option<String>,
    /// From the environment; goes before the secret store.
    pub credential: Option<Credential>,
    /// `MESA_ORG`.
    pub org: Option<OrgSlug>,
    /// `MESA_ORGS`, to be put in the secret store.
    pub new_orgs: Vec<(OrgSlug, Secret)>,
    /// `MESA_VAULT_PASSPHRASE`.
    pub vault_passphrase: Option<Secret>,
    /// The user's directories.
    pub paths: Paths,
}

/// Memory for content and listings unless set: 320 MB.
const MEMORY_BYTES_DEFAULT: u64 = 320 << 20;

impl Settings {
    /// Decides everything a merged layer leaves open.
    pub(crate) fn decide(layer: Layer, environment: &Environment, paths: Paths) -> Self {
        let below = |path: Option<PathBuf>, base: &Path, default: &str| {
            path.unwrap_or_else(|| base.join(default))
        };
        let data = paths.data.clone();
        let ignore = paths
            .user_config
            .parent()
            .map_or_else(|| data.join(".mesaignore"), |dir| dir.join(".mesaignore"));
        let _ = environment;
        Self {
            server: layer.server.unwrap_or_else(|| address::DEFAULT.to_owned()),
            ca_file: layer.ca_file,
            mount_point: below(layer.mount_point, &data, "mnt"),
            uid: layer.uid,
            gid: layer.gid,
            durability: layer.durability.unwrap_or_default(),
            io_uring: layer.io_uring.unwrap_or_default(),
            writes: layer.writes.unwrap_or_default(),
            ignore_file: layer.ignore_file.unwrap_or(ignore),
            secrets_backend: layer.secrets_backend,
            orgs: layer
                .orgs
                .into_iter()
                .map(|(slug, org)| (slug, decide_org(org)))
                .collect(),
            cache: CacheSettings {
                enabled: layer.cache_enabled.unwrap_or(true),
                path: layer.cache_path.unwrap_or_else(|| paths.cache.clone()),
                bytes_max: layer.cache_bytes_max,
                memory_bytes_max: layer.cache_memory_bytes_max.unwrap_or(MEMORY_BYTES_DEFAULT),
            },
            prefetch: PrefetchSettings {
                enabled: layer.prefetch_enabled.unwrap_or(true),
                depth_max: layer.prefetch_depth_max,
                concurrency_max: layer.prefetch_concurrency_max.unwrap_or(8),
                pressure_limit: layer.prefetch_pressure_limit.unwrap_or(0.80),
            },
            daemon: DaemonSettings {
                runtime_dir: below(layer.runtime_dir, &data, "run"),
                pid_file: layer.pid_file,
                log_target: layer.log_target,
                log_color: layer.log_color.unwrap_or(LogColor::Auto),
            },
            state_dir: below(layer.state_dir, &data, "state"),
            collector_url: layer.collector_url,
            credential: None,
            org: None,
            new_orgs: Vec::new(),
            vault_passphrase: None,
            paths,
        }
    }
}

fn decide_org(layer: OrgLayer) -> OrgSettings {
    let inferred = if layer.repos.is_empty() {
        MountMode::All
    } else {
        MountMode::Explicit
    };
    OrgSettings {
        mode: layer.mount.unwrap_or(inferred),
        repos: layer
            .repos
            .into_iter()
            .map(|(name, repo)| {
                let settings = RepoSettings {
                    rev: repo.rev,
                    writes: repo.writes,
                    read_only: repo.read_only.unwrap_or(false),
                };
                (name, settings)
            })
            .collect(),
    }
}
