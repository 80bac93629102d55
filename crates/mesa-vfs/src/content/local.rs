//! Reading and fetching content for one session.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    sync::{Arc, atomic::Ordering},
};

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt, TryStreamExt};
use mesa_object::manifest::{ChunkSlice, RangePlan};
use mesa_types::{ContentRef, FileId, ObjectId};

use super::{
    CleanFile, ContentStore,
    fetch::{Fetcher, Kind},
    store::{Filling, local, root},
};
use crate::fs::{FsError, FsResult, Step};

/// Chunks of one file on their way at once.
const WINDOW: usize = 16;
/// Chunks fetched behind a read of a large file.
const AHEAD: u64 = 2 << 20;
/// Contents named in one prefetch; the rest is forgotten.
const PREFETCH_MAX: usize = 4096;

/// The store, and a session to get missing bytes from.
#[derive(Clone)]
pub struct Content {
    store: Arc<ContentStore>,
    fetcher: Arc<Fetcher>,
}

impl Content {
    pub(crate) fn new(store: Arc<ContentStore>, fetcher: Arc<Fetcher>) -> Self {
        Self { store, fetcher }
    }

    pub(crate) fn store(&self) -> &Arc<ContentStore> {
        &self.store
    }

    pub(crate) fn fetcher(&self) -> &Arc<Fetcher> {
        &self.fetcher
    }

    /// The whole content as a local file for the open node `file` ("Done" when it is there).
    pub fn open(&self, file: FileId, content: ContentRef) -> Step<Arc<CleanFile>> {
        match self.store.open_file(self.fetcher.key(), file, content) {
            Ok(Some(clean)) => return Step::Done(Ok(clean)),
            Err(error) => return Step::Done(Err(error)),
            Ok(None) => {}
        }
        let me = self.clone();
        Step::Later(Box::pin(async move {
            // Once more if the file was evicted or found damaged in between.
            for _ in 0..3 {
                me.fill(content).await?;
                let opened = me.store.open_file(me.fetcher.key(), file, content)?;
                if let Some(clean) = opened {
                    return Ok(clean);
                }
            }
            Err(FsError::Io)
        }))
    }

    /// A range of a content, cut at its end.
    pub fn read(&self, content: ContentRef, offset: u64, len: u32) -> Step<Bytes> {
        let end = content.size().min(offset.saturating_add(u64::from(len)));
        if offset >= end {
            return Step::Done(Ok(Bytes::new()));
        }
        if let ContentRef::Chunk { id, .. } = content
            && let Some(bytes) = self.store.ram_get(&id)
        {
            return Step::Done(Ok(bytes.slice(offset as usize..end as usize)));
        }
        if let Some(file) = self.store.open_to_read(&content) {
            let mut bytes = BytesMut::zeroed((end - offset) as usize);
            let read = file.read_exact_at(&mut bytes, offset);
            return Step::Done(match read {
                Ok(()) => Ok(bytes.freeze()),
                Err(error) => Err(local(&error)),
            });
        }
        let me = self.clone();
        Step::Later(Box::pin(async move {
            me.read_range(content, offset, end).await
        }))
    }

    async fn read_range(&self, content: ContentRef, offset: u64, end: u64) -> FsResult<Bytes> {
        let slices = self.slices(&content, offset..end).await?;
        let mut out = BytesMut::with_capacity((end - offset) as usize);
        let mut parts = futures::stream::iter(slices)
            .map(|slice| async move {
                let chunk = self.object(Kind::Chunk, slice.id, slice.chunk_len).await?;
                let within = slice.within.start as usize..slice.within.end as usize;
                (within.end <= chunk.len())
                    .then(|| chunk.slice(within))
                    .ok_or(FsError::Io)
            })
            .buffered(WINDOW);
        while let Some(part) = parts.next().await {
            out.extend_from_slice(&part?);
        }
        if end < content.size() {
            let me = self.clone();
            tokio::spawn(async move {
                let ahead = end..content.size().min(end.saturating_add(AHEAD));
                let slices = me.slices(&content, ahead).await.unwrap_or_default();
                for slice in slices {
                    let _ = me.object(Kind::Chunk, slice.id, slice.chunk_len).await;
                }
            });
        }
        Ok(out.freeze())
    }

    /// The chunks of a range of a content.
    pub(crate) async fn slices(
        &self,
        content: &ContentRef,
        range: std::ops::Range<u64>,
    ) -> FsResult<Vec<ChunkSlice>> {
        let mut plan = RangePlan::new(content, range);
        loop {
            let missing = plan.missing();
            if missing.is_empty() {
                return Ok(plan.into_slices());
            }
            let objects = futures::future::try_join_all(
                missing
                    .iter()
                    .map(|&id| self.object(Kind::Manifest, id, 40 << 10)),
            )
            .await?;
            for (id, bytes) in missing.into_iter().zip(objects) {
                plan.supply(id, &bytes).map_err(|error| {
                    tracing::error!(%error, "unusable manifest");
                    FsError::Io
                })?;
            }
        }
    }

