//! Nodes and listings for tests.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use mesa_object::{
    OrgKey, content, git,
    tree::{Entry, EntryTarget, NodeRecord, SealedDir, seal_dir},
};
use mesa_types::{Attr, ContentRef, EntryName, FileId, GitOid, Nanos, NodeKind, Owner};

pub fn key() -> OrgKey {
    OrgKey::new([42; 32])
}

pub fn name(bytes: &[u8]) -> EntryName {
    EntryName::new(bytes).unwrap()
}

pub fn attr(kind: NodeKind, mode: u16) -> Attr {
    Attr {
        id: FileId(100),
        kind,
        mode,
        uid: Owner::Mounter,
        gid: Owner::Mounter,
        nlink: 1,
        mtime: Nanos(1_700_000_000_123_456_789),
        ctime: Nanos(-5),
        content: ContentRef::Empty,
    }
}

pub fn file(bytes: &[u8], mode: u16) -> NodeRecord {
    let mut record = NodeRecord::new(attr(NodeKind::File, mode));
    record.attr.content = content::of_slice(&key(), bytes).content;
    record.git = Some(git::blob_oid(bytes).unwrap());
    record
}

pub fn symlink(target: &[u8]) -> NodeRecord {
    let mut record = file(target, 0o777);
    record.attr.kind = NodeKind::Symlink;
    record.target = Bytes::copy_from_slice(target);
    record
}

pub fn dir(sealed: &SealedDir, mode: u16) -> NodeRecord {
    let mut record = NodeRecord::new(attr(NodeKind::Dir, mode));
    record.git = sealed.git;
    record.dir = Some(sealed.dir.clone());
    record
}

pub fn fifo() -> NodeRecord {
    NodeRecord::new(attr(NodeKind::Fifo, 0o644))
}

pub fn gitlink(commit: [u8; 20]) -> NodeRecord {
    let mut record = NodeRecord::new(attr(NodeKind::Gitlink, 0o755));
    record.git = Some(GitOid(commit));
    record
}

pub fn node(text: &str, record: NodeRecord) -> Entry {
    Entry {
        name: name(text.as_bytes()),
        target: EntryTarget::Node(Box::new(record)),
    }
}

pub fn link(text: &str, id: u64, kind: NodeKind) -> Entry {
    Entry {
        name: name(text.as_bytes()),
        target: EntryTarget::Link {
            id: FileId(id),
            kind,
        },
    }
}

pub fn seal(entries: &[Entry]) -> SealedDir {
    seal_dir(&key(), entries, |_| None).unwrap()
}

/// Bytes that look random and are the same on every run.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = vec![0; len];
    for byte in &mut out {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = (state >> 24) as u8;
    }
    out
}

/// Compares with a file under `tests/golden`; with `BLESS=1` in the environment, writes it.
pub fn golden(file: &str, actual: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, format!("{actual}\n")).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        actual,
        expected.trim_end(),
        "{file} differs: a new format needs a new version byte"
    );
}
