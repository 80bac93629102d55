//! From paths to operations on nodes.
//!
//! The plan is made against the tree and an overlay of what earlier operations of the same write
//! will have done; nothing is applied before the whole write has been found possible.

mod names;
mod node;
mod revive;

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use mesa_object::tree::Xattrs;
use mesa_proto::{
    convert::content_to_wire,
    v1::{self, op::Kind},
};
use mesa_store::OrgPacks;
use mesa_types::{ContentRef, EntryName, FileId, Nanos, NodeKind, limits};

use self::names::Names;
use super::{FilePath, Prepared};
use crate::{
    error::{HeadError, HeadErrorKind, Result},
    load,
    rows::IdSpan,
    tree::Tree,
};

/// Nodes one write may remove.
const REMOVED_MAX: usize = 100_000;

/// What a name stands for while a write is planned.
#[derive(Debug, Clone)]
struct Seen {
    id: FileId,
    kind: NodeKind,
    mode: u16,
    content: ContentRef,
    target: Bytes,
}

/// A write in the making.
pub(crate) struct Plan<'a> {
    packs: &'a OrgPacks,
    tree: &'a mut Tree,
    time: Nanos,
    ids: std::ops::Range<u64>,
    /// Names that differ from the tree, by directory.
    overlay: HashMap<FileId, BTreeMap<EntryName, Option<Seen>>>,
    /// Extended attributes that the write leaves: a node may be met by several names.
    xattrs: HashMap<FileId, Xattrs>,
    names: Names,
    removed: usize,
    ops: Vec<v1::Op>,
}

/// A directory on the way, with its path.
struct Dir {
    id: FileId,
    path: Vec<u8>,
}

impl<'a> Plan<'a> {
    pub fn new(packs: &'a OrgPacks, tree: &'a mut Tree, time: Nanos, ids: IdSpan) -> Self {
        Self {
            packs,
            tree,
            time,
            ids: ids.first..ids.first + ids.count,
            overlay: HashMap::new(),
            xattrs: HashMap::new(),
            names: Names::default(),
            removed: 0,
            ops: Vec::new(),
        }
    }

    /// The operations of a write; an error of kind [`HeadErrorKind::Invalid`] or
    /// [`HeadErrorKind::Conflict`] if it is not possible.
    pub async fn run(mut self, edits: &[Prepared]) -> Result<Vec<v1::Op>> {
        for edit in edits {
            match edit {
                Prepared::Put { .. } => self.put(edit).await?,
                Prepared::Delete { path } => self.delete(path).await?,
                Prepared::Move { from, to } => self.rename(from, to).await?,
                Prepared::Remove { path } => self.remove(path).await?,
                Prepared::Shift { from, to } => self.shift(from, to).await?,
                Prepared::Link { path, source } => self.link(path, source).await?,
                Prepared::Times { path, mtime } => self.times(path, *mtime).await?,
                Prepared::Node {
                    path,
                    record,
                    inline,
                } => self.node(path, record, inline).await?,
            }
        }
        Ok(self.ops)
    }

    async fn put(&mut self, edit: &Prepared) -> Result<()> {
        let Prepared::Put {
            path,
            kind,
            exec,
            content,
            inline,
            target,
        } = edit
        else {
            return Ok(());
        };
        let (dir, name) = self.parent(path, true).await?;
        let there = self.look(&dir, name).await?;
        match there {
            Some(seen) if seen.kind == NodeKind::Dir => {
                return Err(refuse("PATH_IS_DIRECTORY", path, "is a directory"));
            }
            Some(seen) if seen.kind == *kind && *kind == NodeKind::File => {
                let full = join(&dir.path, name);
                if seen.content != *content {
                    let set = v1::SetContent {
                        id: seen.id.0,
                        base: wire_content(&seen.content),
                        content: wire_content(content),
                        inline: inline.clone(),
                        extents: Vec::new(),
                        resized: true,
                        mtime_ns: self.time.0,
                    };
                    self.push(full.clone(), Kind::SetContent(set));
                }
                let mode = exec.map_or(seen.mode, |exec| with_exec(seen.mode, exec));
                if mode != seen.mode {
                    let set = v1::SetAttr {
                        id: seen.id.0,
                        mode: Some(mode.into()),
                        ..v1::SetAttr::default()
                    };
                    self.push(full, Kind::SetAttr(set));
                }
                let content = *content;
                let seen = Seen {
                    mode,
                    content,
                    ..seen
                };
                self.names.wrote(&seen);
                self.set(&dir, name, Some(seen));
                return Ok(());
            }
            Some(seen) if seen.kind == NodeKind::Symlink && seen.target == *target => {
                return Ok(());
            }
            Some(seen) => self.unlink(&dir, name, &seen),
            None => {}
        }
        let mode = match kind {
            NodeKind::Symlink => 0o777,
            _ if *exec == Some(true) => 0o755,
            _ => 0o644,
        };
        let id = self.id()?;
        let create = v1::Create {
            parent: dir.id.0,
            name: Bytes::copy_from_slice(name.as_bytes()),
            id: id.0,
            kind: *kind as u32,
            mode: u32::from(mode),
            target: target.clone(),
            mtime_ns: self.time.0,
            content: wire_content(content),
            inline: inline.clone(),
            ..v1::Create::default()
        };
        self.push(dir.path.clone(), Kind::Create(create));
        let seen = Seen {
            id,
            kind: *kind,
            mode,
            content: *content,
            target: target.clone(),
        };
        self.set(&dir, name, Some(seen));
        Ok(())
    }

