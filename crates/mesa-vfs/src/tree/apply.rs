//! Applying operations: own decisions, own operations the server decided, and other sessions'.

use mesa_proto::{
    convert::{content_from_wire, owner_from_wire},
    v1::{self, op::Kind},
};
use mesa_types::{ContentRef, FileId, Nanos, NodeKind};

use super::{
    Tree,
    node::{DirState, Loaded, Name, Node},
};

/// Whose operation, and its place in the head's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Decided here as the sole writer; the kernel asked for it and knows.
    Own,
    /// Made here and decided by the server.
    OwnAt(u64),
    /// Another session's.
    Remote(u64),
}

impl Origin {
    fn seq(self) -> Option<u64> {
        match self {
            Self::Own => None,
            Self::OwnAt(seq) | Self::Remote(seq) => Some(seq),
        }
    }

    fn is_remote(self) -> bool {
        matches!(self, Self::Remote(_))
    }
}

impl Tree {
    /// Applies one operation. Parts of it that a directory or node already includes, and what is
    /// not in memory, are left out. The operation has been checked by whoever decided it.
    pub fn apply(&mut self, op: &v1::Op, origin: Origin) {
        if origin.is_remote() {
            self.unseal_path(op, origin);
        }
        let time = Nanos(op.time_ns);
        match &op.kind {
            Some(Kind::Create(create)) => self.create(create, time, origin),
            Some(Kind::Link(link)) => self.link(link, time, origin),
            Some(Kind::Unlink(unlink)) => {
                self.remove(
                    FileId(unlink.parent),
                    &unlink.name,
                    FileId(unlink.id),
                    time,
                    origin,
                );
            }
            Some(Kind::Rmdir(rmdir)) => {
                self.remove(
                    FileId(rmdir.parent),
                    &rmdir.name,
                    FileId(rmdir.id),
                    time,
                    origin,
                );
            }
            Some(Kind::Rename(rename)) => self.rename(rename, time, origin),
            Some(Kind::SetAttr(set)) => self.set_attr(set, time, origin),
            Some(Kind::SetContent(set)) => {
                if let Ok(content) = content_from_wire(set.content.as_ref()) {
                    let mtime = Nanos(set.mtime_ns);
                    self.set_content(FileId(set.id), content, mtime, time, origin);
                }
            }
            Some(Kind::SetXattr(set)) => {
                self.on_node(FileId(set.id), origin, |node| {
                    let value = set.value.clone();
                    let name = Box::from(&set.name[..]);
                    node.extra_mut().xattrs.insert(name, value);
                    node.ctime = time;
                });
            }
            Some(Kind::RemoveXattr(remove)) => {
                self.on_node(FileId(remove.id), origin, |node| {
                    node.extra_mut().xattrs.remove(&remove.name[..]);
                    node.ctime = time;
                });
            }
            None => {}
        }
    }

    /// Something below these directories changes: their sealed listings no longer tell all.
    fn unseal_path(&mut self, op: &v1::Op, origin: Origin) {
        let seq = origin.seq().unwrap_or(0);
        let mut paths = vec![&op.path];
        if let Some(Kind::Rename(rename)) = &op.kind {
            paths.push(&rename.new_path);
        }
        for path in paths {
            let mut at = self.root;
            self.unseal(at, seq);
            for part in path.split(|&b| b == b'/').filter(|p| !p.is_empty()) {
                let Some(child) = self.child(at, part) else {
                    break;
                };
                self.unseal(child, seq);
                at = child;
            }
        }
    }

    fn unseal(&mut self, dir: FileId, seq: u64) {
        self.touch(dir, seq);
        if let Some(dir) = self.get_mut(dir).and_then(Node::dir_mut) {
            dir.tree = None;
        }
    }

    /// Whether the operation is to have its effect on this directory's entries, which are in
    /// memory.
    fn entries_open(&mut self, dir: FileId, origin: Origin) -> bool {
        if let Some(seq) = origin.seq() {
            self.touch(dir, seq);
        }
        let Some(state) = self.get_mut(dir).and_then(Node::dir_mut) else {
            return false;
        };
        state.tree = None;
        if state.loaded == Loaded::No {
            return false;
        }
        match origin.seq() {
            Some(seq) if state.as_of >= seq => false,
            Some(seq) => {
                state.as_of = seq;
                true
            }
            None => true,
        }
    }

