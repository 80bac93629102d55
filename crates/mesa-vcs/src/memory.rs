//! A store in memory, for tests and for merges of trees that are nowhere else.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use mesa_object::{
    OrgKey, content, git,
    tree::{DirRef, Entry, EntryTarget, NodeRecord, Root, TreeError, build_links, seal_dir},
};
use mesa_types::{Attr, ContentRef, EntryName, FileId, Nanos, NodeKind, ObjectId, Owner};

use crate::tree::{Change, Edit, Stored, TreePath, TreeSource, TreeStore};

/// Snapshots and contents.
#[derive(Debug)]
pub struct MemoryStore {
    key: OrgKey,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    listings: HashMap<ObjectId, Vec<Entry>>,
    links: HashMap<ObjectId, HashMap<FileId, NodeRecord>>,
    contents: HashMap<ContentRef, Bytes>,
    reads: Reads,
}

/// What was asked of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reads {
    /// Calls of [`TreeSource::list`].
    pub list_calls: usize,
    /// Listings given.
    pub listings: usize,
    /// Contents given.
    pub contents: usize,
}

/// Something that was never stored here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store has no such {0}")]
pub struct Missing(&'static str);

/// The nodes of a tree by path, directories included, without the root.
pub type Paths = BTreeMap<TreePath, NodeRecord>;

impl MemoryStore {
    /// An empty store.
    pub fn new(key: OrgKey) -> Self {
        Self {
            key,
            inner: Mutex::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was asked since the last call.
    pub fn take_reads(&self) -> Reads {
        std::mem::take(&mut self.inner().reads)
    }

    /// Stores a content.
    pub fn put(&self, bytes: impl Into<Bytes>) -> Stored {
        let bytes = bytes.into();
        let content = content::of_slice(&self.key, &bytes).content;
        let git = git::blob_oid(&bytes).unwrap_or(mesa_types::GitOid::EMPTY_BLOB);
        self.inner().contents.insert(content, bytes);
        Stored { content, git }
    }

    /// The bytes of a content.
    pub fn get(&self, content: &ContentRef) -> Option<Bytes> {
        match content {
            ContentRef::Empty => Some(Bytes::new()),
            _ => self.inner().contents.get(content).cloned(),
        }
    }

    /// A node without content: mode 0755 for directories and gitlinks, 0777 for symlinks, 0644
    /// for others, times 0.
    pub fn node(kind: NodeKind, id: u64) -> NodeRecord {
        let mode = match kind {
            NodeKind::Dir | NodeKind::Gitlink => 0o755,
            NodeKind::Symlink => 0o777,
            _ => 0o644,
        };
        NodeRecord::new(Attr {
            id: FileId(id),
            kind,
            mode,
            uid: Owner::Mounter,
            gid: Owner::Mounter,
            nlink: 1,
            mtime: Nanos(0),
            ctime: Nanos(0),
            content: ContentRef::Empty,
        })
    }

    /// A regular file.
    pub fn file(&self, id: u64, bytes: &[u8]) -> NodeRecord {
        let stored = self.put(bytes.to_vec());
        let mut node = Self::node(NodeKind::File, id);
        node.attr.content = stored.content;
        node.git = Some(stored.git);
        node
    }

    /// A symlink.
    pub fn symlink(&self, id: u64, target: &[u8]) -> NodeRecord {
        let stored = self.put(target.to_vec());
        let mut node = Self::node(NodeKind::Symlink, id);
        node.attr.content = stored.content;
        node.target = Bytes::copy_from_slice(target);
        node.git = Some(stored.git);
        node
    }

    /// Stores a tree. Directories that `paths` does not name are made, with an id that depends on
    /// the path; non-directories of equal id are hard links of one node, whose record is that of
    /// the first of them.
    pub fn snapshot(&self, paths: &Paths) -> Result<Root, TreeError> {
        let mut names: HashMap<FileId, u32> = HashMap::new();
        let mut linked: BTreeMap<FileId, NodeRecord> = BTreeMap::new();
        for node in paths.values().filter(|n| n.attr.kind != NodeKind::Dir) {
            *names.entry(node.attr.id).or_default() += 1;
        }
        let mut dirs: BTreeMap<TreePath, Vec<Entry>> = BTreeMap::new();
        dirs.insert(TreePath::root(), Vec::new());
        for (path, node) in paths {
            if node.attr.kind == NodeKind::Dir {
                dirs.entry(path.clone()).or_default();
            }
            let mut above = path.parent();
            while let Some(dir) = above {
                above = dir.parent();
                dirs.entry(dir).or_default();
            }
        }
        for (path, node) in paths.iter().filter(|(_, n)| n.attr.kind != NodeKind::Dir) {
            let id = node.attr.id;
            let nlink = names[&id];
            let target = if nlink > 1 {
                let mut node = node.clone();
                node.attr.nlink = nlink;
                linked.entry(id).or_insert(node);
                let kind = node_kind(path, paths);
                EntryTarget::Link { id, kind }
            } else {
                let mut node = node.clone();
                node.attr.nlink = 1;
                EntryTarget::Node(Box::new(node))
            };
            add(&mut dirs, path, target);
        }
        // Below comes before above in this order.
        let mut order: Vec<TreePath> = dirs.keys().cloned().collect();
        order.reverse();
        let mut root = Self::node(NodeKind::Dir, 1);
        for path in order {
            let mut entries = dirs.remove(&path).unwrap_or_default();
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            let sealed = seal_dir(&self.key, &entries, |id| linked.get(&id))?;
            let mut node = paths.get(&path).cloned().unwrap_or_else(|| {
                let hash = blake3::hash(path.as_bytes());
                let id = u64::from(hash.as_bytes()[0]) << 8 | u64::from(hash.as_bytes()[1]);
                Self::node(NodeKind::Dir, 1 << 32 | id)
            });
            self.inner().listings.insert(sealed.dir.object, entries);
            node.git = sealed.git;
            node.dir = Some(sealed.dir);
            if path.is_root() {
                root.git = node.git;
                root.dir = node.dir;
            } else {
                add(&mut dirs, &path, EntryTarget::Node(Box::new(node)));
            }
        }
        let links = if linked.is_empty() {
            None
        } else {
            let records: Vec<NodeRecord> = linked.values().cloned().collect();
            let (table, _) = build_links(&self.key, &records)?;
            self.inner()
                .links
                .insert(table, linked.into_iter().collect());
            Some(table)
        };
        Ok(Root {
            dir: root,
            links,
            conflicts: None,
        })
    }

    /// Everything in a tree.
    pub fn paths(&self, root: &Root) -> Result<Paths, Missing> {
        let mut paths = Paths::new();
        if let Some(dir) = &root.dir.dir {
            self.collect(&TreePath::root(), dir, root.links, &mut paths)?;
        }
        Ok(paths)
    }

    fn collect(
        &self,
        path: &TreePath,
        dir: &DirRef,
        links: Option<ObjectId>,
        paths: &mut Paths,
    ) -> Result<(), Missing> {
        let listing = self.inner().listings.get(&dir.object).cloned();
        for entry in listing.ok_or(Missing("listing"))? {
            let node = match entry.target {
                EntryTarget::Node(node) => *node,
                EntryTarget::Link { id, .. } => self.link(links, id)?,
            };
            let path = path.join(&entry.name);
            if let Some(dir) = &node.dir {
                self.collect(&path, dir, links, paths)?;
            }
            paths.insert(path, node);
        }
        Ok(())
    }

    fn link(&self, table: Option<ObjectId>, id: FileId) -> Result<NodeRecord, Missing> {
        let inner = self.inner();
        let table = table.and_then(|table| inner.links.get(&table));
        let node = table.and_then(|table| table.get(&id));
        node.cloned().ok_or(Missing("linked node"))
    }

    /// Applies edits to the paths of a tree.
    pub fn apply(&self, mut paths: Paths, edits: &[Edit]) -> Result<Paths, Missing> {
        for Edit { path, change } in edits {
            let keeps = matches!(change, Change::Dir(_))
                && paths
                    .get(path)
                    .is_some_and(|n| n.attr.kind == NodeKind::Dir);
            if !keeps {
                paths.retain(|known, _| !known.is_within(path));
            }
            match change {
                Change::Remove => {}
                Change::Put(value) => {
                    if let Some(dir) = &value.node.dir {
                        self.collect(path, dir, value.links, &mut paths)?;
                    }
                    paths.insert(path.clone(), value.node.clone());
                }
                Change::Dir(_) if path.is_root() => {}
                Change::Dir(node) => {
                    paths.insert(path.clone(), (**node).clone());
                }
            }
        }
        Ok(paths)
    }
}

fn node_kind(path: &TreePath, paths: &Paths) -> NodeKind {
    paths
        .get(path)
        .map_or(NodeKind::File, |node| node.attr.kind)
}

fn add(dirs: &mut BTreeMap<TreePath, Vec<Entry>>, path: &TreePath, target: EntryTarget) {
    if let (Some(parent), Ok(name)) = (path.parent(), EntryName::new(path.name())) {
        dirs.entry(parent).or_default().push(Entry { name, target });
    }
}

impl TreeSource for MemoryStore {
    type Error = Missing;

    async fn list(&self, listings: &[ObjectId]) -> Result<Vec<Vec<Entry>>, Missing> {
        let mut inner = self.inner();
        inner.reads.list_calls += 1;
        inner.reads.listings += listings.len();
        let found = listings.iter().map(|id| inner.listings.get(id).cloned());
        found.collect::<Option<_>>().ok_or(Missing("listing"))
    }

    async fn linked(&self, table: ObjectId, nodes: &[FileId]) -> Result<Vec<NodeRecord>, Missing> {
        nodes.iter().map(|id| self.link(Some(table), *id)).collect()
    }

    async fn read(&self, contents: &[ContentRef]) -> Result<Vec<Bytes>, Missing> {
        self.inner().reads.contents += contents.len();
        let found = contents.iter().map(|content| self.get(content));
        found.collect::<Option<_>>().ok_or(Missing("content"))
    }
}

impl TreeStore for MemoryStore {
    async fn write(&self, contents: Vec<Bytes>) -> Result<Vec<Stored>, Missing> {
        Ok(contents.into_iter().map(|bytes| self.put(bytes)).collect())
    }
}
