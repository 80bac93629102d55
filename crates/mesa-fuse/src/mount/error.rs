//! Why a mount could not be made or removed: which check failed and what to do about it.

use std::path::PathBuf;

use rustix::io::Errno;

/// A mount was not made. [`MountError::hint`] has the fix.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// The device node does not exist.
    #[error("/dev/fuse is missing")]
    DeviceMissing,
    /// The device node exists, but this user may not open it.
    #[error("/dev/fuse cannot be opened by this user")]
    DeviceDenied,
    /// The device node cannot be opened for another reason.
    #[error("/dev/fuse cannot be opened")]
    Device(#[source] Errno),
    /// mount(2) is not allowed here.
    #[error("mounting is not permitted here")]
    NotPermitted,
    /// Not root, and the set-uid mount helper is not installed.
    #[error("fusermount3 is not installed and this user cannot mount without it")]
    FusermountMissing,
    /// The mount helper refused.
    #[error("fusermount3 failed: {message}")]
    Fusermount {
        /// What it wrote to standard error, one line.
        message: String,
    },
    /// Other users were to be let in, which `/etc/fuse.conf` forbids.
    #[error("allow_other needs user_allow_other in /etc/fuse.conf")]
    AllowOtherForbidden,
    /// The mount point does not exist.
    #[error("mount point {0} does not exist")]
    MountPointMissing(PathBuf),
    /// The mount point is a file.
    #[error("mount point {0} is not a directory")]
    MountPointNotDir(PathBuf),
    /// The mount point has entries that a mount would hide.
    #[error("mount point {0} is not empty")]
    MountPointNotEmpty(PathBuf),
    /// The mount point cannot be looked at.
    #[error("mount point {0} is not accessible")]
    MountPoint(PathBuf, #[source] Errno),
    /// Something is mounted there and works.
    #[error("{0} is already a mount point")]
    AlreadyMounted(PathBuf),
    /// A mount of a dead daemon is there and could not be removed.
    #[error("{0} holds the mount of a daemon that is gone")]
    Stale(PathBuf),
    /// The daemon would keep its state inside its own mount.
    #[error("{dir} lies under the mount point {mount_point}")]
    StateInside {
        /// The offending directory.
        dir: PathBuf,
        /// The mount point.
        mount_point: PathBuf,
    },
    /// mount(2) failed.
    #[error("mounting on {0} failed")]
    Mount(PathBuf, #[source] Errno),
    /// The kernel speaks a protocol older than 7.36 (Linux 5.17).
    #[error("the kernel's FUSE protocol {major}.{minor} is too old")]
    KernelTooOld {
        /// Major version offered.
        major: u32,
        /// Minor version offered.
        minor: u32,
    },
    /// A required feature does not work here.
    #[error("{0} does not work here")]
    FeatureMissing(&'static str),
    /// Talking to the kernel failed after the mount was made.
    #[error("the kernel connection failed")]
    Connection(#[source] Errno),
    /// A thread could not be started.
    #[error("a thread could not be started")]
    Thread(#[source] std::io::Error),
    /// The saved state given to a takeover is not one of ours.
    #[error("the saved session state is damaged")]
    SavedState,
}

impl MountError {
    /// One line that says how to fix it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::DeviceMissing => {
                "load the fuse module, or start the container with --device /dev/fuse"
            }
            Self::DeviceDenied => "run as root, or `chmod 666 /dev/fuse` once as root",
            Self::NotPermitted => {
                "start the container with --cap-add SYS_ADMIN; `mesa doctor` knows other causes"
            }
            Self::FusermountMissing => "install the package fuse3, or run as root",
            Self::AllowOtherForbidden => {
                "add the line user_allow_other to /etc/fuse.conf, or mount without allow_other"
            }
            Self::MountPointMissing(_) => "create the directory first",
            Self::MountPointNotEmpty(_) => "choose an empty directory",
            Self::AlreadyMounted(_) => "unmount it first, or choose another directory",
            Self::Stale(_) => "run `umount -l` on it as root",
            Self::StateInside { .. } => "choose a mount point outside the daemon's directories",
            Self::KernelTooOld { .. } => "Linux 5.17 or newer is needed",
            _ => return None,
        })
    }
}

/// A mount was not removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnmountError {
    /// Nothing is mounted there.
    #[error("{0} is not a mount point")]
    NotMounted(PathBuf),
    /// Files are open or a process has its working directory there.
    #[error("{0} is in use")]
    Busy(PathBuf),
    /// This user may not, and no helper could.
    #[error("unmounting {0} is not permitted")]
    NotPermitted(PathBuf),
    /// Another failure.
    #[error("unmounting {0} failed")]
    Failed(PathBuf, #[source] Errno),
}
