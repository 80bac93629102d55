//! Object ids: BLAKE3 keyed by the org, separated by what is hashed.

use std::fmt;

use mesa_types::ObjectId;

/// What a hash is over. The byte goes into the hash before the data, so that bytes of one kind
/// never pass as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Domain {
    /// A piece of file content.
    Chunk = 1,
    /// A list of chunks or of manifests.
    Manifest = 2,
    /// A node of a directory listing.
    Directory = 3,
    /// The raw bytes of a git commit.
    Commit = 4,
    /// A node of the table of hard-linked files.
    LinkTable = 5,
    /// A snapshot's root.
    Root = 6,
    /// The digest [`crate::tree::DirRef::sem`]; never stored as an object.
    Sem = 7,
    /// The digest [`crate::tree::DirRef::snap`]; never stored as an object.
    Snap = 8,
    /// Where listings split; never stored as an object.
    Boundary = 9,
    /// The conflicts of a snapshot.
    Conflicts = 10,
}

impl Domain {
    /// Decodes the byte of a storable domain.
    pub fn stored_from_u8(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Chunk,
            2 => Self::Manifest,
            3 => Self::Directory,
            4 => Self::Commit,
            5 => Self::LinkTable,
            6 => Self::Root,
            10 => Self::Conflicts,
            _ => return None,
        })
    }

    /// Whether objects of this kind are file content and go to data packs; everything else is
    /// metadata.
    pub fn is_data(self) -> bool {
        self == Self::Chunk
    }
}

/// The secret under which an org's object ids are computed. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct OrgKey([u8; 32]);

impl OrgKey {
    /// Wraps the 32 key bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From a slice of exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 key bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id of `bytes` in `domain`.
    pub fn hash(&self, domain: Domain, bytes: &[u8]) -> ObjectId {
        let mut hasher = self.hasher(domain);
        hasher.update(bytes);
        ObjectId(*hasher.finalize().as_bytes())
    }

    /// The id of a content chunk.
    pub fn chunk_id(&self, bytes: &[u8]) -> ObjectId {
        self.hash(Domain::Chunk, bytes)
    }

    pub(crate) fn hasher(&self, domain: Domain) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&[domain as u8]);
        hasher
    }
}

impl fmt::Debug for OrgKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OrgKey(..)")
    }
}
