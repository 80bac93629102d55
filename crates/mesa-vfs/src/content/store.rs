//! The cache of clean content on disk and in memory.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::future::Shared;
use mesa_object::{Domain, OrgKey};
use mesa_types::{ContentRef, FileId, ObjectId};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::{
    clean::{CleanFile, Place},
    lru::Lru,
};
use crate::{
    boot,
    fs::{Backing, FsError, FsResult},
    session::Later,
};

/// How a [`ContentStore`] is set up.
#[derive(Debug, Clone)]
pub struct ContentConfig {
    /// Directory of the cache; locked while open.
    pub dir: PathBuf,
    /// Bytes of clean files kept on disk.
    pub disk_bytes_max: u64,
    /// Bytes of objects kept in memory.
    pub ram_bytes_max: u64,
    /// Concurrent prefetches of whole files.
    pub prefetch_max: usize,
}

impl ContentConfig {
    /// The defaults, in this directory.
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            disk_bytes_max: 10 << 30,
            ram_bytes_max: 64 << 20,
            prefetch_max: 8,
        }
    }
}

/// Counters of a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ContentStats {
    pub disk_bytes: u64,
    pub disk_files: u64,
    pub ram_bytes: u64,
    pub hits: u64,
    pub misses: u64,
    pub prefetched: u64,
    pub private_bytes: u64,
}

struct OnDisk {
    size: u64,
    holder: Weak<CleanFile>,
    /// Not looked at since the machine started: a power cut may have damaged it.
    unverified: bool,
}

pub(super) type Filling = Shared<Later<FsResult<()>>>;

/// Clean content of all repos of a daemon.
pub struct ContentStore {
    config: ContentConfig,
    _lock: File,
    disk: Mutex<Lru<ObjectId, OnDisk>>,
    ram: Mutex<Lru<ObjectId, Bytes>>,
    pub(super) filling: Mutex<HashMap<ObjectId, Filling>>,
    pub(super) prefetch: Semaphore,
    temporary: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    pub(super) prefetched: AtomicU64,
    /// Bytes of private files of all sessions.
    private: Arc<AtomicU64>,
}

impl ContentStore {
    /// Opens the cache directory, dropping incomplete files. `WouldBlock`: another process has it.
    pub fn open(config: ContentConfig) -> io::Result<Arc<Self>> {
        let dir = &config.dir;
        std::fs::create_dir_all(dir.join("clean"))?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join("lock"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        match std::fs::remove_dir_all(dir.join("tmp")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => std::fs::create_dir_all(dir.join("tmp"))?,
        }
        let disk = scan(dir)?;
        let store = Self {
            _lock: lock,
            disk: Mutex::new(disk),
            ram: Mutex::new(Lru::new()),
            filling: Mutex::default(),
            prefetch: Semaphore::new(config.prefetch_max.max(1)),
            temporary: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            prefetched: AtomicU64::new(0),
            private: Arc::new(AtomicU64::new(0)),
            config,
        };
        store.evict(0);
        Ok(Arc::new(store))
    }

    /// Counters.
    pub fn stats(&self) -> ContentStats {
        let disk = self.disk.lock();
        ContentStats {
            disk_bytes: disk.weight(),
            disk_files: disk.len() as u64,
            ram_bytes: self.ram.lock().weight(),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            prefetched: self.prefetched.load(Ordering::Relaxed),
            private_bytes: self.private_bytes(),
        }
    }

    /// Bytes of private files: they count in the quota, where clean files make room for them.
    pub(crate) fn private_bytes(&self) -> u64 {
        self.private.load(Ordering::Acquire)
    }

    /// Where private files are counted.
    pub(crate) fn private_total(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.private)
    }

    /// Bytes on the disk, private files included.
    pub(crate) fn quota(&self) -> u64 {
        self.config.disk_bytes_max
    }

    /// A name for a file that is not complete yet.
    pub(super) fn temporary(&self) -> PathBuf {
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        self.config.dir.join("tmp").join(format!("{number:x}"))
    }

    fn clean_path(&self, id: &ObjectId) -> PathBuf {
        clean_path(&self.config.dir, id)
    }

    /// Whether the whole content is on disk.
    pub(super) fn on_disk(&self, content: &ContentRef) -> bool {
        root(content).is_some_and(|id| self.disk.lock().contains(&id))
    }

