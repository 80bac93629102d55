//! Reading stored trees.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use mesa_object::tree::{DirLoader, Entry, LinkLoader, LinkRecord, Root};
use mesa_store::OrgPacks;
use mesa_types::{FileId, Nanos, ObjectId};

use crate::{
    error::{HeadError, Result},
    tree::{Need, Tree},
};

/// Objects read in one call.
const READ_MAX: usize = 1024;

/// Loads what a tree needs and attaches it.
pub async fn satisfy(packs: &OrgPacks, tree: &mut Tree, need: Need) -> Result<()> {
    match need {
        Need::Links(object) => {
            let records = links(packs, object).await?;
            tree.attach_links(records)?;
        }
        Need::Listings(wanted) => {
            for part in wanted.chunks(READ_MAX) {
                for (id, entries) in listings(packs, part).await? {
                    tree.attach_listing(id, entries)?;
                }
            }
        }
    }
    Ok(())
}

/// The same for a need found elsewhere, before it is attached.
pub async fn fetch(packs: &OrgPacks, need: &Need) -> Result<Fetched> {
    Ok(match need {
        Need::Links(object) => Fetched::Links(links(packs, *object).await?),
        Need::Listings(wanted) => {
            let mut found = Vec::with_capacity(wanted.len());
            for part in wanted.chunks(READ_MAX) {
                for ((id, object), (_, entries)) in part.iter().zip(listings(packs, part).await?) {
                    found.push((*id, *object, entries));
                }
            }
            Fetched::Listings(found)
        }
    })
}

/// What [`fetch`] read.
pub enum Fetched {
    /// The link table.
    Links(Vec<LinkRecord>),
    /// Directories with the object their entries were read from.
    Listings(Vec<(FileId, ObjectId, Vec<Entry>)>),
}

impl Fetched {
    /// Attaches what is still current.
    pub fn attach(self, tree: &mut Tree) -> Result<()> {
        match self {
            Self::Links(records) => tree.attach_links(records)?,
            Self::Listings(found) => {
                for (id, object, entries) in found {
                    let sealed = tree
                        .node(id)
                        .and_then(|n| n.dir.as_ref())
                        .and_then(|d| d.sealed.as_ref());
                    let links_ready = tree.links_unloaded().is_none();
                    if sealed.is_some_and(|s| s.object == object && (s.links == 0 || links_ready)) {
                        tree.attach_listing(id, entries)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A snapshot's tree; `None` is the empty one.
pub async fn tree(
    packs: &OrgPacks,
    root: Option<ObjectId>,
    root_id: FileId,
    created: Nanos,
) -> Result<Tree> {
    match root {
        None => Ok(Tree::empty(root_id, created)),
        Some(object) => Ok(Tree::from_root(Root::decode(&packs.get(object).await?)?)),
    }
}

/// Whole listings, in the order asked for. Objects of all of them are read together, level by level.
pub async fn listings(
    packs: &OrgPacks,
    wanted: &[(FileId, ObjectId)],
) -> Result<Vec<(FileId, Vec<Entry>)>> {
    let mut loaders: Vec<_> = wanted
        .iter()
        .map(|(id, object)| (*id, DirLoader::new(*object)))
        .collect();
    loop {
        let mut missing = HashSet::new();
        for (_, loader) in &loaders {
            missing.extend(loader.missing());
        }
        if missing.is_empty() {
            break;
        }
        let found = objects(packs, missing).await?;
        for (_, loader) in &mut loaders {
            for id in loader.missing() {
                let bytes = found.get(&id).ok_or_else(missing_object)?;
                loader.supply(id, bytes)?;
            }
        }
    }
    loaders
        .into_iter()
        .map(|(id, loader)| Ok((id, loader.finish()?.0)))
        .collect()
}

/// The whole link table.
pub async fn links(packs: &OrgPacks, table: ObjectId) -> Result<Vec<LinkRecord>> {
    let mut loader = LinkLoader::new(table);
    loop {
        let missing: HashSet<_> = loader.missing().into_iter().collect();
        if missing.is_empty() {
            return Ok(loader.finish()?.0);
        }
        for (id, bytes) in objects(packs, missing).await? {
            loader.supply(id, &bytes)?;
        }
    }
}

async fn objects(packs: &OrgPacks, wanted: HashSet<ObjectId>) -> Result<HashMap<ObjectId, Bytes>> {
    let wanted: Vec<_> = wanted.into_iter().collect();
    let mut found = HashMap::with_capacity(wanted.len());
    for part in wanted.chunks(READ_MAX) {
        for (id, bytes) in part.iter().zip(packs.get_many(part).await?) {
            found.insert(*id, bytes.ok_or_else(missing_object)?);
        }
    }
    Ok(found)
}

fn missing_object() -> HeadError {
    HeadError::corrupt("a stored object is missing")
}
