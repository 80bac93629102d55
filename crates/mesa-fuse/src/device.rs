//! One open connection to the kernel: reading requests, writing replies and notifications, and
//! registering backing files for passthrough.

#![allow(unsafe_code)] // Two ioctls; everything else is safe system calls.

use std::{
    ffi::c_void,
    io::IoSlice,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    ioctl::{Ioctl, IoctlOutput, Opcode, opcode},
};
use zerocopy::{Immutable, IntoBytes};

use crate::wire::reply::OutHeader;

/// Where the kernel's FUSE device is.
pub const PATH: &str = "/dev/fuse";

/// A connected `/dev/fuse`. Every method may be called from any thread.
#[derive(Debug)]
pub struct Device {
    fd: OwnedFd,
}

/// The kernel's name for a registered backing file of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BackingId(pub i32);

impl Device {
    /// Opens the device; it is connected by a mount that names the descriptor.
    pub fn open() -> Result<Self, Errno> {
        let fd = rustix::fs::open(PATH, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { fd })
    }

    /// Wraps a descriptor that is (or will be) connected.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Another descriptor of the same connection.
    pub fn duplicate(&self) -> Result<OwnedFd, Errno> {
        rustix::io::fcntl_dupfd_cloexec(&self.fd, 3)
    }

    /// Waits for one request and copies it into `buffer`; returns its length in bytes.
    ///
    /// `ENODEV` means unmounted, `ECONNABORTED` aborted; both are final.
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        rustix::io::read(&self.fd, buffer)
    }

    /// Answers request `unique` with a body in up to two parts.
    ///
    /// `ENOENT` means that the request is gone (the connection was aborted meanwhile).
    pub fn reply(&self, unique: u64, body: [&[u8]; 2]) -> Result<(), Errno> {
        self.send(0, unique, body)
    }

    /// Answers request `unique` with an error.
    pub fn reply_error(&self, unique: u64, errno: Errno) -> Result<(), Errno> {
        self.send(-errno.raw_os_error(), unique, [&[], &[]])
    }

    /// Sends notification `code`. Must not be called from a thread that answers requests: the
    /// kernel takes inode locks whose holders may wait for an answer.
    pub fn notify(&self, code: i32, body: [&[u8]; 2]) -> Result<(), Errno> {
        self.send(code, 0, body)
    }

    fn send(&self, error: i32, unique: u64, body: [&[u8]; 2]) -> Result<(), Errno> {
        let len = size_of::<OutHeader>() + body[0].len() + body[1].len();
        let header = OutHeader {
            len: len as u32,
            error,
            unique,
        };
        let parts = [
            IoSlice::new(header.as_bytes()),
            IoSlice::new(body[0]),
            IoSlice::new(body[1]),
        ];
        let used = if body[1].is_empty() { 2 } else { 3 };
        let used = if used == 2 && body[0].is_empty() {
            1
        } else {
            used
        };
        loop {
            match rustix::io::writev(&self.fd, &parts[..used]) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Registers `file` for passthrough; the kernel keeps it until [`Self::backing_close`] or
    /// unmount.
    pub(crate) fn backing_open(&self, file: BorrowedFd<'_>) -> Result<BackingId, Errno> {
        let map = BackingMap {
            fd: file.as_raw_fd(),
            flags: 0,
            padding: 0,
        };
        // SAFETY: the request number and argument are those of FUSE_DEV_IOC_BACKING_OPEN: the
        // kernel reads one `BackingMap` and returns a positive number.
        unsafe { rustix::ioctl::ioctl(&self.fd, BackingOpen(map)) }.map(BackingId)
    }

    /// Withdraws a registration. Files already open keep working.
    pub(crate) fn backing_close(&self, id: BackingId) -> Result<(), Errno> {
        let id = id.0 as u32;
        // SAFETY: FUSE_DEV_IOC_BACKING_CLOSE reads one u32.
        unsafe { rustix::ioctl::ioctl(&self.fd, BackingClose(id)) }
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Magic of the device's ioctls.
const MAGIC: u8 = 229;

#[derive(Debug, Clone, Copy, IntoBytes, Immutable)]
#[repr(C)]
struct BackingMap {
    fd: i32,
    flags: u32,
    padding: u64,
}

struct BackingOpen(BackingMap);

// SAFETY: the opcode encodes the size of `BackingMap`, which the kernel only reads.
unsafe impl Ioctl for BackingOpen {
    type Output = i32;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        opcode::write::<BackingMap>(MAGIC, 1)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.0).cast()
    }

    unsafe fn output_from_ptr(
        out: IoctlOutput,
        _: *mut c_void,
    ) -> rustix::io::Result<Self::Output> {
        Ok(out)
    }
}

struct BackingClose(u32);

// SAFETY: the opcode encodes the size of a u32, which the kernel only reads.
unsafe impl Ioctl for BackingClose {
    type Output = ();
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        opcode::write::<u32>(MAGIC, 2)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.0).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<Self::Output> {
        Ok(())
    }
}
