//! What is stored about a node.
//!
//! # Bytes
//!
//! All numbers little-endian; fields in this order without gaps. There is one encoding of every
//! record: decoders refuse anything an encoder would not write.
//!
//! | size | field |
//! |---|---|
//! | 1 | kind ([`NodeKind`]) |
//! | 1 | flags: 1 git oid follows, 2 xattrs follow, 4 git refused, 8 uid follows, 16 gid follows |
//! | 8 | file id |
//! | 2 | mode, at most 0o7777 |
//! | 4 | nlink, at least 1 |
//! | 8 | mtime, nanoseconds, signed |
//! | 8 | ctime |
//! | 4 | uid, if flagged (else the mounter) |
//! | 4 | gid, if flagged |
//! | 1 | files and symlinks: content, 0 empty, 1 chunk, 2 manifest |
//! | 40 | unless empty: object id (32), size (8) |
//! | 2 + n | symlinks: length and bytes of the target, as many as the content's size |
//! | 20 | git oid, if flagged |
//! | 2 | number of xattrs, if flagged, at least 1 |
//! | … | each xattr, ascending by name: name length (1), name, value length (4), value |
//! | 32 | directories: id of the listing |
//! | 32 | `sem` |
//! | 32 | `snap` |
//! | 8 | files below |
//! | 8 | link references below |
//! | 1 | git-default state, 0 or 1 |

use std::collections::BTreeMap;

use bytes::Bytes;
use mesa_types::{Attr, ContentRef, FileId, GitOid, Nanos, NodeKind, ObjectId, Owner, limits};

use super::{TreeError, ensure};
use crate::wire::Reader;

/// Extended attributes: full name (`user.x`) to value.
pub type Xattrs = BTreeMap<Vec<u8>, Bytes>;

/// Everything stored about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// Attributes. `nlink` is above 1 only in the link table.
    pub attr: Attr,
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// Target of a symlink (its chunk is not stored apart), empty for everything else.
    pub target: Bytes,
    /// The node's git object wherever it stands: blob of a file or symlink, tree of a directory
    /// (`None` when nothing below is visible to git), commit of a gitlink; `None` for others.
    pub git: Option<GitOid>,
    /// The content may not appear in git under a name whose verdict is
    /// [`crate::git::Verdict::CheckContent`]; looked at for such names only.
    pub git_refused: bool,
    /// The listing of a directory, `None` for everything else.
    pub dir: Option<DirRef>,
}

/// A sealed directory's listing and what is known of everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirRef {
    /// The listing (its only or topmost node).
    pub object: ObjectId,
    /// Digest of what git sees: visible names, kinds, exec bit, content. Nothing visible: zeros.
    pub sem: [u8; 32],
    /// Digest of everything but times and file ids (a hard-linked node's id counts: it is what
    /// says which names are one node).
    pub snap: [u8; 32],
    /// Entries below that are not directories.
    pub files: u64,
    /// Entries below that are [`super::EntryTarget::Link`]: walks that look for the names of a
    /// hard-linked node skip directories where this is 0.
    pub links: u64,
    /// Everything below is in git-default state, so git alone could restore it.
    pub git_default: bool,
}

const GIT: u8 = 1;
const XATTRS: u8 = 2;
const REFUSED: u8 = 4;
const UID: u8 = 8;
const GID: u8 = 16;

/// Fewest bytes of a record.
pub(crate) const RECORD_BYTES_MIN: usize = 32;

fn has_content(kind: NodeKind) -> bool {
    matches!(kind, NodeKind::File | NodeKind::Symlink)
}

impl NodeRecord {
    /// A record with the given attributes and nothing else.
    pub fn new(attr: Attr) -> Self {
        Self {
            attr,
            xattrs: Xattrs::new(),
            target: Bytes::new(),
            git: None,
            git_refused: false,
            dir: None,
        }
    }

    /// Whether git alone could restore the node itself: default mode, the mounter's, no xattrs.
    pub(crate) fn is_git_default(&self) -> bool {
        let mode = match self.attr.kind {
            NodeKind::File => matches!(self.attr.mode, 0o644 | 0o755),
            NodeKind::Dir | NodeKind::Gitlink => self.attr.mode == 0o755,
            NodeKind::Symlink => self.attr.mode == 0o777,
            NodeKind::Fifo | NodeKind::Socket => false,
        };
        mode && (self.attr.uid, self.attr.gid) == (Owner::Mounter, Owner::Mounter)
            && self.attr.nlink == 1
            && self.xattrs.is_empty()
    }

    fn check(&self) -> Result<(), TreeError> {
        let attr = &self.attr;
        ensure(attr.mode <= 0o7777, "mode has unknown bits")?;
        ensure(attr.nlink >= 1, "nlink is 0")?;
        ensure(
            has_content(attr.kind) || attr.content == ContentRef::Empty,
            "content on a node without any",
        )?;
        ensure(attr.content.size() <= limits::FILE_MAX, "file too large")?;
        let chunk_fits = match attr.content {
            ContentRef::Chunk { size, .. } => (1..=limits::SINGLE_CHUNK_MAX).contains(&size),
            ContentRef::Manifest { size, .. } => size > limits::SINGLE_CHUNK_MAX,
            ContentRef::Empty => true,
        };
        ensure(chunk_fits, "content size does not fit its form")?;
        if attr.kind == NodeKind::Symlink {
            let len = self.target.len();
            ensure(
                (1..=limits::SYMLINK_MAX).contains(&len) && len as u64 == attr.content.size(),
                "symlink target does not fit its content",
            )?;
        } else {
            ensure(
                self.target.is_empty(),
                "target on a node that is no symlink",
            )?;
        }
        ensure(
            self.dir.is_some() == (attr.kind == NodeKind::Dir),
            "listing missing on a directory or present on another node",
        )?;
        let mut bytes = 0;
        for (name, value) in &self.xattrs {
            let fits = (1..=limits::XATTR_NAME_MAX).contains(&name.len())
                && value.len() <= limits::XATTR_VALUE_MAX;
            ensure(fits, "xattr too long or without a name")?;
            bytes += name.len() + value.len();
        }
        ensure(bytes <= limits::XATTR_TOTAL_MAX, "xattrs too large")
    }

