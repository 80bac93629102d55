//! One node of the tree: what `stat` answers, where it hangs, what the kernel holds of it.

use std::{borrow::Borrow, collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use mesa_types::{ContentRef, FileId, Nanos, NodeKind, ObjectId, Owner};

/// An entry's name; the node and its directory share one allocation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<[u8]>);

impl Name {
    /// Takes a copy of `bytes`. The caller has checked them.
    pub fn new(bytes: &[u8]) -> Self {
        Self(Arc::from(bytes))
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// A file, directory, symlink, fifo or socket.
#[derive(Debug)]
pub struct Node {
    /// Identity, `st_ino`.
    pub id: FileId,
    /// Type.
    pub kind: NodeKind,
    /// Permission bits, `0o7777`.
    pub mode: u16,
    /// Reads with conflict markers.
    pub conflicted: bool,
    /// Must be read again: a listing is newer whatever it says.
    pub stale: bool,
    /// Not in any directory (unlinked while open, or `O_TMPFILE`).
    pub orphan: bool,
    /// Own content operations not acknowledged.
    pub pending: u16,
    /// Owning user.
    pub uid: Owner,
    /// Owning group.
    pub gid: Owner,
    /// Entries naming this node; 1 for directories.
    pub nlink: u32,
    /// Mark of the content the kernel may have pages of; 0 = none.
    pub pages: u32,
    /// What the kernel holds.
    pub lookups: u64,
    /// Last change of the content, or of the entries.
    pub mtime: Nanos,
    /// Last change of the attributes.
    pub ctime: Nanos,
    /// Head sequence this state includes; events up to it have no effect here.
    pub as_of: u64,
    /// A directory this node is in (its own parent for directories); itself for the root.
    pub parent: FileId,
    /// Its name there.
    pub name: Name,
    /// Content of a file, target reference of a symlink.
    pub content: ContentRef,
    /// What few nodes have.
    pub extra: Option<Box<Extra>>,
}

/// Parts of a node that plain files do not have.
#[derive(Debug, Default)]
pub struct Extra {
    /// Directories: the listing.
    pub dir: Option<DirState>,
    /// Symlinks: the target.
    pub target: Bytes,
    /// Extended attributes.
    pub xattrs: BTreeMap<Box<[u8]>, Bytes>,
    /// Known entries besides `(parent, name)` of a hard-linked node.
    pub links: Vec<(FileId, Name)>,
}

/// How much of a directory is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loaded {
    /// Nothing.
    No,
    /// Every entry.
    Yes,
    /// Every entry as of some time ago; must be read again before it answers anything.
    Stale,
}

/// A directory's entries.
#[derive(Debug)]
pub struct DirState {
    /// Whether `children` can be trusted.
    pub loaded: Loaded,
    /// Head sequence the listing includes.
    pub as_of: u64,
    /// The sealed listing that equals this directory and everything below, while it is not loaded.
    pub tree: Option<ObjectId>,
    /// Names in byte order.
    pub children: BTreeMap<Name, FileId>,
    /// Children that are directories.
    pub subdirs: u32,
}

impl DirState {
    /// A directory that is not loaded.
    pub fn unloaded(tree: Option<ObjectId>) -> Self {
        Self {
            loaded: Loaded::No,
            as_of: 0,
            tree,
            children: BTreeMap::new(),
            subdirs: 0,
        }
    }

    /// A new directory: known to be empty.
    pub fn empty(as_of: u64) -> Self {
        Self {
            loaded: Loaded::Yes,
            as_of,
            ..Self::unloaded(None)
        }
    }
}

impl Node {
    /// Whether entries can be in it.
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, NodeKind::Dir | NodeKind::Gitlink)
    }

    /// The listing, for directories.
    pub fn dir(&self) -> Option<&DirState> {
        self.extra.as_ref()?.dir.as_ref()
    }

    /// The listing, for directories.
    pub fn dir_mut(&mut self) -> Option<&mut DirState> {
        self.extra.as_mut()?.dir.as_mut()
    }

    /// The rare parts, made when absent.
    pub fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_with(Box::default)
    }

    /// Target of a symlink.
    pub fn target(&self) -> Bytes {
        self.extra
            .as_ref()
            .map(|e| e.target.clone())
            .unwrap_or_default()
    }

    /// `st_nlink`. A directory that is not loaded shows 1 ("unknown", as btrfs does always).
    pub fn shown_nlink(&self) -> u32 {
        match self.dir() {
            Some(_) if self.orphan => 0,
            Some(dir) if dir.loaded == Loaded::Yes => 2 + dir.subdirs,
            Some(_) => 1,
            None => self.nlink,
        }
    }

    /// Adds an entry that names this node.
    pub fn add_link(&mut self, parent: FileId, name: Name) {
        if self.orphan {
            self.parent = parent;
            self.name = name;
            self.orphan = false;
        } else if self.parent != parent || self.name != name {
            let links = &mut self.extra_mut().links;
            if !links.iter().any(|l| l.0 == parent && l.1 == name) {
                links.push((parent, name));
            }
        }
    }

    /// Forgets an entry that named this node; the node is an orphan when none is known any more.
    pub fn drop_link(&mut self, parent: FileId, name: &[u8]) {
        if self.orphan {
            return;
        }
        if self.parent == parent && self.name.as_bytes() == name {
            match self.extra.as_mut().and_then(|e| e.links.pop()) {
                Some((parent, name)) => {
                    self.parent = parent;
                    self.name = name;
                }
                None => self.orphan = true,
            }
        } else if let Some(extra) = &mut self.extra {
            extra
                .links
                .retain(|l| !(l.0 == parent && l.1.as_bytes() == name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_small() {
        assert!(size_of::<Node>() <= 168, "{}", size_of::<Node>());
    }
}
