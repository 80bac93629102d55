//! Operations as validated values: what a [`v1::Op`] becomes once its fields have been checked
//! against every rule that needs no tree.

use bytes::Bytes;
use mesa_proto::{
    Malformed,
    convert::{content_from_wire, kind_from_wire, mode_from_wire, owner_from_wire},
    v1::{self, op::Kind},
};
use mesa_types::{ContentRef, EntryName, FileId, Nanos, NodeKind, Owner, limits};

/// One filesystem operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    /// The client's time of the operation.
    pub time: Nanos,
    /// Hint: path of the directory operated in, or of the node.
    pub path: Bytes,
    /// What to do.
    pub kind: OpKind,
}

/// A name in a directory, with the identity the client saw there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The directory.
    pub parent: FileId,
    /// The name.
    pub name: EntryName,
    /// The node.
    pub id: FileId,
}

/// What an operation does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpKind {
    /// A new node.
    Create(Box<Create>),
    /// Another name for a node; the path is a hint for the node.
    Link {
        /// The new name.
        place: Place,
        /// Hint: a present path of the node.
        source_path: Bytes,
    },
    /// Removes a name of something that is not a directory.
    Unlink(Place),
    /// Removes an empty directory.
    Rmdir(Place),
    /// Moves a name.
    Rename {
        /// The present name.
        from: Place,
        /// The directory moved to.
        new_parent: FileId,
        /// The name there.
        new_name: EntryName,
        /// Hint for `new_parent`.
        new_path: Bytes,
        /// What the new name stood for, if anything.
        replaced: Option<FileId>,
        /// Swap the two names instead.
        exchange: bool,
    },
    /// Attributes.
    SetAttr {
        /// The node.
        id: FileId,
        /// New permission bits.
        mode: Option<u16>,
        /// New user and group.
        owner: Option<(Owner, Owner)>,
        /// New modification time.
        mtime: Option<Nanos>,
    },
    /// Content of a file.
    SetContent(Box<SetContent>),
    /// Sets an extended attribute.
    SetXattr {
        /// The node.
        id: FileId,
        /// Full name.
        name: Bytes,
        /// Value.
        value: Bytes,
        /// Whether it must be absent or present before.
        must: XattrMust,
    },
    /// Removes an extended attribute.
    RemoveXattr {
        /// The node.
        id: FileId,
        /// Full name.
        name: Bytes,
    },
}

/// A new node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// Where.
    pub place: Place,
    /// Type.
    pub kind: NodeKind,
    /// Permission bits.
    pub mode: u16,
    /// User.
    pub uid: Owner,
    /// Group.
    pub gid: Owner,
    /// Target of a symlink.
    pub target: Bytes,
    /// Modification time.
    pub mtime: Nanos,
    /// Content of a file.
    pub content: ContentRef,
    /// Its bytes, when they travel along.
    pub inline: Bytes,
}

/// New content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetContent {
    /// The file.
    pub id: FileId,
    /// What the writer began with.
    pub base: ContentRef,
    /// The whole result on `base`.
    pub content: ContentRef,
    /// Its bytes, when they travel along.
    pub inline: Bytes,
    /// Ranges of the result that the writer wrote; empty = everything.
    pub extents: Vec<std::ops::Range<u64>>,
    /// The writer set the size.
    pub resized: bool,
    /// Modification time.
    pub mtime: Nanos,
}

/// Condition of [`OpKind::SetXattr`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XattrMust {
    /// None.
    Nothing,
    /// `XATTR_CREATE`.
    BeAbsent,
    /// `XATTR_REPLACE`.
    BePresent,
}

/// Most extents in one [`SetContent`].
pub const EXTENTS_MAX: usize = 16_384;

impl Op {
    /// Checks a message.
    pub fn from_wire(op: &v1::Op) -> Result<Self, Malformed> {
        let path = hint(&op.path)?;
        let kind = match op.kind.as_ref() {
            Some(kind) => kind_of(kind, Nanos(op.time_ns))?,
            // Also what an operation of a later protocol version looks like.
            None => return Err(Malformed("operation of unknown kind")),
        };
        Ok(Self {
            time: Nanos(op.time_ns),
            path,
            kind,
        })
    }

    /// The content the operation brings, with the bytes that travel along, for operations that
    /// bring one.
    pub fn content(&self) -> Option<(ContentRef, &Bytes)> {
        match &self.kind {
            OpKind::Create(create) => Some((create.content, &create.inline)),
            OpKind::SetContent(set) => Some((set.content, &set.inline)),
            _ => None,
        }
    }
}

