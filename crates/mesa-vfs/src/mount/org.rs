//! An org's directory: the repos the credential can see, listed live.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::{FutureExt, Shared};
use mesa_proto::v1;
use mesa_types::{FileId, RepoName};
use parking_lot::{Mutex, RwLock};
use prost::Message;

use super::{
    attach::{Attached, attach, open_error, state_dir},
    config::{OrgConfig, RepoConfig},
    env::Env,
    repo::Repo,
};
use crate::{
    fs::{FsError, FsResult, NodeId, Notice},
    session::{Later, has_unsent},
};

/// A listing answers for this long.
const FRESH: Duration = Duration::from_secs(2);
/// A failed opening is not tried again for this long.
const RETRY: Duration = Duration::from_secs(1);
/// A server that does not answer for this long is away, where that can be helped.
const AWAY_AFTER: Duration = Duration::from_secs(3);
/// Pages of repos read before giving up.
const PAGES_MAX: usize = 1000;

/// One org of a mount.
pub struct Org {
    pub config: OrgConfig,
    pub node: NodeId,
    env: Arc<Env>,
    /// Repos with settings of their own; `config.repos` at first.
    repos: RwLock<Vec<RepoConfig>>,
    state: Mutex<OrgState>,
}

#[derive(Default)]
struct OrgState {
    slots: BTreeMap<Vec<u8>, Arc<Slot>>,
    /// Not in the listing any more, with work that was not sent.
    gone: Vec<Arc<Slot>>,
    listed: Option<Instant>,
    listing: Option<Shared<Later<FsResult<()>>>>,
}

/// One repo of an org, open or not.
pub struct Slot {
    pub org: NodeId,
    pub name: RepoName,
    pub info: v1::RepoInfo,
    pub settings: RepoConfig,
    /// Its number range in the mount.
    pub tag: u32,
    env: Arc<Env>,
    config: OrgConfig,
    attached: Mutex<Attachment>,
}

enum Attachment {
    No,
    Opening(Shared<Later<FsResult<()>>>),
    Yes(Attached),
    Failed(FsError, Instant, String),
}

/// Gives out number ranges.
pub trait Tags: Send + Sync {
    /// A number range for this slot, `wanted` if it is free.
    fn take(&self, wanted: u32) -> u32;
    /// Makes the slot known under its range.
    fn register(&self, slot: &Arc<Slot>);
}

impl Org {
    pub fn new(env: Arc<Env>, config: OrgConfig, node: NodeId) -> Self {
        Self {
            repos: RwLock::new(config.repos.clone()),
            config,
            node,
            env,
            state: Mutex::new(OrgState::default()),
        }
    }

    /// Other repos with settings of their own; counts from the next listing on.
    pub fn set_repos(&self, repos: Vec<RepoConfig>) {
        *self.repos.write() = repos;
        self.state.lock().listed = None;
    }

    fn settings(&self, name: &RepoName) -> Option<RepoConfig> {
        self.config.settings_among(&self.repos.read(), name)
    }

    /// A repo that is known.
    pub fn slot(&self, name: &[u8]) -> Option<Arc<Slot>> {
        self.state.lock().slots.get(name).cloned()
    }

    /// All repos that are known, by name.
    pub fn slots(&self) -> Vec<Arc<Slot>> {
        self.state.lock().slots.values().cloned().collect()
    }

    /// Repos that were listed before, and what was done in them is not on the server.
    pub fn gone(&self) -> Vec<Arc<Slot>> {
        self.state.lock().gone.clone()
    }

