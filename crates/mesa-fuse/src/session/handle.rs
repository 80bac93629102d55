//! The owner's view of a served mount.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::io::Errno;

use super::{Mode, Parts, SavedState, Session};
use crate::{
    counters::Counters,
    mount::{self, UnmountError},
    wire::flags::init,
};

/// A mount served by this process. Dropping it leaves the mount as it is: ending it is a
/// decision ([`MountHandle::unmount`]), since another process may be about to take over.
pub struct MountHandle {
    session: Arc<Session>,
    mount_point: PathBuf,
    /// Names the connection to the kernel, also when the mount is not there any more.
    connection: Option<u32>,
}

impl MountHandle {
    pub(super) fn new(session: Arc<Session>, mount_point: PathBuf) -> Self {
        Self {
            session,
            connection: mount::connection(&mount_point),
            mount_point,
        }
    }

    /// Where it is mounted.
    pub fn mount_point(&self) -> &Path {
        &self.mount_point
    }

    /// How file data is served.
    pub fn mode(&self) -> Mode {
        self.session.negotiated.mode
    }

    /// Whether requests come over io_uring.
    pub fn uses_io_uring(&self) -> bool {
        self.session.negotiated.has(init::OVER_IO_URING)
    }

    /// What the kernel asked for so far.
    pub fn counters(&self) -> &Counters {
        &self.session.counters
    }

    /// Whether the kernel is still connected.
    pub fn is_alive(&self) -> bool {
        !*self.session.ended().borrow()
    }

    /// Returns when the mount is gone, by whomever it was removed.
    pub async fn ended(&self) {
        let mut ended = self.session.ended();
        // An error means that the session was dropped, which is an end too.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Removes the mount. Without `lazy` it fails with [`UnmountError::Busy`] while files are
    /// open; with it the name disappears now and the rest is served until it is closed.
    pub fn unmount(&self, lazy: bool) -> Result<(), UnmountError> {
        if !self.is_alive() {
            return match mount::state(&self.mount_point) {
                mount::MountState::Dead => mount::clean_stale(&self.mount_point),
                _ => Ok(()),
            };
        }
        mount::unmount(&self.mount_point, lazy)
    }

    /// Disconnects from the kernel: every waiting caller gets an error. The last resort when
    /// unmounting is not permitted, or when another mount namespace has a copy of the mount; says
    /// whether it worked.
    pub fn abort(&self) -> bool {
        self.connection.is_some_and(mount::abort_connection) || mount::abort(&self.mount_point)
    }

    /// What another process needs to go on serving this mount after this one died. Send it to a
    /// supervisor right after the mount.
    pub fn parts(&self) -> Result<Parts, Errno> {
        Ok(Parts {
            device: self.session.device.duplicate()?,
            state: SavedState(self.session.negotiated),
        })
    }
}

impl std::fmt::Debug for MountHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MountHandle")
            .field("mount_point", &self.mount_point)
            .field("mode", &self.mode())
            .field("alive", &self.is_alive())
            .finish_non_exhaustive()
    }
}
