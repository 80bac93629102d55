//! Git trees and blobs of snapshots.

use std::collections::{HashMap, HashSet};

use mesa_object::{
    git::{blob_oid, pointer_blob},
    tree::{EntryTarget, NodeRecord, Root, git_tree},
};
use mesa_store::OrgPacks;
use mesa_types::{FileId, GitOid, NodeKind, ObjectId};
use mesa_vcs::stored;

use super::{failed, loose::Loose};
use crate::{
    content,
    error::{HeadError, Result},
    load,
    versions::{git, store::Versions, table::Table},
};

/// Bytes of a large file written at a time.
const PIECE: u64 = 4 << 20;

/// Writes every object once.
pub(super) struct TreeWriter<'a> {
    store: &'a Versions,
    packs: &'a OrgPacks,
    pointer_bytes: u64,
    seen: HashSet<GitOid>,
}

impl<'a> TreeWriter<'a> {
    pub fn new(store: &'a Versions, pointer_bytes: u64) -> Self {
        Self {
            store,
            packs: &store.packs,
            pointer_bytes,
            seen: HashSet::new(),
        }
    }

    /// The tree that shows nothing.
    pub fn write_empty(&mut self, out: &mut Loose) -> Result<()> {
        if self.seen.insert(GitOid::EMPTY_TREE) {
            out.write(GitOid::EMPTY_TREE, "tree", &[]).map_err(failed)?;
        }
        Ok(())
    }

    /// The tree of a commit with this snapshot, and everything below it.
    pub async fn write_snapshot(&mut self, root: ObjectId, out: &mut Loose) -> Result<()> {
        let found = Root::decode(&self.packs.get(root).await?)?;
        let Some(conflicts) = found.conflicts else {
            return self.write(root, out).await;
        };
        let table = Table::read(self.packs, conflicts).await?;
        let projected = git::project(self.store, &table).await?;
        for root in projected.roots {
            self.write(root, out).await?;
        }
        if let Some(bytes) = projected.bytes
            && self.seen.insert(projected.tree)
        {
            out.write(projected.tree, "tree", &bytes).map_err(failed)?;
            let readme = stored::README.as_bytes();
            let oid = blob_oid(readme)
                .map_err(|e| HeadError::corrupt("a blob collides").with_source(e))?;
            if self.seen.insert(oid) {
                out.write(oid, "blob", readme).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// The tree of a snapshot and everything below it that was not written yet.
    pub async fn write(&mut self, root: ObjectId, out: &mut Loose) -> Result<()> {
        let root = Root::decode(&self.packs.get(root).await?)?;
        let (Some(tree), Some(dir)) = (root.dir.git, root.dir.dir) else {
            return self.write_empty(out);
        };
        let mut links: HashMap<FileId, NodeRecord> = HashMap::new();
        if let Some(table) = root.links {
            let records = load::links(self.packs, table).await?;
            links.extend(records.into_iter().map(|record| (record.attr.id, record)));
        }
        let mut queue = vec![(tree, dir.object)];
        while let Some((oid, object)) = queue.pop() {
            if !self.seen.insert(oid) {
                continue;
            }
            let mut listed = load::listings(self.packs, &[(FileId(0), object)]).await?;
            let entries = listed.pop().map(|(_, entries)| entries).unwrap_or_default();
            let (bytes, found) = git_tree(&entries, |id| links.get(&id))?
                .ok_or_else(|| HeadError::corrupt("a git tree is empty"))?;
            if found != oid {
                return Err(HeadError::corrupt("a git tree differs from its oid"));
            }
            out.write(oid, "tree", &bytes).map_err(failed)?;
            let visible = oids(&bytes);
            for entry in &entries {
                let record = match &entry.target {
                    EntryTarget::Node(record) => Some(&**record),
                    EntryTarget::Link { id, .. } => links.get(id),
                };
                let Some((record, git)) = record.and_then(|r| Some((r, r.git?))) else {
                    continue;
                };
                if !visible.contains(&git) {
                    continue;
                }
                match (record.attr.kind, &record.dir) {
                    (NodeKind::Dir, Some(dir)) => queue.push((git, dir.object)),
                    (NodeKind::Symlink, _) if self.seen.insert(git) => {
                        out.write(git, "blob", &record.target).map_err(failed)?;
                    }
                    (NodeKind::File, _) if self.seen.insert(git) => {
                        self.blob(git, record, out).await?;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    async fn blob(&self, oid: GitOid, record: &NodeRecord, out: &mut Loose) -> Result<()> {
        let stored = record.attr.content;
        let pointer = pointer_blob(&stored);
        if stored.size() > self.pointer_bytes || blob_oid(&pointer) == Ok(oid) {
            return out.write(oid, "blob", &pointer).map_err(failed);
        }
        let size = stored.size();
        let mut object = out.begin(oid, "blob", size).map_err(failed)?;
        let mut at = 0;
        while at < size {
            let end = (at + PIECE).min(size);
            let bytes = content::read(self.packs, |_| None, &stored, at..end).await?;
            object.push(&bytes).map_err(failed)?;
            at = end;
        }
        object.finish().map_err(failed)
    }
}

/// The oids in a tree's lines: `mode SP name NUL oid`.
fn oids(tree: &[u8]) -> HashSet<GitOid> {
    let mut found = HashSet::new();
    let mut rest = tree;
    while let Some(nul) = rest.iter().position(|&b| b == 0) {
        let Some(oid) = rest.get(nul + 1..nul + 21) else {
            break;
        };
        if let Ok(oid) = oid.try_into() {
            found.insert(GitOid(oid));
        }
        rest = &rest[nul + 21..];
    }
    found
}
