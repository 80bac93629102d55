//! Reading listings: whole, or one name. No I/O; the caller fetches the objects asked for.

use std::collections::{BTreeMap, HashMap};

use mesa_types::{EntryName, ObjectId};

use super::{
    Entry, TreeError, ensure,
    node::{Item, Node, child_for},
};

/// What a parent says about a node.
#[derive(Debug)]
struct Expected {
    first: Vec<u8>,
    items: u64,
    level: u8,
}

/// Collects a listing of any kind of item.
#[derive(Debug)]
pub(crate) struct Loader<T> {
    open: HashMap<ObjectId, Option<Expected>>,
    leaves: BTreeMap<Vec<u8>, Vec<T>>,
    nodes: Vec<ObjectId>,
}

impl<T: Item> Loader<T> {
    pub(crate) fn new(top: ObjectId) -> Self {
        Self {
            open: HashMap::from([(top, None)]),
            leaves: BTreeMap::new(),
            nodes: Vec::new(),
        }
    }

    pub(crate) fn missing(&self) -> Vec<ObjectId> {
        self.open.keys().copied().collect()
    }

    pub(crate) fn supply(&mut self, id: ObjectId, bytes: &[u8]) -> Result<(), TreeError> {
        let Some(expected) = self.open.remove(&id) else {
            return Ok(());
        };
        self.nodes.push(id);
        match Node::<T>::decode(bytes)? {
            Node::Leaf(items) => {
                let first = items
                    .first()
                    .map(|i| i.key().into_owned())
                    .unwrap_or_default();
                if let Some(expected) = expected {
                    let fits = expected.level == 0
                        && expected.first == first
                        && expected.items == items.len() as u64;
                    ensure(fits, "node differs from what its parent says")?;
                }
                ensure(
                    self.leaves.insert(first, items).is_none(),
                    "items are not sorted",
                )
            }
            Node::Index { level, children } => {
                if let Some(expected) = expected {
                    let sum = children
                        .iter()
                        .try_fold(0_u64, |sum, child| sum.checked_add(child.items));
                    let fits = expected.level == level
                        && children.first().is_some_and(|c| c.first == expected.first)
                        && sum == Some(expected.items);
                    ensure(fits, "node differs from what its parent says")?;
                }
                for child in children {
                    let expected = Expected {
                        first: child.first,
                        items: child.items,
                        level: level - 1,
                    };
                    let twice = self.open.insert(child.id, Some(expected)).is_some();
                    ensure(!twice, "a node stands twice in a listing")?;
                }
                Ok(())
            }
        }
    }

    pub(crate) fn finish(self) -> Result<(Vec<T>, Vec<ObjectId>), TreeError> {
        ensure(self.open.is_empty(), "not all nodes were supplied")?;
        let mut items: Vec<T> = Vec::with_capacity(self.leaves.values().map(Vec::len).sum());
        for leaf in self.leaves.into_values() {
            if let (Some(last), Some(first)) = (items.last(), leaf.first()) {
                ensure(last.key() < first.key(), "items are not sorted")?;
            }
            items.extend(leaf);
        }
        Ok((items, self.nodes))
    }
}

/// Collects a whole listing.
///
/// ```text
/// while !loader.missing().is_empty() { fetch them; loader.supply(id, bytes)? for each }
/// loader.finish()?
/// ```
#[derive(Debug)]
pub struct DirLoader(Loader<Entry>);

impl DirLoader {
    /// For the listing `object` ([`super::DirRef::object`]).
    pub fn new(object: ObjectId) -> Self {
        Self(Loader::new(object))
    }

    /// Objects needed to go on.
    pub fn missing(&self) -> Vec<ObjectId> {
        self.0.missing()
    }

    /// Gives the verified bytes of an object that was [`Self::missing`]; others are ignored.
    pub fn supply(&mut self, id: ObjectId, bytes: &[u8]) -> Result<(), TreeError> {
        self.0.supply(id, bytes)
    }

    /// The sorted entries and the ids of all nodes read (to know what is stored already).
    pub fn finish(self) -> Result<(Vec<Entry>, Vec<ObjectId>), TreeError> {
        self.0.finish()
    }
}

/// What a look-up wants next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupStep<T> {
    /// Fetch this object and supply it.
    Fetch(ObjectId),
    /// The answer.
    Found(Box<T>),
    /// There is no such item.
    Absent,
}

/// One step down a listing towards `key`.
pub(crate) fn step<T: Item>(key: &[u8], bytes: &[u8]) -> Result<LookupStep<T>, TreeError> {
    Ok(match Node::<T>::decode(bytes)? {
        Node::Leaf(mut items) => {
            match items.binary_search_by(|item| item.key().as_ref().cmp(key)) {
                Ok(at) => LookupStep::Found(Box::new(items.swap_remove(at))),
                Err(_) => LookupStep::Absent,
            }
        }
        Node::Index { children, .. } => {
            child_for(&children, key).map_or(LookupStep::Absent, |c| LookupStep::Fetch(c.id))
        }
    })
}

/// Finds one name, reading one node per level.
#[derive(Debug)]
pub struct DirLookup {
    name: EntryName,
}

impl DirLookup {
    /// Starts at the listing `object`: the first step is to fetch it.
    pub fn new(object: ObjectId, name: EntryName) -> (Self, LookupStep<Entry>) {
        (Self { name }, LookupStep::Fetch(object))
    }

    /// Goes on with the bytes of the object last asked for.
    pub fn supply(&mut self, bytes: &[u8]) -> Result<LookupStep<Entry>, TreeError> {
        step(self.name.as_bytes(), bytes)
    }
}
