//! Sealing a directory: from its entries to objects and a [`DirRef`].
//!
//! # Digests
//!
//! `sem` is BLAKE3 in domain 7 over, for every entry git sees: name length (1), name, 1 file,
//! 2 executable file, 3 symlink, 4 directory or 5 gitlink (1), then content, the directory's
//! `sem` or the gitlink's oid. `snap` is the same in domain 8 over every entry: name length,
//! name, 1 and the file id for a link reference or 0, then the node: kind (1), mode (2), uid and
//! gid (each 0, or 1 and 4 bytes), nlink (4), number of xattrs (4) and each as name length (1),
//! name, value length (4), value, and content, `snap` or oid. Numbers are little-endian, contents
//! as in [`super::record`].

use mesa_types::{FileId, GitOid, NodeKind, ObjectId, Owner};

use super::{
    DirRef, Entry, EntryTarget, NodeRecord, TreeError, ensure, node::build, record::encode_content,
};
use crate::{
    Domain, Object, OrgKey,
    git::{self, TreeLine, Verdict},
};

/// A directory turned into objects.
#[derive(Debug, Clone)]
pub struct SealedDir {
    /// For the directory's record in its parent (or in the root).
    pub dir: DirRef,
    /// The same record's `git`.
    pub git: Option<GitOid>,
    /// The nodes of the listing: one, or leaves and indexes. Nodes the caller knows to be stored
    /// already can be left out by id.
    pub objects: Vec<Object>,
}

/// Encodes the listing and computes all digests.
///
/// `entries` are sorted by name without repeats; every directory among them has its `dir` and
/// `git` set from its own sealing, every file and symlink its `git`. `link` finds the record of a
/// hard-linked node.
pub fn seal_dir<'a>(
    key: &OrgKey,
    entries: &'a [Entry],
    link: impl Fn(FileId) -> Option<&'a NodeRecord>,
) -> Result<SealedDir, TreeError> {
    let (object, objects) = build(key, entries)?;
    let mut sem = key.hasher(Domain::Sem);
    let mut snap = key.hasher(Domain::Snap);
    let mut lines = Vec::with_capacity(entries.len());
    let (mut files, mut links) = (0, 0);
    let mut git_default = true;
    for entry in entries {
        let record = resolve(entry, &link)?;
        let name = entry.name.as_bytes();
        let visible = visible_line(name, record);

        snap.update(&[name.len() as u8]);
        snap.update(name);
        match &entry.target {
            EntryTarget::Link { id, .. } => {
                snap.update(&[1]);
                snap.update(&id.0.to_le_bytes());
                links += 1;
                git_default = false;
            }
            EntryTarget::Node(_) => {
                snap.update(&[0]);
            }
        }
        hash_own(&mut snap, record);

        git_default &= visible.is_some() && record.is_git_default();
        match &record.dir {
            Some(dir) => {
                files += dir.files;
                links += dir.links;
                git_default &= dir.git_default;
            }
            None => files += 1,
        }
        if let Some((line, code)) = visible {
            sem.update(&[name.len() as u8]);
            sem.update(name);
            sem.update(&[code]);
            hash_substance(&mut sem, record, |dir| &dir.sem);
            lines.push(line);
        }
    }
    let git = tree_oid(&lines)?.map(|(_, oid)| oid);
    let dir = DirRef {
        object,
        sem: if git.is_some() {
            *sem.finalize().as_bytes()
        } else {
            [0; 32]
        },
        snap: *snap.finalize().as_bytes(),
        files,
        links,
        git_default,
    };
    Ok(SealedDir { dir, git, objects })
}

/// The id of the listing of an empty directory.
pub fn empty_dir_id(key: &OrgKey) -> ObjectId {
    key.hash(Domain::Directory, &[1, 0, 0, 0, 0, 0])
}

