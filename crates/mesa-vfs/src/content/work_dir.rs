//! The directory of work files: numbers, a pool of empty files made ahead, deferred deletion.

use std::{
    collections::HashSet,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat};

use super::work::WorkId;

/// Files waiting to be deleted are deleted in the caller's time beyond this many.
const DOOMED_MAX: usize = 10_000;

/// A directory of files named by numbers.
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
        let mut last = 0;
        for entry in std::fs::read_dir(path)? {
            if let Some(id) = parse(&entry?.file_name()) {
                last = last.max(id.0);
            }
        }
        Ok(Arc::new(Self {
            path: path.to_owned(),
            dir,
            next: AtomicU64::new(last + 1),
            pool: Mutex::new(Vec::new()),
            pool_size,
            filling: AtomicBool::new(false),
            doomed: Mutex::new(Vec::new()),
            reaping: AtomicBool::new(false),
            runtime: tokio::runtime::Handle::try_current().ok(),
            fine_times: has_fine_times(path)?,
        }))
    }

    /// Whether every change after a look at the times shows in them. Older kernels round times to
    /// some milliseconds, so that a change right after a look does not.
    pub fn fine_times(&self) -> bool {
        self.fine_times
    }

    /// Numbers below `floor` are not given out (they occur in the journal).
    pub fn reserve_below(&self, floor: u64) {
        self.next.fetch_max(floor, Ordering::AcqRel);
    }

    /// Deletes every file that is not in `keep`: pool files and files whose operations are done.
    pub fn retain(&self, keep: &HashSet<WorkId>) -> io::Result<u64> {
        let mut removed = 0;
        for entry in std::fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            if parse(&name).is_none_or(|id| !keep.contains(&id)) {
                match rustix::fs::unlinkat(&self.dir, &name, AtFlags::empty()) {
                    // The background deletion was faster.
                    Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                    Err(error) => return Err(error.into()),
                }
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// An empty file, from the pool if it has one.
    pub fn create(self: &Arc<Self>) -> io::Result<(WorkId, OwnedFd)> {
        let (taken, left) = {
            let mut pool = self.pool.lock();
            (pool.pop(), pool.len())
        };
        if left < self.pool_size / 2 {
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
            let made = rustix::fs::openat(
                &self.dir,
                name(id),
                OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC,
                Mode::RUSR | Mode::WUSR,
            );
            match made {
                Ok(file) => return Ok((id, file)),
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
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
        rustix::fs::renameat(CWD, from, &self.dir, name(id))?;
        Ok(id)
    }

    /// Gives a file a second name in another directory, for recovery.
    pub fn link_to(&self, id: WorkId, other: &Self) -> io::Result<()> {
        rustix::fs::linkat(&self.dir, name(id), &other.dir, name(id), AtFlags::empty())?;
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

fn name(id: WorkId) -> String {
    format!("{:x}", id.0)
}

fn parse(name: &std::ffi::OsStr) -> Option<WorkId> {
    u64::from_str_radix(name.to_str()?, 16).ok().map(WorkId)
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
