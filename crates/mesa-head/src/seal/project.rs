//! Git objects of file contents.

use std::collections::HashMap;

use bytes::Bytes;
use mesa_meta::{Batch, Key, Table};
use mesa_object::{
    git::{BlobHasher, blob_oid, content_refused, pointer_blob},
    tree::NodeRecord,
};
use mesa_repo::Catalog;
use mesa_store::OrgPacks;
use mesa_types::{ChunkId, ContentRef, EntryName, FileId, GitOid, NodeKind, ObjectId};

use crate::{content, error::Result, rows};

/// Bytes of a large file hashed at a time.
const PIECE: u64 = 4 << 20;
/// Names whose content is judged may be at most this large to be seen by git.
const CHECKED_MAX: u64 = 1 << 20;
/// Bytes hashed between two chances for other tasks.
const YIELD_BYTES: u64 = 1 << 20;
/// Git map rows read at a time.
const MAP_PAGE: usize = 512;

/// Computes and remembers oids.
pub(super) struct Projector<'a> {
    packs: &'a OrgPacks,
    catalog: &'a Catalog,
    unsealed: &'a HashMap<ChunkId, Bytes>,
    pointer_bytes: u64,
    oids: HashMap<ContentRef, GitOid>,
    refused: HashMap<(FileId, EntryName), bool>,
    files: Vec<(FileId, ContentRef, GitOid, bool)>,
    rows: Batch,
}

impl<'a> Projector<'a> {
    pub fn new(
        packs: &'a OrgPacks,
        catalog: &'a Catalog,
        unsealed: &'a HashMap<ChunkId, Bytes>,
        pointer_bytes: u64,
    ) -> Self {
        Self {
            packs,
            catalog,
            unsealed,
            pointer_bytes,
            oids: HashMap::new(),
            refused: HashMap::new(),
            files: Vec::new(),
            rows: Batch::new(),
        }
    }

    /// Computes what the records lack; with a name, also whether git may see the content under it.
    pub async fn compute(&mut self, wanted: &[(&NodeRecord, Option<&EntryName>)]) -> Result<()> {
        let stored: Vec<_> = wanted
            .iter()
            .filter(|(record, _)| record.attr.kind == NodeKind::File && record.git.is_none())
            .filter_map(|(record, _)| id_of(&record.attr.content))
            .filter(|id| !self.unsealed.contains_key(id))
            .collect();
        let known = self.mapped(&stored).await?;
        let mut since_yield = 0;
        for (record, name) in wanted {
            let content = record.attr.content;
            since_yield += content.size() + 4096;
            if since_yield > YIELD_BYTES {
                // Hashing keeps a thread of the runtime busy: let others have it now and then.
                since_yield = 0;
                tokio::task::yield_now().await;
            }
            match record.attr.kind {
                NodeKind::Symlink => {
                    let oid = blob_or_pointer(&record.target, &content);
                    self.oids.insert(content, oid);
                }
                NodeKind::File if record.git.is_none() && !self.oids.contains_key(&content) => {
                    let oid = match id_of(&content).and_then(|id| known.get(&id)) {
                        Some(oid) => *oid,
                        None => self.blob(&content).await?,
                    };
                    self.oids.insert(content, oid);
                }
                _ => {}
            }
            if let Some(name) = name {
                let refused = content.size() > CHECKED_MAX || {
                    let bytes = self.read(&content, 0..content.size()).await?;
                    content_refused(name.as_bytes(), &bytes)
                };
                self.refused
                    .insert((record.attr.id, (*name).clone()), refused);
            }
        }
        Ok(())
    }

    /// Sets a record's git fields.
    pub fn fill(&mut self, record: &mut NodeRecord, name: Option<&EntryName>) {
        let before = (record.git, record.git_refused);
        if matches!(record.attr.kind, NodeKind::File | NodeKind::Symlink) && record.git.is_none() {
            record.git = self.oids.get(&record.attr.content).copied();
        }
        let id = record.attr.id;
        record.git_refused = match name {
            Some(name) => self.refused.get(&(id, name.clone())).copied() == Some(true),
            // A node with several names is hidden if any of them asks for it.
            None => self
                .refused
                .iter()
                .any(|((file, _), bad)| *file == id && *bad),
        };
        if let Some(git) = record.git
            && record.dir.is_none()
            && before != (record.git, record.git_refused)
        {
            self.files
                .push((id, record.attr.content, git, record.git_refused));
        }
    }

    /// What was computed: for the tree, and for the map.
    pub fn finish(self) -> (Vec<(FileId, ContentRef, GitOid, bool)>, Batch) {
        (self.files, self.rows)
    }

    async fn mapped(&self, ids: &[ObjectId]) -> Result<HashMap<ObjectId, GitOid>> {
        let mut known = HashMap::new();
        for part in ids.chunks(MAP_PAGE) {
            let org = self.packs.org_id();
            let keys: Vec<Key> = part.iter().map(|id| rows::git_key(org, *id)).collect();
            let found = self.catalog.meta().get_many(Table::GitMap, &keys).await?;
            for (id, row) in part.iter().zip(found) {
                if let Some(oid) = row.and_then(|row| row.value[..].try_into().ok()) {
                    known.insert(*id, GitOid(oid));
                }
            }
        }
        Ok(known)
    }

    async fn blob(&mut self, content: &ContentRef) -> Result<GitOid> {
        let size = content.size();
        if size > self.pointer_bytes {
            return Ok(blob_or_pointer(&pointer_blob(content), content));
        }
        let unsealed = id_of(content).is_some_and(|id| self.unsealed.contains_key(&id));
        let mut hasher = BlobHasher::new(size);
        let mut at = 0;
        while at < size {
            let end = (at + PIECE).min(size);
            hasher.update(&self.read(content, at..end).await?);
            at = end;
        }
        let oid = hasher
            .finish()
            .unwrap_or_else(|_| blob_or_pointer(&pointer_blob(content), content));
        if let Some(id) = id_of(content)
            && !unsealed
        {
            let key = rows::git_key(self.packs.org_id(), id);
            self.rows
                .put(Table::GitMap, key, Bytes::copy_from_slice(&oid.0));
        }
        Ok(oid)
    }

    async fn read(&self, content: &ContentRef, range: std::ops::Range<u64>) -> Result<Bytes> {
        let unsealed = |id: &ChunkId| self.unsealed.get(id).cloned();
        content::read(self.packs, unsealed, content, range).await
    }
}

fn blob_or_pointer(bytes: &[u8], content: &ContentRef) -> GitOid {
    blob_oid(bytes)
        .or_else(|_| blob_oid(&pointer_blob(content)))
        .unwrap_or(GitOid::EMPTY_BLOB)
}

fn id_of(content: &ContentRef) -> Option<ObjectId> {
    match content {
        ContentRef::Empty => None,
        ContentRef::Chunk { id, .. } | ContentRef::Manifest { id, .. } => Some(*id),
    }
}
