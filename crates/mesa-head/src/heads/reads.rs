//! Metadata and content for mounts.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use mesa_object::tree::{Entry, EntryTarget};
use mesa_proto::v1;
use mesa_repo::Principal;
use mesa_types::{ContentRef, FileId, NodeKind, ObjectId};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::Heads;
use crate::{
    error::{HeadError, Result},
    head::{Head, State},
    load, wire,
};

/// Directories read together.
const DIRS: usize = 128;
/// Encoded size at which a batch is sent.
const BATCH_BYTES: usize = 512 * 1024;
/// Batches that wait for a slow reader.
const BATCHES: usize = 4;
/// Chunks read together.
const CHUNKS: usize = 16;
/// Largest content sent along with metadata.
const INLINE_MAX: u32 = 64 * 1024;
/// Contents sent along with the listings that are read together, in bytes.
const FILL_BYTES_MAX: u64 = 32 << 20;

impl Heads {
    /// Listings of directories, to a depth. The stream ends early with an error if the head fails.
    pub async fn get_nodes(
        &self,
        caller: &Principal,
        request: v1::GetNodesRequest,
    ) -> Result<impl Stream<Item = Result<v1::NodeBatch>> + Send + use<>> {
        if request.dirs.len() > self.config().limits.chunks_per_call_max as usize {
            return Err(HeadError::invalid("too many directories in one call"));
        }
        let (head, _) = self.session(caller, &request.session).await?;
        let head = self.head(&caller.org, &head).await?;
        let (out, batches) = mpsc::channel(BATCHES);
        tokio::spawn(async move {
            let mut walk = Walk::new(head, &request, out.clone());
            if let Err(error) = walk.run(request.dirs).await {
                // The reader may be gone; then nobody wants the error.
                let _ = out.send(Err(error)).await;
            }
        });
        Ok(ReceiverStream::new(batches))
    }

    /// Chunks by id, in any order; those the org does not have are marked missing.
    pub async fn get_chunks(
        &self,
        caller: &Principal,
        request: v1::GetChunksRequest,
    ) -> Result<impl Stream<Item = Result<v1::ChunkData>> + Send + use<>> {
        let (head, _) = self.session(caller, &request.session).await?;
        let ids = self.ids(&request.ids)?;
        let head = self.head(&caller.org, &head).await?;
        let parts: Vec<Vec<ObjectId>> = ids.chunks(CHUNKS).map(<[_]>::to_vec).collect();
        let reads = futures::stream::iter(parts).then(move |part| {
            let head = Arc::clone(&head);
            async move { chunks(&head, &part).await }
        });
        Ok(reads.flat_map(|part| {
            futures::stream::iter(match part {
                Ok(found) => found.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            })
        }))
    }

    /// Manifest objects by id.
    pub async fn get_manifests(
        &self,
        caller: &Principal,
        request: v1::GetManifestsRequest,
    ) -> Result<impl Stream<Item = Result<v1::ChunkData>> + Send + use<>> {
        let request = v1::GetChunksRequest {
            session: request.session,
            ids: request.ids,
        };
        self.get_chunks(caller, request).await
    }
}

async fn chunks(head: &Head, ids: &[ObjectId]) -> Result<Vec<v1::ChunkData>> {
    let mut found: Vec<Option<Bytes>> = {
        let state = head.state.read().await;
        ids.iter()
            .map(|id| state.unsealed.get(id).cloned())
            .collect()
    };
    let rest: Vec<_> = ids
        .iter()
        .zip(&found)
        .filter_map(|(id, found)| found.is_none().then_some(*id))
        .collect();
    if !rest.is_empty() {
        let mut stored = head.packs.get_many(&rest).await?.into_iter();
        for slot in found.iter_mut().filter(|slot| slot.is_none()) {
            *slot = stored.next().flatten();
        }
    }
    Ok(ids
        .iter()
        .zip(found)
        .map(|(id, bytes)| v1::ChunkData {
            id: Bytes::copy_from_slice(&id.0),
            missing: bytes.is_none(),
            size: bytes.as_ref().map_or(0, |bytes| bytes.len() as u32),
            data: bytes.unwrap_or_default(),
            codec: 0,
        })
        .collect())
}

/// A directory to be listed.
struct Task {
    id: FileId,
    hint: Bytes,
    /// Its sealed listing as its parent names it.
    tree: Option<ObjectId>,
    /// Only the sealed listing is wanted.
    sealed_only: bool,
    /// Levels below that are wanted too.
    depth: u32,
}

/// A listing read from storage.
type Stored = HashMap<ObjectId, Vec<Entry>>;

struct Walk {
    head: Arc<Head>,
    out: mpsc::Sender<Result<v1::NodeBatch>>,
    queue: VecDeque<Task>,
    inline_max: u64,
    nodes_left: u64,
    depth: u32,
    batch: v1::NodeBatch,
    batch_bytes: usize,
}

/// The reader went away.
struct Gone;

