//! A path becomes what some tree has there.

use bytes::Bytes;
use mesa_object::tree::{NodeRecord, Xattrs};
use mesa_proto::{
    convert::owner_to_wire,
    v1::{self, op::Kind},
};
use mesa_types::{EntryName, NodeKind};

use super::{Dir, Plan, Seen, join, names::Apart, wire_content};
use crate::{edit::FilePath, error::Result};

impl Plan<'_> {
    /// Makes a path what a record says. A node of the same type stays the same node, unless it has
    /// other names that are not meant: then the name gets a node of its own, together with others
    /// that become the same.
    pub(super) async fn node(
        &mut self,
        path: &FilePath,
        record: &NodeRecord,
        inline: &Bytes,
    ) -> Result<()> {
        let (dir, name) = self.parent(path, true).await?;
        let attr = &record.attr;
        let full = join(&dir.path, name);
        let mut there = self.look(&dir, name).await?;
        if let Some(seen) = &there
            && (seen.kind != attr.kind || seen.target != record.target)
        {
            let seen = seen.clone();
            self.take_away(&dir, name, &seen).await?;
            there = None;
        }
        // Taken off a node with other names.
        let mut off = None;
        if let Some(seen) = &there
            && seen.kind != NodeKind::Dir
        {
            let seen = seen.clone();
            if let Some(twin) = self.names.twin(seen.id, record)
                && self.is_at(&twin).await?
            {
                self.unlink(&dir, name, &seen);
                self.link_to(&dir, name, &twin, record);
                return Ok(());
            }
            if self.is_others(&seen, record) {
                self.unlink(&dir, name, &seen);
                off = Some(seen.id);
                there = None;
            }
        }
        let (uid, gid) = (owner_to_wire(attr.uid), owner_to_wire(attr.gid));
        let (id, had) = if let Some(seen) = there {
            if attr.kind == NodeKind::File && seen.content != attr.content {
                let set = v1::SetContent {
                    id: seen.id.0,
                    base: wire_content(&seen.content),
                    content: wire_content(&attr.content),
                    inline: inline.clone(),
                    extents: Vec::new(),
                    resized: true,
                    mtime_ns: attr.mtime.0,
                };
                self.push(full.clone(), Kind::SetContent(set));
            }
            let node = self.tree.node(seen.id).map(|node| node.attr.clone());
            let same = node.is_some_and(|node| {
                (node.mode, node.uid, node.gid) == (attr.mode, attr.uid, attr.gid)
            });
            if !same {
                let set = v1::SetAttr {
                    id: seen.id.0,
                    mode: Some(attr.mode.into()),
                    set_owner: true,
                    uid,
                    gid,
                    mtime_ns: Some(attr.mtime.0),
                };
                self.push(full.clone(), Kind::SetAttr(set));
            }
            let planned = self.xattrs.get(&seen.id);
            let had = planned.or_else(|| self.tree.node(seen.id).map(|node| &node.xattrs));
            (seen.id, had.cloned().unwrap_or_default())
        } else {
            let id = self.id()?;
            let is_file = attr.kind == NodeKind::File;
            let create = v1::Create {
                parent: dir.id.0,
                name: Bytes::copy_from_slice(name.as_bytes()),
                id: id.0,
                kind: attr.kind as u32,
                mode: attr.mode.into(),
                uid,
                gid,
                target: record.target.clone(),
                mtime_ns: attr.mtime.0,
                content: wire_content(&attr.content).filter(|_| is_file),
                inline: inline.clone(),
            };
            self.push(dir.path.clone(), Kind::Create(create));
            (id, Xattrs::new())
        };
        for name in had.keys().filter(|name| !record.xattrs.contains_key(*name)) {
            let remove = v1::RemoveXattr {
                id: id.0,
                name: Bytes::copy_from_slice(name),
            };
            self.push(full.clone(), Kind::RemoveXattr(remove));
        }
        for (name, value) in &record.xattrs {
            if had.get(name) != Some(value) {
                let set = v1::SetXattr {
                    id: id.0,
                    name: Bytes::copy_from_slice(name),
                    value: value.clone(),
                    flags: 0,
                };
                self.push(full.clone(), Kind::SetXattr(set));
            }
        }
        self.xattrs.insert(id, record.xattrs.clone());
        let seen = Seen {
            id,
            kind: attr.kind,
            mode: attr.mode,
            content: attr.content,
            target: record.target.clone(),
        };
        if let Some(off) = off {
            self.names.took_apart(off, id, full, record);
        }
        self.names.wrote(&seen);
        self.set(&dir, name, Some(seen));
        Ok(())
    }

    /// Whether writing a record to a node would write to names that are not meant. Who had the same
    /// node with as many names means all of them.
    fn is_others(&self, seen: &Seen, record: &NodeRecord) -> bool {
        let Some(node) = self.tree.node(seen.id) else {
            return self.names.of(seen.id, 0) > 1;
        };
        let (now, wanted) = (&node.attr, &record.attr);
        let is_meant = wanted.id == seen.id && wanted.nlink == now.nlink;
        let is_same = (seen.content, seen.mode) == (wanted.content, wanted.mode)
            && (now.uid, now.gid) == (wanted.uid, wanted.gid)
            && node.xattrs == record.xattrs;
        !is_meant && !is_same && self.names.of(seen.id, now.nlink as usize) > 1
    }

    /// Whether a node made by this write is still where it was made.
    async fn is_at(&mut self, made: &Apart) -> Result<bool> {
        let Ok(path) = FilePath::parse(&made.path) else {
            return Ok(false);
        };
        let (dir, name) = match self.parent(&path, false).await {
            Ok(found) => found,
            Err(error) if error.code == "PATH_NOT_FOUND" => return Ok(false),
            Err(error) => return Err(error),
        };
        let there = self.look(&dir, name).await?;
        Ok(there.is_some_and(|there| there.id == made.id))
    }

    fn link_to(&mut self, dir: &Dir, name: &EntryName, made: &Apart, record: &NodeRecord) {
        let link = v1::Link {
            id: made.id.0,
            parent: dir.id.0,
            name: Bytes::copy_from_slice(name.as_bytes()),
            source_path: made.path.clone().into(),
        };
        self.push(dir.path.clone(), Kind::Link(link));
        let seen = Seen {
            id: made.id,
            kind: record.attr.kind,
            mode: record.attr.mode,
            content: record.attr.content,
            target: record.target.clone(),
        };
        self.set(dir, name, Some(seen));
    }
}
