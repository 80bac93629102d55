//! Folding a head into a snapshot: contents into a data pack, changed directories into a metadata
//! pack, the projection to git, and the commit. Everything here runs beside the head on a copy;
//! nothing is visible until the head's task commits the rows.

mod commit;
mod project;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use mesa_meta::Batch;
use mesa_object::{
    Object,
    git::{Verdict, verdict},
    tree::{Entry, EntryTarget, NodeRecord, Root, build_links, seal_dir},
};
use mesa_repo::{Change, Versioned};
use mesa_store::{IndexRows, OrgPacks};
use mesa_types::{ChunkId, ContentRef, EntryName, FileId, NodeKind, ObjectId};
use mesa_vcs::tree::TreePath;

pub use self::commit::Lineage;
use self::project::Projector;
use crate::{
    error::Result,
    tree::{PlanEntry, SealPlan, Sealed, SealedListing},
    versions::{
        git,
        store::Versions,
        table::{self, Table},
    },
};

/// Rows of a seal that commit together with its commit; more commit before.
const ROWS_MAX: usize = 4096;

/// What a seal needs.
pub struct SealInput {
    /// The changed parts of the tree.
    pub plan: SealPlan,
    /// Contents that are in no pack.
    pub unsealed: HashMap<ChunkId, Bytes>,
    /// Where commits go; without it only the snapshot is made.
    pub lineage: Option<Lineage>,
    /// Files above this are projected as pointers.
    pub pointer_bytes: u64,
    /// What was in conflict.
    pub conflicts: Option<Arc<Table>>,
    /// File id of the empty tree's root.
    pub root: FileId,
}

/// A snapshot whose packs are on stable storage and whose rows are not committed.
pub struct Built {
    /// For [`crate::tree::Tree::sealed`].
    pub sealed: Sealed,
    /// The root object.
    pub root: ObjectId,
    /// The decoded root, to load the tree anew.
    pub root_record: Root,
    /// `Root::snap`.
    pub snap: [u8; 32],
    /// The new commit, with the change it was made for; `None` if nothing but times changed.
    pub commit: Option<(mesa_repo::Commit, Versioned<Change>)>,
    /// Index rows of the packs.
    pub index: IndexRows,
    /// New rows of the git map.
    pub git_rows: Batch,
    /// Chunks that are in packs now.
    pub stored: Vec<ChunkId>,
    /// [`SealInput::conflicts`].
    pub conflicts_were: Option<Arc<Table>>,
    /// What of them is left.
    pub conflicts: Option<Arc<Table>>,
    /// Side files of what is resolved.
    pub leftovers: Vec<TreePath>,
}

