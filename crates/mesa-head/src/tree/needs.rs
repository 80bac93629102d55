//! What must be in memory before an operation can be judged.

use mesa_types::{FileId, ObjectId};

use super::{Node, Tree};
use crate::op::{Op, OpKind, Place};

/// Something to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// The listings of these directories, each with its sealed listing's object; at least one.
    Listings(Vec<(FileId, ObjectId)>),
    /// The records of the link table.
    Links(ObjectId),
}

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// To this node.
    Found(FileId),
    /// This directory's listing is not in memory.
    Unloaded(FileId),
    /// A name on the way does not exist.
    Absent,
    /// A name on the way is not a directory.
    NotDir,
}

impl Tree {
    /// What to load next for `op`; `None` when it can be applied.
    pub fn needs(&mut self, op: &Op) -> Option<Need> {
        match &op.kind {
            OpKind::Create(create) => self.for_dir(create.place.parent, &op.path),
            OpKind::Link { place, source_path } => self
                .for_dir(place.parent, &op.path)
                .or_else(|| self.for_node(place.id, source_path))
                .or_else(|| self.for_linked(place.id)),
            OpKind::Unlink(place) => self
                .for_dir(place.parent, &op.path)
                .or_else(|| self.for_linked(place.id)),
            OpKind::Rmdir(place) => self.for_place(place, &op.path),
            OpKind::Rename {
                from,
                new_parent,
                new_name,
                new_path,
                ..
            } => self
                .for_dir(from.parent, &op.path)
                .or_else(|| self.for_dir(*new_parent, new_path))
                .or_else(|| self.for_linked(from.id))
                .or_else(|| {
                    let there = *self.listing(*new_parent)?.get(new_name)?;
                    self.for_listing(there).or_else(|| self.for_linked(there))
                }),
            OpKind::SetAttr { id, .. }
            | OpKind::SetXattr { id, .. }
            | OpKind::RemoveXattr { id, .. } => self
                .for_node(*id, &op.path)
                .or_else(|| self.for_linked(*id)),
            OpKind::SetContent(set) => self
                .for_node(set.id, &op.path)
                .or_else(|| self.for_linked(set.id)),
        }
    }

    /// What to load next so that the node at `path` is in memory, with its listing if it is a
    /// directory and `listing` is set.
    pub fn needs_path(&self, path: &[u8], listing: bool) -> Option<Need> {
        match self.walk(path) {
            Walk::Unloaded(dir) => self.for_listing(dir),
            Walk::Found(id) if listing => self.for_listing(id),
            _ => None,
        }
    }

    /// What to load next so that `id` is in memory (or known to be gone), with its listing if
    /// `listing` is set.
    pub fn needs_node(&mut self, id: FileId, hint: &[u8], listing: bool) -> Option<Need> {
        if listing {
            self.for_dir(id, hint)
        } else {
            self.for_node(id, hint)
        }
    }

    fn for_place(&mut self, place: &Place, hint: &[u8]) -> Option<Need> {
        self.for_dir(place.parent, hint)
            .or_else(|| self.for_listing(place.id))
    }

    fn for_dir(&mut self, id: FileId, hint: &[u8]) -> Option<Need> {
        self.for_node(id, hint).or_else(|| self.for_listing(id))
    }

    fn for_listing(&self, id: FileId) -> Option<Need> {
        let dir = self.dir(id)?;
        let sealed = dir.sealed.as_ref()?;
        if dir.children.is_some() {
            return None;
        }
        let object = sealed.object;
        if sealed.links > 0
            && let Some(table) = self.links_unloaded()
        {
            return Some(Need::Links(table));
        }
        Some(Need::Listings(vec![(id, object)]))
    }

    fn for_node(&mut self, id: FileId, hint: &[u8]) -> Option<Need> {
        if self.nodes.contains_key(&id) || self.removed.contains(&id) || self.absent.contains(&id) {
            return None;
        }
        if let Walk::Unloaded(dir) = self.walk(hint) {
            return self.for_listing(dir);
        }
        // The hint leads elsewhere: concurrent renames. Look everywhere.
        let next = self.any_unloaded(|_| true);
        if next.is_none() {
            if self.absent.len() >= super::REMOVED_MAX {
                self.absent.clear();
            }
            self.absent.insert(id);
        }
        next
    }

    /// All names of a hard-linked node have to be known before the node changes.
    fn for_linked(&self, id: FileId) -> Option<Need> {
        let node = self.nodes.get(&id)?;
        if !node.is_linked() || node.names.len() >= node.attr.nlink as usize {
            return None;
        }
        self.any_unloaded(|node| {
            let sealed = node.dir.as_ref().and_then(|dir| dir.sealed.as_ref());
            sealed.is_some_and(|sealed| sealed.links > 0)
        })
    }

    /// Directories in memory whose listing is not, of those that `wanted` lets through.
    fn any_unloaded(&self, wanted: impl Fn(&Node) -> bool) -> Option<Need> {
        let unloaded = |node: &Node| {
            let dir = node.dir.as_ref()?;
            let sealed = dir.sealed.as_ref()?;
            let found = dir.children.is_none() && wanted(node);
            found.then_some((node.attr.id, sealed.object))
        };
        let found: Vec<_> = self.nodes.values().filter_map(unloaded).collect();
        if found.is_empty() {
            return None;
        }
        match self.links_unloaded() {
            Some(table) => Some(Need::Links(table)),
            None => Some(Need::Listings(found)),
        }
    }
}
