//! A whole mount: the root lists orgs, an org lists its repos, a repo is a live head.
//!
//! [`Mount`] implements [`crate::fs::Filesystem`]. It finds the repo a node number belongs to
//! (the number's upper bits), opens it when it is touched for the first time, and hands the call
//! on. Everything above the repos is read-only.

mod attach;
mod attr;
mod change;
mod config;
mod data;
mod env;
mod files;
mod filesystem;
mod former;
mod load;
mod names;
mod open;
mod org;
mod repo;
mod roots;
mod sink;
mod status;
mod switch;
mod watch;
mod xattr;

use std::{
    collections::HashMap,
    sync::{Arc, mpsc},
    time::Duration,
};

use mesa_types::{FileId, Nanos, OrgSlug, RepoName};
use parking_lot::{Mutex, RwLock};

pub use config::{MountConfig, OrgConfig, Prefetch, RepoConfig, RepoDefaults};
pub use status::{MountStatus, OrgStatus, RepoStatus};
pub use watch::Changed;

use self::{
    env::Env,
    org::{Org, Slot, Tags},
    roots::RootListing,
};
use crate::{
    fs::{FsError, FsResult, Handle, NodeId, Notice},
    session::Session,
};

/// Pause between attempts to resume what an earlier run left.
const RESUME_AGAIN: Duration = Duration::from_secs(5);
/// Pause between attempts to list what a taken over mount shows.
const RESTORE_AGAIN: Duration = Duration::from_millis(200);
/// Marks the numbers of org directories.
const ORG_BIT: u64 = 1 << 62;
/// Marks numbers of later versions of files (see [`crate::tree`]).
const VERSION_BIT: u64 = 1 << 63;

/// A mounted filesystem. Cheap to clone; the clones are the same mount.
#[derive(Clone)]
pub struct Mount {
    inner: Arc<Inner>,
}

struct Inner {
    env: Arc<Env>,
    started: Nanos,
    orgs: RwLock<Vec<Arc<Org>>>,
    ranges: Arc<Ranges>,
    dirs: Mutex<HashMap<Handle, RootListing>>,
}

/// Which repo a node number belongs to.
#[derive(Default)]
struct Ranges {
    slots: RwLock<HashMap<u32, Option<Arc<Slot>>>>,
}

impl Tags for Ranges {
    fn take(&self, wanted: u32) -> u32 {
        let mut slots = self.slots.write();
        let mut tag = wanted & FileId::TAG_MAX;
        while tag == 0 || slots.contains_key(&tag) {
            tag = (tag + 1) & FileId::TAG_MAX;
        }
        slots.insert(tag, None);
        tag
    }

    fn register(&self, slot: &Arc<Slot>) {
        self.slots.write().insert(slot.tag, Some(Arc::clone(slot)));
    }
}

/// What a node number names.
enum Place {
    Root,
    Org(Arc<Org>),
    Repo(Arc<Slot>),
}

impl Mount {
    /// A mount and the notices for its presenter. Servers are only asked for repos that have
    /// something left from an earlier run: it is sent without waiting for their first use.
    pub fn new(config: MountConfig) -> (Self, mpsc::Receiver<Notice>) {
        let (sender, notices) = mpsc::channel();
        let orgs = config.orgs.clone();
        let started = config.clock.now();
        let mount = Self {
            inner: Arc::new(Inner {
                env: Arc::new(Env::new(config, sender)),
                started,
                orgs: RwLock::new(Vec::new()),
                ranges: Arc::new(Ranges::default()),
                dirs: Mutex::new(HashMap::new()),
            }),
        };
        for org in orgs {
            mount.add_org(org);
        }
        mount.inner.spawn_resume();
        (mount, notices)
    }

    /// Shows one more org. An org that is there already is left as it is; the answer tells.
    pub fn add_org(&self, config: OrgConfig) -> bool {
        let mut orgs = self.inner.orgs.write();
        if orgs.iter().any(|o| o.config.slug == config.slug) {
            return false;
        }
        let node = NodeId(ORG_BIT | orgs.len() as u64 | 1 << 32);
        let name = config.slug.as_str().as_bytes().to_vec();
        orgs.push(Arc::new(Org::new(
            Arc::clone(&self.inner.env),
            config,
            node,
        )));
        drop(orgs);
        self.inner.env.notify(vec![Notice::Entry {
            parent: NodeId::ROOT,
            name: name.into(),
        }]);
        true
    }

    /// The org's credential changed: sessions waiting for a good one try again now.
    pub fn credential_changed(&self, org: &OrgSlug) {
        for slot in self.inner.slots() {
            if slot.1 == *org
                && let Some(repo) = slot.0.repo()
            {
                repo.session.credential_changed();
            }
        }
    }

    /// The session of a repo, opening it if needed.
    pub async fn session(&self, org: &OrgSlug, repo: &RepoName) -> FsResult<Arc<Session>> {
        let slot = self.slot(org, repo).await?;
        slot.open().await?;
        let repo = slot.repo().ok_or(FsError::Io)?;
        Ok(Arc::clone(&repo.session))
    }

    /// Other repos with settings of their own (in explicit mode: the only ones shown). A repo that
    /// is no longer shown should have been closed before ([`Mount::close_repo`]).
    pub async fn set_repos(&self, org: &OrgSlug, repos: Vec<RepoConfig>) -> FsResult<()> {
        let org = self.inner.org_named(org).ok_or(FsError::NotFound)?;
        org.set_repos(repos);
        org.list(&self.inner.tags()).await
    }

    /// Ends the session of a repo whose settings changed or that is no longer shown.
    pub async fn close_repo(&self, org: &OrgSlug, repo: &RepoName) -> FsResult<()> {
        self.slot(org, repo).await?.close().await
    }

