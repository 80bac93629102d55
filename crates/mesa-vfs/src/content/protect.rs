//! Making stores through shared mappings show in a file's times.
//!
//! Only the first store to a clean page faults, and so changes mtime and ctime; those that follow
//! until the page was written to the disk do not. Before a look at the times may count as a look
//! at the bytes, the dirty pages are handed to the disk, which takes the right to write away from
//! all mappings.

#![allow(unsafe_code)] // A system call that rustix does not have.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use mesa_types::Nanos;
use rustix::time::{ClockId, clock_gettime};

const SYNC_FILE_RANGE_WAIT_BEFORE: u32 = 1;
const SYNC_FILE_RANGE_WRITE: u32 = 2;

/// Filesystems by `statfs`: mappings there are of another inode, or are never written back.
const OVERLAYFS: i64 = 0x794c_7630;
const TMPFS: i64 = 0x0102_1994;
const RAMFS: i64 = 0x8584_58f6;

/// How it is done where the files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protect {
    /// Writing back is begun.
    Begin,
    /// The file is synced: its pages are another inode's.
    Sync,
    /// There is no way: only the bytes tell.
    Never,
}

impl Protect {
    /// What works in the directory.
    pub fn of(dir: impl AsFd) -> Self {
        match rustix::fs::fstatfs(dir).map(|stat| stat.f_type) {
            Ok(OVERLAYFS) => Self::Sync,
            Ok(TMPFS | RAMFS) | Err(_) => Self::Never,
            Ok(_) => Self::Begin,
        }
    }

    /// Every store from now on shows in the file's times: it has a ctime at or after the time
    /// returned. `None`: it may not show.
    pub fn protect(self, file: BorrowedFd<'_>) -> Option<Nanos> {
        // The clock that file times are taken from.
        let now = clock_gettime(ClockId::RealtimeCoarse);
        let now = Nanos::from_parts(now.tv_sec, u32::try_from(now.tv_nsec).unwrap_or(0));
        let done = match self {
            // Pages on their way to the disk would be passed over: those are waited for.
            Self::Begin => begin(file, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE),
            Self::Sync => rustix::fs::fdatasync(file).is_ok(),
            Self::Never => false,
        };
        done.then_some(now)
    }
}

fn begin(file: BorrowedFd<'_>, flags: u32) -> bool {
    // SAFETY: takes integers and touches no memory of this process.
    unsafe { sync_file_range(file.as_raw_fd(), 0, 0, flags) == 0 }
}

unsafe extern "C" {
    fn sync_file_range(fd: i32, offset: i64, bytes: i64, flags: u32) -> i32;
}