    /// Puts a complete, verified file in.
    pub(super) fn insert(&self, id: ObjectId, size: u64, temporary: &Path) -> io::Result<()> {
        // Before it is there: whoever brought it is about to open it.
        self.evict(weight(size));
        let path = self.clean_path(&id);
        if let Err(error) = std::fs::rename(temporary, &path) {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
            std::fs::create_dir_all(path.parent().unwrap_or(&self.config.dir))?;
            std::fs::rename(temporary, &path)?;
        }
        self.disk.lock().insert(
            id,
            OnDisk {
                size,
                holder: Weak::new(),
                unverified: false,
            },
            weight(size),
        );
        Ok(())
    }

    /// Makes room for so many bytes.
    fn evict(&self, room: u64) {
        let taken = self.private_bytes().saturating_add(room);
        let keep = self.config.disk_bytes_max.saturating_sub(taken);
        self.shrink(|_| keep);
    }

    /// The disk is full: drops clean files, the oldest first, until `bytes` are free of them.
    /// Whether anything went.
    pub(super) fn make_room(&self, bytes: u64) -> bool {
        self.shrink(|held| held.saturating_sub(bytes))
    }

    /// Drops clean files nobody has open, the oldest first, until what `keep` makes of their bytes
    /// is left. Whether anything went.
    fn shrink(&self, keep: impl FnOnce(u64) -> u64) -> bool {
        let gone = {
            let mut disk = self.disk.lock();
            let max = keep(disk.weight());
            disk.shrink(max, |entry| entry.holder.strong_count() == 0)
        };
        for (id, _) in &gone {
            let _ = std::fs::remove_file(self.clean_path(id));
        }
        !gone.is_empty()
    }

    /// The local file with this content for the open node `file`. `None`: not here.
    pub(super) fn open_file(
        &self,
        key: &OrgKey,
        file: FileId,
        content: ContentRef,
    ) -> FsResult<Option<Arc<CleanFile>>> {
        let Some(id) = root(&content) else {
            return self.private(file, content, &[]).map(Some);
        };
        let mut disk = self.disk.lock();
        let Some(entry) = disk.get(&id) else {
            drop(disk);
            return match self.ram_get(&id) {
                Some(bytes) if matches!(content, ContentRef::Chunk { .. }) => {
                    self.write_small(id, &bytes)?;
                    self.open_file(key, file, content)
                }
                _ => Ok(None),
            };
        };
        let path = self.clean_path(&id);
        let held = entry.holder.upgrade();
        if let Some(held) = &held
            && held.file == file
            && matches!(*held.place.lock(), Place::Cached)
        {
            return Ok(held.clone().into());
        }
        let opened = File::options().read(true).write(true).open(&path);
        let good = opened.ok().filter(|f| {
            f.metadata().is_ok_and(|m| m.len() == entry.size)
                && (!entry.unverified || is_content(key, f, &content))
        });
        let Some(open) = good else {
            tracing::warn!(%id, "dropping a damaged file from the cache");
            disk.remove(&id);
            let _ = std::fs::remove_file(path);
            return Ok(None);
        };
        if std::mem::take(&mut entry.unverified) {
            // Also for the next process.
            let _ = open.set_modified(std::time::SystemTime::now());
        }
        self.hits.fetch_add(1, Ordering::Relaxed);
        if held.is_some() {
            drop(disk);
            return self.copy_of(file, content, &open).map(Some);
        }
        let clean = Arc::new(CleanFile {
            file,
            content,
            backing: Arc::new(Backing { file: open.into() }),
            place: Mutex::new(Place::Cached),
        });
        entry.holder = Arc::downgrade(&clean);
        Ok(Some(clean))
    }

    fn write_small(&self, id: ObjectId, bytes: &[u8]) -> FsResult<()> {
        let temporary = self.temporary();
        let written = File::create_new(&temporary).and_then(|file| file.write_all_at(bytes, 0));
        written
            .and_then(|()| self.insert(id, bytes.len() as u64, &temporary))
            .map_err(|error| local(&error))
    }

    fn private(&self, file: FileId, content: ContentRef, bytes: &[u8]) -> FsResult<Arc<CleanFile>> {
        let path = self.temporary();
        let made = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .and_then(|made| made.write_all_at(bytes, 0).map(|()| made))
            .map_err(|error| local(&error))?;
        Ok(Arc::new(CleanFile {
            file,
            content,
            backing: Arc::new(Backing { file: made.into() }),
            place: Mutex::new(Place::Private(path)),
        }))
    }

    fn copy_of(&self, file: FileId, content: ContentRef, from: &File) -> FsResult<Arc<CleanFile>> {
        let clean = self.private(file, content, &[])?;
        copy(from, &clean.backing.file, content.size()).map_err(|error| local(&error))?;
        Ok(clean)
    }

