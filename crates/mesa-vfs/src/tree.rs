//! The namespace of one repo in memory: nodes by file id, directories loaded as they are needed.
//!
//! A [`Tree`] is a plain value behind its repo's lock. It makes no calls and waits for nothing:
//! what it lacks (a directory's listing) its user fetches and hands in. Changes that the kernel
//! did not ask for are left in [`Tree::take_notices`], to be sent after the lock is given back.
//!
//! *Order.* Every directory and every node knows the head sequence its state includes (`as_of`).
//! An event older than that has no effect there. Listings that were read while an event they do
//! not include went by are refused ([`Verdict::Retry`]) and read again.

mod apply;
mod convert;
mod listing;
pub mod node;
pub mod perm;

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

use bytes::Bytes;
use mesa_types::{ContentRef, FileId, NodeKind};

pub use apply::Origin;
pub use convert::{ListedNode, node_from_wire, node_to_wire};
pub use listing::{Listing, Verdict};
pub use node::{DirState, Extra, Loaded, Name, Node};

use crate::fs::{NodeId, Notice};

/// File ids count up, so spreading them is a multiplication.
#[derive(Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 29);
    }
}

const COUNTER_MASK: u64 = (1 << FileId::COUNTER_BITS) - 1;

type IdMap<V> = HashMap<FileId, V, BuildHasherDefault<IdHasher>>;

/// What a [`NodeId`] of the presenter names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolved {
    /// The node as it is now.
    Live(FileId),
    /// A version of the file that is only reachable through descriptors opened before it was
    /// replaced remotely.
    Old(FileId),
}

/// An old version the kernel still knows by its number.
#[derive(Debug)]
struct Old {
    id: FileId,
    lookups: u64,
    handles: u32,
}

/// Marks the number of a version; file ids do not have it.
const VERSION_BIT: u64 = 1 << 63;
/// No file has this id.
const NOBODY: FileId = FileId(0);

/// The tree of one repo.
#[derive(Debug)]
pub struct Tree {
    root: FileId,
    /// Upper bits of this repo's node numbers, unique in the mount. Usually the tag in its file
    /// ids, but two orgs may have given the same.
    base: u64,
    nodes: IdMap<Box<Node>>,
    /// Open or dirty here: an id in it is not dropped, and a remote change makes a new version.
    held: IdMap<u32>,
    /// The present node number of files that have had versions.
    alias_of: IdMap<NodeId>,
    aliases: HashMap<u64, FileId>,
    old: HashMap<u64, Old>,
    next_alias: u64,
    /// Listings being read.
    loads: usize,
    /// Ids changed by events while listings are being read, with the newest sequence.
    touched: IdMap<u64>,
    /// Listings older than this are of no use (own operations up to it were not tracked per node).
    floor: u64,
    notices: Vec<Notice>,
    /// Files whose last entry and last user are gone.
    freed: Vec<FileId>,
    /// Files whose last entry is gone, used or not.
    unnamed: Vec<FileId>,
    /// Files that got a new version while held; the user of the tree lets the old one go its way.
    split: Vec<(FileId, NodeId)>,
}

impl Tree {
    /// A tree with only its root, not loaded. `node_tag` (22 bits) goes into its node numbers.
    pub fn new(root: ListedNode, head_seq: u64, node_tag: u32) -> Self {
        let id = root.attr.id;
        let mut tree = Self {
            root: id,
            base: u64::from(node_tag) << FileId::COUNTER_BITS,
            nodes: IdMap::default(),
            held: IdMap::default(),
            alias_of: IdMap::default(),
            aliases: HashMap::new(),
            old: HashMap::new(),
            next_alias: 0,
            loads: 0,
            touched: IdMap::default(),
            floor: 0,
            notices: Vec::new(),
            freed: Vec::new(),
            unnamed: Vec::new(),
            split: Vec::new(),
        };
        let mut node = root.into_node(id, Name::new(b""), head_seq);
        node.orphan = false;
        if node.dir().is_none() {
            node.kind = NodeKind::Dir;
            node.extra_mut().dir = Some(DirState::unloaded(None));
        }
        tree.nodes.insert(id, Box::new(node));
        tree
    }

    /// The root directory.
    pub fn root(&self) -> FileId {
        self.root
    }

    /// How many nodes are in memory.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: the root is always there.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A node.
    pub fn get(&self, id: FileId) -> Option<&Node> {
        self.nodes.get(&id).map(|n| &**n)
    }

    /// A node, to change what no directory listing depends on.
    pub fn get_mut(&mut self, id: FileId) -> Option<&mut Node> {
        self.nodes.get_mut(&id).map(|n| &mut **n)
    }