/// Writes the packs of a snapshot.
pub async fn build(
    packs: &OrgPacks,
    catalog: &mesa_repo::Catalog,
    input: SealInput,
) -> Result<Built> {
    let SealInput {
        plan,
        unsealed,
        lineage,
        pointer_bytes,
        conflicts: conflicts_were,
        root: empty_root,
    } = input;
    let key = packs.key();
    let mut projector = Projector::new(packs, catalog, &unsealed, pointer_bytes);
    let mut links = plan.links;
    project(&mut projector, &plan.dirs, &links).await?;
    for record in links.values_mut() {
        projector.fill(record, None);
    }

    let mut objects: Vec<Object> = Vec::new();
    let mut dirs: HashMap<FileId, SealedListing> = HashMap::new();
    let mut chunks: HashSet<ChunkId> = HashSet::new();
    for record in links.values() {
        note_chunk(record, &unsealed, &mut chunks);
    }
    for dir in plan.dirs {
        let mut entries = Vec::with_capacity(dir.entries.len());
        for (name, entry) in dir.entries {
            let target = match entry {
                PlanEntry::Link(id, kind) => EntryTarget::Link { id, kind },
                PlanEntry::Node(mut record) => {
                    note_chunk(&record, &unsealed, &mut chunks);
                    if let Some(listing) = dirs.get(&record.attr.id) {
                        record.dir = Some(listing.dir.clone());
                        record.git = listing.git;
                    }
                    projector.fill(&mut record, Some(&name));
                    EntryTarget::Node(record)
                }
            };
            entries.push(Entry { name, target });
        }
        let sealed = seal_dir(key, &entries, |id| links.get(&id))?;
        objects.extend(sealed.objects);
        dirs.insert(
            dir.id,
            SealedListing {
                dir: sealed.dir,
                git: sealed.git,
            },
        );
        tokio::task::yield_now().await;
    }

    let link_table = if plan.links_changed {
        let mut records: Vec<_> = links.into_values().collect();
        records.sort_unstable_by_key(|record| record.attr.id);
        if records.is_empty() {
            None
        } else {
            let (top, nodes) = build_links(key, &records)?;
            objects.extend(nodes);
            Some(top)
        }
    } else {
        plan.links_sealed
    };
    let mut root = Root {
        dir: plan.root,
        links: link_table,
        conflicts: None,
    };
    if let Some(listing) = dirs.get(&root.dir.attr.id) {
        root.dir.dir = Some(listing.dir.clone());
        root.dir.git = listing.git;
    }
    for id in &chunks {
        if let Some(bytes) = unsealed.get(id) {
            objects.push(Object {
                id: *id,
                domain: mesa_object::Domain::Chunk,
                bytes: bytes.clone(),
            });
        }
    }
    let store = Versions::new(packs.clone(), empty_root);
    let reviewed = match &conflicts_were {
        Some(table) => {
            // They are looked at in the stored snapshot.
            packs.put(std::mem::take(&mut objects)).await?;
            Some(table::review(&store, &root, table).await?)
        }
        None => None,
    };
    let (mut conflicts, mut leftovers, mut projected) = (None, Vec::new(), None);
    if let Some(reviewed) = reviewed {
        packs.put(reviewed.objects).await?;
        root.conflicts = reviewed.id;
        leftovers = reviewed.leftovers;
        if let Some(table) = reviewed.table {
            projected = Some(git::project(&store, &table).await?);
            conflicts = Some(Arc::new(table));
        }
    }
    let encoded = root.encode(key)?;
    let root_id = encoded.id;
    objects.push(encoded);
    let snap = root.snap(key);
    let commit = match lineage {
        Some(lineage) if lineage.snap != Some(snap) => {
            let made = lineage
                .commit(packs, catalog, &root, root_id, projected, plan.seq)
                .await?;
            objects.push(made.object);
            Some((made.commit, made.change))
        }
        _ => None,
    };
    let (files, mut git_rows) = projector.finish();
    settle_git_rows(catalog, &mut git_rows).await?;
    let mut index = packs.write(objects).await?;
    packs.settle(&mut index, ROWS_MAX).await?;
    Ok(Built {
        sealed: Sealed {
            seq: plan.seq,
            dirs,
            files,
            links: link_table,
        },
        root: root_id,
        root_record: root,
        snap,
        commit,
        index,
        git_rows,
        stored: chunks.into_iter().collect(),
        conflicts_were,
        conflicts,
        leftovers,
    })
}

/// Commits rows of the git map before the seal: they hold facts about contents, whatever becomes
/// of the seal.
async fn settle_git_rows(catalog: &mesa_repo::Catalog, rows: &mut Batch) -> Result<()> {
    while rows.writes.len() > ROWS_MAX {
        let mut part = Batch::new();
        part.writes.extend(rows.writes.drain(..ROWS_MAX));
        catalog.meta().commit(part).await?;
    }
    Ok(())
}

/// Computes the git objects of every content that has none.
async fn project(
    projector: &mut Projector<'_>,
    dirs: &[crate::tree::PlanDir],
    links: &HashMap<FileId, NodeRecord>,
) -> Result<()> {
    let mut wanted: Vec<(&NodeRecord, Option<&EntryName>)> = Vec::new();
    for (name, entry) in dirs.iter().flat_map(|dir| &dir.entries) {
        let record = match entry {
            PlanEntry::Node(record) => record,
            PlanEntry::Link(id, _) => match links.get(id) {
                Some(record) => record,
                None => continue,
            },
        };
        let checked = verdict(name.as_bytes(), record.attr.kind) == Verdict::CheckContent;
        if record.git.is_none() || checked {
            wanted.push((record, checked.then_some(name)));
        }
    }
    wanted.extend(
        links
            .values()
            .filter(|record| record.git.is_none())
            .map(|record| (record, None)),
    );
    projector.compute(&wanted).await
}

fn note_chunk(
    record: &NodeRecord,
    unsealed: &HashMap<ChunkId, Bytes>,
    chunks: &mut HashSet<ChunkId>,
) {
    if let (NodeKind::File, ContentRef::Chunk { id, .. }) = (record.attr.kind, record.attr.content)
        && unsealed.contains_key(&id)
    {
        chunks.insert(id);
    }
}
