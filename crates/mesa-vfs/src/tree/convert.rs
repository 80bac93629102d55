//! Messages of the mount protocol to the tree's values and back. What a server may have sent wrong
//! is refused here, once.

use bytes::Bytes;
use mesa_proto::v1;
use mesa_types::{
    ContentRef, EntryName, FileId, Nanos, NodeKind, ObjectId, Owner, limits::SINGLE_CHUNK_MAX,
};

use super::node::{DirState, Name, Node};

/// A message the server must not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server sent {0}")]
pub struct BadMessage(pub &'static str);

/// A node as a listing tells it.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct ListedNode {
    pub id: FileId,
    pub kind: NodeKind,
    pub mode: u16,
    pub uid: Owner,
    pub gid: Owner,
    pub nlink: u32,
    pub mtime: Nanos,
    pub ctime: Nanos,
    pub content: ContentRef,
    /// Target of a symlink, or a small file's bytes when they were asked for.
    pub inline: Bytes,
    pub xattrs: Vec<(Box<[u8]>, Bytes)>,
    pub tree: Option<ObjectId>,
    pub conflicted: bool,
}

impl ListedNode {
    /// As a node that hangs at `parent` under `name`.
    pub fn into_node(self, parent: FileId, name: Name, as_of: u64) -> Node {
        let mut node = Node {
            id: self.id,
            kind: self.kind,
            mode: self.mode,
            conflicted: self.conflicted,
            orphan: false,
            uid: self.uid,
            gid: self.gid,
            nlink: self.nlink,
            lookups: 0,
            mtime: self.mtime,
            ctime: self.ctime,
            as_of,
            parent,
            name,
            content: self.content,
            extra: None,
        };
        if node.is_dir() {
            node.extra_mut().dir = Some(DirState::unloaded(self.tree));
        }
        if node.kind == NodeKind::Symlink {
            node.extra_mut().target = self.inline;
        }
        if !self.xattrs.is_empty() {
            node.extra_mut().xattrs = self.xattrs.into_iter().collect();
        }
        node
    }
}

/// An owner as sent: absent = the mounter.
pub fn owner_from_proto(id: Option<u32>) -> Owner {
    id.map_or(Owner::Mounter, Owner::Id)
}

/// An owner to send.
pub fn owner_to_proto(owner: Owner) -> Option<u32> {
    match owner {
        Owner::Mounter => None,
        Owner::Id(id) => Some(id),
    }
}

/// A content reference as sent; absent = empty.
pub fn content_from_proto(content: Option<&v1::ContentRef>) -> Result<ContentRef, BadMessage> {
    let Some(content) = content else {
        return Ok(ContentRef::Empty);
    };
    let size = content.size;
    if size == 0 {
        return Ok(ContentRef::Empty);
    }
    let id =
        ObjectId::from_slice(&content.id).ok_or(BadMessage("a content id of a wrong length"))?;
    match content.manifest {
        true => Ok(ContentRef::Manifest { id, size }),
        false if size <= SINGLE_CHUNK_MAX => Ok(ContentRef::Chunk { id, size }),
        false => Err(BadMessage("a single chunk that is too large")),
    }
}

/// A content reference to send.
pub fn content_to_proto(content: ContentRef) -> v1::ContentRef {
    match content {
        ContentRef::Empty => v1::ContentRef::default(),
        ContentRef::Chunk { id, size } | ContentRef::Manifest { id, size } => v1::ContentRef {
            size,
            id: id.0.to_vec().into(),
            manifest: matches!(content, ContentRef::Manifest { .. }),
        },
    }
}

/// A node as sent.
pub fn node_from_proto(node: v1::Node) -> Result<ListedNode, BadMessage> {
    let kind = u8::try_from(node.kind)
        .ok()
        .and_then(NodeKind::from_u8)
        .ok_or(BadMessage("a node of an unknown kind"))?;
    if node.id == 0 || node.id >> 62 != 0 {
        return Err(BadMessage("a file id out of range"));
    }
    let tree = match node.tree.len() {
        0 => None,
        _ => Some(
            ObjectId::from_slice(&node.tree).ok_or(BadMessage("a tree id of a wrong length"))?,
        ),
    };
    Ok(ListedNode {
        id: FileId(node.id),
        kind,
        mode: (node.mode & 0o7777) as u16,
        uid: owner_from_proto(node.uid),
        gid: owner_from_proto(node.gid),
        nlink: node.nlink.max(1),
        mtime: Nanos(node.mtime_ns),
        ctime: Nanos(node.ctime_ns),
        content: content_from_proto(node.content.as_ref())?,
        inline: Bytes::from(node.inline),
        xattrs: node
            .xattrs
            .into_iter()
            .map(|x| (Box::from(&x.name[..]), Bytes::from(x.value)))
            .collect(),
        tree,
        conflicted: node.conflicted,
    })
}

/// A name as sent.
pub fn name_from_proto(name: &[u8]) -> Result<Name, BadMessage> {
    EntryName::check(name).map_err(|_| BadMessage("an entry name that is not one"))?;
    Ok(Name::new(name))
}
