//! Object ids, and blobs.

use std::fmt;

use mesa_types::{ContentRef, GitOid};
use sha1_checked::{CollisionResult, Digest, Sha1};

/// Files above this many bytes are projected as a [`pointer_blob`] unless configured otherwise.
pub const POINTER_BYTES_DEFAULT: u64 = 256 << 20;

/// The bytes were made to collide under SHA-1. Of a file: use a [`pointer_blob`] instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("content is a SHA-1 collision attack")]
pub struct Collision;

/// The oid of a whole object of type `kind` (`blob`, `tree`, `commit`).
pub(crate) fn object_oid(kind: &str, body: &[u8]) -> Result<GitOid, Collision> {
    let mut hasher = BlobHasher::of_kind(kind, body.len() as u64);
    hasher.update(body);
    hasher.finish()
}

/// The oid of a blob.
pub fn blob_oid(bytes: &[u8]) -> Result<GitOid, Collision> {
    object_oid("blob", bytes)
}

/// Computes a blob's oid from a stream whose length is known.
#[derive(Clone)]
pub struct BlobHasher {
    sha: Sha1,
}

impl BlobHasher {
    /// For `len` bytes.
    pub fn new(len: u64) -> Self {
        Self::of_kind("blob", len)
    }

    fn of_kind(kind: &str, len: u64) -> Self {
        let mut sha = Sha1::new();
        Digest::update(&mut sha, format!("{kind} {len}\0"));
        Self { sha }
    }

    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        Digest::update(&mut self.sha, bytes);
    }

    /// The oid.
    pub fn finish(self) -> Result<GitOid, Collision> {
        match self.sha.try_finalize() {
            CollisionResult::Ok(hash) => Ok(GitOid(hash.into())),
            CollisionResult::Mitigated(_) | CollisionResult::Collision(_) => Err(Collision),
        }
    }
}

impl fmt::Debug for BlobHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobHasher")
    }
}

/// The text git sees instead of a file too large for it: three lines, the form's name and
/// version, the content's id and its size.
pub fn pointer_blob(content: &ContentRef) -> Vec<u8> {
    let id = match content {
        ContentRef::Empty => "empty".to_owned(),
        ContentRef::Chunk { id, .. } | ContentRef::Manifest { id, .. } => id.to_string(),
    };
    let size = content.size();
    format!("mesa-pointer 1\ncontent {id}\nsize {size}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oids_known_from_git() {
        let oid = |bytes| blob_oid(bytes).unwrap().to_string();
        assert_eq!(oid(b""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(oid(b"hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(object_oid("tree", b"").unwrap(), GitOid::EMPTY_TREE);
    }
}