    /// Whether the directory's entries can be answered from memory.
    pub fn is_loaded(&self, dir: FileId) -> bool {
        self.get(dir)
            .and_then(Node::dir)
            .is_some_and(|d| d.loaded == Loaded::Yes)
    }

    /// The entry `name` of a loaded directory.
    pub fn child(&self, dir: FileId, name: &[u8]) -> Option<FileId> {
        self.get(dir)?.dir()?.children.get(name).copied()
    }

    /// The path from the root without a leading slash; `None` for what is in no directory or hangs
    /// below a directory that is not in memory.
    pub fn path(&self, id: FileId) -> Option<Vec<u8>> {
        let mut parts: Vec<&Name> = Vec::new();
        let mut at = id;
        while at != self.root {
            let node = self.get(at)?;
            if node.orphan || parts.len() > mesa_types::limits::PATH_MAX {
                return None;
            }
            parts.push(&node.name);
            at = node.parent;
        }
        let mut path = Vec::new();
        for part in parts.into_iter().rev() {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(part.as_bytes());
        }
        Some(path)
    }

    /// Whether `id` is `ancestor` or below it.
    pub fn is_below(&self, id: FileId, ancestor: FileId) -> bool {
        let mut at = id;
        for _ in 0..=mesa_types::limits::PATH_MAX {
            if at == ancestor {
                return true;
            }
            match self.get(at) {
                Some(node) if at != self.root && !node.orphan => at = node.parent,
                _ => return false,
            }
        }
        false
    }

    /// Begins numbers of versions at a random place: the presenter may still hold those that a
    /// former process gave out.
    pub fn number_versions_from(&mut self, random: u32) {
        self.next_alias = u64::from(random) << 8;
    }

    // ---- numbers the presenter uses ---------------------------------------------------------

    /// The number under which the presenter knows `id` now.
    pub fn node_id(&self, id: FileId) -> NodeId {
        let plain = NodeId(self.base | (id.0 & COUNTER_MASK));
        if self.alias_of.is_empty() {
            return plain;
        }
        self.alias_of.get(&id).copied().unwrap_or(plain)
    }

    /// What a number names.
    pub fn resolve(&self, node: NodeId) -> Resolved {
        if let Some(old) = self.old.get(&node.0) {
            return Resolved::Old(old.id);
        }
        match self.aliases.get(&node.0) {
            Some(&id) => Resolved::Live(id),
            // A former process named a version so.
            None if node.0 & VERSION_BIT != 0 => Resolved::Live(NOBODY),
            None => Resolved::Live(FileId(self.root.0 & !COUNTER_MASK | node.0 & COUNTER_MASK)),
        }
    }

    /// Counts a lookup the presenter is told of.
    pub fn looked_up(&mut self, id: FileId) {
        if let Some(node) = self.get_mut(id) {
            node.lookups += 1;
        }
    }

    /// The presenter dropped `count` lookups.
    pub fn forget(&mut self, node: NodeId, count: u64) {
        if let Some(old) = self.old.get_mut(&node.0) {
            old.lookups = old.lookups.saturating_sub(count);
            self.prune_old(node);
            return;
        }
        let Resolved::Live(id) = self.resolve(node) else {
            return;
        };
        if let Some(node) = self.get_mut(id) {
            node.lookups = node.lookups.saturating_sub(count);
            if node.lookups == 0 {
                // Its pages went with it.
                node.pages = 0;
            }
        }
        self.prune(id);
    }

    /// Gives `id` a new number; descriptors of the old one keep it.
    fn split_version(&mut self, id: FileId) {
        let before = self.node_id(id);
        self.next_alias += 1;
        // The tag keeps the number in this repo, the top bit out of the file ids.
        let alias = NodeId(VERSION_BIT | self.base | (self.next_alias & COUNTER_MASK));
        let handles = self.held.remove(&id).unwrap_or(0);
        let lookups = self
            .get_mut(id)
            .map_or(0, |n| std::mem::take(&mut n.lookups));
        self.aliases.remove(&before.0);
        self.old.insert(
            before.0,
            Old {
                id,
                lookups,
                handles,
            },
        );
        self.aliases.insert(alias.0, id);
        self.alias_of.insert(id, alias);
        self.split.push((id, before));
    }

    fn prune_old(&mut self, node: NodeId) {
        let gone = self
            .old
            .get(&node.0)
            .is_some_and(|o| o.lookups == 0 && o.handles == 0);
        if gone {
            self.old.remove(&node.0);
        }
    }

    // ---- holding ----------------------------------------------------------------------------

    /// The file is in use (an open descriptor, content that is only here).
    pub fn hold(&mut self, id: FileId) {
        *self.held.entry(id).or_insert(0) += 1;
    }

