//! Objects from the server: each is on its way only once, and what is asked for while the calls
//! allowed are busy goes together into the next one.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use mesa_client::{SyncApi, SyncError, SyncErrorKind};
use mesa_object::{Domain, OrgKey};
use mesa_proto::v1;
use mesa_types::ObjectId;
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use crate::fs::{FsError, FsResult};

/// Bytes asked for in one call, about.
const CALL_BYTES: u64 = 8 << 20;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Chunk,
    Manifest,
}

impl Kind {
    fn domain(self) -> Domain {
        match self {
            Self::Chunk => Domain::Chunk,
            Self::Manifest => Domain::Manifest,
        }
    }
}

type Waiter = oneshot::Sender<FsResult<Bytes>>;

#[derive(Default)]
struct Wanted {
    queue: VecDeque<(Kind, ObjectId, u64)>,
    waiters: HashMap<ObjectId, Vec<Waiter>>,
    calls: usize,
}

/// Gets objects for one session.
pub(crate) struct Fetcher {
    api: Arc<dyn SyncApi>,
    org: String,
    session: RwLock<String>,
    key: OrgKey,
    deadline: Duration,
    calls_max: usize,
    ids_max: usize,
    wanted: Mutex<Wanted>,
    pub calls: AtomicU64,
    pub bytes: AtomicU64,
}

impl Fetcher {
    pub fn new(
        api: Arc<dyn SyncApi>,
        org: String,
        session: String,
        key: OrgKey,
        deadline: Duration,
        calls_max: usize,
        ids_max: u32,
    ) -> Arc<Self> {
        Arc::new(Self {
            api,
            org,
            session: RwLock::new(session),
            key,
            deadline,
            calls_max: calls_max.max(1),
            ids_max: match ids_max {
                0 => 256,
                n => n as usize,
            },
            wanted: Mutex::default(),
            calls: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        })
    }

    /// Another session takes the place of the first.
    pub fn set_session(&self, session: String) {
        *self.session.write() = session;
    }

    /// The org's key.
    pub fn key(&self) -> &OrgKey {
        &self.key
    }

    /// One object, verified. `size` is about its length. `Stale`: the server does not have it.
    pub async fn object(self: &Arc<Self>, kind: Kind, id: ObjectId, size: u64) -> FsResult<Bytes> {
        let (send, receive) = oneshot::channel();
        let call = {
            let mut wanted = self.wanted.lock();
            let waiters = wanted.waiters.entry(id).or_default();
            waiters.push(send);
            if waiters.len() == 1 {
                wanted.queue.push_back((kind, id, size));
            }
            let call = wanted.calls < self.calls_max && !wanted.queue.is_empty();
            wanted.calls += usize::from(call);
            call
        };
        if call {
            tokio::spawn(Arc::clone(self).run());
        }
        receive.await.unwrap_or(Err(FsError::Io))
    }

    async fn run(self: Arc<Self>) {
        // Whoever asks in the same moment comes along.
        tokio::task::yield_now().await;
        loop {
            let Some((kind, ids)) = self.take() else {
                return;
            };
            let outcome = self.call(kind, ids).await;
            for (id, result) in outcome {
                let waiters = self.wanted.lock().waiters.remove(&id).unwrap_or_default();
                for waiter in waiters {
                    let _ = waiter.send(result.clone());
                }
            }
        }
    }

    fn take(&self) -> Option<(Kind, Vec<ObjectId>)> {
        let mut wanted = self.wanted.lock();
        let Some(&(kind, ..)) = wanted.queue.front() else {
            wanted.calls -= 1;
            return None;
        };
        let mut ids = Vec::new();
        let mut bytes = 0;
        while let Some(&(next, id, size)) = wanted.queue.front() {
            if next != kind || ids.len() >= self.ids_max || (bytes > 0 && bytes + size > CALL_BYTES)
            {
                break;
            }
            wanted.queue.pop_front();
            bytes += size;
            ids.push(id);
        }
        Some((kind, ids))
    }

    async fn call(&self, kind: Kind, ids: Vec<ObjectId>) -> HashMap<ObjectId, FsResult<Bytes>> {
        let mut done = HashMap::new();
        let work = async {
            let mut delay = Duration::from_millis(50);
            loop {
                let left: Vec<_> = ids.iter().filter(|id| !done.contains_key(*id)).collect();
                if left.is_empty() {
                    return;
                }
                let Err(error) = self.call_once(kind, &left, &mut done).await else {
                    return;
                };
                let again = retryable(&error);
                if !again {
                    tracing::warn!(%error, "cannot fetch content");
                    let error = denied(&error);
                    for id in &ids {
                        done.entry(*id).or_insert(Err(error));
                    }
                    return;
                }
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(Duration::from_secs(2));
            }
        };
        let timed_out = tokio::time::timeout(self.deadline, work).await.is_err();
        if timed_out {
            tracing::warn!("content did not arrive in time");
        }
        for id in ids {
            done.entry(id).or_insert(Err(FsError::Io));
        }
        done
    }

    async fn call_once(
        &self,
        kind: Kind,
        ids: &[&ObjectId],
        done: &mut HashMap<ObjectId, FsResult<Bytes>>,
    ) -> Result<(), SyncError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let session = self.session.read().clone();
        let wire: Vec<_> = ids.iter().map(|id| Bytes::copy_from_slice(&id.0)).collect();
        let mut stream = match kind {
            Kind::Chunk => {
                let request = v1::GetChunksRequest { session, ids: wire };
                self.api.get_chunks(&self.org, request).await?
            }
            Kind::Manifest => {
                let request = v1::GetManifestsRequest { session, ids: wire };
                self.api.get_manifests(&self.org, request).await?
            }
        };
        while let Some(data) = stream.next().await {
            let data = data?;
            let Some(id) = ObjectId::from_slice(&data.id) else {
                continue;
            };
            self.bytes
                .fetch_add(data.data.len() as u64, Ordering::Relaxed);
            done.insert(id, self.check(kind, id, data));
        }
        Ok(())
    }

    fn check(&self, kind: Kind, id: ObjectId, data: v1::ChunkData) -> FsResult<Bytes> {
        if data.missing {
            // Replaced since it was named; who wants it looks for what is there now.
            tracing::debug!(%id, "the server does not have an object");
            return Err(FsError::Stale);
        }
        let bytes = decompress(data).ok_or(FsError::Io)?;
        if self.key.hash(kind.domain(), &bytes) == id {
            Ok(bytes)
        } else {
            tracing::error!(%id, "the server sent other bytes than asked for");
            Err(FsError::Io)
        }
    }
}

fn decompress(data: v1::ChunkData) -> Option<Bytes> {
    match data.codec {
        0 => Some(data.data),
        1 if u64::from(data.size) <= u64::from(mesa_types::limits::CHUNK_MAX) => {
            zstd::bulk::decompress(&data.data, data.size as usize)
                .ok()
                .map(Bytes::from)
        }
        _ => None,
    }
}

/// Whether the same call may succeed later.
pub(crate) fn retryable(error: &SyncError) -> bool {
    matches!(
        error.kind,
        SyncErrorKind::Unreachable
            | SyncErrorKind::TimedOut
            | SyncErrorKind::Limited
            | SyncErrorKind::Server
    )
}

/// What a caller of the filesystem gets for a call that failed for good.
pub(crate) fn denied(error: &SyncError) -> FsError {
    match error.kind {
        SyncErrorKind::Unauthenticated | SyncErrorKind::Forbidden => FsError::Access,
        SyncErrorKind::NotFound => FsError::NotFound,
        _ => FsError::Io,
    }
}
