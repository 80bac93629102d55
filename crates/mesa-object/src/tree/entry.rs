//! A line of a directory.
//!
//! # Bytes
//!
//! | size | field |
//! |---|---|
//! | 1 + n | length of the name (1 to 255) and the name |
//! | 1 | 0: a record follows ([`super::record`]); 1: a link reference follows |
//! | 9 | link reference: kind (1), file id (8, little-endian) |

use std::borrow::Cow;

use mesa_types::{EntryName, FileId, NodeKind};

use super::{NodeRecord, TreeError, ensure, node::Item};
use crate::{Domain, wire::Reader};

/// A name in a directory with what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Unique in the directory; listings are sorted by its bytes.
    pub name: EntryName,
    /// The node.
    pub target: EntryTarget,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryTarget {
    /// A node that has only this name.
    Node(Box<NodeRecord>),
    /// One of several names of a node whose record is in the snapshot's link table
    /// ([`super::links`]).
    Link {
        /// The node.
        id: FileId,
        /// Its type, so that listings need no look-up.
        kind: NodeKind,
    },
}

impl Entry {
    /// Type of the node.
    pub fn kind(&self) -> NodeKind {
        match &self.target {
            EntryTarget::Node(node) => node.attr.kind,
            EntryTarget::Link { kind, .. } => *kind,
        }
    }

    /// Identity of the node.
    pub fn file_id(&self) -> FileId {
        match &self.target {
            EntryTarget::Node(node) => node.attr.id,
            EntryTarget::Link { id, .. } => *id,
        }
    }
}

impl Item for Entry {
    const DOMAIN: Domain = Domain::Directory;
    const BYTES_MIN: usize = 12;

    fn key(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.name.as_bytes())
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), TreeError> {
        let name = self.name.as_bytes();
        out.push(name.len() as u8);
        out.extend_from_slice(name);
        match &self.target {
            EntryTarget::Node(record) => {
                ensure(
                    record.attr.nlink == 1,
                    "a hard-linked node outside the link table",
                )?;
                out.push(0);
                record.encode(out)
            }
            EntryTarget::Link { id, kind } => {
                ensure(*kind != NodeKind::Dir, "a directory as link reference")?;
                out.push(1);
                out.push(*kind as u8);
                out.extend(id.0.to_le_bytes());
                Ok(())
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, TreeError> {
        let len = usize::from(reader.u8()?);
        let name = EntryName::new(reader.take(len)?).map_err(|_| TreeError::new("bad name"))?;
        let target = match reader.u8()? {
            0 => {
                let record = NodeRecord::decode(reader)?;
                ensure(
                    record.attr.nlink == 1,
                    "a hard-linked node outside the link table",
                )?;
                EntryTarget::Node(Box::new(record))
            }
            1 => {
                let kind = NodeKind::from_u8(reader.u8()?)
                    .filter(|kind| *kind != NodeKind::Dir)
                    .ok_or_else(|| TreeError::new("bad kind of link reference"))?;
                EntryTarget::Link {
                    id: FileId(reader.u64()?),
                    kind,
                }
            }
            _ => return Err(TreeError::new("unknown form of entry")),
        };
        Ok(Self { name, target })
    }
}