    async fn slot(&self, org: &OrgSlug, repo: &RepoName) -> FsResult<Arc<Slot>> {
        let org = self.inner.org_named(org).ok_or(FsError::NotFound)?;
        let name = repo.as_str().as_bytes();
        if let Some(slot) = org.slot(name) {
            return Ok(slot);
        }
        org.list(&self.inner.tags()).await?;
        org.slot(name).ok_or(FsError::NotFound)
    }

    /// Everything that was done in any repo is on its server when this returns. The first failure
    /// is returned after all repos were tried.
    pub async fn sync_all(&self) -> FsResult<()> {
        self.inner.resume().await?;
        let repos = self.inner.open_repos();
        let syncs = repos.iter().map(|repo| repo.session.sync_all());
        let outcomes = futures::future::join_all(syncs).await;
        // Their server does not know them any more, or not by this key.
        let gone = !self.inner.gone().is_empty();
        let all = outcomes
            .into_iter()
            .chain(gone.then_some(Err(FsError::NotFound)));
        all.collect()
    }

    /// Sends everything and ends all sessions. With an error, what could not be sent stays
    /// journalled for the next start.
    pub async fn unmount(&self) -> FsResult<()> {
        let slots: Vec<Arc<Slot>> = self.inner.slots().into_iter().map(|(s, _)| s).collect();
        for slot in self.inner.gone() {
            slot.abandon();
        }
        let closes = slots.iter().map(|slot| slot.close());
        let outcomes = futures::future::join_all(closes).await;
        outcomes.into_iter().collect()
    }

    /// For a process that takes a mount over: returns when requests about what the former one
    /// handed out can be answered, or after `limit` (the server may be away).
    pub async fn restore(&self, limit: Duration) {
        let restored = async {
            while let Err(error) = self.inner.restore().await {
                tracing::debug!(%error, "cannot list the orgs yet");
                tokio::time::sleep(RESTORE_AGAIN).await;
            }
        };
        if tokio::time::timeout(limit, restored).await.is_err() {
            tracing::warn!("the mount goes on before its repos could be listed");
        }
    }

    /// Stops all work without sending anything more: the sessions are resumed at the next start.
    pub fn abandon(&self) {
        for slot in self.inner.slots() {
            slot.0.abandon();
        }
        for slot in self.inner.gone() {
            slot.abandon();
        }
    }

    /// What `mesa status` shows.
    pub fn status(&self) -> MountStatus {
        status::of(&self.inner.orgs.read())
    }
}

impl Inner {
    fn tags(&self) -> Arc<dyn Tags> {
        Arc::clone(&self.ranges) as Arc<dyn Tags>
    }

    fn org_named(&self, slug: &OrgSlug) -> Option<Arc<Org>> {
        let orgs = self.orgs.read();
        orgs.iter().find(|o| o.config.slug == *slug).cloned()
    }

    fn slots(&self) -> Vec<(Arc<Slot>, OrgSlug)> {
        let orgs = self.orgs.read().clone();
        let of = |org: &Arc<Org>| {
            let slug = org.config.slug.clone();
            org.slots().into_iter().map(move |s| (s, slug.clone()))
        };
        orgs.iter().flat_map(of).collect()
    }

    fn gone(&self) -> Vec<Arc<Slot>> {
        let orgs = self.orgs.read();
        orgs.iter().flat_map(|org| org.gone()).collect()
    }

    fn open_repos(&self) -> Vec<Arc<repo::Repo>> {
        self.slots().iter().filter_map(|(s, _)| s.repo()).collect()
    }

    /// Opens repos with something left from an earlier run.
    async fn resume(&self) -> FsResult<()> {
        let orgs = self.orgs.read().clone();
        let mut outcome = Ok(());
        for org in orgs {
            for name in org.left_over() {
                let opened = async {
                    if org.slot(name.as_str().as_bytes()).is_none() {
                        org.list(&self.tags()).await?;
                    }
                    match org.slot(name.as_str().as_bytes()) {
                        Some(slot) => slot.open().await,
                        // Deleted, or out of the credential's sight: there is nowhere to send it.
                        None if org.has_left_unsent(&name) => Err(FsError::NotFound),
                        None => Ok(()),
                    }
                };
                outcome = outcome.and(opened.await);
            }
        }
        outcome
    }

    fn spawn_resume(self: &Arc<Self>) {
        let weak = Arc::downgrade(self);
        self.env.config.runtime.spawn(async move {
            while let Some(inner) = weak.upgrade() {
                match inner.resume().await {
                    Ok(()) => break,
                    Err(error) => tracing::debug!(%error, "cannot resume yet"),
                }
                drop(inner);
                tokio::time::sleep(RESUME_AGAIN).await;
            }
        });
    }

    /// Lists every org, so that numbers given out by a former process name something again.
    async fn restore(&self) -> FsResult<()> {
        let orgs = self.orgs.read().clone();
        let lists = orgs.iter().map(|org| org.list(&self.tags()));
        let outcomes = futures::future::join_all(lists).await;
        outcomes.into_iter().collect()
    }

    /// What a number names.
    fn place(&self, node: NodeId) -> FsResult<Place> {
        if node == NodeId::ROOT {
            return Ok(Place::Root);
        }
        if node.0 & ORG_BIT != 0 && node.0 & VERSION_BIT == 0 {
            let orgs = self.orgs.read();
            let org = orgs.iter().find(|o| o.node == node).cloned();
            return org.map(Place::Org).ok_or(FsError::Stale);
        }
        let tag = (node.0 >> FileId::COUNTER_BITS) as u32 & FileId::TAG_MAX;
        let slot = self.ranges.slots.read().get(&tag).cloned().flatten();
        slot.map(Place::Repo).ok_or(FsError::Stale)
    }
}