    /// The directory's own times after a change of its entries.
    fn entries_changed(&mut self, dir: FileId, time: Nanos, origin: Origin) {
        self.on_node(dir, origin, |node| {
            node.mtime = time;
            node.ctime = time;
        });
    }

    /// Changes a node's attributes unless it already includes the operation.
    fn on_node(&mut self, id: FileId, origin: Origin, change: impl FnOnce(&mut Node)) -> bool {
        if let Some(seq) = origin.seq() {
            self.touch(id, seq);
        }
        let Some(node) = self.get_mut(id) else {
            return false;
        };
        if let Some(seq) = origin.seq() {
            if node.as_of > seq {
                return false;
            }
            node.as_of = seq;
        }
        change(node);
        if origin.is_remote() {
            self.notice_node(id, false);
        }
        true
    }

    fn create(&mut self, create: &v1::Create, time: Nanos, origin: Origin) {
        let (parent, id) = (FileId(create.parent), FileId(create.id));
        if let Some(seq) = origin.seq() {
            self.touch(id, seq);
        }
        if self.entries_open(parent, origin) {
            let name = Name::new(&create.name);
            if self.get(id).is_none() {
                let Some(kind) = u8::try_from(create.kind).ok().and_then(NodeKind::from_u8) else {
                    return;
                };
                let seq = origin.seq().unwrap_or(0);
                let mtime = match create.mtime_ns {
                    0 => time,
                    ns => Nanos(ns),
                };
                let content = content_from_wire(create.content.as_ref());
                let mut node = Node {
                    id,
                    kind,
                    mode: (create.mode & 0o7777) as u16,
                    conflicted: false,
                    stale: false,
                    orphan: false,
                    pending: 0,
                    uid: owner_from_wire(create.uid),
                    gid: owner_from_wire(create.gid),
                    nlink: 1,
                    pages: 0,
                    lookups: 0,
                    mtime,
                    ctime: time,
                    as_of: seq,
                    parent,
                    name: name.clone(),
                    content: content.unwrap_or(ContentRef::Empty),
                    extra: None,
                };
                if node.is_dir() {
                    node.extra_mut().dir = Some(DirState::empty(seq));
                }
                if kind == NodeKind::Symlink {
                    node.extra_mut().target = create.target.clone();
                }
                self.nodes.insert(id, Box::new(node));
            } else if let Some(node) = self.get_mut(id) {
                // Linked in from O_TMPFILE.
                node.nlink = 1;
                node.ctime = time;
            }
            self.attach(parent, &name, id);
            if origin.is_remote() {
                self.notice_entry(parent, &create.name);
            }
        }
        self.entries_changed(parent, time, origin);
    }

    fn link(&mut self, link: &v1::Link, time: Nanos, origin: Origin) {
        let (parent, id) = (FileId(link.parent), FileId(link.id));
        self.on_node(id, origin, |node| {
            node.nlink += 1;
            node.ctime = time;
        });
        if self.entries_open(parent, origin) {
            self.attach_or_reload(parent, &link.name, id);
            if origin.is_remote() {
                self.notice_entry(parent, &link.name);
            }
        }
        self.entries_changed(parent, time, origin);
    }

    /// Puts in an entry whose node may not be in memory; then the directory is read again.
    fn attach_or_reload(&mut self, parent: FileId, name: &[u8], id: FileId) {
        if self.get(id).is_some() {
            self.attach(parent, &Name::new(name), id);
        } else if let Some(dir) = self.get_mut(parent).and_then(Node::dir_mut) {
            dir.loaded = Loaded::Stale;
            dir.as_of = 0;
        }
    }

    fn remove(&mut self, parent: FileId, name: &[u8], id: FileId, time: Nanos, origin: Origin) {
        if self.entries_open(parent, origin) && self.child(parent, name) == Some(id) {
            if origin.is_remote() {
                self.notice_deleted(parent, id, name);
            }
            self.detach(parent, name);
        }
        self.unlinked(id, time, origin);
        self.entries_changed(parent, time, origin);
    }

