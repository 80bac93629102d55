//! Bringing chunks and manifests to the server.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use mesa_client::SyncError;
use mesa_object::content::ChunkRef;
use mesa_proto::v1;
use mesa_types::ObjectId;

use super::pickup::Pick;
use crate::{
    fs::FsError,
    session::{Session, timed_out},
};

/// Ids in one HasChunks when the server names no limit.
const IDS_MAX: usize = 1024;
/// Bytes in one upload when the server names no limit.
const BYTES_MAX: u64 = 16 << 20;

/// An upload may take this many deadlines: a slow link needs time for many bytes.
const SLOW: u32 = 10;

/// A content to bring.
pub(super) struct Source<'a> {
    pub pick: &'a Pick,
    /// Chunks believed to be on the server.
    pub known: Option<Arc<Vec<ChunkRef>>>,
}

/// Why not everything was uploaded.
pub(super) enum Failed {
    /// This source changed while it was read.
    Changed(usize),
    /// This source cannot be read.
    Local(usize, FsError),
    /// The server.
    Call(SyncError),
}

impl From<SyncError> for Failed {
    fn from(error: SyncError) -> Self {
        Self::Call(error)
    }
}

struct Place {
    source: usize,
    offset: u64,
    chunk: ChunkRef,
}

/// Uploads what the server lacks of the sources: chunks, then manifests.
pub(super) async fn upload(session: &Arc<Session>, sources: &[Source<'_>]) -> Result<(), Failed> {
    let mut wanted: Vec<ObjectId> = Vec::new();
    let mut places: HashMap<ObjectId, Place> = HashMap::new();
    for (index, source) in sources.iter().enumerate() {
        let known: HashSet<ObjectId> = source
            .known
            .iter()
            .flat_map(|chunks| chunks.iter().map(|chunk| chunk.id))
            .collect();
        let mut offset = 0;
        for &chunk in &source.pick.built.chunks {
            if !known.contains(&chunk.id) {
                places.entry(chunk.id).or_insert_with(|| {
                    wanted.push(chunk.id);
                    Place {
                        source: index,
                        offset,
                        chunk,
                    }
                });
            }
            offset += u64::from(chunk.len);
        }
    }
    let key = session.content().fetcher().key().clone();
    let mut batch = Batch::new(session, false);
    for id in missing(session, &wanted).await? {
        let Some(place) = places.get(&id) else {
            continue;
        };
        let pick = sources[place.source].pick;
        let bytes = pick
            .chunk(&key, place.offset, place.chunk)
            .map_err(|error| Failed::Local(place.source, error))?
            .ok_or(Failed::Changed(place.source))?;
        batch.add(id, bytes).await?;
    }
    batch.send().await?;

    // Every new content has a new root manifest, so that asking first would only cost a call.
    let mut batch = Batch::new(session, true);
    let mut seen = HashSet::new();
    for source in sources {
        for object in &source.pick.built.manifests {
            if seen.insert(object.id) {
                batch.add(object.id, object.bytes.clone()).await?;
            }
        }
    }
    batch.send().await
}

/// Which of these the server lacks.
async fn missing(session: &Arc<Session>, ids: &[ObjectId]) -> Result<Vec<ObjectId>, Failed> {
    let max = match session.limits().chunks_per_call_max as usize {
        0 => IDS_MAX,
        max => max,
    };
    let mut lacking = Vec::new();
    for part in ids.chunks(max) {
        let request = v1::HasChunksRequest {
            session: session.info().session.clone(),
            ids: part
                .iter()
                .map(|id| Bytes::copy_from_slice(&id.0))
                .collect(),
        };
        let config = session.config();
        let call = config.api.has_chunks(config.org.as_str(), request);
        let present = tokio::time::timeout(config.tuning.deadline, call)
            .await
            .unwrap_or_else(|_| Err(timed_out()))?;
        let there = |index: usize| present.get(index).copied().unwrap_or(false);
        let absent = part.iter().enumerate().filter(|(index, _)| !there(*index));
        lacking.extend(absent.map(|(_, id)| *id));
    }
    Ok(lacking)
}

/// Objects collected for one call.
struct Batch<'a> {
    session: &'a Session,
    manifests: bool,
    objects: Vec<(Bytes, Bytes)>,
    bytes: u64,
    bytes_max: u64,
    objects_max: usize,
}

impl<'a> Batch<'a> {
    fn new(session: &'a Session, manifests: bool) -> Self {
        let limits = session.limits();
        Self {
            session,
            manifests,
            objects: Vec::new(),
            bytes: 0,
            bytes_max: match limits.upload_bytes_max {
                0 => BYTES_MAX,
                max => max.min(BYTES_MAX),
            },
            objects_max: match limits.chunks_per_call_max as usize {
                0 => IDS_MAX,
                max => max,
            },
        }
    }

    async fn add(&mut self, id: ObjectId, bytes: Bytes) -> Result<(), Failed> {
        let size = bytes.len() as u64;
        let full = self.bytes + size > self.bytes_max || self.objects.len() >= self.objects_max;
        if full && !self.objects.is_empty() {
            self.send_now().await?;
        }
        self.bytes += size;
        self.objects.push((Bytes::copy_from_slice(&id.0), bytes));
        Ok(())
    }

    async fn send_now(&mut self) -> Result<(), Failed> {
        let objects = std::mem::take(&mut self.objects);
        self.bytes = 0;
        let config = self.session.config();
        let id = self.session.info().session.clone();
        let org = config.org.as_str();
        let call = config.api.upload(org, &id, self.manifests, objects);
        tokio::time::timeout(config.tuning.deadline * SLOW, call)
            .await
            .unwrap_or_else(|_| Err(timed_out()))?;
        self.session.note_progress();
        Ok(())
    }

    async fn send(mut self) -> Result<(), Failed> {
        if self.objects.is_empty() {
            return Ok(());
        }
        self.send_now().await
    }
}
