//! The tree of a head in memory: nodes by file id, listings loaded when an operation needs them.
//!
//! No I/O. Before an operation is applied, [`Tree::needs`] says what has to be loaded; the caller
//! loads it, gives it to [`Tree::attach_listing`] or [`Tree::attach_links`] and asks again. A node is in
//! memory only if the listing that names it is (hard-linked nodes: or the link table), so every
//! ancestor of a node in memory is in memory too.

mod apply;
mod needs;
mod node;
mod refusal;
mod seal;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};

use mesa_object::tree::{Entry, EntryTarget, LinkRecord, NodeRecord, Root};
use mesa_types::{Attr, ContentRef, EntryName, FileId, Nanos, NodeKind, ObjectId, Owner, limits};

pub use self::{
    apply::Applied,
    needs::{Need, Walk},
    node::{Dir, Node},
    refusal::Refusal,
    seal::{PlanDir, PlanEntry, SealPlan, Sealed, SealedListing},
};

/// Stored listings that contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("damaged tree: {0}")]
pub struct DamagedTree(pub &'static str);

/// Removed ids remembered, so that late operations on them do not search the whole tree.
const REMOVED_MAX: usize = 65_536;

/// A tree of nodes.
#[derive(Debug)]
pub struct Tree {
    root: FileId,
    nodes: HashMap<FileId, Node>,
    links: Links,
    removed: HashSet<FileId>,
    /// Ids looked for in the whole tree without success.
    absent: HashSet<FileId>,
}

#[derive(Debug)]
struct Links {
    /// The table as last sealed.
    sealed: Option<ObjectId>,
    /// Whether its records are in memory.
    loaded: bool,
    /// Sequence of the last change to a record in it.
    changed: u64,
    /// Nodes in it now.
    ids: HashSet<FileId>,
}

impl Tree {
    /// The tree of a repo without any snapshot: an empty root directory.
    pub fn empty(root: FileId, created: Nanos) -> Self {
        let attr = Attr {
            id: root,
            kind: NodeKind::Dir,
            mode: 0o755,
            uid: Owner::Mounter,
            gid: Owner::Mounter,
            nlink: 1,
            mtime: created,
            ctime: created,
            content: ContentRef::Empty,
        };
        Self::from_root(Root {
            dir: NodeRecord {
                attr,
                xattrs: BTreeMap::new(),
                target: bytes::Bytes::new(),
                git: None,
                git_refused: false,
                dir: None,
            },
            links: None,
            conflicts: None,
        })
    }

    /// The tree of a snapshot, with nothing but the root in memory.
    pub fn from_root(root: Root) -> Self {
        let id = root.dir.attr.id;
        Self {
            root: id,
            nodes: HashMap::from([(id, Node::from_record(root.dir))]),
            links: Links {
                sealed: root.links,
                loaded: root.links.is_none(),
                changed: 0,
                ids: HashSet::new(),
            },
            removed: HashSet::new(),
            absent: HashSet::new(),
        }
    }

    /// The root directory's id.
    pub fn root(&self) -> FileId {
        self.root
    }

    /// Nodes in memory.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing is in memory; never the case.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A node in memory.
    pub fn node(&self, id: FileId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// The listing of a directory in memory, if loaded.
    pub fn listing(&self, id: FileId) -> Option<&BTreeMap<EntryName, FileId>> {
        self.dir(id)?.children.as_ref()
    }

    /// Whether the listing of `id`, or anything below it, differs from what `dir.sealed` says.
    pub fn is_changed(&self, id: FileId) -> bool {
        self.dir(id)
            .is_some_and(|dir| dir.sealed.is_none() || dir.changed > 0)
    }

    /// The link table's object, while its records are not in memory.
    pub fn links_unloaded(&self) -> Option<ObjectId> {
        self.links.sealed.filter(|_| !self.links.loaded)
    }

    fn dir(&self, id: FileId) -> Option<&Dir> {
        self.nodes.get(&id)?.dir.as_ref()
    }

    /// Takes a loaded listing.
    pub fn attach_listing(&mut self, id: FileId, entries: Vec<Entry>) -> Result<(), DamagedTree> {
        let dir = self.dir(id).ok_or(DamagedTree("listing of no directory"))?;
        if dir.children.is_some() {
            return Ok(());
        }
        let mut children = BTreeMap::new();
        for Entry { name, target } in entries {
            let child = match target {
                EntryTarget::Node(record) => {
                    let child = record.attr.id;
                    let mut node = Node::from_record(*record);
                    node.names.push((id, name.clone()));
                    if self.nodes.insert(child, node).is_some() {
                        return Err(DamagedTree("two places for one node"));
                    }
                    child
                }
                EntryTarget::Link { id: child, .. } => {
                    let node = self
                        .nodes
                        .get_mut(&child)
                        .ok_or(DamagedTree("a link to no node"))?;
                    node.names.push((id, name.clone()));
                    child
                }
            };
            children.insert(name, child);
        }
        if let Some(dir) = self.nodes.get_mut(&id).and_then(|n| n.dir.as_mut()) {
            dir.children = Some(children);
        }
        Ok(())
    }

    /// Takes the records of the link table.
    pub fn attach_links(&mut self, records: Vec<LinkRecord>) -> Result<(), DamagedTree> {
        if self.links.loaded {
            return Ok(());
        }
        for record in records {
            let id = record.attr.id;
            self.links.ids.insert(id);
            if self.nodes.insert(id, Node::from_record(record)).is_some() {
                return Err(DamagedTree("a linked node has a place of its own"));
            }
        }
        self.links.loaded = true;
        Ok(())
    }

    /// Follows a path through listings in memory.
    pub fn walk(&self, path: &[u8]) -> Walk {
        let mut at = self.root;
        if path.is_empty() {
            return Walk::Found(at);
        }
        for name in path.split(|&b| b == b'/') {
            let Some(dir) = self.dir(at) else {
                return Walk::NotDir;
            };
            let Some(children) = dir.children.as_ref() else {
                return Walk::Unloaded(at);
            };
            match children.get(name) {
                Some(&child) => at = child,
                None => return Walk::Absent,
            }
        }
        Walk::Found(at)
    }

    /// A path of a node in memory, from the root without a leading slash; `None` if the node is
    /// not in memory or no name of it is.
    pub fn path_of(&self, id: FileId) -> Option<Vec<u8>> {
        let mut names: Vec<&[u8]> = Vec::new();
        let mut at = id;
        while at != self.root {
            let (parent, name) = self.nodes.get(&at)?.names.first()?;
            names.push(name.as_bytes());
            at = *parent;
        }
        names.reverse();
        Some(names.join(&b'/'))
    }

    /// Length of the path of a directory in memory, 0 for the root.
    fn path_len(&self, mut at: FileId) -> usize {
        let mut length = 0;
        while let Some((parent, name)) = self.nodes.get(&at).and_then(|n| n.names.first()) {
            length += name.as_bytes().len() + 1;
            at = *parent;
        }
        length.saturating_sub(1)
    }

    fn path_fits(&self, parent: FileId, name: &EntryName) -> Result<(), Refusal> {
        if self.path_len(parent) + 1 + name.as_bytes().len() > limits::PATH_MAX {
            return Err(Refusal::NameTooLong);
        }
        Ok(())
    }

    /// Whether `above` is `id` or one of its ancestors.
    fn is_within(&self, mut id: FileId, above: FileId) -> bool {
        loop {
            if id == above {
                return true;
            }
            match self.nodes.get(&id).and_then(|n| n.names.first()) {
                Some((parent, _)) => id = *parent,
                None => return false,
            }
        }
    }

    /// Marks a directory and everything above it as changed by operation `seq`.
    fn mark_dir(&mut self, mut id: FileId, seq: u64) {
        loop {
            let Some(node) = self.nodes.get_mut(&id) else {
                return;
            };
            let Some(dir) = node.dir.as_mut() else {
                return;
            };
            if dir.changed >= seq {
                return;
            }
            dir.changed = seq;
            match node.names.first() {
                Some((parent, _)) => id = *parent,
                None => return,
            }
        }
    }

    /// Marks what stores a node's record: the directories that name it, or the root.
    fn mark_node(&mut self, id: FileId, seq: u64) {
        let Some(node) = self.nodes.get(&id) else {
            return;
        };
        let linked = self.links.ids.contains(&id) || node.is_linked();
        let parents: Vec<FileId> = node.names.iter().map(|(parent, _)| *parent).collect();
        if id == self.root {
            self.mark_dir(id, seq);
        }
        for parent in parents {
            self.mark_dir(parent, seq);
        }
        if linked {
            self.links.changed = seq;
            let node_is_linked = self.nodes.get(&id).is_some_and(Node::is_linked);
            if node_is_linked {
                self.links.ids.insert(id);
            } else {
                self.links.ids.remove(&id);
            }
        }
    }

    fn remember_removed(&mut self, id: FileId) {
        if self.removed.len() >= REMOVED_MAX {
            self.removed.clear();
        }
        self.removed.insert(id);
    }
}
