//! Blobs.

use mesa_types::{ContentRef, GitOid};

/// Files above this many bytes are projected as a [`pointer_blob`] unless configured otherwise.
pub const POINTER_BYTES_DEFAULT: u64 = 256 << 20;

/// The bytes were made to collide under SHA-1: use a [`pointer_blob`] instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("content is a SHA-1 collision attack")]
pub struct Collision;

/// The oid of a blob.
pub fn blob_oid(bytes: &[u8]) -> Result<GitOid, Collision> {
    let mut hasher = BlobHasher::new(bytes.len() as u64);
    hasher.update(bytes);
    hasher.finish()
}

/// Computes a blob's oid from a stream whose length is known.
pub struct BlobHasher {}

impl BlobHasher {
    /// For `len` bytes.
    pub fn new(len: u64) -> Self {
        let _ = len;
        Self {}
    }

    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let _ = bytes;
    }

    /// The oid.
    pub fn finish(self) -> Result<GitOid, Collision> {
        todo!()
    }
}

/// The text git sees instead of a file too large for it.
pub fn pointer_blob(content: &ContentRef) -> Vec<u8> {
    let _ = content;
    todo!()
}
