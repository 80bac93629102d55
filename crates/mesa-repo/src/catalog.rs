//! The catalog.

mod abandon;
mod api_keys;
mod bookmarks;
mod changes;
mod logs;
mod orgs;
mod repos;
mod upstreams;
mod webhooks;

use std::{collections::HashSet, sync::Arc, time::Duration};

use mesa_meta::{Batch, Committed, Key, MetaStore};
use mesa_types::{BookmarkName, ChangeId, KeyId, Nanos, OrgId, Random, RepoId, time::Clock};
use parking_lot::{Mutex, RwLock};
use tokio::sync::broadcast;
use ulid::Ulid;

pub use self::{
    abandon::Abandonment,
    api_keys::{KeyFilter, KeyStatus, ListedKey, NewKey, NewKeySecret},
    orgs::NewOrg,
    repos::{NewRepo, RepoUpdate},
    upstreams::{NewSync, NewUpstream, NewUpstreamAuth},
    webhooks::{DELIVERIES_MAX, NewWebhook, WebhookUpdate, event_id},
};
use crate::{
    auth::{ServerKey, cache::KeyCache},
    error::Error,
    page::{Page, PageRequest, cursor_after},
    record::{self, Record, Versioned},
};

/// How often a compare-and-swap is tried before the caller is told of the conflict. From the
/// second attempt on callers of this process take turns, and from the third on they wait a little,
/// so that whoever wins on a first attempt all the time leaves a gap.
pub const CAS_ATTEMPTS: usize = 48;
/// Longest wait before an attempt: all of them together wait about a second at most.
const BACKOFF_MAX: Duration = Duration::from_millis(32);
/// Locks for taking turns; things whose hashes collide share one.
const TURNS: usize = 64;
/// Rows read at a time when a listing filters.
const FILTER_STEP: usize = 256;
/// Rows a filtered page looks at, at most; the page may then be short, with a cursor.
const FILTER_ROWS_MAX: usize = 8192;
/// Events a slow subscriber may lag behind before it is told to look at everything again.
const EVENTS_MAX: usize = 1024;

/// Who makes a change, for the logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The key; `None` = the server itself.
    pub key: Option<KeyId>,
    /// From where: the client's address or `server`.
    pub source: String,
    /// The request it is part of; may be empty.
    pub request: String,
}

impl Actor {
    /// The server acting on its own.
    pub fn server() -> Self {
        Self {
            key: None,
            source: "server".to_owned(),
            request: String::new(),
        }
    }
}

/// What changed, sent after the change is durable. A subscriber that lags (`RecvError::Lagged`)
/// has to look at everything it holds again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CatalogEvent {
    /// A key was revoked: what it opened has to end now.
    KeyRevoked {
        /// Its org.
        org: OrgId,
        /// The key.
        key: KeyId,
    },
    /// A repo was created.
    RepoCreated {
        /// Its org.
        org: OrgId,
        /// The repo.
        repo: RepoId,
    },
    /// A repo's name, default bookmark or tags changed.
    RepoUpdated {
        /// Its org.
        org: OrgId,
        /// The repo.
        repo: RepoId,
    },
    /// A repo was deleted: what is open in it has to end now.
    RepoDeleted {
        /// Its org.
        org: OrgId,
        /// The repo.
        repo: RepoId,
    },
    /// A bookmark was created (`from` absent), moved, or deleted (`to` absent).
    BookmarkMoved {
        /// The org.
        org: OrgId,
        /// The repo.
        repo: RepoId,
        /// The bookmark.
        name: BookmarkName,
        /// What it named before.
        from: Option<ChangeId>,
        /// What it names now.
        to: Option<ChangeId>,
    },
}

/// Records and transactions over one metadata store. Cheap to clone.
#[derive(Clone)]
pub struct Catalog {
    shared: Arc<Shared>,
}

struct Shared {
    meta: Arc<dyn MetaStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    server_key: ServerKey,
    key_cache: KeyCache,
    events: broadcast::Sender<CatalogEvent>,
    /// Orgs with webhook targets.
    hooked: RwLock<HashSet<OrgId>>,
    last_ulid: Mutex<u128>,
    turns: [tokio::sync::Mutex<()>; TURNS],
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Catalog(..)")
    }
}

