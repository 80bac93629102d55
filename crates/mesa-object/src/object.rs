//! An immutable object ready to be stored.

use bytes::Bytes;
use mesa_types::ObjectId;

use crate::{Domain, OrgKey};

/// Largest object in bytes. Everything the encoders here make is far below; readers refuse more.
pub const OBJECT_BYTES_MAX: usize = 16 << 20;

/// Bytes with the id they hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Keyed hash of the domain and the bytes.
    pub id: ObjectId,
    /// What the bytes are.
    pub domain: Domain,
    /// The encoded object.
    pub bytes: Bytes,
}

impl Object {
    /// Hashes `bytes`.
    pub fn new(key: &OrgKey, domain: Domain, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            id: key.hash(domain, &bytes),
            domain,
            bytes,
        }
    }

    /// Takes foreign bytes that are said to be `id`: `None` when they are not, or are too many.
    pub fn verified(
        key: &OrgKey,
        domain: Domain,
        id: ObjectId,
        bytes: impl Into<Bytes>,
    ) -> Option<Self> {
        let bytes = bytes.into();
        let fits = bytes.len() <= OBJECT_BYTES_MAX;
        (fits && key.hash(domain, &bytes) == id).then_some(Self { id, domain, bytes })
    }

    /// A content chunk.
    pub fn chunk(key: &OrgKey, bytes: impl Into<Bytes>) -> Self {
        Self::new(key, Domain::Chunk, bytes)
    }
}