impl Walk {
    fn new(
        head: Arc<Head>,
        request: &v1::GetNodesRequest,
        out: mpsc::Sender<Result<v1::NodeBatch>>,
    ) -> Self {
        Self {
            head,
            out,
            queue: VecDeque::new(),
            inline_max: request.inline_bytes_max.min(INLINE_MAX).into(),
            nodes_left: match request.nodes_max {
                0 => u64::MAX,
                max => max.into(),
            },
            depth: request.depth,
            batch: v1::NodeBatch::default(),
            batch_bytes: 0,
        }
    }

    async fn run(&mut self, dirs: Vec<v1::DirRef>) -> Result<()> {
        if dirs.is_empty() {
            self.queue.push_back(Task {
                id: self.head.root,
                hint: Bytes::new(),
                tree: None,
                sealed_only: false,
                depth: self.depth,
            });
        }
        for dir in dirs {
            let tree = match dir.tree.len() {
                0 => None,
                _ => Some(
                    ObjectId::from_slice(&dir.tree)
                        .ok_or_else(|| HeadError::invalid("a tree id is not 32 bytes"))?,
                ),
            };
            self.queue.push_back(Task {
                id: FileId(dir.id),
                hint: dir.path,
                sealed_only: tree.is_some(),
                tree,
                depth: self.depth,
            });
        }
        while !self.queue.is_empty() {
            let count = self.queue.len().min(DIRS);
            let tasks: Vec<_> = self.queue.drain(..count).collect();
            if self.list(tasks).await?.is_err() {
                return Ok(());
            }
        }
        if self.batch.dirs.is_empty() && self.batch.head_seq == 0 {
            self.batch.head_seq = self.head.state.read().await.row.seq;
        }
        // The last batch is sent even if empty: it carries the sequence.
        let _ = self.flush().await;
        Ok(())
    }

    async fn list(&mut self, tasks: Vec<Task>) -> Result<Result<(), Gone>> {
        let head = Arc::clone(&self.head);
        for task in &tasks {
            if task.tree.is_none() {
                find(&head, task).await?;
            }
        }
        let wanted: HashSet<ObjectId> = {
            let state = head.state.read().await;
            tasks
                .iter()
                .filter_map(|task| sealed_of(&state, task))
                .collect()
        };
        let wanted: Vec<_> = wanted.into_iter().map(|id| (FileId(0), id)).collect();
        let mut stored = Stored::new();
        for ((_, id), (_, entries)) in wanted
            .iter()
            .zip(load::listings(&head.packs, &wanted).await?)
        {
            stored.insert(*id, entries);
        }
        let has_link = |e: &Entry| matches!(e.target, EntryTarget::Link { .. });
        if stored.values().flatten().any(has_link) {
            load_links(&head).await?;
        }

        let mut listed = Vec::with_capacity(tasks.len());
        let seq;
        {
            let state = head.state.read().await;
            seq = state.row.seq;
            for task in tasks {
                match self.listing(&state, &task, &stored) {
                    Some(listing) => listed.push(listing),
                    // It changed between the two looks: again.
                    None => self.queue.push_front(task),
                }
            }
        }
        if self.inline_max > 0 {
            self.fill(&mut listed).await?;
        }
        if self.batch.head_seq != seq && self.flush().await.is_err() {
            return Ok(Err(Gone));
        }
        self.batch.head_seq = seq;
        for listing in listed {
            if self.push(listing).await.is_err() {
                return Ok(Err(Gone));
            }
        }
        Ok(Ok(()))
    }

    /// One directory's entries, and the directories below it into the queue.
    fn listing(&mut self, state: &State, task: &Task, stored: &Stored) -> Option<v1::DirListing> {
        let mut listing = v1::DirListing {
            id: task.id.0,
            complete: true,
            ..v1::DirListing::default()
        };
        let node = state.tree.node(task.id).filter(|_| !task.sealed_only);
        if let Some(node) = node {
            if node.attr.kind != NodeKind::Dir {
                listing.error = if node.attr.kind == NodeKind::Gitlink {
                    String::new()
                } else {
                    "ENOTDIR".to_owned()
                };
                return Some(listing);
            }
            if let Some(children) = state.tree.listing(task.id) {
                for (name, child) in children {
                    let Some(node) = state.tree.node(*child) else {
                        continue;
                    };
                    let changed = state.tree.is_changed(*child);
                    listing.entries.push(v1::Dentry {
                        name: Bytes::copy_from_slice(name.as_bytes()),
                        node: Some(wire::node(node, changed)),
                    });
                }
                self.descend(task, &listing);
                return Some(listing);
            }
        }
        let Some(object) = sealed_of(state, task) else {
            "ENOENT".clone_into(&mut listing.error);
            return Some(listing);
        };
        for entry in stored.get(&object)? {
            let node = match &entry.target {
                EntryTarget::Node(record) => wire::record(record),
                EntryTarget::Link { id, .. } => match state.tree.node(*id) {
                    Some(node) => wire::node(node, false),
                    None => continue,
                },
            };
            listing.entries.push(v1::Dentry {
                name: Bytes::copy_from_slice(entry.name.as_bytes()),
                node: Some(node),
            });
        }
        self.descend(task, &listing);
        Some(listing)
    }