impl Catalog {
    /// A catalog over `meta`. `server_key` seals and opens what verifies API keys.
    pub fn new(
        meta: Arc<dyn MetaStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        server_key: ServerKey,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                meta,
                clock,
                random,
                server_key,
                key_cache: KeyCache::default(),
                events: broadcast::channel(EVENTS_MAX).0,
                hooked: RwLock::default(),
                last_ulid: Mutex::new(0),
                turns: [const { tokio::sync::Mutex::const_new(()) }; TURNS],
            }),
        }
    }

    /// The store, for rows that are not the catalog's.
    pub fn meta(&self) -> &Arc<dyn MetaStore> {
        &self.shared.meta
    }

    /// The current time.
    pub fn now(&self) -> Nanos {
        self.shared.clock.now()
    }

    /// The source of randomness.
    pub fn random(&self) -> &Arc<dyn Random> {
        &self.shared.random
    }

    pub(crate) fn server_key(&self) -> &ServerKey {
        &self.shared.server_key
    }

    pub(crate) fn key_cache(&self) -> &KeyCache {
        &self.shared.key_cache
    }

    pub(crate) fn hooked(&self) -> &RwLock<HashSet<OrgId>> {
        &self.shared.hooked
    }

    /// Events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<CatalogEvent> {
        self.shared.events.subscribe()
    }

    /// Tells subscribers of a change that the caller committed itself.
    pub fn announce(&self, event: CatalogEvent) {
        // An error means that nobody listens.
        let _ = self.shared.events.send(event);
    }

    /// A new unique text, ascending within this process: 26 characters, for ids and log places.
    pub fn unique(&self) -> String {
        let millis = u64::try_from(self.now().millis()).unwrap_or(0);
        let mut random = [0; 16];
        self.shared.random.fill(&mut random[6..]);
        let fresh = (u128::from(millis & ((1 << 48) - 1)) << 80) | u128::from_be_bytes(random);
        let mut last = self.shared.last_ulid.lock();
        *last = fresh.max(*last + 1);
        Ulid(*last).to_string()
    }

    /// A new change id.
    pub fn new_change_id(&self) -> ChangeId {
        let mut id = [0; 16];
        while id == ChangeId::ROOT.0 {
            self.shared.random.fill(&mut id);
        }
        ChangeId(id)
    }

    /// One record.
    pub async fn read<R: Record>(&self, key: &Key) -> Result<Option<Versioned<R>>, Error> {
        let row = self.shared.meta.get(R::TABLE, key).await?;
        row.as_ref().map(record::read).transpose()
    }

    /// Several records of one shard, in the order of `keys`.
    pub async fn read_many<R: Record>(
        &self,
        keys: &[Key],
    ) -> Result<Vec<Option<Versioned<R>>>, Error> {
        let rows = self.shared.meta.get_many(R::TABLE, keys).await?;
        rows.iter()
            .map(|row| row.as_ref().map(record::read).transpose())
            .collect()
    }

    /// A page of the records under `prefix` in key order (descending on request), of those that
    /// `keep` lets through.
    pub async fn page<R: Record>(
        &self,
        prefix: &Key,
        request: &PageRequest,
        keep: impl Fn(&R) -> bool + Send + Sync,
    ) -> Result<Page<Versioned<R>>, Error> {
        let limit = request.limit()?;
        let mut range = request.range(prefix)?;
        let mut items: Vec<Versioned<R>> = Vec::new();
        let mut seen = 0;
        loop {
            // One row more than fits tells whether there is a next page.
            let want = (limit + 1 - items.len()).max(FILTER_STEP.min(limit + 1));
            let rows = self.shared.meta.scan(R::TABLE, &range, want, false).await?;
            let end = rows.len() < want;
            let mut last = None;
            for entry in &rows {
                if items.len() == limit || seen == FILTER_ROWS_MAX {
                    let next = last.map(|key| cursor_after(prefix, key));
                    // Without a row in this step, the step before ended the page.
                    let next = next.unwrap_or_else(|| cursor_before(prefix, &range.start));
                    return Ok(Page {
                        items,
                        next: Some(next),
                    });
                }
                let read = record::read::<R>(&entry.row)?;
                if keep(&read.record) {
                    items.push(read);
                }
                seen += 1;
                last = Some(&entry.key);
            }
            if end {
                return Ok(Page { items, next: None });
            }
            if let Some(key) = last {
                let mut start = key.0.to_vec();
                start.push(0);
                range.start = Key(start.into());
            }
        }
    }

    /// A page of the records under `prefix`, the newest (last) first.
    pub async fn newest_page<R: Record>(
        &self,
        prefix: &Key,
        request: &PageRequest,
    ) -> Result<Page<Versioned<R>>, Error> {
        let limit = request.limit()?;
        let range = request.range_before(prefix)?;
        // One row more than fits tells whether there is a next page.
        let rows = self
            .shared
            .meta
            .scan(R::TABLE, &range, limit + 1, true)
            .await?;
        let next = (rows.len() > limit).then(|| cursor_after(prefix, &rows[limit - 1].key));
        let read = |entry: &mesa_meta::Entry| record::read::<R>(&entry.row);
        Ok(Page {
            items: rows
                .iter()
                .take(limit)
                .map(read)
                .collect::<Result<_, _>>()?,
            next,
        })
    }

    /// What a compare-and-swap of the thing named by `of` holds during an attempt: nothing at
    /// first, and a lock once it lost. Waits before the later attempts.
    pub(crate) async fn turn(
        &self,
        attempt: usize,
        of: impl std::hash::Hash,
    ) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        if attempt == 0 {
            return None;
        }
        if attempt > 1 {
            let mut jitter = [0];
            self.shared.random.fill(&mut jitter);
            let longest = BACKOFF_MAX.min(Duration::from_millis(1 << attempt.min(16)));
            tokio::time::sleep(longest * u32::from(jitter[0]) / 255).await;
        }
        let mut hasher = std::hash::DefaultHasher::new();
        of.hash(&mut hasher);
        let hash = std::hash::Hasher::finish(&hasher) as usize;
        Some(self.shared.turns[hash % TURNS].lock().await)
    }

    /// Commits a batch; `false` means that a condition did not hold.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<bool, Error> {
        Ok(matches!(
            self.shared.meta.commit(batch).await?,
            Committed::Yes(_)
        ))
    }
}

/// The cursor whose page starts at `start`, which is some row's key and a zero byte.
fn cursor_before(prefix: &Key, start: &Key) -> String {
    let key = start.0.slice(..start.0.len().saturating_sub(1));
    cursor_after(prefix, &Key(key))
}
