//! The directory of work files: numbers, a pool of empty files made ahead, deferred deletion.

use std::{
    collections::HashSet,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use rustix::{
    fs::{AtFlags, CWD, IFlags, Mode, OFlags, Stat},
    io::Errno,
};

use super::{protect::Protect, work::WorkId};

/// Files waiting to be deleted are deleted in the caller's time beyond this many.
const DOOMED_MAX: usize = 10_000;

/// Directories the files are spread over. Files of one directory lie close together on the disk,
/// and a filesystem that looks there for room walks past all that were deleted lately.
const SHARDS: u64 = 256;
/// `FS_TOPDIR_FL`: subdirectories are not related, each may lie anywhere.
const UNRELATED: IFlags = IFlags::from_bits_retain(0x0002_0000);

/// A directory of files named by numbers, in [`SHARDS`] directories.
pub(crate) struct WorkDir {
    path: PathBuf,
    dir: OwnedFd,
    next: AtomicU64,
    pool: Mutex<Vec<(WorkId, OwnedFd)>>,
    pool_size: usize,
    filling: AtomicBool,
    doomed: Mutex<Vec<WorkId>>,
    reaping: AtomicBool,
    runtime: Option<tokio::runtime::Handle>,
    fine_times: bool,
    protect: Protect,
    ticks: AtomicU64,
    /// Where the bytes of all files are summed up.
    total: OnceLock<Arc<AtomicU64>>,
}

impl WorkDir {
    /// Opens (and makes) the directory. Making files ahead and deleting is done on the blocking
    /// threads of the runtime this is called in, without one only when asked for.
    pub fn open_dir(path: &Path, pool_size: usize) -> io::Result<Arc<Self>> {
        std::fs::create_dir_all(path)?;
        let dir = rustix::fs::openat(
            CWD,
            path,
            OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        // Not every filesystem knows it.
        if let Ok(flags) = rustix::fs::ioctl_getflags(&dir)
            && !flags.contains(UNRELATED)
        {
            let _ = rustix::fs::ioctl_setflags(&dir, flags | UNRELATED);
        }
        let mut last = 0;
        each_file(path, |_, id| {
            last = last.max(id.map_or(0, |id| id.0));
            Ok(())
        })?;
        Ok(Arc::new(Self {
            path: path.to_owned(),
            protect: Protect::of(&dir),
            dir,
            next: AtomicU64::new(last + 1),
            pool: Mutex::new(Vec::new()),
            pool_size,
            filling: AtomicBool::new(false),
            doomed: Mutex::new(Vec::new()),
            reaping: AtomicBool::new(false),
            runtime: tokio::runtime::Handle::try_current().ok(),
            fine_times: has_fine_times(path)?,
            ticks: AtomicU64::new(0),
            total: OnceLock::new(),
        }))
    }

    /// The bytes of its files are part of `total` from now on.
    pub fn count_in(&self, total: Arc<AtomicU64>) {
        // A directory has one user.
        let _ = self.total.set(total);
    }

    /// A file takes `now` bytes instead of `before`.
    pub fn recount(&self, before: u64, now: u64) {
        if let Some(total) = self.total.get() {
            // Wraps around where it shrinks.
            total.fetch_add(now.wrapping_sub(before), Ordering::AcqRel);
        }
    }

    /// A number larger than those before.
    pub fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether every change after a look at the times shows in them. Older kernels round times to
    /// some milliseconds, so that a change right after a look does not.
    pub fn fine_times(&self) -> bool {
        self.fine_times
    }

    /// How stores through mappings of its files are made to show.
    pub fn protection(&self) -> Protect {
        self.protect
    }

    /// Numbers below `floor` are not given out (they occur in the journal).
    pub fn reserve_below(&self, floor: u64) {
        self.next.fetch_max(floor, Ordering::AcqRel);
    }

    /// Deletes every file that is not in `keep`: pool files and files whose operations are done.
    pub fn retain(&self, keep: &HashSet<WorkId>) -> io::Result<u64> {
        let mut removed = 0;
        each_file(&self.path, |path, id| {
            if id.is_none_or(|id| !keep.contains(&id)) {
                match std::fs::remove_file(path) {
                    // The background deletion was faster.
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => removed += 1,
                }
            }
            Ok(())
        })?;
        Ok(removed)
    }

    /// Moves every file that is not in `keep` and not empty to `aside`; says how many there were.
    pub fn keep_others(&self, keep: &HashSet<WorkId>, aside: &Path) -> io::Result<u64> {
        let mut kept = 0;
        each_file(&self.path, |path, id| {
            if id.is_none_or(|id| !keep.contains(&id))
                && std::fs::metadata(path)?.len() > 0
                && let Some(name) = path.file_name()
            {
                std::fs::create_dir_all(aside)?;
                std::fs::rename(path, aside.join(name))?;
                kept += 1;
            }
            Ok(())
        })?;
        Ok(kept)
    }

    /// An empty file, from the pool if it has one.
    pub fn create(self: &Arc<Self>) -> io::Result<(WorkId, OwnedFd)> {
        let (taken, left) = {
            let mut pool = self.pool.lock();
            (pool.pop(), pool.len())
        };
        if left < self.pool_size / 2 && !self.filling.load(Ordering::Acquire) {
            self.fill_later();
        }
        match taken {
            Some(made) => Ok(made),
            None => self.make(),
        }
    }

    fn make(&self) -> io::Result<(WorkId, OwnedFd)> {
        loop {
            let id = WorkId(self.next.fetch_add(1, Ordering::AcqRel));
            let made = self.in_shard(id, || {
                rustix::fs::openat(
                    &self.dir,
                    name(id),
                    OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC,
                    Mode::RUSR | Mode::WUSR,
                )
            });
            match made {
                Ok(file) => return Ok((id, file)),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Does what puts a file into the directory of `id`, which is made when it is not there.
    fn in_shard<T>(
        &self,
        id: WorkId,
        put: impl Fn() -> rustix::io::Result<T>,
    ) -> rustix::io::Result<T> {
        match put() {
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(&self.dir, shard(id), Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error),
                }
                put()
            }
            done => done,
        }
    }

    /// Fills the pool off the caller's thread.
    pub fn fill_later(self: &Arc<Self>) {
        if let Some(runtime) = &self.runtime {
            let dir = Arc::clone(self);
            runtime.spawn_blocking(move || dir.fill());
        }
    }

    /// Fills the pool; blocks.
    pub fn fill(&self) {
        if self.filling.swap(true, Ordering::AcqRel) {
            return;
        }
        while self.pool.lock().len() < self.pool_size {
            match self.make() {
                Ok(made) => self.pool.lock().push(made),
                Err(error) => {
                    tracing::warn!(%error, "cannot make work files ahead");
                    break;
                }
            }
        }
        self.filling.store(false, Ordering::Release);
    }

    /// Opens a file for reading and writing.
    pub fn open(&self, id: WorkId) -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(
            &self.dir,
            name(id),
            OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW,
            Mode::empty(),
        )?)
    }

    /// Opens a file for reading only.
    pub fn open_read(&self, id: WorkId) -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(
            &self.dir,
            name(id),
            OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW,
            Mode::empty(),
        )?)
    }

    /// Attributes of a file.
    pub fn stat(&self, id: WorkId) -> rustix::io::Result<Stat> {
        rustix::fs::statat(&self.dir, name(id), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Moves a file from elsewhere on the same filesystem in under a new number.
    pub fn take_in(&self, from: &Path) -> io::Result<WorkId> {
        let id = WorkId(self.next.fetch_add(1, Ordering::AcqRel));
        self.in_shard(id, || rustix::fs::renameat(CWD, from, &self.dir, name(id)))?;
        Ok(id)
    }

    /// Gives a file a second name in another directory, for recovery.
    pub fn link_to(&self, id: WorkId, other: &Self) -> io::Result<()> {
        // Told apart from a directory that is not there.
        self.stat(id)?;
        other.in_shard(id, || {
            rustix::fs::linkat(&self.dir, name(id), &other.dir, name(id), AtFlags::empty())
        })?;
        Ok(())
    }

    /// Deletes a file soon, off the caller's thread.
    pub fn remove_later(self: &Arc<Self>, id: WorkId) {
        let mut doomed = self.doomed.lock();
        doomed.push(id);
        let count = doomed.len();
        drop(doomed);
        if count > DOOMED_MAX {
            self.reap();
        } else if let Some(runtime) = self.runtime.as_ref().filter(|_| count == 1) {
            let dir = Arc::clone(self);
            runtime.spawn_blocking(move || dir.reap());
        }
    }

    /// Deletes what [`WorkDir::remove_later`] collected; blocks.
    pub fn reap(&self) {
        if self.reaping.swap(true, Ordering::AcqRel) {
            return;
        }
        loop {
            let doomed = std::mem::take(&mut *self.doomed.lock());
            if doomed.is_empty() {
                break;
            }
            self.delete(&doomed);
        }
        self.reaping.store(false, Ordering::Release);
    }

    fn delete(&self, doomed: &[WorkId]) {
        for &id in doomed {
            if let Err(error) = rustix::fs::unlinkat(&self.dir, name(id), AtFlags::empty()) {
                tracing::debug!(%error, work = id.0, "cannot delete a work file");
            }
        }
    }
}

/// Writes to a file three times and sees whether the times tell the writes apart.
fn has_fine_times(dir: &Path) -> io::Result<bool> {
    let path = dir.join("times");
    let file = std::fs::File::create(&path)?;
    let mut seen = Vec::new();
    for byte in [b"a", b"b", b"c"] {
        rustix::io::pwrite(&file, byte, 0)?;
        let stat = rustix::fs::fstat(&file)?;
        seen.push((stat.st_ctime, stat.st_ctime_nsec));
    }
    std::fs::remove_file(path)?;
    Ok(seen[0] != seen[1] && seen[1] != seen[2])
}

fn shard(id: WorkId) -> String {
    format!("{:02x}", id.0 % SHARDS)
}

/// Path below the directory.
fn name(id: WorkId) -> String {
    format!("{:02x}/{:x}", id.0 % SHARDS, id.0)
}

fn parse(name: &std::ffi::OsStr) -> Option<WorkId> {
    u64::from_str_radix(name.to_str()?, 16).ok().map(WorkId)
}

/// Calls `visit` with every file and its number, if its name is one.
fn each_file(
    dir: &Path,
    mut visit: impl FnMut(&Path, Option<WorkId>) -> io::Result<()>,
) -> io::Result<()> {
    for shard in std::fs::read_dir(dir)? {
        let shard = shard?;
        if !shard.file_type()?.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(shard.path())? {
            let entry = entry?;
            visit(&entry.path(), parse(&entry.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_not_reused_after_reopening() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = WorkDir::open_dir(tmp.path(), 4).unwrap();
        dir.fill();
        let (first, _) = dir.create().unwrap();
        dir.reserve_below(100);
        drop(dir);
        let dir = WorkDir::open_dir(tmp.path(), 4).unwrap();
        let (second, _) = dir.create().unwrap();
        assert!(second > first);
        assert_eq!(dir.retain(&HashSet::from([second])).unwrap(), 4);
        assert!(dir.stat(second).is_ok());
        assert!(dir.stat(first).is_err());
    }

    #[test]
    fn files_are_spread_and_found_again_wherever_they_come_from() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = WorkDir::open_dir(&tmp.path().join("work"), 0).unwrap();
        let made: Vec<_> = (0..2 * SHARDS).map(|_| dir.create().unwrap().0).collect();
        let shards = std::fs::read_dir(tmp.path().join("work")).unwrap().count();
        assert_eq!(shards as u64, SHARDS);
        let outside = tmp.path().join("outside");
        std::fs::write(&outside, b"x").unwrap();
        let taken = dir.take_in(&outside).unwrap();
        assert_eq!(dir.stat(taken).unwrap().st_size, 1);
        let other = WorkDir::open_dir(&tmp.path().join("other"), 0).unwrap();
        dir.link_to(made[1], &other).unwrap();
        assert!(other.stat(made[1]).is_ok());
        let gone = dir.link_to(WorkId(taken.0 + 1), &other).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
        assert_eq!(dir.retain(&HashSet::from([taken])).unwrap(), 2 * SHARDS);
    }

    #[test]
    fn removal_waits_for_reap() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = WorkDir::open_dir(tmp.path(), 0).unwrap();
        let (id, _file) = dir.create().unwrap();
        dir.remove_later(id);
        assert!(dir.stat(id).is_ok());
        dir.reap();
        assert!(dir.stat(id).is_err());
    }
}
