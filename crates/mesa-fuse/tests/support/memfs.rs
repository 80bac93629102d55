//! The state of the test filesystem and the [`Filesystem`] methods by delegation.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::SystemTime,
};

use bytes::Bytes;
use mesa_types::NodeKind;
use mesa_vfs::fs::{
    AttrChange, Backing, Caller, DirEntry, Entry, FileAttr, Filesystem, Found, FsError, FsResult,
    Handle, NodeId, OpenFlags, OpenMode, Opened, RenameFlags, SeekKind, StatFs, Step, TimeOrNow,
};
use parking_lot::Mutex;

pub struct Node {
    pub attr: FileAttr,
    pub parent: u64,
    pub entries: BTreeMap<Bytes, u64>,
    pub target: Bytes,
    pub xattrs: BTreeMap<Vec<u8>, Bytes>,
    pub backing: Weak<Backing>,
    pub lookups: u64,
    pub opens: u32,
}

pub struct State {
    pub nodes: HashMap<u64, Node>,
    pub handles: HashMap<u64, (u64, Option<Arc<Backing>>)>,
    pub listings: HashMap<u64, Vec<(Bytes, u64)>>,
    pub next: u64,
}

pub struct MemFs {
    pub dir: PathBuf,
    pub state: Mutex<State>,
    /// Added to a node number to make its `st_ino`.
    pub ino_offset: u64,
    /// Serve data through `read` and `write` instead of local files.
    pub served: bool,
    /// Lookups of names that start with `slow` wait until this has a permit.
    pub gate: Arc<tokio::sync::Semaphore>,
    /// What the kernel did not know.
    pub unknown: Mutex<Vec<NodeId>>,
}

impl MemFs {
    pub fn new(dir: &Path) -> Self {
        let mut nodes = HashMap::new();
        nodes.insert(1, node(1, 1_000_001, NodeKind::Dir, 0o755, 0, 0));
        let state = State {
            nodes,
            handles: HashMap::new(),
            listings: HashMap::new(),
            next: 2,
        };
        Self {
            dir: dir.to_owned(),
            state: Mutex::new(state),
            ino_offset: 1_000_000,
            served: false,
            unknown: Mutex::default(),
            gate: Arc::new(tokio::sync::Semaphore::new(0)),
        }
    }

    /// Shows local file `id` of a former process as `name` in the root.
    pub fn adopt(&self, name: &str, id: u64) {
        let mut state = self.state.lock();
        let mut found = node(1, id + self.ino_offset, NodeKind::File, 0o644, 0, 0);
        // The kernel may know it, and how often is not known.
        found.lookups = 1 << 32;
        found.attr.size = std::fs::metadata(self.backing_path(id)).unwrap().len();
        state.nodes.insert(id, found);
        state
            .nodes
            .get_mut(&1)
            .unwrap()
            .entries
            .insert(name.to_owned().into(), id);
        state.next = state.next.max(id + 1) + (1 << 20);
    }

    pub fn backing_path(&self, id: u64) -> PathBuf {
        self.dir.join(id.to_string())
    }

    pub fn live_nodes(&self) -> usize {
        self.state.lock().nodes.len()
    }

    pub fn open_handles(&self) -> usize {
        self.state.lock().handles.len()
    }
}

pub fn node(parent: u64, ino: u64, kind: NodeKind, mode: u32, uid: u32, gid: u32) -> Node {
    let now = SystemTime::now();
    Node {
        attr: FileAttr {
            ino,
            kind,
            mode: mode as u16,
            nlink: if kind == NodeKind::Dir { 2 } else { 1 },
            uid,
            gid,
            size: 0,
            blocks: 0,
            atime: now,
            mtime: now,
            ctime: now,
        },
        parent,
        entries: BTreeMap::new(),
        target: Bytes::new(),
        xattrs: BTreeMap::new(),
        backing: Weak::new(),
        lookups: 0,
        opens: 0,
    }
}

impl State {
    pub fn get(&self, node: NodeId) -> FsResult<&Node> {
        self.nodes.get(&node.0).ok_or(FsError::Stale)
    }

    pub fn get_mut(&mut self, node: NodeId) -> FsResult<&mut Node> {
        self.nodes.get_mut(&node.0).ok_or(FsError::Stale)
    }

