//! Taking in directory listings: first loads, whole-tree streams and re-reads.

use std::collections::BTreeMap;

use mesa_proto::{convert::Malformed, v1};
use mesa_types::FileId;

use super::{
    Tree,
    convert::{ListedNode, name_from_wire, node_from_wire, node_to_wire},
    node::{Loaded, Name, Node},
};

/// What became of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The directory is loaded now (or was already).
    Taken,
    /// The listing lacks an event that already went by: read it again, live.
    Retry,
    /// The directory is not in the tree (any more).
    Gone,
}

/// One directory's entries, checked.
pub struct Listing {
    /// The directory.
    pub id: FileId,
    /// Its entries.
    pub entries: Vec<(Name, ListedNode)>,
}

impl Listing {
    /// Checks the entries of a message.
    pub fn new(id: FileId, entries: Vec<v1::Dentry>) -> Result<Self, Malformed> {
        let mut checked = Vec::with_capacity(entries.len());
        for entry in entries {
            let node = entry.node.ok_or(Malformed("entry without a node"))?;
            checked.push((name_from_wire(&entry.name)?, node_from_wire(node)?));
        }
        Ok(Self {
            id,
            entries: checked,
        })
    }
}

impl Tree {
    /// The directories in memory, parents first: what [`Tree::take_listing`] takes in again.
    pub fn listings(&self) -> Vec<v1::DirListing> {
        let mut listings = Vec::new();
        let mut next = vec![self.root()];
        while let Some(id) = next.pop() {
            let Some(dir) = self.get(id).and_then(Node::dir) else {
                continue;
            };
            if dir.loaded != Loaded::Yes {
                continue;
            }
            let mut entries = Vec::with_capacity(dir.children.len());
            for (name, child) in &dir.children {
                let Some(node) = self.get(*child) else {
                    continue;
                };
                if node.is_dir() {
                    next.push(*child);
                }
                entries.push(v1::Dentry {
                    name: bytes::Bytes::copy_from_slice(name.as_bytes()),
                    node: Some(node_to_wire(node)),
                });
            }
            listings.push(v1::DirListing {
                id: id.0,
                entries,
                complete: true,
                error: String::new(),
            });
        }
        listings
    }

    /// A listing is being read from now on: events are remembered until [`Tree::load_ends`].
    pub fn load_begins(&mut self) {
        self.loads += 1;
    }

    /// See [`Tree::load_begins`].
    pub fn load_ends(&mut self) {
        self.loads = self.loads.saturating_sub(1);
        if self.loads == 0 {
            self.touched.clear();
        }
    }

    pub(super) fn touch(&mut self, id: FileId, seq: u64) {
        if self.loads > 0 {
            let newest = self.touched.entry(id).or_insert(0);
            *newest = (*newest).max(seq);
        }
    }

    fn touched_after(&self, id: FileId, head_seq: u64) -> bool {
        self.touched.get(&id).is_some_and(|&seq| seq > head_seq)
    }

