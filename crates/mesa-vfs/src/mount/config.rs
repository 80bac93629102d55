//! What a mount is made from.

use std::{path::PathBuf, sync::Arc};

use mesa_client::SyncApi;
use mesa_types::{OrgSlug, RepoName, time::Clock};

use crate::{
    content::ContentStore,
    session::{Durability, QuietProbe, SessionTarget, Tuning},
    tree::perm::Groups,
};

/// A whole mount.
pub struct MountConfig {
    /// The orgs shown in the root.
    pub orgs: Vec<OrgConfig>,
    /// The mounting identity: owner of everything stored as `self`.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Show every owner as the mounting identity.
    pub squash: bool,
    /// When fsync, close and namespace operations return.
    pub durability: Durability,
    /// How much metadata is read ahead.
    pub prefetch: Prefetch,
    /// Files up to this many bytes are read from memory instead of through a local file.
    pub served_max: u64,
    /// Content cache of the daemon.
    pub content: Arc<ContentStore>,
    /// Root of the state directories; each (org, repo, target) gets one below.
    pub state_dir: PathBuf,
    /// Client name for the server's log.
    pub client: String,
    /// Host name for status.
    pub host: String,
    /// Time. Should be the clock local files get their times from.
    pub clock: Arc<dyn Clock>,
    /// Random numbers for jitter.
    pub random: Arc<dyn Fn() -> u32 + Send + Sync>,
    /// See [`crate::session::SessionConfig::quiet`].
    pub quiet: Option<QuietProbe>,
    /// The mount was taken over from a process whose descriptors [`MountConfig::quiet`] knows
    /// nothing of: what is written to them comes through the kernel's page cache.
    pub former_unseen: bool,
    /// Supplementary groups of callers.
    pub groups: Arc<dyn Groups + Send + Sync>,
    /// Bounds and deadlines.
    pub tuning: Tuning,
    /// Where background work runs.
    pub runtime: tokio::runtime::Handle,
}

/// Reading metadata ahead.
#[derive(Debug, Clone, Copy)]
pub struct Prefetch {
    /// Read the tree in the background when a repo is first touched.
    pub enabled: bool,
    /// Levels below the root; `u32::MAX` = all.
    pub depth: u32,
    /// Stop after about this many nodes.
    pub nodes_max: u32,
}

impl Default for Prefetch {
    fn default() -> Self {
        Self {
            enabled: true,
            depth: u32::MAX,
            nodes_max: 2_000_000,
        }
    }
}

/// One org.
#[derive(Clone)]
pub struct OrgConfig {
    /// Its slug: the directory's name.
    pub slug: OrgSlug,
    /// The server, with this org's credential.
    pub api: Arc<dyn SyncApi>,
    /// Whether repos without a section of their own are shown too.
    pub all: bool,
    /// Repos with settings of their own.
    pub repos: Vec<RepoConfig>,
    /// Settings of the others.
    pub defaults: RepoDefaults,
}

/// One repo's settings.
#[derive(Debug, Clone)]
pub struct RepoConfig {
    /// Which.
    pub name: RepoName,
    /// What to join.
    pub target: SessionTarget,
    /// Own change instead of joining the bookmark's.
    pub isolate: bool,
    /// No writing.
    pub read_only: bool,
}

/// Settings of repos without a section of their own; they follow their default bookmark.
#[derive(Debug, Clone, Copy, Default)]
pub struct RepoDefaults {
    /// Own change instead of joining the bookmark's.
    pub isolate: bool,
    /// No writing.
    pub read_only: bool,
}

impl OrgConfig {
    /// The settings of a repo; `None` = not shown.
    pub fn settings(&self, name: &RepoName) -> Option<RepoConfig> {
        self.settings_among(&self.repos, name)
    }

    /// The same with other repos than the first ones.
    pub(super) fn settings_among(
        &self,
        repos: &[RepoConfig],
        name: &RepoName,
    ) -> Option<RepoConfig> {
        if let Some(config) = repos.iter().find(|r| r.name == *name) {
            return Some(config.clone());
        }
        self.all.then(|| RepoConfig {
            name: name.clone(),
            target: SessionTarget::Bookmark(String::new()),
            isolate: self.defaults.isolate,
            read_only: self.defaults.read_only,
        })
    }
}
