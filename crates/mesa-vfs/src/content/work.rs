//! Work files: private local files behind nodes opened for writing.
//!
//! A work file is named by a number that is never used twice in a state directory. It is deleted
//! by unlinking, never truncated and reused, because a shared mapping may outlive every
//! descriptor the daemon knows of.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

use mesa_types::{ContentRef, FileId, Nanos};
use parking_lot::Mutex;

use super::work_dir::WorkDir;
use crate::fs::{Backing, FsError, FsResult};

/// Number of a work file within its state directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkId(pub u64);

/// Attributes of a work file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkStat {
    /// Bytes.
    pub size: u64,
    /// 512-byte units on the local disk.
    pub blocks: u64,
    /// Last modification.
    pub mtime: Nanos,
    /// Last change of the local inode (not the node's ctime).
    pub ctime: Nanos,
}

impl WorkStat {
    pub(crate) fn of(stat: &rustix::fs::Stat) -> Self {
        Self {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            blocks: u64::try_from(stat.st_blocks).unwrap_or(0),
            mtime: Nanos::from_parts(stat.st_mtime, stat.st_mtime_nsec as u32),
            ctime: Nanos::from_parts(stat.st_ctime, stat.st_ctime_nsec as u32),
        }
    }

    /// Whether content or times may differ between the two (blocks do not count: delayed
    /// allocation changes them without a write).
    pub fn differs(&self, other: &Self) -> bool {
        (self.size, self.mtime, self.ctime) != (other.size, other.mtime, other.ctime)
    }
}

/// What was last read from a work file.
#[derive(Debug, Clone)]
pub(crate) struct PickState {
    /// Content at the last pick-up (at first: what the file was made from).
    pub base: ContentRef,
    /// Attributes just before that was read; `None` = never read.
    pub stat: Option<WorkStat>,
    /// Chunks of `base`, when known.
    pub chunks: Option<Arc<Vec<mesa_object::content::ChunkRef>>>,
    /// Attributes when the newest operation for it was queued.
    pub queued: Option<WorkStat>,
    /// What it held before is not known, not even that it was empty.
    pub base_unknown: bool,
    /// A mapping may have changed bytes after they were read without changing `stat`.
    pub unsure: bool,
    /// It could not be read when it was to be sent.
    pub failed: bool,
    /// Not to be compared with what was sent before this time: it takes long.
    pub compare_after: Nanos,
}

/// The open descriptor. The first one is held until somebody asks for it.
struct Slot {
    open: Weak<Backing>,
    first: Option<Arc<Backing>>,
}

/// Attributes that stay as they are until somebody opens the file for writing.
#[derive(Debug, Default)]
struct Settled {
    /// Counts what may change them.
    changes: u64,
    stat: Option<WorkStat>,
}

impl Settled {
    /// Somebody may change them from here on.
    fn unsettle(&mut self) {
        self.changes += 1;
        self.stat = None;
    }
}

/// A private local file holding the bytes of one node since it was opened for writing.
///
/// Life: made by [`crate::session::Session::create_work`] or
/// [`crate::session::Session::open_work`]; while descriptors are open for writing it is counted
/// by [`WorkFile::begin_write`] / [`WorkFile::end_write`] and looked at every 2 s; after that at
/// 2 s, 10 s, sync and unmount; [`crate::session::TreeSink::on_work_changed`] tells of changes.
/// [`crate::session::Session::drop_work`] ends it.
pub struct WorkFile {
    id: WorkId,
    file: FileId,
    dir: Arc<WorkDir>,
    backing: Mutex<Slot>,
    writers: AtomicU32,
    dropped: AtomicBool,
    /// One of the writers stands for those a former process may have had.
    inherited: AtomicBool,
    /// The kernel's count does not tell of those.
    unseen: AtomicBool,
    settled: Mutex<Settled>,
    /// How many names the node has.
    names: AtomicU32,
    /// Orders files by their last use.
    used: AtomicU64,
    /// Bytes of it in the total of the directory.
    counted: AtomicU64,
    pub(crate) pick: Mutex<PickState>,
}

