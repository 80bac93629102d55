//! Removing mounts, also where `/etc/mtab`, the helper or root are missing.

use std::path::Path;

use rustix::{io::Errno, mount::UnmountFlags};

use super::{UnmountError, fusermount, table};

/// Removes the topmost mount at `path`. `lazy` detaches it now and lets open files drain.
pub fn unmount(path: &Path, lazy: bool) -> Result<(), UnmountError> {
    let entry = table::find(path).ok_or_else(|| UnmountError::NotMounted(path.to_owned()))?;
    let mut flags = UnmountFlags::NOFOLLOW;
    if lazy {
        flags |= UnmountFlags::DETACH;
    }
    match rustix::mount::unmount(&entry.mount_point, flags) {
        Ok(()) => Ok(()),
        Err(Errno::BUSY) => Err(UnmountError::Busy(path.to_owned())),
        Err(Errno::INVAL | Errno::NOENT) => Err(UnmountError::NotMounted(path.to_owned())),
        Err(Errno::PERM | Errno::ACCESS) => {
            if fusermount::unmount(&entry.mount_point, lazy) {
                Ok(())
            } else if !lazy && in_use(&entry.mount_point) {
                Err(UnmountError::Busy(path.to_owned()))
            } else {
                Err(UnmountError::NotPermitted(path.to_owned()))
            }
        }
        Err(error) => Err(UnmountError::Failed(path.to_owned(), error)),
    }
}

/// Removes the mounts of daemons that are gone from `path`, however many are stacked.
pub fn clean_stale(path: &Path) -> Result<(), UnmountError> {
    while table::state(path) == table::MountState::Dead {
        unmount(path, true)?;
    }
    Ok(())
}

/// Ends every wait in the mount at `path` and disconnects the daemon; the dead mount may stay.
/// The control filesystem lets the owner do this without privilege, but is not mounted
/// everywhere; a forced unmount aborts even where it then finds the mount busy.
pub(crate) fn abort(path: &Path) -> bool {
    table::find(path).is_some_and(|entry| {
        abort_connection(entry.minor)
            || matches!(
                rustix::mount::unmount(&entry.mount_point, UnmountFlags::FORCE),
                Ok(()) | Err(Errno::BUSY)
            )
    })
}

/// The number of the connection behind the mount at `path`.
pub(crate) fn connection(path: &Path) -> Option<u32> {
    table::find(path).map(|entry| entry.minor)
}

/// The same by the connection's number, wherever it is mounted.
pub(crate) fn abort_connection(number: u32) -> bool {
    let control = format!("/sys/fs/fuse/connections/{number}/abort");
    std::fs::write(control, "1").is_ok()
}

/// Whether the helper can have failed because the mount is in use: it is still there and alive.
fn in_use(path: &Path) -> bool {
    fusermount::find().is_some() && matches!(table::state(path), table::MountState::Live { .. })
}