    /// Appends the record's bytes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), TreeError> {
        self.check()?;
        let attr = &self.attr;
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        out.push(attr.kind as u8);
        out.push(
            flag(self.git.is_some(), GIT)
                | flag(!self.xattrs.is_empty(), XATTRS)
                | flag(self.git_refused, REFUSED)
                | flag(attr.uid != Owner::Mounter, UID)
                | flag(attr.gid != Owner::Mounter, GID),
        );
        out.extend(attr.id.0.to_le_bytes());
        out.extend(attr.mode.to_le_bytes());
        out.extend(attr.nlink.to_le_bytes());
        out.extend(attr.mtime.0.to_le_bytes());
        out.extend(attr.ctime.0.to_le_bytes());
        for owner in [attr.uid, attr.gid] {
            if let Owner::Id(id) = owner {
                out.extend(id.to_le_bytes());
            }
        }
        if has_content(attr.kind) {
            encode_content(&attr.content, out);
        }
        if attr.kind == NodeKind::Symlink {
            out.extend((self.target.len() as u16).to_le_bytes());
            out.extend_from_slice(&self.target);
        }
        if let Some(oid) = &self.git {
            out.extend(oid.0);
        }
        if !self.xattrs.is_empty() {
            let count =
                u16::try_from(self.xattrs.len()).map_err(|_| TreeError::new("too many xattrs"))?;
            out.extend(count.to_le_bytes());
            for (name, value) in &self.xattrs {
                out.push(name.len() as u8);
                out.extend_from_slice(name);
                out.extend((value.len() as u32).to_le_bytes());
                out.extend_from_slice(value);
            }
        }
        if let Some(dir) = &self.dir {
            out.extend(dir.object.0);
            out.extend(dir.sem);
            out.extend(dir.snap);
            out.extend(dir.files.to_le_bytes());
            out.extend(dir.links.to_le_bytes());
            out.push(u8::from(dir.git_default));
        }
        Ok(())
    }

    /// Reads one record.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, TreeError> {
        let kind = NodeKind::from_u8(reader.u8()?).ok_or_else(|| TreeError::new("unknown kind"))?;
        let flags = reader.u8()?;
        ensure(flags < 32, "unknown flags")?;
        let mut attr = Attr {
            id: FileId(reader.u64()?),
            kind,
            mode: reader.u16()?,
            uid: Owner::Mounter,
            gid: Owner::Mounter,
            nlink: reader.u32()?,
            mtime: Nanos(reader.i64()?),
            ctime: Nanos(reader.i64()?),
            content: ContentRef::Empty,
        };
        if flags & UID != 0 {
            attr.uid = Owner::Id(reader.u32()?);
        }
        if flags & GID != 0 {
            attr.gid = Owner::Id(reader.u32()?);
        }
        if has_content(kind) {
            attr.content = decode_content(reader)?;
        }
        let mut record = Self::new(attr);
        record.git_refused = flags & REFUSED != 0;
        if kind == NodeKind::Symlink {
            let len = usize::from(reader.u16()?);
            record.target = Bytes::copy_from_slice(reader.take(len)?);
        }
        if flags & GIT != 0 {
            record.git = Some(GitOid(reader.array()?));
        }
        if flags & XATTRS != 0 {
            let count = reader.u16()?;
            ensure(count > 0, "no xattrs where some are flagged")?;
            for _ in 0..count {
                let name_len = usize::from(reader.u8()?);
                let name = reader.take(name_len)?.to_vec();
                let ascending = record
                    .xattrs
                    .last_key_value()
                    .is_none_or(|(l, _)| *l < name);
                ensure(ascending, "xattrs are not sorted")?;
                let value_len = reader.u32()? as usize;
                let value = Bytes::copy_from_slice(reader.take(value_len)?);
                record.xattrs.insert(name, value);
            }
        }
        if kind == NodeKind::Dir {
            record.dir = Some(DirRef {
                object: ObjectId(reader.array()?),
                sem: reader.array()?,
                snap: reader.array()?,
                files: reader.u64()?,
                links: reader.u64()?,
                git_default: match reader.u8()? {
                    0 => false,
                    1 => true,
                    _ => return Err(TreeError::new("a flag is neither 0 nor 1")),
                },
            });
        }
        record.check()?;
        Ok(record)
    }
}

pub(crate) fn encode_content(content: &ContentRef, out: &mut Vec<u8>) {
    let (tag, id, size) = match content {
        ContentRef::Empty => {
            out.push(0);
            return;
        }
        ContentRef::Chunk { id, size } => (1, id, size),
        ContentRef::Manifest { id, size } => (2, id, size),
    };
    out.push(tag);
    out.extend(id.0);
    out.extend(size.to_le_bytes());
}

pub(crate) fn decode_content(reader: &mut Reader<'_>) -> Result<ContentRef, TreeError> {
    let tag = reader.u8()?;
    if tag == 0 {
        return Ok(ContentRef::Empty);
    }
    let id = ObjectId(reader.array()?);
    let size = reader.u64()?;
    match tag {
        1 => Ok(ContentRef::Chunk { id, size }),
        2 => Ok(ContentRef::Manifest { id, size }),
        _ => Err(TreeError::new("unknown form of content")),
    }
}
