//! The table of hard-linked nodes: a listing keyed by file id (8 bytes, big-endian) whose items
//! are records ([`super::record`]); the key is the record's file id and not written again.

use std::borrow::Cow;

use mesa_types::{FileId, NodeKind, ObjectId};

use super::{
    LookupStep, NodeRecord, TreeError, ensure,
    load::{Loader, step},
    node::{Item, build},
    record::RECORD_BYTES_MIN,
};
use crate::{Domain, Object, OrgKey, wire::Reader};

/// A hard-linked node. `record.attr.id` is the key.
pub type LinkRecord = NodeRecord;

impl Item for LinkRecord {
    const DOMAIN: Domain = Domain::LinkTable;
    const BYTES_MIN: usize = RECORD_BYTES_MIN;

    fn key(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.attr.id.0.to_be_bytes().to_vec())
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), TreeError> {
        ensure(
            self.attr.kind != NodeKind::Dir,
            "a directory in the link table",
        )?;
        NodeRecord::encode(self, out)
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, TreeError> {
        let record = NodeRecord::decode(reader)?;
        ensure(
            record.attr.kind != NodeKind::Dir,
            "a directory in the link table",
        )?;
        Ok(record)
    }
}

/// Encodes records sorted by file id. Returns the table's top node, which is also the last object.
pub fn build_links(
    key: &OrgKey,
    records: &[LinkRecord],
) -> Result<(ObjectId, Vec<Object>), TreeError> {
    build(key, records)
}

/// Collects a whole table; drive it like [`super::DirLoader`].
#[derive(Debug)]
pub struct LinkLoader(Loader<LinkRecord>);

impl LinkLoader {
    /// For the table `object` ([`super::Root::links`]).
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

    /// The records sorted by file id, and the ids of all nodes read.
    pub fn finish(self) -> Result<(Vec<LinkRecord>, Vec<ObjectId>), TreeError> {
        self.0.finish()
    }
}

/// Looks one node up; drive it like [`super::DirLookup`].
#[derive(Debug)]
pub struct LinkLookup {
    id: FileId,
}

impl LinkLookup {
    /// Starts at the table `object`: the first step is to fetch it.
    pub fn new(object: ObjectId, id: FileId) -> (Self, LookupStep<LinkRecord>) {
        (Self { id }, LookupStep::Fetch(object))
    }

    /// Goes on with the bytes of the object last asked for.
    pub fn supply(&mut self, bytes: &[u8]) -> Result<LookupStep<LinkRecord>, TreeError> {
        step(&self.id.0.to_be_bytes(), bytes)
    }
}
