//! The object a commit points at.
//!
//! # Bytes
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | version, 1 |
//! | 1 | 1 | flags: 1 link table, 2 conflicts |
//! | 2 | 32 | the link table's top node, if flagged |
//! | … | 32 | the conflicts ([`super::conflicts`]), if flagged |
//! | … | … | the root directory's record ([`super::record`]) |

use mesa_types::{NodeKind, ObjectId};

use super::{NodeRecord, TreeError, dir::hash_own, ensure};
use crate::{Domain, Object, OrgKey, wire::Reader};

const VERSION: u8 = 1;
const LINKS: u8 = 1;
const CONFLICTS: u8 = 2;

/// A snapshot: the root directory's own record and the table of hard-linked nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The root directory: attributes, xattrs, listing, git tree.
    pub dir: NodeRecord,
    /// The link table's top node, if any node is hard-linked.
    pub links: Option<ObjectId>,
    /// The conflicts, if any path is in conflict.
    pub conflicts: Option<ObjectId>,
}

impl Root {
    /// Encodes.
    pub fn encode(&self, key: &OrgKey) -> Result<Object, TreeError> {
        ensure(
            self.dir.attr.kind == NodeKind::Dir,
            "the root is no directory",
        )?;
        let flag = |id: &Option<ObjectId>, flag| if id.is_some() { flag } else { 0 };
        let flags = flag(&self.links, LINKS) | flag(&self.conflicts, CONFLICTS);
        let mut out = vec![VERSION, flags];
        for id in self.links.iter().chain(&self.conflicts) {
            out.extend(id.0);
        }
        self.dir.encode(&mut out)?;
        Ok(Object::new(key, Domain::Root, out))
    }

    /// Decodes.
    pub fn decode(bytes: &[u8]) -> Result<Self, TreeError> {
        let mut reader = Reader::new(bytes);
        ensure(reader.u8()? == VERSION, "unknown version")?;
        let flags = reader.u8()?;
        ensure(flags <= LINKS | CONFLICTS, "unknown flags")?;
        let mut id = |flag: u8| match flags & flag {
            0 => Ok(None),
            _ => reader.array().map(|id| Some(ObjectId(id))),
        };
        let (links, conflicts) = (id(LINKS)?, id(CONFLICTS)?);
        let dir = NodeRecord::decode(&mut reader)?;
        ensure(dir.attr.kind == NodeKind::Dir, "the root is no directory")?;
        ensure(reader.remaining() == 0, "bytes after the end")?;
        Ok(Self {
            dir,
            links,
            conflicts,
        })
    }

    /// The value of the commit's `mesa-snapshot` header: [`Self::snap`], or `None` when the whole
    /// snapshot is in git-default state and without conflicts.
    pub fn snapshot_header(&self, key: &OrgKey) -> Option<[u8; 32]> {
        let below = self.dir.dir.as_ref().is_some_and(|dir| dir.git_default);
        let is_default = below && self.dir.is_git_default() && self.conflicts.is_none();
        (!is_default).then(|| self.snap(key))
    }

    /// Digest of the listing's `snap`, the root's own mode, owners and xattrs, and the conflicts:
    /// two snapshots with equal digests need no new commit.
    pub fn snap(&self, key: &OrgKey) -> [u8; 32] {
        let mut hasher = key.hasher(Domain::Snap);
        hash_own(&mut hasher, &self.dir);
        if let Some(conflicts) = &self.conflicts {
            hasher.update(&conflicts.0);
        }
        *hasher.finalize().as_bytes()
    }
}
