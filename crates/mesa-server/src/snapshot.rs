//! Reading sealed snapshots: paths, listings, contents, and what differs between two of them.

pub mod bytes;
pub mod diff;

use std::collections::{HashMap, HashSet};

use ::bytes::Bytes;
use mesa_object::{
    manifest::ManifestError,
    tree::{
        Conflicts, DirLoader, DirLookup, DirRef, Entry, EntryTarget, LinkLoader, LinkLookup,
        LookupStep, NodeRecord, Root, TreeError,
    },
};
use mesa_store::{OrgPacks, StoreError};
use mesa_types::{EntryName, FileId, ObjectId};

/// Objects read in one call.
const READ_MAX: usize = 1024;

/// A snapshot that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The store failed.
    #[error("a stored object cannot be read")]
    Store(#[from] StoreError),
    /// An object the snapshot names is not there.
    #[error("the stored object {0} is missing")]
    Missing(ObjectId),
    /// A directory object is damaged.
    #[error("a stored directory is damaged")]
    Tree(#[from] TreeError),
    /// A manifest is damaged.
    #[error("a stored manifest is damaged")]
    Manifest(#[from] ManifestError),
    /// The objects contradict each other.
    #[error("a stored snapshot is damaged: {0}")]
    Damaged(&'static str),
}

/// A snapshot. Nothing but its root is read until asked for.
pub struct Snapshot {
    packs: OrgPacks,
    root: Option<Root>,
}

/// What is at a path.
#[derive(Debug, Clone)]
pub enum Found {
    /// The root of the empty tree, which has no record.
    EmptyRoot,
    /// A node.
    Node(Box<NodeRecord>),
}

impl Snapshot {
    /// The snapshot with this root object; `None` is the empty tree.
    pub async fn open(packs: OrgPacks, root: Option<ObjectId>) -> Result<Self, SnapshotError> {
        let root = match root {
            Some(id) => Some(Root::decode(&packs.get(id).await?)?),
            None => None,
        };
        Ok(Self { packs, root })
    }

    /// Where its objects are.
    pub fn packs(&self) -> &OrgPacks {
        &self.packs
    }

    /// The root directory's listing; `None` in the empty tree.
    pub fn root_dir(&self) -> Option<&DirRef> {
        self.root.as_ref()?.dir.dir.as_ref()
    }

    /// Whether a path is in conflict.
    pub async fn is_conflicted(&self, path: &[u8]) -> Result<bool, SnapshotError> {
        let Some(id) = self.root.as_ref().and_then(|root| root.conflicts) else {
            return Ok(false);
        };
        let conflicts = Conflicts::decode(&self.packs.get(id).await?)?;
        Ok(conflicts.paths.iter().any(|conflict| conflict.path == path))
    }

    /// What is at a path (its parts from the root down), reading one node per level of a listing.
    pub async fn find(&self, path: &[EntryName]) -> Result<Option<Found>, SnapshotError> {
        let Some(root) = &self.root else {
            return Ok(path.is_empty().then_some(Found::EmptyRoot));
        };
        let mut at = root.dir.clone();
        for name in path {
            let Some(dir) = &at.dir else {
                return Ok(None);
            };
            match self.look_up(dir.object, name).await? {
                Some(record) => at = record,
                None => return Ok(None),
            }
        }
        Ok(Some(Found::Node(Box::new(at))))
    }

    async fn look_up(
        &self,
        listing: ObjectId,
        name: &EntryName,
    ) -> Result<Option<NodeRecord>, SnapshotError> {
        let (mut lookup, mut step) = DirLookup::new(listing, name.clone());
        loop {
            match step {
                LookupStep::Fetch(id) => step = lookup.supply(&self.packs.get(id).await?)?,
                LookupStep::Absent => return Ok(None),
                LookupStep::Found(entry) => {
                    return Ok(Some(match entry.target {
                        EntryTarget::Node(record) => *record,
                        EntryTarget::Link { id, .. } => self.linked(id).await?,
                    }));
                }
            }
        }
    }

    async fn linked(&self, id: FileId) -> Result<NodeRecord, SnapshotError> {
        let (mut lookup, mut step) = LinkLookup::new(self.link_table()?, id);
        loop {
            match step {
                LookupStep::Fetch(id) => step = lookup.supply(&self.packs.get(id).await?)?,
                LookupStep::Found(record) => return Ok(*record),
                LookupStep::Absent => return Err(SnapshotError::Damaged("a link leads nowhere")),
            }
        }
    }

    fn link_table(&self) -> Result<ObjectId, SnapshotError> {
        let links = self.root.as_ref().and_then(|root| root.links);
        links.ok_or(SnapshotError::Damaged("links without a link table"))
    }

    /// All hard-linked nodes; read before listings whose [`DirRef::links`] is not 0.
    pub async fn links(&self) -> Result<Links, SnapshotError> {
        let Some(table) = self.root.as_ref().and_then(|root| root.links) else {
            return Ok(HashMap::new());
        };
        let mut loader = LinkLoader::new(table);
        loop {
            let missing: HashSet<_> = loader.missing().into_iter().collect();
            if missing.is_empty() {
                let (records, _) = loader.finish()?;
                return Ok(records.into_iter().map(|r| (r.attr.id, r)).collect());
            }
            for (id, bytes) in self.objects(missing).await? {
                loader.supply(id, &bytes)?;
            }
        }
    }

    /// Whole listings, in the order asked for; the objects of all of them are read together.
    pub async fn listings(&self, wanted: &[ObjectId]) -> Result<Vec<Vec<Entry>>, SnapshotError> {
        let mut loaders: Vec<_> = wanted.iter().map(|id| DirLoader::new(*id)).collect();
        loop {
            let missing: HashSet<_> = loaders.iter().flat_map(DirLoader::missing).collect();
            if missing.is_empty() {
                break;
            }
            let found = self.objects(missing).await?;
            for loader in &mut loaders {
                for id in loader.missing() {
                    let bytes = found.get(&id).ok_or(SnapshotError::Missing(id))?;
                    loader.supply(id, bytes)?;
                }
            }
        }
        loaders
            .into_iter()
            .map(|loader| Ok(loader.finish()?.0))
            .collect()
    }

    async fn objects(
        &self,
        wanted: HashSet<ObjectId>,
    ) -> Result<HashMap<ObjectId, Bytes>, SnapshotError> {
        let wanted: Vec<_> = wanted.into_iter().collect();
        let mut found = HashMap::with_capacity(wanted.len());
        for part in wanted.chunks(READ_MAX) {
            for (id, bytes) in part.iter().zip(self.packs.get_many(part).await?) {
                found.insert(*id, bytes.ok_or(SnapshotError::Missing(*id))?);
            }
        }
        Ok(found)
    }
}

/// Hard-linked nodes by file id.
pub type Links = HashMap<FileId, NodeRecord>;

/// The record an entry stands for.
#[allow(clippy::implicit_hasher, reason = "one hasher is used")]
pub fn record_of<'a>(entry: &'a Entry, links: &'a Links) -> Result<&'a NodeRecord, SnapshotError> {
    match &entry.target {
        EntryTarget::Node(record) => Ok(record),
        EntryTarget::Link { id, .. } => links
            .get(id)
            .ok_or(SnapshotError::Damaged("a link leads nowhere")),
    }
}