    pub fn dir(&mut self, node: NodeId) -> FsResult<&mut Node> {
        let found = self.get_mut(node)?;
        if found.attr.kind == NodeKind::Dir {
            Ok(found)
        } else {
            Err(FsError::NotDir)
        }
    }

    pub fn child(&mut self, parent: NodeId, name: &[u8]) -> FsResult<NodeId> {
        self.dir(parent)?
            .entries
            .get(name)
            .map(|id| NodeId(*id))
            .ok_or(FsError::NotFound)
    }

    /// An entry handed to the kernel.
    pub fn entry(&mut self, node: NodeId) -> FsResult<Entry> {
        let found = self.get_mut(node)?;
        found.lookups += 1;
        found.refresh();
        Ok(Entry {
            node,
            attr: found.attr,
        })
    }

    pub fn handle(&mut self, node: NodeId, backing: Option<Arc<Backing>>) -> Handle {
        let number = self.next;
        self.next += 1;
        self.handles.insert(number, (node.0, backing));
        Handle(number)
    }

    pub fn backing(&self, handle: Handle) -> FsResult<Arc<Backing>> {
        self.handles
            .get(&handle.0)
            .and_then(|(_, backing)| backing.clone())
            .ok_or(FsError::BadHandle)
    }
}

impl Node {
    /// Takes over what the kernel did to the open local file.
    pub fn refresh(&mut self) {
        if let Some(backing) = self.backing.upgrade() {
            let stat = rustix::fs::fstat(&backing.file).unwrap();
            let time = |secs: i64, nanos: u64| {
                SystemTime::UNIX_EPOCH + std::time::Duration::new(secs as u64, nanos as u32)
            };
            self.attr.size = stat.st_size as u64;
            self.attr.blocks = stat.st_blocks as u64;
            self.attr.mtime = time(stat.st_mtime, stat.st_mtime_nsec);
            self.attr.ctime = self.attr.ctime.max(time(stat.st_ctime, stat.st_ctime_nsec));
        }
    }
}

pub fn resolve(time: Option<TimeOrNow>, now: SystemTime) -> Option<SystemTime> {
    time.map(|time| match time {
        TimeOrNow::Now => now,
        TimeOrNow::Time(time) => time,
    })
}