    /// Names of repos with something left from an earlier run.
    pub fn left_over(&self) -> Vec<RepoName> {
        let dir = self.env.config.state_dir.join(self.config.slug.as_str());
        let Ok(found) = std::fs::read_dir(dir) else {
            return Vec::new();
        };
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let name = name.parse::<RepoName>().ok()?;
            let settings = self.settings(&name)?;
            state_dir(&self.env, &self.config, &settings)
                .is_dir()
                .then_some(name)
        };
        found.filter_map(name).collect()
    }

    /// Whether an earlier run left something of a repo that is not on the server.
    pub fn has_left_unsent(&self, name: &RepoName) -> bool {
        let Some(settings) = self.settings(name) else {
            return false;
        };
        let dir = state_dir(&self.env, &self.config, &settings);
        // One that is in use is answered for by who uses it.
        has_unsent(&dir).unwrap_or(false)
    }

    /// Repos left by an earlier run, with what is not on the server, that are not listed.
    pub fn missing(&self) -> Vec<RepoName> {
        if self.state.lock().listed.is_none() {
            return Vec::new();
        }
        let mut names = self.left_over();
        names.retain(|name| {
            let listed = self.slot(name.as_str().as_bytes()).is_some();
            !listed && self.has_left_unsent(name)
        });
        names
    }

    /// Whether the listing may be used without asking.
    pub fn is_fresh(&self) -> bool {
        self.state
            .lock()
            .listed
            .is_some_and(|at| at.elapsed() < FRESH)
    }

    /// Asks the server for the repos. Callers at the same time share one answer.
    pub fn list(self: &Arc<Self>, tags: &Arc<dyn Tags>) -> Shared<Later<FsResult<()>>> {
        let mut state = self.state.lock();
        if let Some(listing) = &state.listing {
            return listing.clone();
        }
        let (org, tags) = (Arc::clone(self), Arc::clone(tags));
        let task = self.env.config.runtime.spawn(async move {
            let outcome = org.read_list(&tags).await;
            org.state.lock().listing = None;
            outcome
        });
        let listing: Later<FsResult<()>> =
            Box::pin(async move { task.await.unwrap_or(Err(FsError::Io)) });
        let listing = listing.shared();
        state.listing = Some(listing.clone());
        listing
    }

    async fn read_list(&self, tags: &Arc<dyn Tags>) -> FsResult<()> {
        let first = self.state.lock().listed.is_none();
        let stored = first.then(|| self.stored_list()).flatten();
        let deadline = match stored {
            Some(_) => AWAY_AFTER,
            None => self.env.config.tuning.deadline,
        };
        let read = match tokio::time::timeout(deadline, self.read_pages()).await {
            Ok(Err(error)) if is_away(&error) && stored.is_some() => Err(()),
            Ok(read) => Ok(read),
            Err(_) => Err(()),
        };
        match (read, stored) {
            (Ok(Ok(found)), _) => {
                self.store_list(&found);
                let notices = self.take_list(found, tags);
                self.env.notify(notices);
                Ok(())
            }
            // What an earlier process knew stays usable, too.
            (Err(()), Some(found)) => {
                tracing::warn!(org = %self.config.slug, "the server is away");
                let notices = self.take_list(found, tags);
                self.env.notify(notices);
                Ok(())
            }
            (Ok(Err(error)), _) => {
                tracing::debug!(%error, org = %self.config.slug, "cannot list repos");
                use mesa_client::SyncErrorKind as K;
                // What is known stays usable while the server is away.
                if self.state.lock().listed.is_some() {
                    return Ok(());
                }
                Err(match error.kind {
                    K::Unauthenticated | K::Forbidden => FsError::Access,
                    K::NotFound => FsError::NotFound,
                    _ => FsError::Io,
                })
            }
            (Err(()), None) => Err(FsError::Io),
        }
    }

    /// `repos~list` (no repo can have that name): `01`, crc32c of the rest (u32 LE), protobuf
    /// `ListReposResponse`.
    fn list_path(&self) -> std::path::PathBuf {
        let dir = self.env.config.state_dir.join(self.config.slug.as_str());
        dir.join("repos~list")
    }

    fn stored_list(&self) -> Option<Vec<v1::RepoInfo>> {
        let bytes = std::fs::read(self.list_path()).ok()?;
        let (head, list) = bytes.split_at_checked(5)?;
        if head[0] != 1 || head[1..] != crc32c::crc32c(list).to_le_bytes() {
            return None;
        }
        Some(v1::ListReposResponse::decode(list).ok()?.repos)
    }

    fn store_list(&self, repos: &[v1::RepoInfo]) {
        let list = v1::ListReposResponse {
            repos: repos.to_vec(),
            next_cursor: String::new(),
        };
        let list = list.encode_to_vec();
        let mut bytes = vec![1];
        bytes.extend(crc32c::crc32c(&list).to_le_bytes());
        bytes.extend(list);
        let path = self.list_path();
        if std::fs::read(&path).is_ok_and(|stored| stored == bytes) {
            return;
        }
        let stored = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let next = path.with_extension("new");
        let stored = stored
            .and_then(|()| std::fs::write(&next, &bytes))
            .and_then(|()| std::fs::rename(&next, &path));
        if let Err(error) = stored {
            tracing::debug!(%error, "the list of repos was not stored");
        }
    }

    async fn read_pages(&self) -> Result<Vec<v1::RepoInfo>, mesa_client::SyncError> {
        let mut repos = Vec::new();
        let mut cursor = String::new();
        for _ in 0..PAGES_MAX {
            let page = self.config.api.list_repos(v1::ListReposRequest {
                org: self.config.slug.to_string(),
                cursor,
                limit: 0,
            });
            let page = page.await?;
            repos.extend(page.repos);
            cursor = page.next_cursor;
            if cursor.is_empty() {
                break;
            }
        }
        Ok(repos)
    }

    fn take_list(&self, found: Vec<v1::RepoInfo>, tags: &Arc<dyn Tags>) -> Vec<Notice> {
        let mut notices = Vec::new();
        let mut state = self.state.lock();
        let before = std::mem::take(&mut state.slots);
        let gone = std::mem::take(&mut state.gone);
        for info in found {
            let Ok(name) = info.name.parse::<RepoName>() else {
                continue;
            };
            let Some(settings) = self.settings(&name) else {
                continue;
            };
            let key = name.as_str().as_bytes().to_vec();
            let same = before.get(&key).filter(|s| s.info.id == info.id);
            let again = || gone.iter().find(|s| s.info.id == info.id && s.name == name);
            if same.is_none() {
                notices.push(Notice::Entry {
                    parent: self.node,
                    name: Bytes::from(key.clone()),
                });
            }
            let slot = if let Some(slot) = same.or_else(again) {
                Arc::clone(slot)
            } else {
                let slot = Arc::new(Slot {
                    org: self.node,
                    tag: tags.take(info.tag),
                    name,
                    info,
                    settings,
                    env: Arc::clone(&self.env),
                    config: self.config.clone(),
                    attached: Mutex::new(Attachment::No),
                });
                tags.register(&slot);
                slot
            };
            state.slots.insert(key, slot);
        }
        for (name, slot) in &before {
            if !state.slots.contains_key(name) {
                notices.push(Notice::Deleted {
                    parent: self.node,
                    child: slot.root(),
                    name: Bytes::from(name.clone()),
                });
            }
        }
        for slot in before.into_values().chain(gone) {
            let named = state.slots.get(slot.name.as_str().as_bytes());
            if named.is_some_and(|listed| Arc::ptr_eq(listed, &slot)) {
                continue;
            }
            // Where another one has its name, that one's opening keeps what was not sent.
            if named.is_none() && slot.has_unsent() {
                tracing::warn!(repo = %slot.name, "not listed any more, with work that was not sent");
                state.gone.push(slot);
            } else {
                slot.abandon();
            }
        }
        state.listed = Some(Instant::now());
        drop(state);
        notices
    }
}

