//! Making, recognising and removing mounts.

mod check;
mod direct;
mod error;
mod fusermount;
mod options;
mod table;
mod unmount;

use std::os::fd::OwnedFd;

pub use check::{allow_other_permitted, privileged};
pub use error::{MountError, UnmountError};
pub use options::{Feature, MountOptions};
pub use table::{MountState, is_mounted_for, mounts_of_type, state};
pub(crate) use unmount::{abort, abort_connection, connection};
pub use unmount::{clean_stale, unmount};

use crate::device::Device;

/// The file system type in `/proc/mounts`.
pub const FS_TYPE: &str = "fuse.mesa";

/// Connects a new device to `options.mount_point`. The kernel sends its `INIT` request next.
pub(crate) fn connect(options: &MountOptions) -> Result<Device, MountError> {
    if privileged() {
        match direct::mount(options) {
            Err(MountError::NotPermitted) if fusermount::find().is_some() => {}
            other => return other,
        }
    }
    fusermount::mount(options).map(|fd: OwnedFd| Device::from_fd(fd))
}

/// Everything that can be said before a mount is tried.
pub(crate) fn check(options: &MountOptions) -> Result<(), MountError> {
    check::device()?;
    check::mount_point(options)?;
    check::outside(options)?;
    if options.allow_other && !allow_other_permitted() {
        return Err(MountError::AllowOtherForbidden);
    }
    Ok(())
}
