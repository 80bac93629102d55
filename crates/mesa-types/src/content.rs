//! References to content-addressed objects.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::ids::{IdError, serde_as_text};

/// Identity of a stored object: BLAKE3-256 of its bytes, keyed per org and separated by the
/// object's type, so that ids of two orgs never tell whether both hold the same content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(pub [u8; 32]);

impl ObjectId {
    /// Parses the raw 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..6]))
    }
}

impl FromStr for ObjectId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut id = [0; 32];
        hex::decode_to_slice(text, &mut id)
            .map_err(|_| IdError::new(text, "an object id (64 hex digits)"))?;
        Ok(Self(id))
    }
}

serde_as_text!(ObjectId);

/// Identity of a content chunk.
pub type ChunkId = ObjectId;

/// The content of a regular file, or the target of a symlink.
///
/// Chunking is deterministic, so equal bytes within an org have equal references.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentRef {
    /// No bytes.
    Empty,
    /// One chunk holds everything.
    Chunk {
        /// The chunk.
        id: ChunkId,
        /// Length in bytes, 1..=[`crate::limits::SINGLE_CHUNK_MAX`].
        size: u64,
    },
    /// A manifest object lists the chunks.
    Manifest {
        /// The manifest's object id.
        id: ObjectId,
        /// Length of the content in bytes.
        size: u64,
    },
}

impl ContentRef {
    /// Length of the content in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Chunk { size, .. } | Self::Manifest { size, .. } => *size,
        }
    }

    /// The object that holds the content, or lists what does; none for an empty one.
    pub fn id(&self) -> Option<ObjectId> {
        match self {
            Self::Empty => None,
            Self::Chunk { id, .. } | Self::Manifest { id, .. } => Some(*id),
        }
    }
}

impl fmt::Debug for ContentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::Chunk { id, size } => write!(f, "chunk:{id:?}+{size}"),
            Self::Manifest { id, size } => write!(f, "manifest:{id:?}+{size}"),
        }
    }
}