    /// Removes what is at a path, if anything.
    async fn remove(&mut self, path: &FilePath) -> Result<()> {
        let (dir, name) = match self.parent(path, false).await {
            Ok(found) => found,
            Err(error) if error.code == "PATH_NOT_FOUND" => return Ok(()),
            Err(error) => return Err(error),
        };
        if let Some(seen) = self.look(&dir, name).await? {
            self.take_away(&dir, name, &seen).await?;
        }
        Ok(())
    }

    async fn take_away(&mut self, dir: &Dir, name: &EntryName, seen: &Seen) -> Result<()> {
        if seen.kind == NodeKind::Dir {
            self.remove_below(seen.id, join(&dir.path, name)).await?;
            self.rmdir(dir, name, seen.id);
        } else {
            self.unlink(dir, name, seen);
        }
        Ok(())
    }

    async fn delete(&mut self, path: &FilePath) -> Result<()> {
        let missing = || refuse("PATH_NOT_FOUND", path, "does not exist");
        let (dir, name) = self.parent(path, false).await?;
        let seen = self.look(&dir, name).await?.ok_or_else(missing)?;
        self.take_away(&dir, name, &seen).await?;
        self.prune(path).await
    }

    async fn rename(&mut self, from: &FilePath, to: &FilePath) -> Result<()> {
        if from == to {
            return Ok(());
        }
        if to.names().starts_with(from.names()) {
            return Err(refuse("BAD_MOVE", from, "cannot be moved into itself"));
        }
        let missing = || refuse("PATH_NOT_FOUND", from, "does not exist");
        let (dir, name) = self.parent(from, false).await?;
        let seen = self.look(&dir, name).await?.ok_or_else(missing)?;
        let (new_dir, new_name) = self.parent(to, true).await?;
        let there = self.look(&new_dir, new_name).await?;
        if let Some(there) = &there
            && (there.kind == NodeKind::Dir || seen.kind == NodeKind::Dir)
        {
            return Err(refuse("PATH_EXISTS", to, "exists"));
        }
        if there.as_ref().is_some_and(|there| there.id == seen.id) {
            // Another name of the same file, which a rename would leave as it is.
            self.unlink(&dir, name, &seen);
            return self.prune(from).await;
        }
        let rename = v1::Rename {
            parent: dir.id.0,
            name: Bytes::copy_from_slice(name.as_bytes()),
            id: seen.id.0,
            new_parent: new_dir.id.0,
            new_name: Bytes::copy_from_slice(new_name.as_bytes()),
            new_path: new_dir.path.clone().into(),
            replaced: there.map_or(0, |there| there.id.0),
            exchange: false,
        };
        self.push(dir.path.clone(), Kind::Rename(rename));
        self.set(&dir, name, None);
        self.set(&new_dir, new_name, Some(seen));
        self.prune(from).await
    }

