//! The daemon's state as JSON, the form `mesa status --json` and `mesa stats --json` promise.

use std::path::PathBuf;

use mesa_fuse::{Mode, MountHandle};
use mesa_vfs::{
    content::ContentStats,
    mount::MountStatus,
    session::{Connection, LeaseState, Status},
};
use serde_json::{Value, json};

use super::plan::Plan;

/// Work that is not on the server.
pub struct Lag {
    pub operations: u64,
    pub bytes: u64,
    /// With changes that are not among the operations.
    pub files: u64,
    /// Bookmarks with the work of lost sessions that are being filled.
    pub recovering: u64,
    /// Where what could not be sent is kept.
    pub kept: Vec<PathBuf>,
    /// Repos that cannot be used, and why.
    pub failures: Vec<String>,
    pub last_error: Option<String>,
}

impl Lag {
    /// Nothing is left that could be sent or was kept.
    pub fn is_none(&self) -> bool {
        self.operations == 0
            && self.files == 0
            && self.recovering == 0
            && self.kept.is_empty()
            && self.failures.is_empty()
    }

    /// What is not on the server, in words.
    pub fn describe(&self) -> String {
        let count = |n: u64, one: &str, many: &str| match n {
            0 => None,
            1 => Some(format!("1 {one}")),
            n => Some(format!("{n} {many}")),
        };
        let parts = [
            count(self.operations, "operation", "operations"),
            count(self.files, "file with changes", "files with changes"),
            count(self.recovering, "lost session", "lost sessions")
                .map(|sessions| format!("the work of {sessions}")),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        match (&parts[..], &self.failures[..]) {
            ([], [first, ..]) => format!("the repo {first}"),
            ([], []) => "not everything is on the server yet".to_owned(),
            (parts, _) => format!("{} not on the server yet", parts.join(", ")),
        }
    }
}

/// Over all repos.
pub fn lag(status: &MountStatus) -> Lag {
    let mut lag = Lag {
        operations: 0,
        bytes: 0,
        files: 0,
        recovering: 0,
        kept: Vec::new(),
        failures: Vec::new(),
        last_error: None,
    };
    let repos = status.orgs.iter();
    for (org, repo) in repos.flat_map(|o| o.repos.iter().map(move |r| (&o.org, r))) {
        if let Some(reason) = &repo.failure {
            let failure = format!("{org}/{} cannot be used: {reason}", repo.repo);
            lag.failures.push(failure);
        }
        let Some(session) = &repo.session else {
            continue;
        };
        lag.operations += session.lag_ops;
        lag.bytes += session.lag_bytes;
        lag.files += session.unsent_files;
        lag.recovering += session.recovering.len() as u64;
        lag.kept.extend(session.kept.iter().cloned());
        let left = session.lag_ops + session.unsent_files;
        if left + session.recovering.len() as u64 > 0 && lag.last_error.is_none() {
            lag.last_error = session.last_error.as_ref().map(|(_, text)| text.clone());
        }
    }
    lag
}

/// For `mesa status`.
pub fn status(plan: &Plan, status: &MountStatus, handle: &MountHandle) -> Value {
    let lag = lag(status);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs() as i64);
    let expires = plan.orgs.iter().filter_map(|o| o.expires_at_s).min();
    let orgs: Vec<Value> = status
        .orgs
        .iter()
        .map(|org| {
            let repos: Vec<Value> = org
                .repos
                .iter()
                .map(|repo| {
                    json!({
                        "repo": repo.repo,
                        "failure": repo.failure,
                        "session": repo.session.as_ref().map(session),
                        "open_files": repo.open_files,
                        "work_files": repo.work_files,
                    })
                })
                .collect();
            json!({ "org": org.org, "repos": repos })
        })
        .collect();
    json!({
        "mount_point": plan.mount_point,
        "server": plan.server,
        "mode": mode(handle.mode()),
        "io_uring": handle.uses_io_uring(),
        "durability": plan.durability,
        "read_only": plan.read_only,
        "pid": std::process::id(),
        "synced": lag.is_none(),
        "lag_ops": lag.operations,
        "lag_bytes": lag.bytes,
        "key_expires_in_s": expires.map(|at| (at - now).max(0)),
        "orgs": orgs,
    })
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Passthrough => "passthrough",
        Mode::Writeback => "writeback",
    }
}

fn session(status: &Status) -> Value {
    let connection = match status.connection {
        Connection::Starting => "starting",
        Connection::Attached => "attached",
        Connection::Waiting(_) => "waiting",
        Connection::Refused => "refused",
        Connection::Fenced => "fenced",
        Connection::Closed => "closed",
    };
    json!({
        "session": status.session,
        "change_id": status.change_id,
        "bookmark": status.bookmark,
        "durability": status.durability.as_str(),
        "connection": connection,
        "lease": lease(status.lease),
        "read_only": status.read_only,
        "head_seq": status.head_seq.0,
        "acked": status.acked.0,
        "lag_ops": status.lag_ops,
        "lag_bytes": status.lag_bytes,
        "lag_ms": status.lag_ms,
        "unsent_files": status.unsent_files,
        "last_error": status.last_error.as_ref().map(|(at, text)| json!({"at_ms": at, "message": text})),
        "kept": status.kept,
        "recovering": status.recovering,
        "recovered": status.recovered,
    })
}

fn lease(lease: LeaseState) -> String {
    format!("{lease:?}").to_lowercase()
}

/// For `mesa stats`.
pub fn stats(status: &MountStatus, handle: &MountHandle, cache: ContentStats) -> Value {
    let repos = status.orgs.iter().flat_map(|o| &o.repos);
    let nodes: usize = repos.clone().map(|r| r.nodes).sum();
    let open_files: usize = repos.clone().map(|r| r.open_files).sum();
    let work_files: usize = repos.map(|r| r.work_files).sum();
    let lag = lag(status);
    json!({
        "nodes": nodes,
        "open_files": open_files,
        "work_files": work_files,
        "lag": { "operations": lag.operations, "bytes": lag.bytes },
        "cache": {
            "disk_bytes": cache.disk_bytes,
            "disk_files": cache.disk_files,
            "memory_bytes": cache.ram_bytes,
            "hits": cache.hits,
            "misses": cache.misses,
            "prefetched": cache.prefetched,
        },
        "kernel": {
            "requests": handle.counters().snapshot(),
            "waited": handle.counters().later(),
            "notices": handle.counters().notices(),
        },
        "memory_bytes": resident_bytes(),
    })
}

/// Resident memory of this process; 0 where /proc does not tell.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|p| p.parse::<u64>().ok())
        .unwrap_or(0);
    pages * rustix::param::page_size() as u64
}
