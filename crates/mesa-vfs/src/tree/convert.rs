//! Listings of the mount protocol to the tree's values. What a server may have sent wrong is refused
//! here, once.

use bytes::Bytes;
use mesa_proto::{
    convert::{Malformed, attr_from_wire, attr_to_wire},
    v1,
};
use mesa_types::{Attr, EntryName, FileId, NodeKind, ObjectId};

use super::node::{DirState, Name, Node};

/// A node as a listing tells it.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct ListedNode {
    pub attr: Attr,
    /// Target of a symlink, or a small file's bytes when they were asked for.
    pub inline: Bytes,
    pub xattrs: Vec<(Box<[u8]>, Bytes)>,
    pub tree: Option<ObjectId>,
    pub conflicted: bool,
}

impl ListedNode {
    /// As a node that hangs at `parent` under `name`.
    pub fn into_node(self, parent: FileId, name: Name, as_of: u64) -> Node {
        let attr = self.attr;
        let mut node = Node {
            id: attr.id,
            kind: attr.kind,
            mode: attr.mode,
            conflicted: self.conflicted,
            stale: false,
            orphan: false,
            pending: 0,
            uid: attr.uid,
            gid: attr.gid,
            nlink: attr.nlink.max(1),
            pages: 0,
            lookups: 0,
            mtime: attr.mtime,
            ctime: attr.ctime,
            as_of,
            parent,
            name,
            content: attr.content,
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

/// A node as it would be sent.
pub fn node_to_wire(node: &Node) -> v1::Node {
    let attr = Attr {
        id: node.id,
        kind: node.kind,
        mode: node.mode,
        uid: node.uid,
        gid: node.gid,
        nlink: node.nlink,
        mtime: node.mtime,
        ctime: node.ctime,
        content: node.content,
    };
    let xattrs = node.extra.iter().flat_map(|extra| &extra.xattrs);
    let xattrs = xattrs.map(|(name, value)| v1::Xattr {
        name: Bytes::copy_from_slice(name),
        value: value.clone(),
    });
    v1::Node {
        inline: node.target(),
        xattrs: xattrs.collect(),
        tree: node
            .dir()
            .and_then(|dir| dir.tree)
            .map_or_else(Bytes::new, |tree| Bytes::copy_from_slice(&tree.0)),
        conflicted: node.conflicted,
        ..attr_to_wire(&attr)
    }
}

/// A node as sent.
pub fn node_from_wire(node: v1::Node) -> Result<ListedNode, Malformed> {
    let attr = attr_from_wire(&node)?;
    if attr.id.0 == 0 || attr.id.0 >> 62 != 0 {
        return Err(Malformed("file id out of range"));
    }
    let tree = match node.tree.len() {
        0 => None,
        _ => Some(ObjectId::from_slice(&node.tree).ok_or(Malformed("tree id length"))?),
    };
    Ok(ListedNode {
        attr,
        inline: node.inline,
        xattrs: node
            .xattrs
            .into_iter()
            .map(|x| (Box::from(&x.name[..]), x.value))
            .collect(),
        tree,
        conflicted: node.conflicted,
    })
}

/// A name as sent.
pub fn name_from_wire(name: &[u8]) -> Result<Name, Malformed> {
    EntryName::check(name).map_err(|_| Malformed("entry name"))?;
    Ok(Name::new(name))
}
