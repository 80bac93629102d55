//! The object a commit points at.
//!
//! # Bytes
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | version, 1 |
//! | 1 | 1 | 1 if there is a link table, else 0 |
//! | 2 | 32 | the link table's top node, if there is one |
//! | … | … | the root directory's record ([`super::record`]) |

use mesa_types::{NodeKind, ObjectId};

use super::{NodeRecord, TreeError, dir::hash_own, ensure};
use crate::{Domain, Object, OrgKey, wire::Reader};

const VERSION: u8 = 1;

/// A snapshot: the root directory's own record and the table of hard-linked nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The root directory: attributes, xattrs, listing, git tree.
    pub dir: NodeRecord,
    /// The link table's top node, if any node is hard-linked.
    pub links: Option<ObjectId>,
}

impl Root {
    /// Encodes.
    pub fn encode(&self, key: &OrgKey) -> Result<Object, TreeError> {
        ensure(
            self.dir.attr.kind == NodeKind::Dir,
            "the root is no directory",
        )?;
        let mut out = vec![VERSION, u8::from(self.links.is_some())];
        if let Some(id) = &self.links {
            out.extend(id.0);
        }
        self.dir.encode(&mut out)?;
        Ok(Object::new(key, Domain::Root, out))
    }

    /// Decodes.
    pub fn decode(bytes: &[u8]) -> Result<Self, TreeError> {
        let mut reader = Reader::new(bytes);
        ensure(reader.u8()? == VERSION, "unknown version")?;
        let links = match reader.u8()? {
            0 => None,
            1 => Some(ObjectId(reader.array()?)),
            _ => return Err(TreeError::new("a flag is neither 0 nor 1")),
        };
        let dir = NodeRecord::decode(&mut reader)?;
        ensure(dir.attr.kind == NodeKind::Dir, "the root is no directory")?;
        ensure(reader.remaining() == 0, "bytes after the end")?;
        Ok(Self { dir, links })
    }

    /// The value of the commit's `mesa-snapshot` header: [`Self::snap`], or `None` when the whole
    /// snapshot is in git-default state.
    pub fn snapshot_header(&self, key: &OrgKey) -> Option<[u8; 32]> {
        let below = self.dir.dir.as_ref().is_some_and(|dir| dir.git_default);
        (!below || !self.dir.is_git_default()).then(|| self.snap(key))
    }

    /// Digest of the listing's `snap` and the root's own mode, owners and xattrs: two snapshots
    /// with equal digests need no new commit.
    pub fn snap(&self, key: &OrgKey) -> [u8; 32] {
        let mut hasher = key.hasher(Domain::Snap);
        hash_own(&mut hasher, &self.dir);
        *hasher.finalize().as_bytes()
    }
}
