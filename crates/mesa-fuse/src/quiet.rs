//! Whether anybody can still write to a local file.
//!
//! `RELEASE` does not tell: a shared mapping of a passthrough file outlives the last descriptor,
//! and later stores reach the file without a request. The kernel itself keeps count: a read lease
//! (`fcntl(F_SETLEASE, F_RDLCK)`) is granted only while no file description open for writing is
//! left, mappings included. That holds for filesystems that map their own files; overlayfs maps
//! the file of another inode, so the count is tried out in the directory concerned first.

#![allow(unsafe_code)] // One mapping, and fcntl commands rustix does not have.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::Path,
    sync::Arc,
};

use mesa_vfs::session::QuietProbe;
use rustix::mm::{MapFlags, ProtFlags};

const F_SETLEASE: i32 = 1024;
const F_RDLCK: i32 = 0;
const F_UNLCK: i32 = 2;

/// A test for files below `dir`; `None` where the kernel's count cannot be relied on.
pub fn probe(dir: &Path) -> Option<QuietProbe> {
    match is_reliable(dir) {
        Ok(true) => Some(Arc::new(is_quiet)),
        Ok(false) => {
            tracing::info!(dir = %dir.display(), "open files cannot be counted here");
            None
        }
        Err(error) => {
            tracing::warn!(%error, dir = %dir.display(), "open files cannot be counted");
            None
        }
    }
}

/// Whether no descriptor or mapping can write to the file any more; `file` is open for reading.
pub fn is_quiet(file: BorrowedFd<'_>) -> bool {
    let granted = set_lease(file, F_RDLCK);
    if granted {
        set_lease(file, F_UNLCK);
    }
    granted
}

fn set_lease(file: BorrowedFd<'_>, kind: i32) -> bool {
    // SAFETY: takes an integer and touches no memory of this process.
    unsafe { fcntl(file.as_raw_fd(), F_SETLEASE, kind) == 0 }
}

unsafe extern "C" {
    fn fcntl(fd: i32, command: i32, ...) -> i32;
}

/// Maps a file for writing, closes it, and sees whether that shows.
fn is_reliable(dir: &Path) -> io::Result<bool> {
    std::fs::create_dir_all(dir)?;
    let path = dir.join(format!(".quiet-{}", std::process::id()));
    let outcome = try_out(&path);
    let _ = std::fs::remove_file(path);
    outcome
}

fn try_out(path: &Path) -> io::Result<bool> {
    let writer = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    writer.set_len(1)?;
    let reader = File::open(path)?;
    let open = is_quiet(reader.as_fd());
    // SAFETY: a new mapping at an address the kernel chooses, never accessed.
    let address = unsafe {
        rustix::mm::mmap(
            std::ptr::null_mut(),
            1,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED,
            writer.as_fd(),
            0,
        )
    }?;
    drop(writer);
    let mapped = is_quiet(reader.as_fd());
    // SAFETY: mapped above with this length, and not used.
    unsafe { rustix::mm::munmap(address, 1) }?;
    let closed = is_quiet(reader.as_fd());
    Ok(!open && !mapped && closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_without_writers_is_quiet() {
        let dir = tempfile::tempdir().unwrap();
        assert!(is_reliable(dir.path()).unwrap());
        let quiet = probe(dir.path()).unwrap();
        let path = dir.path().join("f");
        let writer = File::create(&path).unwrap();
        let reader = File::open(&path).unwrap();
        assert!(!quiet(reader.as_fd()));
        drop(writer);
        let other = File::open(&path).unwrap();
        assert!(quiet(reader.as_fd()), "other readers do no harm");
        drop(other);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