#[rustfmt::skip] // One line per operation.
impl Filesystem for MemFs {
    fn lookup(&self, _: Caller, parent: NodeId, name: &[u8]) -> Step<Found> {
        if name.starts_with(b"slow") {
            let gate = self.gate.clone();
            return Step::Later(Box::pin(async move {
                gate.acquire().await.map_err(|_| FsError::Io)?.forget();
                Ok(Found::Absent)
            }));
        }
        self.found(parent, name).into()
    }
    fn forget(&self, node: NodeId, count: u64) { self.forgotten(node, count) }
    fn unknown(&self, node: NodeId) { self.unknown.lock().push(node); }
    fn getattr(&self, _: Caller, node: NodeId, _: Option<Handle>) -> Step<FileAttr> { self.attr(node).into() }
    fn setattr(&self, _: Caller, node: NodeId, _: Option<Handle>, change: AttrChange) -> Step<FileAttr> { self.change(node, change).into() }
    fn access(&self, _: Caller, _: NodeId, _: u32) -> Step<()> { Ok(()).into() }
    fn readlink(&self, _: Caller, node: NodeId) -> Step<Bytes> { self.state.lock().get(node).map(|found| found.target.clone()).into() }
    fn create(&self, caller: Caller, parent: NodeId, name: &[u8], mode: u32, flags: OpenFlags) -> Step<(Entry, Opened)> { self.created(caller, parent, Some(name), mode, flags).into() }
    fn mknod(&self, caller: Caller, parent: NodeId, name: &[u8], kind: NodeKind, mode: u32) -> Step<Entry> { self.made(caller, parent, name, kind, mode, b"").into() }
    fn mkdir(&self, caller: Caller, parent: NodeId, name: &[u8], mode: u32) -> Step<Entry> { self.made(caller, parent, name, NodeKind::Dir, mode, b"").into() }
    fn symlink(&self, caller: Caller, parent: NodeId, name: &[u8], target: &[u8]) -> Step<Entry> { self.made(caller, parent, name, NodeKind::Symlink, 0o777, target).into() }
    fn link(&self, _: Caller, node: NodeId, parent: NodeId, name: &[u8]) -> Step<Entry> { self.linked(node, parent, name).into() }
    fn unlink(&self, _: Caller, parent: NodeId, name: &[u8]) -> Step<()> { self.removed(parent, name, false).into() }
    fn rmdir(&self, _: Caller, parent: NodeId, name: &[u8]) -> Step<()> { self.removed(parent, name, true).into() }
    fn rename(&self, _: Caller, parent: NodeId, name: &[u8], new_parent: NodeId, new_name: &[u8], flags: RenameFlags) -> Step<()> { self.renamed((parent, name), (new_parent, new_name), flags).into() }
    fn tmpfile(&self, caller: Caller, parent: NodeId, mode: u32, flags: OpenFlags) -> Step<(Entry, Opened)> { self.created(caller, parent, None, mode, flags).into() }
    fn open(&self, _: Caller, node: NodeId, flags: OpenFlags) -> Step<Opened> { self.opened(node, flags).into() }
    fn read(&self, _: NodeId, handle: Handle, offset: u64, size: u32) -> Step<Bytes> { self.read_at(handle, offset, size).into() }
    fn write(&self, _: NodeId, handle: Handle, offset: u64, data: &[u8]) -> Step<u32> { self.write_at(handle, offset, data).into() }
    fn flush(&self, _: NodeId, _: Handle) -> Step<()> { Ok(()).into() }
    fn release(&self, node: NodeId, handle: Handle) { self.released(node, handle) }
    fn fsync(&self, _: NodeId, handle: Handle, _: bool) -> Step<()> { self.synced(handle).into() }
    fn fallocate(&self, _: NodeId, handle: Handle, mode: i32, offset: u64, length: u64) -> Step<()> { self.allocated(handle, mode, offset, length).into() }
    fn seek(&self, _: NodeId, handle: Handle, offset: u64, kind: SeekKind) -> Step<u64> { self.sought(handle, offset, kind).into() }
    fn copy_file_range(&self, from: (NodeId, Handle), from_offset: u64, to: (NodeId, Handle), to_offset: u64, length: u64) -> Step<u64> { self.copied(from.1, from_offset, to.1, to_offset, length).into() }
    fn opendir(&self, _: Caller, node: NodeId) -> Step<Handle> { self.listed(node).into() }
    fn readdir(&self, _: Caller, node: NodeId, handle: Handle, from: u64, bytes: usize, plus: bool) -> Step<Vec<DirEntry>> { self.entries(node, handle, from, bytes, plus).into() }
    fn releasedir(&self, _: NodeId, handle: Handle) { self.state.lock().listings.remove(&handle.0); }
    fn fsyncdir(&self, _: NodeId, _: Handle) -> Step<()> { Ok(()).into() }
    fn getxattr(&self, _: Caller, node: NodeId, name: &[u8]) -> Step<Bytes> { self.state.lock().get(node).and_then(|found| found.xattrs.get(name).cloned().ok_or(FsError::NoXattr)).into() }
    fn setxattr(&self, _: Caller, node: NodeId, name: &[u8], value: &[u8], flags: u32) -> Step<()> {
        let mut state = self.state.lock();
        state.get_mut(node).and_then(|found| match (flags, found.xattrs.contains_key(name)) {
            (1, true) => Err(FsError::Exists),
            (2, false) => Err(FsError::NoXattr),
            _ => { found.xattrs.insert(name.to_vec(), Bytes::copy_from_slice(value)); Ok(()) }
        }).into()
    }
    fn listxattr(&self, _: Caller, node: NodeId) -> Step<Bytes> { self.state.lock().get(node).map(|found| found.xattrs.keys().flat_map(|name| name.iter().copied().chain([0])).collect::<Vec<_>>().into()).into() }
    fn removexattr(&self, _: Caller, node: NodeId, name: &[u8]) -> Step<()> { self.state.lock().get_mut(node).and_then(|found| found.xattrs.remove(name).map(drop).ok_or(FsError::NoXattr)).into() }
    fn statfs(&self, _: NodeId) -> Step<StatFs> {
        Ok(StatFs { blocks: 1 << 20, blocks_free: 1 << 19, blocks_available: 1 << 19, files: 1 << 20, files_free: 1 << 19, block_size: 4096, name_max: 255 }).into()
    }
}

impl MemFs {
    pub fn open_mode(&self, backing: Arc<Backing>) -> OpenMode {
        if self.served {
            OpenMode::Served { keep_cache: true }
        } else {
            OpenMode::Local(backing)
        }
    }
}