    /// Ends one [`Tree::hold`] made while the file had the number `node`.
    pub fn unhold(&mut self, id: FileId, node: NodeId) {
        if let Some(old) = self.old.get_mut(&node.0) {
            old.handles = old.handles.saturating_sub(1);
            self.prune_old(node);
            return;
        }
        if let Some(count) = self.held.get_mut(&id) {
            *count -= 1;
            if *count == 0 {
                self.held.remove(&id);
            }
        }
        self.prune(id);
    }

    /// Whether the present version is in use.
    pub fn is_held(&self, id: FileId) -> bool {
        self.held.contains_key(&id)
    }

    /// Drops a node that nothing needs any more.
    fn prune(&mut self, id: FileId) {
        let held = self.held.contains_key(&id);
        let Some(node) = self.get(id) else { return };
        if held || node.lookups > 0 || id == self.root {
            return;
        }
        let plain = self.base | (id.0 & COUNTER_MASK);
        if let Some(alias) = self.alias_of.get(&id).copied()
            && !self.old.contains_key(&plain)
        {
            self.alias_of.remove(&id);
            self.aliases.remove(&alias.0);
        }
        let Some(node) = self.get(id) else { return };
        if node.orphan && (node.nlink == 0 || node.is_dir()) {
            self.nodes.remove(&id);
            self.freed.push(id);
        }
    }

    // ---- what the user of the tree collects ----------------------------------------------------

    /// Notices for the presenter since the last call, in order.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Ids that have neither a name nor a user any more.
    pub fn take_freed(&mut self) -> Vec<FileId> {
        std::mem::take(&mut self.freed)
    }

    /// Files that lost their last name; some may still be in use.
    pub fn take_unnamed(&mut self) -> Vec<FileId> {
        std::mem::take(&mut self.unnamed)
    }

    /// Files replaced remotely while held, with the number the old version keeps.
    pub fn take_split(&mut self) -> Vec<(FileId, NodeId)> {
        std::mem::take(&mut self.split)
    }

    fn known_to_kernel(&self, id: FileId) -> bool {
        id == self.root || self.get(id).is_some_and(|n| n.lookups > 0)
    }

    fn notice_entry(&mut self, parent: FileId, name: &[u8]) {
        if self.known_to_kernel(parent) {
            self.notices.push(Notice::Entry {
                parent: self.node_id(parent),
                name: Bytes::copy_from_slice(name),
            });
        }
    }

    fn notice_deleted(&mut self, parent: FileId, child: FileId, name: &[u8]) {
        if self.known_to_kernel(parent) {
            let (parent, child) = (self.node_id(parent), self.node_id(child));
            let name = Bytes::copy_from_slice(name);
            self.notices.push(Notice::Deleted {
                parent,
                child,
                name,
            });
        }
    }

    fn notice_node(&mut self, id: FileId, data: bool) {
        if self.known_to_kernel(id) {
            let node = self.node_id(id);
            self.notices.push(Notice::Node { node, data });
        }
    }

    // ---- entries --------------------------------------------------------------------------------

    /// Puts an entry into a directory's children (if they are in memory) and tells the node.
    fn attach(&mut self, parent: FileId, name: &Name, id: FileId) {
        let is_dir = self.get(id).is_some_and(Node::is_dir);
        if let Some(dir) = self.get_mut(parent).and_then(Node::dir_mut)
            && dir.loaded != Loaded::No
            && dir.children.insert(name.clone(), id).is_none()
            && is_dir
        {
            dir.subdirs += 1;
        }
        if let Some(node) = self.get_mut(id) {
            node.add_link(parent, name.clone());
        }
    }

    /// Takes an entry out of a directory's children and tells the node.
    fn detach(&mut self, parent: FileId, name: &[u8]) -> Option<FileId> {
        let id = self
            .get_mut(parent)
            .and_then(Node::dir_mut)?
            .children
            .remove(name)?;
        let is_dir = self.get(id).is_some_and(Node::is_dir);
        if is_dir && let Some(dir) = self.get_mut(parent).and_then(Node::dir_mut) {
            dir.subdirs = dir.subdirs.saturating_sub(1);
        }
        if let Some(node) = self.get_mut(id) {
            node.drop_link(parent, name);
        }
        Some(id)
    }

    /// A new unnamed file.
    pub fn add_orphan(&mut self, node: Node) {
        let id = node.id;
        self.nodes.insert(id, Box::new(node));
    }