    /// Takes the file out of the cache to become a work file; returns where it is. `None`: it was
    /// taken before.
    pub(crate) fn take(&self, clean: &CleanFile) -> Option<PathBuf> {
        let mut place = clean.place.lock();
        match std::mem::replace(&mut *place, Place::Gone) {
            Place::Private(path) => Some(path),
            Place::Cached => {
                let id = root(&clean.content)?;
                self.disk.lock().remove(&id);
                Some(self.clean_path(&id))
            }
            Place::Gone => None,
        }
    }

    /// Opens a cached file only to read from it now.
    pub(super) fn open_to_read(&self, content: &ContentRef) -> Option<File> {
        let id = root(content)?;
        let mut disk = self.disk.lock();
        let entry = disk.get(&id).filter(|entry| !entry.unverified)?;
        let file = File::open(self.clean_path(&id)).ok()?;
        (file.metadata().ok()?.len() == entry.size).then_some(file)
    }

    pub(super) fn count_miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// An object in memory.
    pub(super) fn ram_get(&self, id: &ObjectId) -> Option<Bytes> {
        self.ram.lock().get(id).cloned()
    }

    /// Keeps a verified object in memory.
    pub(super) fn ram_put(&self, id: ObjectId, bytes: Bytes) {
        let mut ram = self.ram.lock();
        let weight = bytes.len() as u64 + 64;
        ram.insert(id, bytes, weight);
        ram.shrink(self.config.ram_bytes_max, |_| true);
    }
}

/// The id a content is filed under; `None` for the empty one.
pub(super) fn root(content: &ContentRef) -> Option<ObjectId> {
    match content {
        ContentRef::Empty => None,
        ContentRef::Chunk { id, .. } | ContentRef::Manifest { id, .. } => Some(*id),
    }
}

/// What a failed local operation is to a caller.
pub(crate) fn local(error: &io::Error) -> FsError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FsError::NoSpace,
        _ => {
            tracing::error!(%error, "local storage failed");
            FsError::Io
        }
    }
}

/// Copies the first `len` bytes to an empty file, sharing blocks where the filesystem can and
/// leaving out holes.
pub(crate) fn copy(from: &File, to: &impl std::os::fd::AsFd, len: u64) -> io::Result<()> {
    use rustix::{
        fs::{SeekFrom, seek},
        io::Errno,
    };
    let size = from.metadata()?.len();
    if len > 0 && size == len && rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    if size < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut at = 0;
    while at < len {
        let (start, end) = match seek(from, SeekFrom::Data(at)) {
            Ok(start) if start >= len => break,
            Ok(start) => (start, seek(from, SeekFrom::Hole(start))?.min(len)),
            Err(Errno::NXIO) => break,
            // Holes are not known here.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => (at, len),
            Err(error) => return Err(error.into()),
        };
        copy_range(from, to, start, end)?;
        at = end;
    }
    rustix::fs::ftruncate(to, len)?;
    Ok(())
}

