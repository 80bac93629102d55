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

    /// A content chunk.
    pub fn chunk(key: &OrgKey, bytes: impl Into<Bytes>) -> Self {
        Self::new(key, Domain::Chunk, bytes)
    }
}
