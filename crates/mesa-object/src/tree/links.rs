//! The table of hard-linked nodes: file id to record, a listing keyed by number.

use mesa_types::{FileId, ObjectId};

use super::{NodeRecord, TreeError};
use crate::{Object, OrgKey};

/// A hard-linked node. `record.attr.id` is the key.
pub type LinkRecord = NodeRecord;

/// Reads and writes the table.
#[derive(Debug)]
pub struct LinkTable;

impl LinkTable {
    /// Encodes records sorted by file id; the last object is the table's top node.
    pub fn build(
        key: &OrgKey,
        records: &[LinkRecord],
    ) -> Result<(ObjectId, Vec<Object>), TreeError> {
        let _ = (key, records);
        todo!()
    }
}

/// Looks one node up; drive it like [`super::DirLookup`].
#[derive(Debug)]
pub struct LinkLookup {
    id: FileId,
}

impl LinkLookup {
    /// A search for `id`.
    pub fn new(id: FileId) -> Self {
        Self { id }
    }

    /// The node wanted.
    pub fn id(&self) -> FileId {
        self.id
    }
}

/// Collects the whole table; drive it like [`super::DirLoader`].
#[derive(Debug)]
pub struct LinkLoader {
    table: ObjectId,
}

impl LinkLoader {
    /// For the table `object` ([`super::Root::links`]).
    pub fn new(object: ObjectId) -> Self {
        Self { table: object }
    }

    /// Objects needed to go on, at most a few thousand at once.
    pub fn missing(&self) -> Vec<ObjectId> {
        vec![self.table]
    }

    /// Gives the verified bytes of an object that was [`Self::missing`].
    pub fn supply(&mut self, id: ObjectId, bytes: &[u8]) -> Result<(), TreeError> {
        let _ = (id, bytes);
        todo!()
    }

    /// The records by file id.
    pub fn finish(self) -> Result<Vec<LinkRecord>, TreeError> {
        todo!()
    }
}