    /// Every loaded directory must be read again before it answers; the kernel's caches of what it
    /// knows are dropped by the notices of the reading.
    pub fn mark_stale(&mut self) -> Vec<FileId> {
        let mut stale = Vec::new();
        let root = self.root;
        self.floor = 0;
        self.touched.clear();
        for node in self.nodes.values_mut() {
            let (id, known) = (node.id, node.lookups > 0);
            node.as_of = 0;
            node.stale = true;
            if let Some(dir) = node.dir_mut() {
                dir.tree = None;
                if dir.loaded == Loaded::Yes {
                    dir.loaded = Loaded::Stale;
                    dir.as_of = 0;
                    if known || id == root {
                        stale.push(id);
                    }
                }
            }
        }
        stale
    }

    /// Directories that the presenter knows and that are to be read again.
    pub fn stale_dirs(&self) -> Vec<FileId> {
        let dirs = self.nodes.values().filter(|node| {
            let known = node.lookups > 0 || node.id == self.root;
            known && node.dir().is_some_and(|dir| dir.loaded == Loaded::Stale)
        });
        dirs.map(|node| node.id).collect()
    }

    /// One directory must be read again before it answers.
    pub fn mark_dir_stale(&mut self, id: FileId) {
        if let Some(dir) = self.get_mut(id).and_then(Node::dir_mut) {
            dir.tree = None;
            if dir.loaded == Loaded::Yes {
                dir.loaded = Loaded::Stale;
                dir.as_of = 0;
            }
        }
    }

    /// Own operations up to `head_seq` are acknowledged and others may write from now on: a
    /// listing from before does not show them.
    pub fn raise_floor(&mut self, head_seq: u64) {
        self.floor = self.floor.max(head_seq);
    }

    /// Ids of directories whose listing is in memory.
    pub fn loaded_dirs(&self) -> HashSet<FileId> {
        self.nodes
            .values()
            .filter(|n| n.dir().is_some_and(|d| d.loaded == Loaded::Yes))
            .map(|n| n.id)
            .collect()
    }

    /// A file is about to be read through the page cache: whether the pages of the last time are
    /// still good.
    pub fn keep_pages(&mut self, id: FileId) -> bool {
        let Some(node) = self.get_mut(id) else {
            return false;
        };
        let mark = page_mark(&node.content);
        std::mem::replace(&mut node.pages, mark) == mark
    }

    /// Whether the kernel may have pages of the present content.
    pub fn has_pages(&self, id: FileId) -> bool {
        self.get(id)
            .is_some_and(|node| node.pages == page_mark(&node.content))
    }

    /// A file is about to be read: whether its present content was opened before, since when the
    /// presenter has known it without a break.
    pub fn is_read_again(&mut self, id: FileId) -> bool {
        let Some(node) = self.get_mut(id) else {
            return false;
        };
        let mark = page_mark(&node.content);
        // No page mark is even.
        let once = mark & !1;
        if node.pages == mark || node.pages == once {
            return true;
        }
        node.pages = once;
        false
    }

    /// The file is about to be written past the page cache.
    pub fn drop_pages(&mut self, id: FileId) {
        if let Some(node) = self.get_mut(id) {
            node.pages = 0;
        }
    }

    /// The content the node has by the head's order (not counting what is only here).
    pub fn content(&self, id: FileId) -> Option<ContentRef> {
        self.get(id).map(|n| n.content)
    }
}

/// Tells contents apart, well enough for pages of one file. Odd.
fn page_mark(content: &ContentRef) -> u32 {
    match content {
        ContentRef::Empty => 1,
        ContentRef::Chunk { id, .. } | ContentRef::Manifest { id, .. } => {
            u32::from_le_bytes([id.0[0], id.0[1], id.0[2], id.0[3]]) | 1
        }
    }
}

#[cfg(test)]
mod tests {
    use mesa_proto::v1;

    use super::*;

    fn tree() -> Tree {
        let root = v1::Node {
            id: 5 << FileId::COUNTER_BITS | 1,
            kind: NodeKind::Dir as u32,
            mode: 0o755,
            nlink: 1,
            ..v1::Node::default()
        };
        Tree::new(node_from_wire(root).unwrap(), 1, 5)
    }

    #[test]
    fn versions_that_a_former_process_numbered_are_nobody() {
        let mut former = tree();
        let id = former.root();
        former.split_version(id);
        let version = former.node_id(id);
        let named = |tree: &Tree| match tree.resolve(version) {
            Resolved::Live(id) | Resolved::Old(id) => tree.get(id).map(|node| node.id),
        };
        assert_eq!(named(&former), Some(id));
        let mut next = tree();
        assert_eq!(named(&next), None, "not the file with that counter");
        next.number_versions_from(1);
        next.split_version(id);
        assert_ne!(next.node_id(id), version, "the presenter may have it still");
        assert_eq!(named(&next), None);
    }
}
