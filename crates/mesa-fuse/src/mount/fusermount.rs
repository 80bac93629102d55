//! Mounting as a user through the set-uid helper of libfuse's package: it mounts and passes the
//! connected device back over a socket whose number is in `_FUSE_COMMFD`.

use std::{
    env,
    io::Read,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::{MountError, MountOptions};
use crate::fdpass;

const NAMES: [&str; 2] = ["fusermount3", "fusermount"];
/// Looked at after `PATH`, which is often short in containers and services.
const PLACES: [&str; 5] = ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin"];

/// The helper, if it is installed.
pub(super) fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = env::split_paths(&path)
        .chain(PLACES.iter().map(PathBuf::from))
        .collect();
    NAMES.iter().find_map(|name| {
        dirs.iter()
            .map(|dir| dir.join(name))
            .find(|file| file.is_absolute() && file.is_file())
    })
}

pub(super) fn mount(options: &MountOptions) -> Result<OwnedFd, MountError> {
    let helper = find().ok_or(MountError::FusermountMissing)?;
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(MountError::Connection)?;
    let mut words = format!(
        "nosuid,nodev,fsname={},subtype=mesa",
        options.source.replace(',', "\\,")
    );
    if options.allow_other {
        words.push_str(",allow_other");
    }
    words.push_str(if options.read_only { ",ro" } else { ",rw" });
    // The socket is the child's standard input: inherited without a window in which another
    // thread's child could inherit it too.
    let mut child = Command::new(helper)
        .arg("-o")
        .arg(words)
        .arg("--")
        .arg(&options.mount_point)
        .env("_FUSE_COMMFD", "0")
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(MountError::Thread)?;
    let device = fdpass::receive(&ours);
    let mut message = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.by_ref().take(4096).read_to_string(&mut message);
    }
    let _ = child.wait();
    match device {
        Ok((_, Some(fd))) => Ok(fd),
        _ => Err(refusal(&message, &options.mount_point)),
    }
}

fn refusal(message: &str, mount_point: &Path) -> MountError {
    let line = message.lines().next().unwrap_or("it gave no reason");
    let line = line.split_once(": ").map_or(line, |(_, rest)| rest);
    if line.contains("user_allow_other") {
        MountError::AllowOtherForbidden
    } else if line.contains("/dev/fuse") && line.contains("Permission denied") {
        MountError::DeviceDenied
    } else if line.contains("/dev/fuse") || line.contains("modprobe") {
        MountError::DeviceMissing
    } else if line.contains("mount failed: Operation not permitted") {
        MountError::NotPermitted
    } else if line.contains("not empty") {
        MountError::MountPointNotEmpty(mount_point.to_owned())
    } else {
        MountError::Fusermount {
            message: line.to_owned(),
        }
    }
}

/// `fusermount3 -u`; says whether it succeeded.
pub(super) fn unmount(mount_point: &Path, lazy: bool) -> bool {
    let Some(helper) = find() else { return false };
    let mut command = Command::new(helper);
    command.arg("-u").arg("-q");
    if lazy {
        command.arg("-z");
    }
    command
        .arg("--")
        .arg(mount_point)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{MountError, refusal};

    #[test]
    fn refusals_are_recognised() {
        let at = Path::new("/m");
        let of = |message: &str| refusal(message, at);
        assert!(matches!(
            of("fusermount3: option allow_other only allowed if 'user_allow_other' is set in x"),
            MountError::AllowOtherForbidden
        ));
        assert!(matches!(
            of("fusermount3: failed to open /dev/fuse: Permission denied\n"),
            MountError::DeviceDenied
        ));
        assert!(matches!(
            of("fusermount3: mount failed: Operation not permitted"),
            MountError::NotPermitted
        ));
        assert!(matches!(
            of("fusermount3: user has no write access to mountpoint /m"),
            MountError::Fusermount { message } if message.starts_with("user has no")
        ));
        assert!(matches!(of(""), MountError::Fusermount { .. }));
    }
}