    /// Removes everything below a directory, deepest first.
    async fn remove_below(&mut self, id: FileId, path: Vec<u8>) -> Result<()> {
        let mut stack = vec![(Dir { id, path }, None::<(Dir, EntryName)>)];
        let mut order = Vec::new();
        while let Some((dir, place)) = stack.pop() {
            for (name, seen) in self.listing(&dir).await? {
                self.removed += 1;
                if self.removed > REMOVED_MAX {
                    return Err(HeadError::new(
                        HeadErrorKind::Invalid,
                        "TOO_MANY_FILES",
                        "more files below the directory than one write may remove",
                    ));
                }
                let at = Dir {
                    id: dir.id,
                    path: dir.path.clone(),
                };
                if seen.kind == NodeKind::Dir {
                    let below = Dir {
                        id: seen.id,
                        path: join(&dir.path, &name),
                    };
                    stack.push((below, Some((at, name))));
                } else {
                    self.unlink(&at, &name, &seen);
                }
            }
            if let Some(place) = place {
                order.push((dir.id, place));
            }
        }
        // Parents were visited before their children.
        for (id, (dir, name)) in order.into_iter().rev() {
            self.rmdir(&dir, &name, id);
        }
        Ok(())
    }

    /// Removes the directories above a path that nothing is left in.
    async fn prune(&mut self, path: &FilePath) -> Result<()> {
        let names = path.names();
        for depth in (1..names.len()).rev() {
            let above = FilePath(names[..depth].to_vec());
            let (dir, name) = self.parent(&above, false).await?;
            let Some(seen) = self.look(&dir, name).await? else {
                return Ok(());
            };
            let inside = Dir {
                id: seen.id,
                path: join(&dir.path, name),
            };
            self.load(&inside).await?;
            let before = self.tree.listing(inside.id).map_or(0, BTreeMap::len);
            if self.names.in_dir(inside.id, before) > 0 {
                return Ok(());
            }
            self.rmdir(&dir, name, seen.id);
        }
        Ok(())
    }

