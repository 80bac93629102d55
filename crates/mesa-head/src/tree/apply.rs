//! Applying operations under POSIX rules.

use std::collections::BTreeMap;

use bytes::Bytes;
use mesa_types::{Attr, ContentRef, EntryName, FileId, Nanos, NodeKind, limits};

use super::{Dir, Node, Refusal, Tree};
use crate::op::{Create, Op, OpKind, Place, XattrMust};

/// Most names of one node.
const NLINK_MAX: u32 = 65_000;

/// What an operation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It had its effect.
    Yes,
    /// Success without effect: a rename between two names of one node.
    Nothing,
}

impl Tree {
    /// Applies an operation as number `seq` of the head (ascending, from 1). [`Self::needs`] must
    /// have nothing left to load. `content` is the outcome of a content operation.
    ///
    /// A refused operation leaves the tree as it was.
    pub fn apply(&mut self, op: &Op, content: ContentRef, seq: u64) -> Result<Applied, Refusal> {
        match &op.kind {
            OpKind::Create(create) => self.create(create, content, op.time, seq)?,
            OpKind::Link { place, .. } => self.link(place, op.time, seq)?,
            OpKind::Unlink(place) => self.unlink(place, op.time, seq)?,
            OpKind::Rmdir(place) => self.rmdir(place, op.time, seq)?,
            OpKind::Rename {
                from,
                new_parent,
                new_name,
                replaced,
                exchange: false,
                ..
            } => return self.rename(from, (*new_parent, new_name), *replaced, op.time, seq),
            OpKind::Rename {
                from,
                new_parent,
                new_name,
                replaced,
                exchange: true,
                ..
            } => {
                let other = Place {
                    parent: *new_parent,
                    name: new_name.clone(),
                    id: replaced.ok_or(Refusal::NotFound)?,
                };
                return self.exchange(from, &other, op.time, seq);
            }
            OpKind::SetAttr {
                id,
                mode,
                owner,
                mtime,
            } => {
                let attr = &mut self.nodes.get_mut(id).ok_or(Refusal::NotFound)?.attr;
                attr.mode = mode.unwrap_or(attr.mode);
                if let Some((uid, gid)) = *owner {
                    (attr.uid, attr.gid) = (uid, gid);
                }
                attr.mtime = mtime.unwrap_or(attr.mtime);
                attr.ctime = op.time;
                self.mark_node(*id, seq);
            }
            OpKind::SetContent(set) => {
                let node = self.nodes.get_mut(&set.id).ok_or(Refusal::NotFound)?;
                match node.attr.kind {
                    NodeKind::File => {}
                    NodeKind::Dir => return Err(Refusal::IsDir),
                    _ => return Err(Refusal::Invalid),
                }
                if node.attr.content != content {
                    node.attr.content = content;
                    node.git = None;
                    node.git_refused = false;
                }
                node.attr.mtime = set.mtime;
                node.attr.ctime = op.time;
                self.mark_node(set.id, seq);
            }
            OpKind::SetXattr {
                id,
                name,
                value,
                must,
            } => {
                self.set_xattr(*id, name, value, *must)?;
                self.touch(*id, op.time, seq);
            }
            OpKind::RemoveXattr { id, name } => {
                let node = self.nodes.get_mut(id).ok_or(Refusal::NotFound)?;
                node.xattrs.remove(&name[..]).ok_or(Refusal::NoXattr)?;
                self.touch(*id, op.time, seq);
            }
        }
        Ok(Applied::Yes)
    }

    fn create(
        &mut self,
        create: &Create,
        content: ContentRef,
        time: Nanos,
        seq: u64,
    ) -> Result<(), Refusal> {
        let Place { parent, name, id } = &create.place;
        if self.children(*parent)?.contains_key(name.as_bytes()) {
            return Err(Refusal::Exists);
        }
        if self.nodes.contains_key(id) || self.removed.contains(id) {
            return Err(Refusal::IdTaken);
        }
        self.path_fits(*parent, name)?;
        let is_dir = create.kind == NodeKind::Dir;
        let node = Node {
            attr: Attr {
                id: *id,
                kind: create.kind,
                mode: create.mode,
                uid: create.uid,
                gid: create.gid,
                nlink: 1,
                mtime: create.mtime,
                ctime: time,
                content,
            },
            xattrs: BTreeMap::new(),
            target: create.target.clone(),
            git: None,
            git_refused: false,
            names: Vec::new(),
            dir: is_dir.then(|| Dir {
                children: Some(BTreeMap::new()),
                sealed: None,
                changed: seq,
            }),
        };
        self.nodes.insert(*id, node);
        self.insert_name(*parent, name, *id, time, seq);
        Ok(())
    }

