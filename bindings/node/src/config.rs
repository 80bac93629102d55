//! From the objects JavaScript gives to what is mounted.

use std::{path::PathBuf, time::Duration};

use mesa_fs::{At, Credential, Durability, MountOptions, RepoMount};
use napi::bindgen_prelude::Either;
use napi_derive::napi;

/// The server when none is named.
const DEFAULT_SERVER: &str = "http://127.0.0.1:7117";

/// A repo to mount.
#[napi(object)]
pub struct RepoConfig {
    /// Its name.
    pub name: String,
    /// At this bookmark.
    pub bookmark: Option<String>,
    /// At this change.
    pub change_id: Option<String>,
    /// Not to be written to.
    pub read_only: Option<bool>,
    /// A change of its own.
    pub isolate: Option<bool>,
    /// Where it is shown.
    pub path: Option<String>,
}

/// A directory for the cache.
#[napi(object)]
pub struct DiskCacheConfig {
    /// Where.
    pub path: String,
    /// Bytes.
    pub max_size_bytes: Option<f64>,
}

/// The cache.
#[napi(object)]
pub struct CacheConfig {
    /// On disk.
    pub disk_cache: Option<DiskCacheConfig>,
    /// Bytes in memory.
    pub memory_bytes_max: Option<f64>,
}

/// The log.
#[napi(object)]
pub struct TelemetryConfig {
    /// Least level: error, warn, info, debug, trace.
    pub log_level: Option<String>,
}

/// A mount.
#[napi(object)]
pub struct MesaFileSystemConfig {
    /// The org of the repos.
    pub org: String,
    /// API key or access token; not needed with a function for tokens.
    pub api_key: Option<String>,
    /// The repos.
    pub repos: Option<Vec<RepoConfig>>,
    /// Those that are shown: names, or `all` that the credential sees, also when absent.
    pub mounted_repos: Option<Either<Vec<String>, String>>,
    /// Kept in a temporary directory when absent.
    pub cache: Option<CacheConfig>,
    /// The REST API, with `/v1`.
    pub api_base_url: Option<String>,
    /// The mount protocol; the API's server when absent.
    pub vcs_url: Option<String>,
    /// The log.
    pub telemetry: Option<TelemetryConfig>,
    /// `fsync`, `close` (the default here), `write` or `local`.
    pub durability: Option<String>,
    /// Where unsent work is kept.
    pub state_dir: Option<String>,
    /// All repos.
    pub read_only: Option<bool>,
    /// All repos.
    pub isolate: Option<bool>,
    /// Of new entries.
    pub umask: Option<u32>,
    /// Longest wait for the server in milliseconds.
    pub timeout_ms: Option<f64>,
    /// PEM file with further certificates.
    pub ca_file: Option<String>,
    /// How the program calls itself.
    pub user_agent: Option<String>,
}

/// Options for a mount, or what is wrong with what was given.
pub fn options(
    config: &MesaFileSystemConfig,
    credential: Credential,
) -> Result<MountOptions, String> {
    let server = config.vcs_url.as_ref().or(config.api_base_url.as_ref());
    let server = server.map_or(DEFAULT_SERVER, String::as_str);
    let mut options = MountOptions::new(server, credential);
    options.control_plane.clone_from(&config.api_base_url);
    options.durability = match config.durability.as_deref() {
        // Who only waits for the call expects the file to be there.
        None | Some("close") => Durability::Close,
        Some("fsync") => Durability::Fsync,
        Some("write") => Durability::Write,
        Some("local") => Durability::Local,
        Some(other) => return Err(format!("there is no durability '{other}'")),
    };
    for repo in config.repos.iter().flatten() {
        options.repos.push(mounted(&config.org, repo)?);
    }
    match &config.mounted_repos {
        Some(Either::B(all)) if all == "all" => options.whole_orgs.push(config.org.clone()),
        Some(Either::B(other)) => return Err(format!("mountedRepos is '{other}'")),
        Some(Either::A(names)) => {
            let known = |name: &String| options.repos.iter().any(|repo| repo.name == *name);
            let more: Vec<_> = names.iter().filter(|name| !known(name)).collect();
            let plain = |name: &String| RepoMount::new(&config.org, name);
            let more: Vec<_> = more.into_iter().map(plain).collect();
            options.repos.extend(more);
            options.repos.retain(|repo| names.contains(&repo.name));
        }
        // The published SDK leaves it out; its token names the repos.
        None => options.whole_orgs.push(config.org.clone()),
    }
    if let Some(cache) = &config.cache {
        if let Some(disk) = &cache.disk_cache {
            options.cache_dir = Some(PathBuf::from(&disk.path));
            options.cache_disk_bytes_max = disk.max_size_bytes.map(|bytes| bytes as u64);
        }
        options.cache_memory_bytes_max = cache.memory_bytes_max.map(|bytes| bytes as u64);
    }
    options.state_dir = config.state_dir.as_ref().map(PathBuf::from);
    options.read_only = config.read_only.unwrap_or(false);
    options.isolate = config.isolate.unwrap_or(false);
    options.umask = config.umask.unwrap_or(options.umask);
    if let Some(millis) = config.timeout_ms {
        options.deadline = Duration::try_from_secs_f64(millis / 1000.0)
            .map_err(|_| format!("timeoutMs is {millis}"))?;
    }
    options.ca_file = config.ca_file.as_ref().map(PathBuf::from);
    let version = env!("CARGO_PKG_VERSION");
    let program = config.user_agent.as_deref().unwrap_or("mesa-node");
    options.user_agent = if program.contains('/') {
        program.to_owned()
    } else {
        format!("{program}/{version}")
    };
    Ok(options)
}

fn mounted(org: &str, repo: &RepoConfig) -> Result<RepoMount, String> {
    let mut mount = RepoMount::new(org, &repo.name);
    mount.at = at(repo.bookmark.clone(), repo.change_id.clone())
        .map_err(|error| format!("{}: {error}", repo.name))?
        .unwrap_or(At::DefaultBookmark);
    mount.read_only = repo.read_only.unwrap_or(false);
    mount.isolate = repo.isolate.unwrap_or(false);
    mount.path = repo.path.as_ref().map(PathBuf::from);
    Ok(mount)
}

/// A version by bookmark or change.
pub fn at(bookmark: Option<String>, change: Option<String>) -> Result<Option<At>, String> {
    match (bookmark, change) {
        (Some(_), Some(_)) => Err("give a bookmark or a changeId, not both".to_owned()),
        (Some(name), None) => Ok(Some(At::Bookmark(name))),
        (None, Some(id)) => Ok(Some(At::Change(id))),
        (None, None) => Ok(None),
    }
}