    async fn object(&self, kind: Kind, id: ObjectId, size: u32) -> FsResult<Bytes> {
        if let Some(bytes) = self.store.ram_get(&id) {
            return Ok(bytes);
        }
        let bytes = self.fetcher.object(kind, id, u64::from(size)).await?;
        self.store.ram_put(id, bytes.clone());
        Ok(bytes)
    }

    /// A small content that is in memory.
    pub(crate) fn in_memory(&self, content: &ContentRef) -> Option<Bytes> {
        match content {
            ContentRef::Chunk { id, .. } => self.store.ram_get(id),
            _ => None,
        }
    }

    /// Whether the whole content is here.
    pub fn has(&self, content: &ContentRef) -> bool {
        let in_ram = match content {
            ContentRef::Empty => true,
            ContentRef::Chunk { id, .. } => self.store.ram_get(id).is_some(),
            ContentRef::Manifest { .. } => false,
        };
        in_ram || self.store.on_disk(content)
    }

    /// Keeps a small content that came along with metadata (verified: wrong bytes are dropped).
    pub fn put(&self, content: ContentRef, bytes: Bytes) {
        if let ContentRef::Chunk { id, size } = content
            && bytes.len() as u64 == size
            && self.fetcher.key().chunk_id(&bytes) == id
        {
            self.store.ram_put(id, bytes);
        }
    }

    /// Fetches contents ahead of need as far as the bounds allow; never waits.
    pub fn prefetch(&self, mut contents: Vec<ContentRef>) {
        contents.truncate(PREFETCH_MAX);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let me = self.clone();
        runtime.spawn(async move {
            futures::stream::iter(contents)
                .for_each_concurrent(64, |content| {
                    let me = me.clone();
                    async move {
                        let Ok(_permit) = me.store.prefetch.acquire().await else {
                            return;
                        };
                        if !me.has(&content) && me.fill(content).await.is_ok() {
                            me.store.prefetched.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
                .await;
        });
    }

    /// Brings a whole content to the local disk; only one of several callers does the work.
    pub(crate) async fn fill(&self, content: ContentRef) -> FsResult<()> {
        let Some(id) = root(&content) else {
            return Ok(());
        };
        if self.has(&content) {
            return Ok(());
        }
        self.store.count_miss();
        let filling: Filling = {
            let mut all = self.store.filling.lock();
            let me = self.clone();
            all.entry(id)
                .or_insert_with(|| {
                    let work = async move {
                        // On a task of its own: callers may give up, others wait for it.
                        let task = me.clone();
                        let done = tokio::spawn(async move {
                            match task.fill_now(id, content).await {
                                Err(FsError::NoSpace)
                                    if task
                                        .store
                                        .make_room(content.size().saturating_add(16 << 20)) =>
                                {
                                    task.fill_now(id, content).await
                                }
                                filled => filled,
                            }
                        });
                        let result = done.await.unwrap_or(Err(FsError::Io));
                        me.store.filling.lock().remove(&id);
                        result
                    };
                    work.boxed().shared()
                })
                .clone()
        };
        filling.await
    }

    async fn fill_now(&self, id: ObjectId, content: ContentRef) -> FsResult<()> {
        let size = content.size();
        if let ContentRef::Chunk { .. } = content {
            let bytes = self.fetcher.object(Kind::Chunk, id, size).await?;
            if bytes.len() as u64 != size {
                return Err(FsError::Io);
            }
            self.store.ram_put(id, bytes);
            return Ok(());
        }
        let slices = self.slices(&content, 0..size).await?;
        let path = self.store.temporary();
        let file = File::create_new(&path).map_err(|error| local(&error))?;
        let written = futures::stream::iter(slices)
            .map(|slice| async move {
                let size = u64::from(slice.chunk_len);
                let bytes = self.fetcher.object(Kind::Chunk, slice.id, size).await?;
                FsResult::Ok((slice.offset, bytes))
            })
            .buffered(WINDOW)
            .try_for_each(|(offset, bytes)| {
                let done = file.write_all_at(&bytes, offset);
                futures::future::ready(done.map_err(|error| local(&error)))
            })
            .await;
        let complete = written.and_then(|()| {
            let len = file.metadata().map_err(|error| local(&error))?.len();
            (len == size).then_some(()).ok_or(FsError::Io)
        });
        if let Err(error) = complete {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        self.store
            .insert(id, size, &path)
            .map_err(|error| local(&error))
    }
}
