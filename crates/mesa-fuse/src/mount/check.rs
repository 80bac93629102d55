//! What can be found out before mounting.

use std::path::{Path, PathBuf};

use rustix::{
    fs::{Access, AtFlags, CWD, FileType},
    io::Errno,
    thread::CapabilitySet,
};

use super::{MountError, MountOptions, MountState, clean_stale, state};
use crate::device;

/// Whether mount(2) has a chance: `CAP_SYS_ADMIN` is effective.
pub fn privileged() -> bool {
    rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}

/// Whether this user may let other users into a mount.
pub fn allow_other_permitted() -> bool {
    privileged()
        || std::fs::read_to_string("/etc/fuse.conf").is_ok_and(|conf| user_allow_other(&conf))
}

fn user_allow_other(conf: &str) -> bool {
    conf.lines().any(|line| line.trim() == "user_allow_other")
}

/// Fails if the device is missing or closed to us.
pub(super) fn device() -> Result<(), MountError> {
    let wanted = Access::READ_OK | Access::WRITE_OK;
    match rustix::fs::accessat(CWD, device::PATH, wanted, AtFlags::EACCESS) {
        Ok(()) => Ok(()),
        Err(Errno::NOENT) => Err(MountError::DeviceMissing),
        Err(Errno::ACCESS | Errno::PERM) => Err(MountError::DeviceDenied),
        Err(error) => Err(MountError::Device(error)),
    }
}

/// Fails unless the mount point is a directory with nothing on it; removes a dead mount.
pub(super) fn mount_point(options: &MountOptions) -> Result<(), MountError> {
    let path = &options.mount_point;
    match state(path) {
        MountState::NotMounted => {}
        MountState::Dead => {
            clean_stale(path).map_err(|_| MountError::Stale(path.clone()))?;
        }
        MountState::Live { .. } => return Err(MountError::AlreadyMounted(path.clone())),
    }
    match rustix::fs::stat(path) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {}
        Ok(_) | Err(Errno::NOTDIR) => return Err(MountError::MountPointNotDir(path.clone())),
        Err(Errno::NOENT) => return Err(MountError::MountPointMissing(path.clone())),
        Err(error) => return Err(MountError::MountPoint(path.clone(), error)),
    }
    if !options.allow_non_empty
        && std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
    {
        return Err(MountError::MountPointNotEmpty(path.clone()));
    }
    Ok(())
}

/// Fails if the daemon would use its own mount.
pub(super) fn outside(options: &MountOptions) -> Result<(), MountError> {
    let mount_point = resolved(&options.mount_point);
    for dir in std::iter::once(&options.state_dir).chain(&options.outside) {
        if resolved(dir).starts_with(&mount_point) {
            return Err(MountError::StateInside {
                dir: dir.clone(),
                mount_point,
            });
        }
    }
    Ok(())
}

/// The path with symbolic links followed as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for prefix in absolute.ancestors() {
        if let Ok(real) = prefix.canonicalize() {
            let rest = absolute.strip_prefix(prefix).unwrap_or(Path::new(""));
            return real.join(rest);
        }
    }
    absolute
}

#[cfg(test)]
mod tests {
    use super::{resolved, user_allow_other};

    #[test]
    fn a_commented_user_allow_other_does_not_count() {
        assert!(!user_allow_other("#user_allow_other\nmount_max = 3\n"));
        assert!(user_allow_other("mount_max = 3\n user_allow_other \n"));
    }

    #[test]
    fn links_are_followed_up_to_the_missing_part() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("a")).unwrap();
        std::os::unix::fs::symlink(real.join("a"), real.join("b")).unwrap();
        assert_eq!(
            resolved(&real.join("b/not/there")),
            real.join("a/not/there")
        );
    }
}