impl Slot {
    /// Number of the repo's root directory.
    pub fn root(&self) -> NodeId {
        NodeId(u64::from(self.tag) << FileId::COUNTER_BITS | 1)
    }

    /// The open repo.
    pub fn repo(&self) -> Option<Arc<Repo>> {
        match &*self.attached.lock() {
            Attachment::Yes(attached) => Some(Arc::clone(&attached.repo)),
            _ => None,
        }
    }

    /// Opens the repo unless it is open.
    pub fn open(self: &Arc<Self>) -> Shared<Later<FsResult<()>>> {
        let mut attached = self.attached.lock();
        match &*attached {
            Attachment::Yes(_) => return done(Ok(())),
            Attachment::Opening(opening) => return opening.clone(),
            Attachment::Failed(error, at, _) if at.elapsed() < RETRY => return done(Err(*error)),
            Attachment::Failed(..) | Attachment::No => {}
        }
        let slot = Arc::clone(self);
        let task = self.env.config.runtime.spawn(async move {
            let settings = slot.settings.clone();
            let opening = attach(
                Arc::clone(&slot.env),
                &slot.config,
                settings,
                &slot.info.id,
                slot.tag,
            );
            let deadline = slot.env.config.tuning.deadline;
            let (next, outcome) = match tokio::time::timeout(deadline, opening).await {
                Ok(Ok(attached)) => (Attachment::Yes(attached), Ok(())),
                Ok(Err(error)) => {
                    let reason = full_text(&error);
                    tracing::warn!(reason, "cannot open a repo");
                    let error = open_error(&error);
                    (
                        Attachment::Failed(error, Instant::now(), reason),
                        Err(error),
                    )
                }
                Err(_) => {
                    let reason = "opening it took too long".to_owned();
                    let failed = Attachment::Failed(FsError::Io, Instant::now(), reason);
                    (failed, Err(FsError::Io))
                }
            };
            *slot.attached.lock() = next;
            outcome
        });
        let opening: Later<FsResult<()>> =
            Box::pin(async move { task.await.unwrap_or(Err(FsError::Io)) });
        let opening = opening.shared();
        *attached = Attachment::Opening(opening.clone());
        opening
    }

    /// Whether something was done here that is not on the server.
    fn has_unsent(&self) -> bool {
        self.repo().is_some_and(|repo| {
            let status = repo.session.status();
            status.lag_ops + status.unsent_files > 0
                || !status.recovering.is_empty()
                || !status.kept.is_empty()
        })
    }

    /// Why the last opening failed.
    pub fn failure(&self) -> Option<String> {
        match &*self.attached.lock() {
            Attachment::Failed(_, _, reason) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Stops the session where it is.
    pub fn abandon(&self) {
        let attached = std::mem::replace(&mut *self.attached.lock(), Attachment::No);
        if let Attachment::Yes(attached) = attached {
            attached.repo.session.stop();
        }
    }

    /// Ends the session; the repo is opened again when it is touched.
    pub async fn close(&self) -> FsResult<()> {
        let Some(repo) = self.repo() else {
            return Ok(());
        };
        repo.close().await?;
        *self.attached.lock() = Attachment::No;
        Ok(())
    }
}

fn is_away(error: &mesa_client::SyncError) -> bool {
    use mesa_client::SyncErrorKind as K;
    matches!(error.kind, K::Unreachable | K::TimedOut | K::Server)
}

fn done(outcome: FsResult<()>) -> Shared<Later<FsResult<()>>> {
    let later: Later<FsResult<()>> = Box::pin(std::future::ready(outcome));
    later.shared()
}

fn full_text(error: &crate::session::OpenError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
