//! What a path has in one tree.

use mesa_object::tree::{NodeRecord, Root};
use mesa_types::{ContentRef, GitOid, NodeKind, ObjectId};

/// A node of some snapshot. Hard-linked nodes have their record here as every other
/// (`node.attr.nlink` above 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeValue {
    /// The node.
    pub node: NodeRecord,
    /// The link table of the snapshot it came from, for what is below a directory.
    pub links: Option<ObjectId>,
}

/// What makes two nodes the same thing: what git distinguishes, for everything that can stand in
/// a tree. Attributes beyond the executable bit merge apart from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Substance<'a> {
    File {
        content: ContentRef,
        executable: bool,
    },
    Symlink(&'a [u8]),
    Gitlink(Option<GitOid>),
    Special(NodeKind),
    /// [`mesa_object::tree::DirRef::snap`]; `None` for an empty directory that was never stored.
    Dir(Option<&'a [u8; 32]>),
}

impl TreeValue {
    /// The root of a snapshot.
    pub fn of_root(root: &Root) -> Self {
        Self {
            node: root.dir.clone(),
            links: root.links,
        }
    }

    /// The node's type.
    pub fn kind(&self) -> NodeKind {
        self.node.attr.kind
    }

    /// Whether the owner may execute it, which is what git keeps of a mode.
    pub fn is_executable(&self) -> bool {
        self.node.attr.mode & 0o100 != 0
    }

    /// The listing of a directory.
    pub fn listing(&self) -> Option<ObjectId> {
        self.node.dir.as_ref().map(|dir| dir.object)
    }

    pub(crate) fn substance(&self) -> Substance<'_> {
        let node = &self.node;
        match node.attr.kind {
            NodeKind::File => Substance::File {
                content: node.attr.content,
                executable: self.is_executable(),
            },
            NodeKind::Symlink => Substance::Symlink(&node.target),
            NodeKind::Gitlink => Substance::Gitlink(node.git),
            NodeKind::Dir => Substance::Dir(node.dir.as_ref().map(|dir| &dir.snap)),
            kind @ (NodeKind::Fifo | NodeKind::Socket) => Substance::Special(kind),
        }
    }

    /// Whether both are the same but for times, number of links, and what is derived.
    pub fn is_same(&self, other: &Self) -> bool {
        let (a, b) = (&self.node, &other.node);
        a.attr.id == b.attr.id
            && (a.attr.kind, a.attr.mode) == (b.attr.kind, b.attr.mode)
            && (a.attr.uid, a.attr.gid) == (b.attr.uid, b.attr.gid)
            && a.xattrs == b.xattrs
            && match a.attr.kind {
                // The listing has ids and times, the digest what hard-linked nodes below are.
                NodeKind::Dir => {
                    let below = |node: &NodeRecord| node.dir.as_ref().map(|d| (d.object, d.snap));
                    below(a) == below(b)
                }
                _ => self.substance() == other.substance(),
            }
    }
}
