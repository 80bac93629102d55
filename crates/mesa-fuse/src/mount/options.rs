//! What a mount is made from.

use std::path::PathBuf;

use tokio::runtime::Handle;

/// Whether to use something the kernel may not offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Feature {
    /// Use it if it works here.
    #[default]
    Auto,
    /// Do without.
    Off,
    /// Fail if it does not work.
    Required,
}

/// A mount to be made.
#[derive(Debug, Clone)]
pub struct MountOptions {
    /// An existing directory, absolute.
    pub mount_point: PathBuf,
    /// Where backing files live; passthrough is probed with a scratch file here.
    pub state_dir: PathBuf,
    /// Further directories the daemon uses (cache, log, runtime), which like `state_dir` must not
    /// lie under the mount point: the daemon would wait for itself.
    pub outside: Vec<PathBuf>,
    /// The source column of `/proc/mounts`.
    pub source: String,
    /// Let users other than the one who mounts in.
    pub allow_other: bool,
    /// Mount over a directory that has entries.
    pub allow_non_empty: bool,
    /// Refuse writes in the kernel.
    pub read_only: bool,
    /// close(2) must reach [`Filesystem::flush`](mesa_vfs::fs::Filesystem::flush) (durability
    /// classes that promise something at close). Otherwise close costs no request.
    pub flush_on_close: bool,
    /// Kernel passthrough of local files; without it the page cache holds writes back.
    pub passthrough: Feature,
    /// Requests through io_uring instead of read and write.
    pub io_uring: Feature,
    /// Threads that read requests, at least 1. More than one rarely pays: requests are answered
    /// from memory and wake-ups across CPUs cost more than the work.
    pub readers: usize,
    /// Runs operations that wait.
    pub runtime: Handle,
}

impl MountOptions {
    /// Defaults: both kernel features if they work, one reader, only the mounting user let in.
    pub fn new(
        mount_point: impl Into<PathBuf>,
        state_dir: impl Into<PathBuf>,
        runtime: Handle,
    ) -> Self {
        Self {
            mount_point: mount_point.into(),
            state_dir: state_dir.into(),
            outside: Vec::new(),
            source: "mesa".to_owned(),
            allow_other: false,
            allow_non_empty: false,
            read_only: false,
            flush_on_close: false,
            passthrough: Feature::Auto,
            io_uring: Feature::Off,
            readers: 1,
            runtime,
        }
    }
}