fn kind_of(kind: &Kind, time: Nanos) -> Result<OpKind, Malformed> {
    Ok(match kind {
        Kind::Create(create) => OpKind::Create(Box::new(create_of(create, time)?)),
        Kind::Link(link) => OpKind::Link {
            place: place(link.parent, &link.name, link.id)?,
            source_path: hint(&link.source_path)?,
        },
        Kind::Unlink(unlink) => OpKind::Unlink(place(unlink.parent, &unlink.name, unlink.id)?),
        Kind::Rmdir(rmdir) => OpKind::Rmdir(place(rmdir.parent, &rmdir.name, rmdir.id)?),
        Kind::Rename(rename) => OpKind::Rename {
            from: place(rename.parent, &rename.name, rename.id)?,
            new_parent: file_id(rename.new_parent)?,
            new_name: entry_name(&rename.new_name)?,
            new_path: hint(&rename.new_path)?,
            replaced: match (rename.replaced, rename.exchange) {
                (0, true) => return Err(Malformed("exchange without the other node")),
                (0, false) => None,
                (id, _) => Some(FileId(id)),
            },
            exchange: rename.exchange,
        },
        Kind::SetAttr(set) => OpKind::SetAttr {
            id: file_id(set.id)?,
            mode: set.mode.map(mode_from_wire).transpose()?,
            owner: set
                .set_owner
                .then(|| (owner_from_wire(set.uid), owner_from_wire(set.gid))),
            mtime: set.mtime_ns.map(Nanos),
        },
        Kind::SetContent(set) => OpKind::SetContent(Box::new(set_content_of(set, time)?)),
        Kind::SetXattr(set) => OpKind::SetXattr {
            id: file_id(set.id)?,
            name: xattr_name(&set.name)?,
            value: if set.value.len() > limits::XATTR_VALUE_MAX {
                return Err(Malformed("attribute value too long"));
            } else {
                set.value.clone()
            },
            must: match set.flags {
                0 => XattrMust::Nothing,
                1 => XattrMust::BeAbsent,
                2 => XattrMust::BePresent,
                _ => return Err(Malformed("unknown attribute flags")),
            },
        },
        Kind::RemoveXattr(remove) => OpKind::RemoveXattr {
            id: file_id(remove.id)?,
            name: xattr_name(&remove.name)?,
        },
    })
}

fn create_of(create: &v1::Create, time: Nanos) -> Result<Create, Malformed> {
    let kind = kind_from_wire(create.kind)?;
    let content = content_from_wire(create.content.as_ref())?;
    match kind {
        NodeKind::Gitlink => return Err(Malformed("gitlinks are not made by mounts")),
        NodeKind::Symlink => {
            if create.target.is_empty() || create.target.contains(&0) {
                return Err(Malformed("symlink target is empty or has a NUL"));
            }
            if create.target.len() > limits::SYMLINK_MAX {
                return Err(Malformed("symlink target too long"));
            }
        }
        _ if !create.target.is_empty() => return Err(Malformed("target of a non-symlink")),
        _ => {}
    }
    if kind != NodeKind::File && content != ContentRef::Empty {
        return Err(Malformed("content of something that is not a file"));
    }
    Ok(Create {
        place: place(create.parent, &create.name, create.id)?,
        kind,
        mode: mode_from_wire(create.mode)?,
        uid: owner_from_wire(create.uid),
        gid: owner_from_wire(create.gid),
        target: create.target.clone(),
        mtime: or_time(create.mtime_ns, time),
        content,
        inline: inline(&create.inline, &content)?,
    })
}

fn set_content_of(set: &v1::SetContent, time: Nanos) -> Result<SetContent, Malformed> {
    let content = content_from_wire(set.content.as_ref())?;
    if set.extents.len() > EXTENTS_MAX {
        return Err(Malformed("too many extents"));
    }
    let mut extents = Vec::with_capacity(set.extents.len());
    let mut from = 0;
    for extent in &set.extents {
        let end = extent.offset.checked_add(extent.length);
        match end {
            Some(end) if extent.offset >= from && extent.length > 0 && end <= content.size() => {
                extents.push(extent.offset..end);
                from = end;
            }
            _ => {
                return Err(Malformed(
                    "extents overlap, are empty or beyond the content",
                ));
            }
        }
    }
    Ok(SetContent {
        id: file_id(set.id)?,
        base: content_from_wire(set.base.as_ref())?,
        content,
        inline: inline(&set.inline, &content)?,
        extents,
        resized: set.resized,
        mtime: or_time(set.mtime_ns, time),
    })
}

fn or_time(mtime_ns: i64, time: Nanos) -> Nanos {
    if mtime_ns == 0 { time } else { Nanos(mtime_ns) }
}