impl std::fmt::Debug for WorkFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkFile")
            .field("id", &self.id.0)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl WorkFile {
    pub(crate) fn new(
        dir: Arc<WorkDir>,
        id: WorkId,
        file: FileId,
        base: ContentRef,
        backing: Option<Arc<Backing>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            file,
            dir,
            backing: Mutex::new(Slot {
                open: backing.as_ref().map_or_else(Weak::new, Arc::downgrade),
                first: backing,
            }),
            writers: AtomicU32::new(0),
            dropped: AtomicBool::new(false),
            inherited: AtomicBool::new(false),
            unseen: AtomicBool::new(false),
            settled: Mutex::default(),
            names: AtomicU32::new(1),
            used: AtomicU64::new(0),
            counted: AtomicU64::new(0),
            pick: Mutex::new(PickState {
                base,
                stat: None,
                chunks: None,
                queued: None,
                base_unknown: false,
                unsure: false,
                failed: false,
                compare_after: Nanos(i64::MIN),
            }),
        })
    }

    /// A work file found on disk, which held `base` when it had the attributes `clean`.
    pub(crate) fn found(
        dir: Arc<WorkDir>,
        id: WorkId,
        file: FileId,
        base: ContentRef,
        clean: Option<WorkStat>,
    ) -> Arc<Self> {
        let work = Self::new(dir, id, file, base, None);
        {
            let mut pick = work.pick.lock();
            pick.stat = clean;
            pick.queued = clean;
        }
        work
    }

    /// Its number.
    pub fn id(&self) -> WorkId {
        self.id
    }

    /// The node it belongs to.
    pub fn file(&self) -> FileId {
        self.file
    }

    /// Content at the last pick-up.
    pub fn base(&self) -> ContentRef {
        self.pick.lock().base
    }

    /// The open local file; the same [`Backing`] for as long as anybody holds it.
    pub fn backing(&self) -> FsResult<Arc<Backing>> {
        let mut slot = self.backing.lock();
        let open = slot.first.take().or_else(|| slot.open.upgrade());
        if let Some(backing) = open {
            return Ok(backing);
        }
        let backing = Arc::new(Backing {
            file: self.open_fd()?,
        });
        slot.open = Arc::downgrade(&backing);
        Ok(backing)
    }

    /// Attributes now; without a system call if nobody can change the file.
    pub fn stat(&self) -> FsResult<WorkStat> {
        if let Some(stat) = self.settled_stat() {
            return Ok(stat);
        }
        let open = self.backing.lock().open.upgrade();
        let stat = match open {
            Some(backing) => rustix::fs::fstat(&backing.file),
            None => self.dir.stat(self.id),
        };
        stat.map(|s| WorkStat::of(&s)).map_err(|_| FsError::Io)
    }

    /// Attributes of a file that nobody can write to, neither through a descriptor nor through a
    /// mapping, unless it is opened for writing again.
    pub fn settled_stat(&self) -> Option<WorkStat> {
        self.settled.lock().stat
    }

    /// To be taken before looking whether somebody can write; see [`WorkFile::settle`].
    pub(crate) fn changes(&self) -> u64 {
        self.settled.lock().changes
    }

    /// Nobody can write, and the file has attributes `stat`; void if it was opened for writing
    /// since `changes` was taken.
    pub(crate) fn settle(&self, changes: u64, stat: WorkStat) {
        let mut settled = self.settled.lock();
        if settled.changes == changes && self.writers() == 0 {
            settled.stat = Some(stat);
        }
    }

    /// Sets the mtime, as utimens on the node does.
    pub fn set_mtime(&self, mtime: Nanos) -> FsResult<()> {
        use rustix::fs::{Timespec, Timestamps, UTIME_OMIT, futimens};
        let (tv_sec, tv_nsec) = mtime.parts();
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec,
                tv_nsec: tv_nsec.into(),
            },
        };
        let backing = self.backing()?;
        let mut settled = self.settled.lock();
        settled.unsettle();
        futimens(&backing.file, &times).map_err(|_| FsError::Io)
    }

    /// Sets the mtime of a file just made. `unchanged`: what it holds is its base.
    pub(crate) fn prepare(&self, mtime: Nanos, unchanged: bool) -> FsResult<()> {
        let first = self.backing.lock().first.clone();
        self.set_mtime(mtime)?;
        if unchanged {
            let stat = self.stat()?;
            let mut pick = self.pick.lock();
            pick.queued = Some(stat);
            pick.stat = Some(stat);
            pick.unsure = false;
        }
        self.backing.lock().first = first;
        Ok(())
    }

    /// A descriptor was opened for writing.
    pub fn begin_write(&self) {
        let mut settled = self.settled.lock();
        settled.unsettle();
        self.writers.fetch_add(1, Ordering::AcqRel);
    }

    /// A descriptor that was open for writing was released.
    pub fn end_write(&self) {
        self.used.store(self.dir.tick(), Ordering::Release);
        self.writers.fetch_sub(1, Ordering::AcqRel);
    }

    /// A former process may have left it open for writing: it counts as open until the kernel's
    /// count, or if that does not tell (`unseen`) only the kernel's forgetting of the node, says
    /// otherwise. Whether that is new.
    pub(crate) fn inherit(&self, unseen: bool) -> bool {
        self.unseen.store(unseen, Ordering::Release);
        let new = !self.inherited.swap(true, Ordering::AcqRel);
        if new {
            self.begin_write();
        }
        new
    }

    /// Somebody may write to it whom the kernel does not count.
    pub(crate) fn is_open_unseen(&self) -> bool {
        self.unseen.load(Ordering::Acquire) && self.is_inherited()
    }

    pub(crate) fn is_inherited(&self) -> bool {
        self.inherited.load(Ordering::Acquire)
    }

    /// Nothing of a former process has it open any more.
    pub(crate) fn end_inherited(&self) {
        if self.inherited.swap(false, Ordering::AcqRel) {
            self.end_write();
        }
    }

    /// Descriptors open for writing that the daemon knows of.
    pub fn writers(&self) -> u32 {
        self.writers.load(Ordering::Acquire)
    }

    /// Asks whether somebody can write to it through a descriptor or mapping. `probe` gets a
    /// descriptor for reading.
    pub(crate) fn look_quiet(&self, probe: &dyn Fn(BorrowedFd<'_>) -> bool) -> bool {
        let changes = self.changes();
        if self.writers() > u32::from(self.is_inherited()) || self.is_open_unseen() {
            return false;
        }
        // Never asked for after it was made.
        self.backing.lock().first = None;
        let quiet = !self.is_open()
            && self
                .dir
                .open_read(self.id)
                .is_ok_and(|file| probe(file.as_fd()));
        if quiet {
            self.end_inherited();
        }
        if quiet && let Ok(stat) = self.stat() {
            self.settle(changes, stat);
        }
        quiet
    }

    /// Whether nobody can have written to it since [`WorkFile::look_quiet`] said yes.
    pub(crate) fn is_quiet(&self) -> bool {
        self.settled_stat().is_some()
    }

    /// Whether it may hold other bytes than those last read, with the same times.
    pub(crate) fn is_unsure(&self) -> bool {
        self.pick.lock().unsure
    }

    /// Whether it holds changes that could not be read when they were to be sent.
    pub(crate) fn has_failed(&self) -> bool {
        !self.is_dropped() && self.pick.lock().failed
    }

    /// Somebody counts on its bytes now: those that may have changed unseen are to be read again.
    pub(crate) fn read_again_if_unsure(&self) {
        let mut pick = self.pick.lock();
        if pick.unsure {
            pick.queued = None;
        }
    }

    /// Orders files by their last use.
    pub(crate) fn last_use(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    /// It takes this much of the disk.
    pub(crate) fn count(&self, stat: &WorkStat) {
        let bytes = stat.blocks * 512;
        let before = self.counted.swap(bytes, Ordering::AcqRel);
        self.dir.recount(before, bytes);
    }

    /// How many names the node has.
    pub(crate) fn note_names(&self, count: u32) {
        self.names.store(count, Ordering::Release);
    }

    pub(crate) fn has_other_names(&self) -> bool {
        self.names.load(Ordering::Acquire) > 1
    }

    /// Whether it holds changes that have no place in the order yet. What has no name is sent to
    /// nobody.
    pub(crate) fn is_unsent(&self) -> bool {
        if self.is_dropped() || self.names.load(Ordering::Acquire) == 0 {
            return false;
        }
        let Ok(stat) = self.stat() else { return false };
        let pick = self.pick.lock();
        let known = [pick.queued, pick.stat];
        known.iter().flatten().all(|known| stat.differs(known))
    }

    /// Whether the local file has its name still.
    pub(crate) fn is_there(&self) -> bool {
        self.dir.stat(self.id).is_ok()
    }

    /// Whether a descriptor for reading and writing is open in the daemon.
    pub fn is_open(&self) -> bool {
        self.backing.lock().open.strong_count() > 0
    }

    pub(crate) fn open_fd(&self) -> FsResult<OwnedFd> {
        self.dir.open(self.id).map_err(|_| FsError::Io)
    }

    pub(crate) fn directory(&self) -> &Arc<WorkDir> {
        &self.dir
    }

    /// The name goes when the last user lets go of the file.
    pub(crate) fn discard(&self) {
        self.dropped.store(true, Ordering::Release);
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }
}

impl Drop for WorkFile {
    fn drop(&mut self) {
        self.dir.recount(*self.counted.get_mut(), 0);
        if self.is_dropped() {
            self.dir.remove_later(self.id);
        }
    }
}
