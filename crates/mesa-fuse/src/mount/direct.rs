//! mount(2) by ourselves, as root.

use std::{ffi::CString, os::fd::AsFd, os::fd::AsRawFd};

use rustix::{io::Errno, mount::MountFlags};

use super::{FS_TYPE, MountError, MountOptions};
use crate::device::Device;

pub(super) fn mount(options: &MountOptions) -> Result<Device, MountError> {
    let device = Device::open().map_err(|error| match error {
        Errno::NOENT | Errno::NXIO | Errno::NODEV => MountError::DeviceMissing,
        Errno::ACCESS | Errno::PERM => MountError::DeviceDenied,
        other => MountError::Device(other),
    })?;
    let mut data = format!(
        "fd={},rootmode=40755,user_id={},group_id={}",
        device.as_fd().as_raw_fd(),
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    if options.allow_other {
        data.push_str(",allow_other");
    }
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
    if options.read_only {
        flags |= MountFlags::RDONLY;
    }
    let path = &options.mount_point;
    let data = CString::new(data).map_err(|_| MountError::Mount(path.clone(), Errno::INVAL))?;
    rustix::mount::mount(
        options.source.as_str(),
        path,
        FS_TYPE,
        flags,
        data.as_c_str(),
    )
    .map_err(|error| match error {
        Errno::PERM | Errno::ACCESS => MountError::NotPermitted,
        Errno::NOTDIR => MountError::MountPointNotDir(path.clone()),
        Errno::NOENT => MountError::MountPointMissing(path.clone()),
        Errno::BUSY => MountError::AlreadyMounted(path.clone()),
        other => MountError::Mount(path.clone(), other),
    })?;
    Ok(device)
}