    fn link(&mut self, place: &Place, time: Nanos, seq: u64) -> Result<(), Refusal> {
        if self.children(place.parent)?.contains_key(&place.name) {
            return Err(Refusal::Exists);
        }
        let node = self.nodes.get(&place.id).ok_or(Refusal::NotFound)?;
        if matches!(node.attr.kind, NodeKind::Dir | NodeKind::Gitlink) {
            return Err(Refusal::NotPermitted);
        }
        if node.attr.nlink >= NLINK_MAX {
            return Err(Refusal::TooManyLinks);
        }
        self.path_fits(place.parent, &place.name)?;
        self.insert_name(place.parent, &place.name, place.id, time, seq);
        if let Some(node) = self.nodes.get_mut(&place.id) {
            node.attr.nlink += 1;
            node.attr.ctime = time;
        }
        self.mark_node(place.id, seq);
        Ok(())
    }

    fn unlink(&mut self, place: &Place, time: Nanos, seq: u64) -> Result<(), Refusal> {
        let node = self.at(place)?;
        if matches!(node.attr.kind, NodeKind::Dir | NodeKind::Gitlink) {
            return Err(Refusal::IsDir);
        }
        self.remove_name(place.parent, &place.name, time, seq);
        self.drop_link(place.id, time, seq);
        Ok(())
    }

    fn rmdir(&mut self, place: &Place, time: Nanos, seq: u64) -> Result<(), Refusal> {
        let node = self.at(place)?;
        match node.attr.kind {
            NodeKind::Dir | NodeKind::Gitlink => {}
            _ => return Err(Refusal::NotDir),
        }
        self.must_be_empty(place.id)?;
        self.remove_name(place.parent, &place.name, time, seq);
        self.nodes.remove(&place.id);
        self.remember_removed(place.id);
        Ok(())
    }

    fn rename(
        &mut self,
        from: &Place,
        (new_parent, new_name): (FileId, &EntryName),
        replaced: Option<FileId>,
        time: Nanos,
        seq: u64,
    ) -> Result<Applied, Refusal> {
        let moved_is_dir = self.at(from)?.attr.kind == NodeKind::Dir;
        let there = self.children(new_parent)?.get(new_name).copied();
        if there != replaced {
            return Err(match (there, replaced) {
                (Some(_), None) => Refusal::Exists,
                _ => Refusal::Stale,
            });
        }
        if there == Some(from.id) {
            return Ok(Applied::Nothing);
        }
        if moved_is_dir && self.is_within(new_parent, from.id) {
            return Err(Refusal::Invalid);
        }
        self.path_fits(new_parent, new_name)?;
        if let Some(there) = there {
            let there_is_dir = self.nodes.get(&there).is_some_and(|n| n.dir.is_some());
            match (moved_is_dir, there_is_dir) {
                (true, false) => return Err(Refusal::NotDir),
                (false, true) => return Err(Refusal::IsDir),
                (true, true) => self.must_be_empty(there)?,
                (false, false) => {}
            }
            self.remove_name(new_parent, new_name, time, seq);
            if there_is_dir {
                self.nodes.remove(&there);
                self.remember_removed(there);
            } else {
                self.drop_link(there, time, seq);
            }
        }
        self.remove_name(from.parent, &from.name, time, seq);
        self.insert_name(new_parent, new_name, from.id, time, seq);
        self.touch(from.id, time, seq);
        Ok(Applied::Yes)
    }

