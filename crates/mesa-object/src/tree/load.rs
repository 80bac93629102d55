//! Reading listings: whole, or one name. No I/O; the caller fetches the objects asked for.

use mesa_types::{EntryName, ObjectId};

use super::{Entry, TreeError};

/// Collects a whole listing.
///
/// ```text
/// while !loader.missing().is_empty() { fetch them; loader.supply(id, bytes)? for each }
/// loader.finish()?
/// ```
#[derive(Debug)]
pub struct DirLoader {
    root: ObjectId,
}

impl DirLoader {
    /// For the listing `object` ([`super::DirRef::object`]).
    pub fn new(object: ObjectId) -> Self {
        Self { root: object }
    }

    /// Objects needed to go on, at most a few thousand at once.
    pub fn missing(&self) -> Vec<ObjectId> {
        vec![self.root]
    }

    /// Gives the verified bytes of an object that was [`Self::missing`].
    pub fn supply(&mut self, id: ObjectId, bytes: &[u8]) -> Result<(), TreeError> {
        let _ = (id, bytes);
        todo!()
    }

    /// The sorted entries and the ids of all nodes read (to know what is stored already).
    pub fn finish(self) -> Result<(Vec<Entry>, Vec<ObjectId>), TreeError> {
        todo!()
    }
}

/// What a look-up wants next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupStep<T> {
    /// Fetch this object and supply it.
    Fetch(ObjectId),
    /// The answer.
    Found(Box<T>),
    /// There is no such name.
    Absent,
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
        let _ = (bytes, &self.name);
        todo!()
    }
}