fn copy_range(from: &File, to: &impl std::os::fd::AsFd, start: u64, end: u64) -> io::Result<()> {
    let (mut at, mut put) = (start, start);
    while at < end {
        let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut put), want) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(
                rustix::io::Errno::XDEV | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::INVAL,
            ) => {
                let mut buffer = vec![0; want.min(1 << 20)];
                from.read_exact_at(&mut buffer, at)?;
                rustix::io::pwrite(to, &buffer, put)?;
                at += buffer.len() as u64;
                put += buffer.len() as u64;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn weight(size: u64) -> u64 {
    size.next_multiple_of(4096) + 512
}

fn clean_path(dir: &Path, id: &ObjectId) -> PathBuf {
    let name = id.to_string();
    dir.join("clean").join(&name[..2]).join(&name[2..])
}

/// Whether a file has the bytes of `content`.
fn is_content(key: &OrgKey, file: &File, content: &ContentRef) -> bool {
    if let ContentRef::Chunk { id, size } = content {
        let mut bytes = vec![0; *size as usize];
        return file.read_exact_at(&mut bytes, 0).is_ok() && key.hash(Domain::Chunk, &bytes) == *id;
    }
    let built = mesa_object::content::of_reader(key, file, |_, _| Ok::<_, io::Error>(()));
    built.is_ok_and(|built| built.content == *content)
}

/// Reads what the cache directory holds, oldest first.
fn scan(dir: &Path) -> io::Result<Lru<ObjectId, OnDisk>> {
    let before = note_of_this_boot(dir)?;
    let mut found = Vec::new();
    let mut newest = (i64::MIN, 0);
    for prefix in std::fs::read_dir(dir.join("clean"))? {
        let prefix = prefix?;
        for entry in std::fs::read_dir(prefix.path())? {
            let entry = entry?;
            let name = [prefix.file_name(), entry.file_name()].map(std::ffi::OsString::into_string);
            let [Ok(head), Ok(tail)] = name else { continue };
            let mut id = [0; 32];
            if hex::decode_to_slice(format!("{head}{tail}"), &mut id).is_ok() {
                let meta = entry.metadata()?;
                newest = newest.max(changed(&meta));
                let unverified = before.is_none_or(|note| changed(&meta) <= note);
                found.push((meta.modified()?, ObjectId(id), meta.len(), unverified));
            }
        }
    }
    if before.is_none() && !note_boot(dir, newest)? {
        tracing::warn!("the clock went back: the cache is dropped");
        std::fs::remove_dir_all(dir.join("clean"))?;
        std::fs::create_dir_all(dir.join("clean"))?;
        found.clear();
    }
    found.sort_unstable();
    let mut disk = Lru::new();
    for (_, id, size, unverified) in found {
        let entry = OnDisk {
            size,
            holder: Weak::new(),
            unverified,
        };
        disk.insert(id, entry, weight(size));
    }
    Ok(disk)
}

/// When a file was last made, verified or written to.
fn changed(meta: &std::fs::Metadata) -> (i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (meta.ctime(), meta.ctime_nsec())
}

/// When the cache was first open since the machine was started; `None` if it was not yet. Files
/// that changed later are known to be whole: a daemon that died meanwhile has not lost them.
fn note_of_this_boot(dir: &Path) -> io::Result<Option<(i64, i64)>> {
    let (path, now) = (dir.join("boot"), boot::id());
    match std::fs::read(&path) {
        Ok(then) if then == now && !now.is_empty() => Ok(Some(changed(&path.metadata()?))),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Remembers the present start of the machine. `false`: by the clock, files are newer than this.
fn note_boot(dir: &Path, newest: (i64, i64)) -> io::Result<bool> {
    let path = dir.join("boot");
    std::fs::write(&path, boot::id())?;
    Ok(newest <= changed(&path.metadata()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    /// Whoever dies between the start of the machine and the first look at a file leaves it to the
    /// next process to look at.
    #[test]
    fn what_a_power_cut_damaged_is_noticed_by_a_later_process_too() {
        let tmp = tempfile::tempdir().unwrap();
        let open = || ContentStore::open(ContentConfig::new(tmp.path().to_owned())).unwrap();
        let key = OrgKey::new([7; 32]);
        let (good, bad) = (b"whole".as_slice(), b"damaged".as_slice());
        let content = |bytes: &[u8]| ContentRef::Chunk {
            id: key.hash(Domain::Chunk, bytes),
            size: bytes.len() as u64,
        };
        let read = |store: &ContentStore, bytes| {
            let found = store.open_file(&key, FileId(9), content(bytes)).unwrap();
            found.is_some()
        };
        let store = open();
        for bytes in [good, bad] {
            let id = root(&content(bytes)).unwrap();
            store.write_small(id, bytes).unwrap();
        }
        let path = store.clean_path(&root(&content(bad)).unwrap());
        assert!(read(&store, good));
        drop(store);

        std::fs::write(tmp.path().join("boot"), "another start").unwrap();
        std::fs::write(path, "d\0\0\0\0\0d").unwrap();
        let store = open();
        assert!(read(&store, good));
        drop(store);
        let store = open();
        assert!(!read(&store, bad), "nobody has looked at it yet");
        assert!(read(&store, good));
        let unverified = |store: &ContentStore| {
            let mut disk = store.disk.lock();
            disk.get(&root(&content(good)).unwrap()).unwrap().unverified
        };
        drop(store);
        assert!(!unverified(&open()), "it is not read again and again");
    }

    #[test]
    fn a_copy_has_the_same_bytes_and_holes() {
        let from = tempfile::tempfile().unwrap();
        from.set_len(256 << 20).unwrap();
        from.write_all_at(b"middle", 100 << 20).unwrap();
        for len in [256 << 20, (100 << 20) + 3, 5] {
            let to = tempfile::tempfile().unwrap();
            copy(&from, &to, len).unwrap();
            let meta = to.metadata().unwrap();
            assert_eq!(meta.len(), len);
            assert!(meta.blocks() * 512 <= 1 << 20, "{} blocks", meta.blocks());
            let mut bytes = [0; 3];
            if len > 100 << 20 {
                to.read_exact_at(&mut bytes, 100 << 20).unwrap();
                assert_eq!(&bytes, b"mid");
            }
        }
        let short = copy(&from, &tempfile::tempfile().unwrap(), 257 << 20);
        assert_eq!(short.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