    fn exchange(
        &mut self,
        one: &Place,
        other: &Place,
        time: Nanos,
        seq: u64,
    ) -> Result<Applied, Refusal> {
        self.at(one)?;
        self.at(other)?;
        if one.id == other.id {
            return Ok(Applied::Nothing);
        }
        if self.is_within(other.parent, one.id) || self.is_within(one.parent, other.id) {
            return Err(Refusal::Invalid);
        }
        self.path_fits(one.parent, &one.name)?;
        self.path_fits(other.parent, &other.name)?;
        self.remove_name(one.parent, &one.name, time, seq);
        self.remove_name(other.parent, &other.name, time, seq);
        self.insert_name(one.parent, &one.name, other.id, time, seq);
        self.insert_name(other.parent, &other.name, one.id, time, seq);
        self.touch(one.id, time, seq);
        self.touch(other.id, time, seq);
        Ok(Applied::Yes)
    }

    fn set_xattr(
        &mut self,
        id: FileId,
        name: &[u8],
        value: &Bytes,
        must: XattrMust,
    ) -> Result<(), Refusal> {
        let node = self.nodes.get_mut(&id).ok_or(Refusal::NotFound)?;
        let old = node.xattrs.get(name);
        match (must, old) {
            (XattrMust::BeAbsent, Some(_)) => return Err(Refusal::Exists),
            (XattrMust::BePresent, None) => return Err(Refusal::NoXattr),
            _ => {}
        }
        let weight = |value: &Bytes| name.len() + value.len() + limits::XATTR_OVERHEAD;
        let without = node.xattr_bytes() - old.map_or(0, weight);
        if without + weight(value) > limits::XATTR_TOTAL_MAX {
            return Err(Refusal::XattrsTooBig);
        }
        node.xattrs.insert(name.to_vec(), value.clone());
        Ok(())
    }

    /// The listing of a directory operated in.
    fn children(&self, id: FileId) -> Result<&BTreeMap<EntryName, FileId>, Refusal> {
        let node = self.nodes.get(&id).ok_or(Refusal::NotFound)?;
        let dir = node.dir.as_ref().ok_or(Refusal::NotDir)?;
        dir.children.as_ref().ok_or(Refusal::NotFound)
    }

    /// The node a place names, if it is the one meant.
    fn at(&self, place: &Place) -> Result<&Node, Refusal> {
        match self.children(place.parent)?.get(&place.name) {
            None => Err(Refusal::NotFound),
            Some(&id) if id != place.id => Err(Refusal::Stale),
            Some(id) => self.nodes.get(id).ok_or(Refusal::NotFound),
        }
    }

    fn must_be_empty(&self, id: FileId) -> Result<(), Refusal> {
        let Some(dir) = self.nodes.get(&id).and_then(|n| n.dir.as_ref()) else {
            return Ok(());
        };
        match &dir.children {
            Some(children) if children.is_empty() => Ok(()),
            _ => Err(Refusal::NotEmpty),
        }
    }

    fn insert_name(&mut self, parent: FileId, name: &EntryName, id: FileId, time: Nanos, seq: u64) {
        if let Some(dir) = self.nodes.get_mut(&parent) {
            (dir.attr.mtime, dir.attr.ctime) = (time, time);
            if let Some(children) = dir.dir.as_mut().and_then(|d| d.children.as_mut()) {
                children.insert(name.clone(), id);
            }
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.names.push((parent, name.clone()));
        }
        self.mark_dir(parent, seq);
    }

    fn remove_name(&mut self, parent: FileId, name: &EntryName, time: Nanos, seq: u64) {
        let mut removed = None;
        if let Some(dir) = self.nodes.get_mut(&parent) {
            (dir.attr.mtime, dir.attr.ctime) = (time, time);
            if let Some(children) = dir.dir.as_mut().and_then(|d| d.children.as_mut()) {
                removed = children.remove(name);
            }
        }
        if let Some(node) = removed.and_then(|id| self.nodes.get_mut(&id)) {
            node.names.retain(|(p, n)| !(*p == parent && n == name));
        }
        self.mark_dir(parent, seq);
    }

    /// One name less: the node goes with its last one.
    fn drop_link(&mut self, id: FileId, time: Nanos, seq: u64) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.attr.nlink -= 1;
        node.attr.ctime = time;
        if node.attr.nlink == 0 {
            self.nodes.remove(&id);
            if self.links.ids.remove(&id) {
                self.links.changed = seq;
            }
            self.remember_removed(id);
        } else {
            self.mark_node(id, seq);
        }
    }

    fn touch(&mut self, id: FileId, time: Nanos, seq: u64) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.attr.ctime = time;
        }
        self.mark_node(id, seq);
    }
}
