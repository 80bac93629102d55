//! The FUSE daemon's kernel side: presents a [`mesa_vfs::fs::Filesystem`] as a mount.
//!
//! [`mount()`] checks, mounts, negotiates and serves; the [`MountHandle`] ends it. The kernel
//! protocol is spoken directly ([`wire`]), because the product needs node numbers that differ
//! from `st_ino`, passthrough of local files, takeover of a live mount by another process and
//! interruptible waits. This is the only crate that knows error numbers ([`errno`]).

pub mod counters;
pub mod errno;
pub mod fdpass;
pub mod mount;
pub mod quiet;
pub mod session;
pub mod wire;

mod device;
mod dispatch;
mod notify;
mod passthrough;
mod uring;

pub use counters::Counters;
pub use mount::{
    Feature, MountError, MountOptions, MountState, UnmountError, clean_stale, is_mounted_for,
    state, unmount,
};
pub use session::{Mode, MountHandle, Parts, SavedState, mount, resume};
