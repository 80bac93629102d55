//! Loading listings with the records of hard-linked nodes.

use std::collections::{BTreeMap, HashMap};

use mesa_object::tree::{Entry, EntryTarget, NodeRecord};
use mesa_types::{EntryName, FileId, ObjectId};

use super::{TreeSource, TreeValue, VcsError};

/// Listings asked for in one call.
pub(crate) const LISTINGS_MAX: usize = 1024;

/// The entries of a directory.
pub(crate) type Listing = BTreeMap<EntryName, TreeValue>;

/// A listing and the link table its links are in.
type Key = (ObjectId, Option<ObjectId>);

/// Loaded listings.
pub(crate) struct Listings(HashMap<Key, Listing>);

impl Listings {
    /// The entries of a directory; `None` if it was not among those loaded, or has none.
    pub fn get(&self, dir: &TreeValue) -> Option<&Listing> {
        self.0.get(&(dir.listing()?, dir.links))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Loads the listings of directories.
pub(crate) async fn load<'a, S: TreeSource>(
    source: &S,
    dirs: impl Iterator<Item = &'a TreeValue> + Send,
) -> Result<Listings, VcsError<S::Error>> {
    let mut wanted: Vec<Key> = dirs
        .filter_map(|value| Some((value.listing()?, value.links)))
        .collect();
    wanted.sort();
    wanted.dedup();
    let mut objects: Vec<ObjectId> = wanted.iter().map(|(object, _)| *object).collect();
    objects.dedup();
    if objects.is_empty() {
        return Ok(Listings(HashMap::new()));
    }
    let answer = source.list(&objects).await.map_err(VcsError::Source)?;
    if answer.len() != objects.len() {
        return Err(VcsError::Answer("not as many listings as asked for"));
    }
    let by_object: HashMap<ObjectId, Vec<Entry>> = objects.into_iter().zip(answer).collect();

    let mut linked: BTreeMap<ObjectId, Vec<FileId>> = BTreeMap::new();
    for (object, table) in &wanted {
        for entry in &by_object[object] {
            if let (EntryTarget::Link { id, .. }, Some(table)) = (&entry.target, table) {
                linked.entry(*table).or_default().push(*id);
            }
        }
    }
    let mut records: HashMap<(ObjectId, FileId), NodeRecord> = HashMap::new();
    for (table, mut ids) in linked {
        ids.sort();
        ids.dedup();
        let answer = source.linked(table, &ids).await.map_err(VcsError::Source)?;
        if answer.len() != ids.len() {
            return Err(VcsError::Answer("not as many linked nodes as asked for"));
        }
        records.extend(ids.into_iter().map(|id| (table, id)).zip(answer));
    }

    let mut listings = HashMap::with_capacity(wanted.len());
    for (object, links) in wanted {
        let mut listing = Listing::new();
        for entry in &by_object[&object] {
            let node = match &entry.target {
                EntryTarget::Node(record) => (**record).clone(),
                EntryTarget::Link { id, .. } => links
                    .and_then(|table| records.get(&(table, *id)))
                    .cloned()
                    .ok_or(VcsError::Answer("a linked node without a record"))?,
            };
            listing.insert(entry.name.clone(), TreeValue { node, links });
        }
        listings.insert((object, links), listing);
    }
    Ok(Listings(listings))
}
