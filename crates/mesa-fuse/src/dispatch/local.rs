//! Reading and writing a local file for the kernel, where it does not do so itself.

use std::{
    io::{IoSlice, IoSliceMut},
    sync::Arc,
};

use bytes::Bytes;
use mesa_vfs::fs::{Backing, FsError, FsResult, Step};
use rustix::io::{Errno, ReadWriteFlags};
use tokio::runtime::Handle;

use crate::errno::from_errno;

/// Larger writes may have to wait for the disk and leave the dispatch thread.
const INLINE_WRITE_BYTES_MAX: usize = 128 << 10;

/// Up to `size` bytes: from memory at once, otherwise on a thread that may wait for the disk.
pub(super) fn read(
    runtime: &Handle,
    backing: &Arc<Backing>,
    offset: u64,
    size: u32,
) -> Step<Bytes> {
    let mut data = vec![0; size as usize];
    if let Some(len) = read_cached(backing, offset, &mut data) {
        data.truncate(len);
        return Step::Done(Ok(data.into()));
    }
    let backing = backing.clone();
    blocking(runtime, move || {
        let len = read_all(&backing, offset, &mut data)?;
        data.truncate(len);
        Ok(data.into())
    })
}

/// `None` if that would wait (or the filesystem cannot tell).
fn read_cached(backing: &Backing, offset: u64, data: &mut [u8]) -> Option<usize> {
    let mut done = 0;
    while done < data.len() {
        let part = &mut [IoSliceMut::new(&mut data[done..])];
        let at = offset + done as u64;
        match rustix::io::preadv2(&backing.file, part, at, ReadWriteFlags::NOWAIT) {
            Ok(0) => break,
            Ok(len) => done += len,
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    Some(done)
}

fn read_all(backing: &Backing, offset: u64, data: &mut [u8]) -> FsResult<usize> {
    let mut done = 0;
    while done < data.len() {
        match rustix::io::pread(&backing.file, &mut data[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(len) => done += len,
            Err(Errno::INTR) => {}
            Err(error) => return Err(from_errno(error)),
        }
    }
    Ok(done)
}

/// Writes all of `data`.
pub(super) fn write(
    runtime: &Handle,
    backing: &Arc<Backing>,
    offset: u64,
    data: &[u8],
) -> Step<u32> {
    if data.len() <= INLINE_WRITE_BYTES_MAX {
        return Step::Done(write_all(backing, offset, data));
    }
    let (backing, data) = (backing.clone(), data.to_vec());
    blocking(runtime, move || write_all(&backing, offset, &data))
}

fn write_all(backing: &Backing, offset: u64, data: &[u8]) -> FsResult<u32> {
    let mut done = 0;
    while done < data.len() {
        let part = &[IoSlice::new(&data[done..])];
        match rustix::io::pwritev(&backing.file, part, offset + done as u64) {
            Ok(0) => return Err(FsError::Io),
            Ok(len) => done += len,
            Err(Errno::INTR) => {}
            Err(error) => return Err(from_errno(error)),
        }
    }
    Ok(done as u32)
}

fn blocking<T: Send + 'static>(
    runtime: &Handle,
    work: impl FnOnce() -> FsResult<T> + Send + 'static,
) -> Step<T> {
    let task = runtime.spawn_blocking(work);
    Step::Later(Box::pin(
        async move { task.await.unwrap_or(Err(FsError::Io)) },
    ))
}