/// The git tree of a directory: its bytes (without git's type header) and oid, `None` when git
/// sees nothing of it. Arguments as for [`seal_dir`].
pub fn git_tree<'a>(
    entries: &'a [Entry],
    link: impl Fn(FileId) -> Option<&'a NodeRecord>,
) -> Result<Option<(Vec<u8>, GitOid)>, TreeError> {
    let mut lines = Vec::with_capacity(entries.len());
    for entry in entries {
        let record = resolve(entry, &link)?;
        lines.extend(visible_line(entry.name.as_bytes(), record).map(|(line, _)| line));
    }
    tree_oid(&lines)
}

fn tree_oid(lines: &[TreeLine<'_>]) -> Result<Option<(Vec<u8>, GitOid)>, TreeError> {
    if lines.is_empty() {
        return Ok(None);
    }
    git::encode_tree(lines)
        .map(Some)
        .map_err(|_| TreeError::new("the git tree is a SHA-1 collision attack"))
}

fn resolve<'a>(
    entry: &'a Entry,
    link: &impl Fn(FileId) -> Option<&'a NodeRecord>,
) -> Result<&'a NodeRecord, TreeError> {
    match &entry.target {
        EntryTarget::Node(record) => Ok(record),
        EntryTarget::Link { id, kind } => {
            let record = link(*id).ok_or_else(|| TreeError::new("link reference to nothing"))?;
            ensure(record.attr.kind == *kind, "link reference of another kind")?;
            Ok(record)
        }
    }
}

/// How git sees an entry, with its code in `sem`; `None` if it does not.
fn visible_line<'a>(name: &'a [u8], record: &NodeRecord) -> Option<(TreeLine<'a>, u8)> {
    let oid = record.git?;
    let kind = record.attr.kind;
    match git::verdict(name, kind) {
        Verdict::Hidden(_) => return None,
        Verdict::CheckContent if record.git_refused => return None,
        Verdict::CheckContent | Verdict::Visible => {}
    }
    let (mode, code) = match kind {
        NodeKind::File if record.attr.mode & 0o100 != 0 => (git::Mode::Executable, 2),
        NodeKind::File => (git::Mode::File, 1),
        NodeKind::Symlink => (git::Mode::Symlink, 3),
        NodeKind::Dir => (git::Mode::Tree, 4),
        NodeKind::Gitlink => (git::Mode::Gitlink, 5),
        NodeKind::Fifo | NodeKind::Socket => return None,
    };
    Some((TreeLine { name, mode, oid }, code))
}

/// What a node is made of: content, a digest of what is below, or a commit.
fn hash_substance(
    hasher: &mut blake3::Hasher,
    record: &NodeRecord,
    below: impl Fn(&DirRef) -> &[u8; 32],
) {
    match (&record.dir, record.attr.kind) {
        (Some(dir), _) => {
            hasher.update(below(dir));
        }
        (None, NodeKind::Gitlink) => {
            hasher.update(&record.git.map_or([0; 20], |oid| oid.0));
        }
        (None, _) => {
            let mut content = Vec::with_capacity(41);
            encode_content(&record.attr.content, &mut content);
            hasher.update(&content);
        }
    }
}

/// Everything of a node that counts for `snap`.
pub(crate) fn hash_own(hasher: &mut blake3::Hasher, record: &NodeRecord) {
    let attr = &record.attr;
    hasher.update(&[attr.kind as u8]);
    hasher.update(&attr.mode.to_le_bytes());
    for owner in [attr.uid, attr.gid] {
        match owner {
            Owner::Mounter => hasher.update(&[0]),
            Owner::Id(id) => hasher.update(&[1]).update(&id.to_le_bytes()),
        };
    }
    hasher.update(&attr.nlink.to_le_bytes());
    hasher.update(&(record.xattrs.len() as u32).to_le_bytes());
    for (name, value) in &record.xattrs {
        hasher.update(&[name.len() as u8]).update(name);
        hasher.update(&(value.len() as u32).to_le_bytes());
        hasher.update(value);
    }
    hash_substance(hasher, record, |dir| &dir.snap);
}