    /// The directory that holds a path's last name; made if it is not there and `make` is set.
    async fn parent<'p>(&mut self, path: &'p FilePath, make: bool) -> Result<(Dir, &'p EntryName)> {
        let missing = || refuse("PATH_NOT_FOUND", path, "does not exist");
        let (name, above) = path.names().split_last().ok_or_else(missing)?;
        let mut dir = Dir {
            id: self.tree.root(),
            path: Vec::new(),
        };
        if path.to_bytes().len() > limits::PATH_MAX {
            return Err(refuse("PATH_TOO_LONG", path, "is too long"));
        }
        for part in above {
            let full = join(&dir.path, part);
            let id = match self.look(&dir, part).await? {
                Some(seen) if seen.kind == NodeKind::Dir => seen.id,
                Some(_) => {
                    return Err(refuse(
                        "PARENT_NOT_DIRECTORY",
                        path,
                        "lies below something that is not a directory",
                    ));
                }
                None if make => self.mkdir(&dir, part)?,
                None => return Err(missing()),
            };
            dir = Dir { id, path: full };
        }
        Ok((dir, name))
    }

    fn mkdir(&mut self, dir: &Dir, name: &EntryName) -> Result<FileId> {
        let id = self.id()?;
        let create = v1::Create {
            parent: dir.id.0,
            name: Bytes::copy_from_slice(name.as_bytes()),
            id: id.0,
            kind: NodeKind::Dir as u32,
            mode: 0o755,
            mtime_ns: self.time.0,
            ..v1::Create::default()
        };
        self.push(dir.path.clone(), Kind::Create(create));
        let seen = Seen {
            id,
            kind: NodeKind::Dir,
            mode: 0o755,
            content: ContentRef::Empty,
            target: Bytes::new(),
        };
        self.set(dir, name, Some(seen));
        Ok(id)
    }

    fn unlink(&mut self, dir: &Dir, name: &EntryName, seen: &Seen) {
        let unlink = v1::Unlink {
            parent: dir.id.0,
            name: Bytes::copy_from_slice(name.as_bytes()),
            id: seen.id.0,
        };
        self.push(dir.path.clone(), Kind::Unlink(unlink));
        self.set(dir, name, None);
    }

    fn rmdir(&mut self, dir: &Dir, name: &EntryName, id: FileId) {
        let rmdir = v1::Rmdir {
            parent: dir.id.0,
            name: Bytes::copy_from_slice(name.as_bytes()),
            id: id.0,
        };
        self.push(dir.path.clone(), Kind::Rmdir(rmdir));
        self.set(dir, name, None);
    }

    fn push(&mut self, path: Vec<u8>, kind: Kind) {
        self.ops.push(v1::Op {
            time_ns: self.time.0,
            path: path.into(),
            actor: 0,
            kind: Some(kind),
        });
    }

    /// Lets a name that was looked up stand for something else.
    fn set(&mut self, dir: &Dir, name: &EntryName, seen: Option<Seen>) {
        let known = self.overlay.get(&dir.id).and_then(|names| names.get(name));
        let before = match known {
            Some(before) => before.as_ref().map(|before| before.id),
            None => self.in_tree(dir.id, name),
        };
        self.names
            .replaced(dir.id, before, seen.as_ref().map(|seen| seen.id));
        let known = self.overlay.entry(dir.id).or_default();
        known.insert(name.clone(), seen);
    }

    fn in_tree(&self, dir: FileId, name: &EntryName) -> Option<FileId> {
        self.tree.listing(dir)?.get(name).copied()
    }

    fn id(&mut self) -> Result<FileId> {
        let short = || {
            HeadError::new(
                HeadErrorKind::Unavailable,
                "HEAD_RELOADED",
                "the write needs more file ids than were kept for it",
            )
        };
        self.ids.next().map(FileId).ok_or_else(short)
    }

    async fn look(&mut self, dir: &Dir, name: &EntryName) -> Result<Option<Seen>> {
        if let Some(seen) = self.overlay.get(&dir.id).and_then(|names| names.get(name)) {
            return Ok(seen.clone().map(|seen| self.names.now(seen)));
        }
        self.load(dir).await?;
        Ok(self.in_tree(dir.id, name).and_then(|id| self.seen(id)))
    }

    async fn listing(&mut self, dir: &Dir) -> Result<Vec<(EntryName, Seen)>> {
        self.load(dir).await?;
        let overlay = self.overlay.get(&dir.id);
        let changed = |name: &EntryName| overlay.is_some_and(|names| names.contains_key(name));
        let mut found: Vec<_> = self
            .tree
            .listing(dir.id)
            .into_iter()
            .flatten()
            .filter(|(name, _)| !changed(name))
            .filter_map(|(name, id)| Some((name.clone(), self.seen(*id)?)))
            .collect();
        for (name, seen) in overlay.into_iter().flatten() {
            if let Some(seen) = seen {
                found.push((name.clone(), seen.clone()));
            }
        }
        Ok(found)
    }

    fn seen(&self, id: FileId) -> Option<Seen> {
        let node = self.tree.node(id)?;
        Some(self.names.now(Seen {
            id,
            kind: node.attr.kind,
            mode: node.attr.mode,
            content: node.attr.content,
            target: node.target.clone(),
        }))
    }

    /// Loads a directory of the tree; one that this write makes has nothing to load.
    async fn load(&mut self, dir: &Dir) -> Result<()> {
        while self.tree.node(dir.id).is_some()
            && let Some(need) = self.tree.needs_node(dir.id, &dir.path, true)
        {
            load::satisfy(self.packs, self.tree, need).await?;
        }
        Ok(())
    }
}

fn wire_content(content: &ContentRef) -> Option<v1::ContentRef> {
    Some(content_to_wire(content)).filter(|content| content.size > 0)
}

fn with_exec(mode: u16, exec: bool) -> u16 {
    if exec {
        // Whoever may read may execute.
        mode | ((mode & 0o444) >> 2)
    } else {
        mode & !0o111
    }
}

fn join(dir: &[u8], name: &EntryName) -> Vec<u8> {
    if dir.is_empty() {
        name.as_bytes().to_vec()
    } else {
        [dir, name.as_bytes()].join(&b'/')
    }
}

fn refuse(code: &'static str, path: &FilePath, what: &str) -> HeadError {
    let path = path.to_bytes();
    HeadError::new(
        HeadErrorKind::Invalid,
        code,
        format!("'{}' {what}", path.escape_ascii()),
    )
}

/// Most new nodes a write can make.
pub(crate) fn ids_wanted(edits: &[Prepared]) -> u64 {
    edits
        .iter()
        .map(|edit| match edit {
            Prepared::Put { path, .. } | Prepared::Move { to: path, .. } => path.names().len(),
            Prepared::Node { .. } => 1,
            Prepared::Delete { .. }
            | Prepared::Remove { .. }
            | Prepared::Shift { .. }
            | Prepared::Link { .. }
            | Prepared::Times { .. } => 0,
        } as u64)
        .sum()
}