/// The bytes along with a content; whether they hash to it is checked by who knows the org's key.
fn inline(bytes: &Bytes, content: &ContentRef) -> Result<Bytes, Malformed> {
    if bytes.is_empty() {
        return Ok(Bytes::new());
    }
    let fits = bytes.len() <= limits::INLINE_MAX
        && bytes.len() as u64 == content.size()
        && matches!(content, ContentRef::Chunk { .. });
    if fits {
        Ok(bytes.clone())
    } else {
        Err(Malformed("inline bytes do not fit the content"))
    }
}

fn place(parent: u64, name: &[u8], id: u64) -> Result<Place, Malformed> {
    Ok(Place {
        parent: file_id(parent)?,
        name: entry_name(name)?,
        id: file_id(id)?,
    })
}

fn file_id(id: u64) -> Result<FileId, Malformed> {
    if id == 0 || id >> 62 != 0 {
        return Err(Malformed("not a file id"));
    }
    Ok(FileId(id))
}

fn entry_name(name: &[u8]) -> Result<EntryName, Malformed> {
    EntryName::new(name).map_err(|_| Malformed("not a name of a directory entry"))
}

fn xattr_name(name: &Bytes) -> Result<Bytes, Malformed> {
    if name.is_empty() || name.len() > limits::XATTR_NAME_MAX || name.contains(&0) {
        return Err(Malformed("not a name of an extended attribute"));
    }
    Ok(name.clone())
}

fn hint(path: &Bytes) -> Result<Bytes, Malformed> {
    // Directories can be moved below each other until no system call takes the whole path; what
    // is in them is still reached, step by step. Without a hint the tree is searched.
    if path.is_empty() || path.len() > limits::PATH_MAX {
        return Ok(Bytes::new());
    }
    if path
        .split(|&b| b == b'/')
        .any(|name| EntryName::check(name).is_err())
    {
        return Err(Malformed("path hint is not a path"));
    }
    Ok(path.clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    proptest! {
        /// Whatever decodes as a message is either refused or obeys the rules.
        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(op) = v1::Op::decode(&bytes[..]) {
                let _ = Op::from_wire(&op);
            }
        }

        #[test]
        fn creations_are_judged(
            parent: u64, id: u64, kind in 0_u32..9, mode: u32,
            name in prop::collection::vec(any::<u8>(), 0..300),
            target in prop::collection::vec(any::<u8>(), 0..8),
            inline in prop::collection::vec(any::<u8>(), 0..8),
            size: u64, manifest: bool,
        ) {
            let create = v1::Create {
                parent, id, kind, mode, name: name.into(), target: target.into(),
                inline: inline.into(),
                content: Some(v1::ContentRef { size, id: Bytes::from_static(&[1; 32]), manifest }),
                ..v1::Create::default()
            };
            let op = v1::Op { kind: Some(Kind::Create(create)), ..v1::Op::default() };
            if let Ok(Op { kind: OpKind::Create(create), .. }) = Op::from_wire(&op) {
                prop_assert!(create.mode <= 0o7777);
                prop_assert!(create.place.id.0 != 0 && create.place.id.0 >> 62 == 0);
                prop_assert_eq!(create.kind == NodeKind::Symlink, !create.target.is_empty());
                prop_assert!(create.inline.is_empty()
                    || create.inline.len() as u64 == create.content.size());
            }
        }
    }

    #[test]
    fn extents_ascend_within_the_content() {
        let set = |extents: &[(u64, u64)]| {
            let extents = extents.iter();
            let set = v1::SetContent {
                id: 5,
                content: Some(v1::ContentRef {
                    size: 10,
                    id: Bytes::from_static(&[1; 32]),
                    manifest: false,
                }),
                extents: extents
                    .map(|&(offset, length)| v1::Extent { offset, length })
                    .collect(),
                ..v1::SetContent::default()
            };
            Op::from_wire(&v1::Op {
                kind: Some(Kind::SetContent(set)),
                ..v1::Op::default()
            })
        };
        assert!(set(&[]).is_ok() && set(&[(0, 3), (3, 7)]).is_ok());
        for bad in [
            &[(0, 0)][..],
            &[(5, 6)],
            &[(3, 2), (4, 1)],
            &[(4, 1), (0, 1)],
            &[(u64::MAX, 2)],
        ] {
            assert!(set(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn hints_are_paths() {
        for good in ["", "a", "a/b"] {
            assert!(hint(&Bytes::from_static(good.as_bytes())).is_ok());
        }
        for bad in ["/", "/a", "a/", "a//b", "a/../b", "."] {
            assert!(hint(&Bytes::from_static(bad.as_bytes())).is_err(), "{bad}");
        }
    }
}
