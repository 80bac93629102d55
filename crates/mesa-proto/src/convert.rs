//! Conversions between messages and the types of `mesa-types`.

use bytes::Bytes;
use mesa_types::{Attr, ContentRef, FileId, Nanos, NodeKind, ObjectId, Owner};

use crate::v1;

/// A message whose fields contradict each other or a limit: a bug of the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {0}")]
pub struct Malformed(pub &'static str);

/// The message form of a content reference.
pub fn content_to_wire(content: &ContentRef) -> v1::ContentRef {
    match content {
        ContentRef::Empty => v1::ContentRef::default(),
        ContentRef::Chunk { id, size } => v1::ContentRef {
            size: *size,
            id: Bytes::copy_from_slice(&id.0),
            manifest: false,
        },
        ContentRef::Manifest { id, size } => v1::ContentRef {
            size: *size,
            id: Bytes::copy_from_slice(&id.0),
            manifest: true,
        },
    }
}

/// Reads a content reference; an absent message is empty content.
pub fn content_from_wire(content: Option<&v1::ContentRef>) -> Result<ContentRef, Malformed> {
    let Some(content) = content else {
        return Ok(ContentRef::Empty);
    };
    if content.size == 0 {
        return if content.id.is_empty() && !content.manifest {
            Ok(ContentRef::Empty)
        } else {
            Err(Malformed("empty content with an id"))
        };
    }
    let id = ObjectId::from_slice(&content.id).ok_or(Malformed("content id is not 32 bytes"))?;
    let size = content.size;
    match content.manifest {
        true if size > mesa_types::limits::FILE_MAX => Err(Malformed("file too large")),
        true => Ok(ContentRef::Manifest { id, size }),
        false if size > mesa_types::limits::SINGLE_CHUNK_MAX => {
            Err(Malformed("chunk content too large"))
        }
        false => Ok(ContentRef::Chunk { id, size }),
    }
}

/// The optional field of an owner: absent = the mounter.
pub fn owner_to_wire(owner: Owner) -> Option<u32> {
    match owner {
        Owner::Mounter => None,
        Owner::Id(id) => Some(id),
    }
}

/// Reads an owner field.
pub fn owner_from_wire(owner: Option<u32>) -> Owner {
    owner.map_or(Owner::Mounter, Owner::Id)
}

/// A node message with these attributes; `inline`, `xattrs`, `tree` and `conflicted` are left
/// empty.
pub fn attr_to_wire(attr: &Attr) -> v1::Node {
    v1::Node {
        id: attr.id.0,
        kind: attr.kind as u32,
        mode: u32::from(attr.mode),
        uid: owner_to_wire(attr.uid),
        gid: owner_to_wire(attr.gid),
        nlink: attr.nlink,
        mtime_ns: attr.mtime.0,
        ctime_ns: attr.ctime.0,
        content: Some(content_to_wire(&attr.content)),
        ..v1::Node::default()
    }
}

/// Reads the attributes of a node message.
pub fn attr_from_wire(node: &v1::Node) -> Result<Attr, Malformed> {
    Ok(Attr {
        id: FileId(node.id),
        kind: kind_from_wire(node.kind)?,
        mode: mode_from_wire(node.mode)?,
        uid: owner_from_wire(node.uid),
        gid: owner_from_wire(node.gid),
        nlink: node.nlink,
        mtime: Nanos(node.mtime_ns),
        ctime: Nanos(node.ctime_ns),
        content: content_from_wire(node.content.as_ref())?,
    })
}

/// Reads a node kind.
pub fn kind_from_wire(kind: u32) -> Result<NodeKind, Malformed> {
    u8::try_from(kind)
        .ok()
        .and_then(NodeKind::from_u8)
        .ok_or(Malformed("unknown node kind"))
}

/// Reads permission bits.
pub fn mode_from_wire(mode: u32) -> Result<u16, Malformed> {
    match u16::try_from(mode) {
        Ok(mode) if mode <= 0o7777 => Ok(mode),
        _ => Err(Malformed("mode has bits beyond 0o7777")),
    }
}