    fn descend(&mut self, task: &Task, listing: &v1::DirListing) {
        let count = listing.entries.len() as u64;
        self.nodes_left = self.nodes_left.saturating_sub(count);
        if task.depth == 0 || self.nodes_left == 0 {
            return;
        }
        for node in listing.entries.iter().filter_map(|e| e.node.as_ref()) {
            if node.kind == NodeKind::Dir as u32 {
                self.queue.push_back(Task {
                    id: FileId(node.id),
                    hint: Bytes::new(),
                    tree: ObjectId::from_slice(&node.tree),
                    sealed_only: task.sealed_only,
                    depth: task.depth.saturating_sub(u32::from(task.depth != u32::MAX)),
                });
            }
        }
    }

    /// Contents of small files.
    async fn fill(&self, listed: &mut [v1::DirListing]) -> Result<()> {
        let small =
            |node: &v1::Node| match mesa_proto::convert::content_from_wire(node.content.as_ref()) {
                Ok(ContentRef::Chunk { id, size })
                    if node.kind == NodeKind::File as u32 && size <= self.inline_max =>
                {
                    Some(id)
                }
                _ => None,
            };
        let nodes = || {
            listed
                .iter()
                .flat_map(|l| &l.entries)
                .filter_map(|e| e.node.as_ref())
        };
        // What does not fit is asked for when it is needed.
        let mut left = FILL_BYTES_MAX;
        let mut ids = HashSet::new();
        for node in nodes() {
            let Some(id) = small(node) else { continue };
            if !ids.contains(&id) {
                let size = node.content.as_ref().map_or(0, |content| content.size);
                if size > left {
                    break;
                }
                left -= size;
                ids.insert(id);
            }
        }
        let ids: Vec<_> = ids.into_iter().collect();
        let mut found = HashMap::new();
        for part in ids.chunks(256) {
            for (id, chunk) in part.iter().zip(chunks(&self.head, part).await?) {
                if !chunk.missing {
                    found.insert(*id, chunk.data);
                }
            }
        }
        for node in listed
            .iter_mut()
            .flat_map(|l| &mut l.entries)
            .filter_map(|e| e.node.as_mut())
        {
            if let Some(bytes) = small(node).and_then(|id| found.get(&id)) {
                node.inline = bytes.clone();
            }
        }
        Ok(())
    }

    /// Adds a listing to the batch, in parts if it is large.
    async fn push(&mut self, mut listing: v1::DirListing) -> Result<(), Gone> {
        let entries = std::mem::take(&mut listing.entries);
        let mut part = v1::DirListing {
            complete: false,
            ..listing.clone()
        };
        let mut bytes = 32;
        for entry in entries {
            bytes += entry.encoded_len() + 8;
            part.entries.push(entry);
            if self.batch_bytes + bytes >= BATCH_BYTES {
                let next = v1::DirListing {
                    complete: false,
                    ..listing.clone()
                };
                self.batch.dirs.push(std::mem::replace(&mut part, next));
                bytes = 32;
                self.flush().await?;
            }
        }
        part.complete = true;
        self.batch.dirs.push(part);
        self.batch_bytes += bytes;
        if self.batch_bytes >= BATCH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        let next = v1::NodeBatch {
            head_seq: self.batch.head_seq,
            dirs: Vec::new(),
        };
        let batch = std::mem::replace(&mut self.batch, next);
        self.batch_bytes = 0;
        if batch.head_seq == 0 && batch.dirs.is_empty() && !self.queue.is_empty() {
            return Ok(());
        }
        self.out.send(Ok(batch)).await.map_err(|_| Gone)
    }
}

/// Brings a directory into memory, by its hint or by looking everywhere.
async fn find(head: &Head, task: &Task) -> Result<()> {
    loop {
        let known = head.state.read().await.tree.node(task.id).is_some();
        if known {
            return Ok(());
        }
        // Looking changes what the tree remembers to be absent.
        let need = head
            .state
            .write()
            .await
            .tree
            .needs_node(task.id, &task.hint, false);
        let Some(need) = need else { return Ok(()) };
        let fetched = load::fetch(&head.packs, &need).await?;
        fetched.attach(&mut head.state.write().await.tree)?;
    }
}

pub(crate) async fn load_links(head: &Head) -> Result<()> {
    let table = head.state.read().await.tree.links_unloaded();
    if let Some(table) = table {
        let records = load::links(&head.packs, table).await?;
        let mut state = head.state.write().await;
        if state.tree.links_unloaded() == Some(table) {
            state.tree.attach_links(records)?;
        }
    }
    Ok(())
}

/// The sealed listing that shows a directory as it is now, unless its listing is in memory.
fn sealed_of(state: &State, task: &Task) -> Option<ObjectId> {
    if task.sealed_only {
        return task.tree;
    }
    match state.tree.node(task.id) {
        Some(_) if state.tree.listing(task.id).is_some() => None,
        Some(node) => node
            .dir
            .as_ref()?
            .sealed
            .as_ref()
            .map(|sealed| sealed.object),
        None => task.tree,
    }
}