    /// Takes in a listing read at `head_seq`. With `sole`, this client is the only writer: nodes
    /// it already knows are newer than any listing.
    pub fn take_listing(&mut self, head_seq: u64, listing: Listing, sole: bool) -> Verdict {
        let id = listing.id;
        let Some(dir) = self.get(id).and_then(Node::dir) else {
            return Verdict::Gone;
        };
        let first = match dir.loaded {
            Loaded::Yes => return Verdict::Taken,
            Loaded::No => true,
            Loaded::Stale => false,
        };
        let unknown_touched = listing.entries.iter().any(|(_, n)| {
            let id = n.attr.id;
            self.get(id).is_none() && self.touched_after(id, head_seq)
        });
        if head_seq < self.floor || self.touched_after(id, head_seq) || unknown_touched {
            return Verdict::Retry;
        }

        let mut children = Vec::with_capacity(listing.entries.len());
        let mut subdirs = 0;
        let mut changed: Vec<Name> = Vec::new();
        let before = match self.get_mut(id).and_then(Node::dir_mut) {
            Some(dir) => std::mem::take(&mut dir.children),
            None => BTreeMap::new(),
        };
        for (name, listed) in listing.entries {
            let child = listed.attr.id;
            if !first && before.get(&name) != Some(&child) {
                changed.push(name.clone());
            }
            self.take_node(id, &name, listed, head_seq, sole);
            if self.get(child).is_some_and(Node::is_dir) {
                subdirs += 1;
            }
            children.push((name, child));
        }
        // Made at once it is packed densely.
        let children = BTreeMap::from_iter(children);
        for (name, child) in &before {
            if !children.contains_key(name) {
                if let Some(node) = self.get_mut(*child) {
                    node.drop_link(id, name.as_bytes());
                    if node.orphan && !node.is_dir() {
                        // Whether another name exists elsewhere is not known here; it would be
                        // read with that directory.
                        node.nlink = 0;
                    }
                }
                self.notice_deleted(id, *child, name.as_bytes());
                self.prune(*child);
            } else if children.get(name) != Some(child)
                && let Some(node) = self.get_mut(*child)
            {
                node.drop_link(id, name.as_bytes());
                self.prune(*child);
            }
        }
        for name in changed {
            self.notice_entry(id, name.as_bytes());
        }
        if let Some(dir) = self.get_mut(id).and_then(Node::dir_mut) {
            dir.children = children;
            dir.subdirs = subdirs;
            dir.loaded = Loaded::Yes;
            dir.as_of = head_seq;
            dir.tree = None;
        }
        if subdirs > 0 {
            // Its link count was shown as unknown before.
            self.notice_node(id, false);
        }
        Verdict::Taken
    }

    fn take_node(
        &mut self,
        parent: FileId,
        name: &Name,
        listed: ListedNode,
        head_seq: u64,
        sole: bool,
    ) {
        let id = listed.attr.id;
        let newer_here = self.touched_after(id, head_seq);
        if let Some(node) = self.get_mut(id) {
            let newest = sole || node.as_of >= head_seq;
            let keep = (newest && !node.stale) || node.pending > 0 || newer_here;
            node.add_link(parent, name.clone());
            if !keep {
                self.refresh(listed, head_seq);
            }
        } else {
            let node = listed.into_node(parent, name.clone(), head_seq);
            self.nodes.insert(id, Box::new(node));
        }
    }

    /// Overwrites a known node with what the server says about it.
    pub fn refresh(&mut self, listed: ListedNode, head_seq: u64) {
        let new = listed.attr;
        let id = new.id;
        let held = self.is_held(id);
        let Some(node) = self.get_mut(id) else { return };
        let data = node.content != new.content;
        let attrs = (
            node.mode, node.uid, node.gid, node.nlink, node.mtime, node.ctime,
        ) != (new.mode, new.uid, new.gid, new.nlink, new.mtime, new.ctime);
        node.mode = new.mode;
        node.uid = new.uid;
        node.gid = new.gid;
        node.mtime = new.mtime;
        node.ctime = new.ctime;
        node.nlink = new.nlink.max(1);
        node.conflicted = listed.conflicted;
        node.content = new.content;
        node.as_of = head_seq;
        node.stale = false;
        if let Some(dir) = node.dir_mut() {
            if dir.loaded != Loaded::Yes {
                dir.tree = listed.tree;
            }
        } else if node.extra.is_some() || !listed.xattrs.is_empty() {
            node.extra_mut().xattrs = listed.xattrs.into_iter().collect();
        }
        if data && held {
            self.new_version(id);
        } else if data || attrs {
            self.notice_node(id, data);
        }
    }

    /// The content changed remotely while the file is in use: descriptors keep what they have,
    /// its names get a new number.
    pub fn new_version(&mut self, id: FileId) {
        let mut names = Vec::new();
        if let Some(node) = self.get(id)
            && !node.orphan
        {
            names.push((node.parent, node.name.clone()));
            names.extend(node.extra.iter().flat_map(|e| e.links.iter().cloned()));
        }
        self.split_version(id);
        for (parent, name) in names {
            self.notice_entry(parent, name.as_bytes());
        }
    }
}
