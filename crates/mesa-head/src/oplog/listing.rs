//! Listings of snapshots with the records of hard-linked nodes.

use std::collections::{BTreeMap, HashMap};

use mesa_object::tree::{EntryTarget, NodeRecord};
use mesa_types::{EntryName, FileId, NodeKind, ObjectId};
use mesa_vcs::tree::{TreeSource, TreeValue};

use crate::{
    error::{HeadError, Result},
    load,
    versions::store::Versions,
};

/// The entries of a directory.
pub(crate) type Listing = BTreeMap<EntryName, TreeValue>;

/// Paths that a hard-linked node has, by node.
pub(crate) type Names = HashMap<FileId, Vec<Vec<u8>>>;

/// Listings asked for in one call.
pub(crate) const LISTINGS_MAX: usize = 512;

/// Reads listings; link tables are kept.
pub(crate) struct Lister<'a> {
    store: &'a Versions,
    tables: HashMap<ObjectId, HashMap<FileId, NodeRecord>>,
    /// The directories on the way to what was found last: what is asked for next is often beside it.
    trail: Vec<Step>,
}

/// A listing with its link table, and the entries.
type Step = ((ObjectId, Option<ObjectId>), Listing);

impl<'a> Lister<'a> {
    pub fn new(store: &'a Versions) -> Self {
        Self {
            store,
            tables: HashMap::new(),
            trail: Vec::new(),
        }
    }

    /// The entries of directories, in order; nothing for what is no directory.
    pub async fn list(&mut self, dirs: &[Option<&TreeValue>]) -> Result<Vec<Listing>> {
        let mut wanted: Vec<ObjectId> = dirs
            .iter()
            .flatten()
            .filter_map(|dir| dir.listing())
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let answer = self.store.list(&wanted).await?;
        let found: HashMap<_, _> = wanted.into_iter().zip(answer).collect();
        let mut listings = Vec::with_capacity(dirs.len());
        for dir in dirs {
            let mut listing = Listing::new();
            if let Some((dir, object)) = dir.and_then(|dir| Some((dir, dir.listing()?))) {
                for entry in found.get(&object).into_iter().flatten() {
                    let node = match &entry.target {
                        EntryTarget::Node(record) => (**record).clone(),
                        EntryTarget::Link { id, .. } => self.linked(dir.links, *id).await?,
                    };
                    let value = TreeValue {
                        node,
                        links: dir.links,
                    };
                    listing.insert(entry.name.clone(), value);
                }
            }
            listings.push(listing);
        }
        Ok(listings)
    }

    /// What a path of a snapshot has.
    pub async fn find(&mut self, root: &TreeValue, path: &[u8]) -> Result<Option<TreeValue>> {
        let mut at = root.clone();
        let names = path.split(|&b| b == b'/').filter(|name| !name.is_empty());
        for (depth, name) in names.enumerate() {
            let Some(object) = at.listing().filter(|_| at.kind() == NodeKind::Dir) else {
                return Ok(None);
            };
            let step = (object, at.links);
            if self
                .trail
                .get(depth)
                .is_none_or(|(known, _)| *known != step)
            {
                let listing = self.list(&[Some(&at)]).await?.pop();
                self.trail.truncate(depth);
                self.trail.push((step, listing.unwrap_or_default()));
            }
            let listing = self.trail.get(depth).map(|(_, listing)| listing);
            match listing.and_then(|listing| listing.get(name)).cloned() {
                Some(child) => at = child,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// Every path of every hard-linked node of a snapshot. Directories without any are skipped.
    pub async fn linked_names(&mut self, root: &TreeValue) -> Result<Names> {
        let mut names = Names::new();
        let mut dirs = vec![(Vec::new(), root.clone())];
        while !dirs.is_empty() {
            let some: Vec<_> = dirs
                .drain(dirs.len().saturating_sub(LISTINGS_MAX)..)
                .collect();
            let values: Vec<_> = some.iter().map(|(_, dir)| Some(dir)).collect();
            for ((path, _), listing) in some.iter().zip(self.list(&values).await?) {
                for (name, value) in listing {
                    let below = join(path, &name);
                    if value.node.attr.nlink > 1 && value.kind() != NodeKind::Dir {
                        names.entry(value.node.attr.id).or_default().push(below);
                    } else if value.node.dir.as_ref().is_some_and(|dir| dir.links > 0) {
                        dirs.push((below, value));
                    }
                }
            }
        }
        Ok(names)
    }

    async fn linked(&mut self, table: Option<ObjectId>, id: FileId) -> Result<NodeRecord> {
        let table = table.ok_or_else(|| HeadError::corrupt("links without a link table"))?;
        if !self.tables.contains_key(&table) {
            let records = load::links(&self.store.packs, table).await?;
            let records = records.into_iter().map(|r| (r.attr.id, r)).collect();
            self.tables.insert(table, records);
        }
        let found = self.tables.get(&table).and_then(|records| records.get(&id));
        found
            .cloned()
            .ok_or_else(|| HeadError::corrupt("a link leads nowhere"))
    }
}

pub(crate) fn join(dir: &[u8], name: &EntryName) -> Vec<u8> {
    if dir.is_empty() {
        name.as_bytes().to_vec()
    } else {
        [dir, name.as_bytes()].join(&b'/')
    }
}