    /// One name of the node is gone.
    fn unlinked(&mut self, id: FileId, time: Nanos, origin: Origin) {
        let mut unnamed = false;
        self.on_node(id, origin, |node| {
            node.ctime = time;
            node.nlink = node.nlink.saturating_sub(1);
            if node.nlink == 0 {
                node.orphan = true;
                unnamed = node.kind == NodeKind::File;
            }
        });
        if unnamed {
            self.unnamed.push(id);
        }
        self.prune(id);
    }

    fn rename(&mut self, rename: &v1::Rename, time: Nanos, origin: Origin) {
        let (from, to) = (FileId(rename.parent), FileId(rename.new_parent));
        let (id, other) = (FileId(rename.id), FileId(rename.replaced));
        let (name, new_name) = (&rename.name[..], &rename.new_name[..]);
        let from_open = self.entries_open(from, origin);
        // Asked once: the first answer moves the directory's sequence on.
        let to_open = if from == to {
            from_open
        } else {
            self.entries_open(to, origin)
        };
        if let Some(seq) = origin.seq() {
            self.touch(id, seq);
            self.touch(other, seq);
        }
        if origin.is_remote() {
            if from_open {
                if rename.exchange {
                    self.notice_entry(from, name);
                } else {
                    self.notice_deleted(from, id, name);
                }
            }
            if to_open {
                self.notice_entry(to, new_name);
            }
        }
        if from_open && self.child(from, name) == Some(id) {
            self.detach(from, name);
        }
        if to_open && other.0 != 0 && self.child(to, new_name) == Some(other) {
            self.detach(to, new_name);
        }
        if to_open {
            self.attach_or_reload(to, new_name, id);
        } else if let Some(node) = self.get_mut(id) {
            node.drop_link(from, name);
            node.add_link(to, Name::new(new_name));
        }
        self.on_node(id, origin, |node| node.ctime = time);
        if other.0 != 0 {
            if rename.exchange {
                if from_open {
                    self.attach_or_reload(from, name, other);
                }
                self.on_node(other, origin, |node| node.ctime = time);
            } else {
                self.unlinked(other, time, origin);
            }
        }
        self.entries_changed(from, time, origin);
        if from != to {
            self.entries_changed(to, time, origin);
        }
    }

    fn set_attr(&mut self, set: &v1::SetAttr, time: Nanos, origin: Origin) {
        self.on_node(FileId(set.id), origin, |node| {
            if let Some(mode) = set.mode {
                node.mode = (mode & 0o7777) as u16;
            }
            if set.set_owner {
                node.uid = owner_from_wire(set.uid);
                node.gid = owner_from_wire(set.gid);
            }
            if let Some(mtime) = set.mtime_ns {
                node.mtime = Nanos(mtime);
            }
            node.ctime = time;
        });
    }

    /// New content by the head's order.
    pub fn set_content(
        &mut self,
        id: FileId,
        content: ContentRef,
        mtime: Nanos,
        ctime: Nanos,
        origin: Origin,
    ) {
        let pending = self.get(id).is_some_and(|node| node.pending > 0);
        if origin.is_remote() && pending {
            // Ours comes after it; the acknowledgement brings the merged result.
            if let Some(seq) = origin.seq() {
                self.touch(id, seq);
            }
            return;
        }
        let mut differs = false;
        let applied = self.on_node(id, origin, |node| {
            differs = node.content != content;
            node.content = content;
            node.mtime = mtime;
            node.ctime = ctime;
        });
        if applied && differs && origin.is_remote() {
            if self.is_held(id) {
                self.new_version(id);
            } else {
                self.notice_node(id, true);
            }
        }
    }

    /// Own content operations on the way.
    pub fn add_pending(&mut self, id: FileId) {
        if let Some(node) = self.get_mut(id) {
            node.pending = node.pending.saturating_add(1);
        }
    }

    /// One of them is acknowledged at `head_seq`; `merged` = what the server made of it.
    pub fn end_pending(&mut self, id: FileId, head_seq: u64, merged: Option<ContentRef>) {
        let Some(node) = self.get_mut(id) else { return };
        node.pending = node.pending.saturating_sub(1);
        let last = node.pending == 0;
        node.as_of = node.as_of.max(head_seq);
        if let Some(content) = merged
            && last
            && node.content != content
        {
            node.content = content;
            if self.is_held(id) {
                self.new_version(id);
            } else {
                self.notice_node(id, true);
            }
        }
        self.touch(id, head_seq);
    }
}
