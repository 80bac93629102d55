//! A filesystem to mount in tests: names and attributes in memory, data in local files.
#![allow(dead_code)] // Each test binary uses a part.

pub mod data;
pub mod memfs;
pub mod names;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use mesa_fuse::{MountHandle, MountOptions};
use mesa_vfs::fs::Notice;
use tokio::{runtime::Runtime, sync::mpsc::UnboundedSender};

use self::memfs::MemFs;

/// A [`MemFs`] mounted on a fresh directory; unmounted on drop.
pub struct Mounted {
    pub handle: MountHandle,
    pub fs: Arc<MemFs>,
    pub notices: UnboundedSender<Notice>,
    pub runtime: Runtime,
    dir: tempfile::TempDir,
}

impl Mounted {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut MountOptions)) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (mount_point, state) = (dir.path().join("mount"), dir.path().join("state"));
        std::fs::create_dir(&mount_point).unwrap();
        std::fs::create_dir(&state).unwrap();
        let fs = Arc::new(MemFs::new(&state));
        let (notices, receiver) = tokio::sync::mpsc::unbounded_channel();
        let mut options = MountOptions::new(mount_point, state, runtime.handle().clone());
        options.allow_other = mesa_fuse::mount::privileged();
        change(&mut options);
        let handle = mesa_fuse::mount(options, fs.clone(), receiver).unwrap();
        Self {
            handle,
            fs,
            notices,
            runtime,
            dir,
        }
    }

    pub fn path(&self) -> &Path {
        self.handle.mount_point()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub fn count(&self, opcode: mesa_fuse::wire::Opcode) -> u64 {
        self.handle.counters().of(opcode)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // First of all nobody may wait any more: a thread of this process that waits for its own
        // mount could not be ended.
        self.handle.abort();
        let _ = self.handle.unmount(true);
    }
}

/// Why a mount with changed options is refused.
pub fn refused(change: impl FnOnce(&mut MountOptions)) -> mesa_fuse::MountError {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (mount_point, state) = (dir.path().join("mount"), dir.path().join("state"));
    std::fs::create_dir(&mount_point).unwrap();
    std::fs::create_dir(&state).unwrap();
    let filesystem = Arc::new(MemFs::new(&state));
    let mut options = MountOptions::new(mount_point, state, runtime.handle().clone());
    change(&mut options);
    let (_notices, receiver) = tokio::sync::mpsc::unbounded_channel();
    mesa_fuse::mount(options, filesystem, receiver).unwrap_err()
}

/// These tests need a machine that can mount; one that cannot has not tested anything.
///
/// # Panics
/// Without root or without `/dev/fuse`.
pub fn must_mount() {
    assert!(
        mesa_fuse::mount::privileged(),
        "this test mounts, which needs root: run it as root"
    );
    assert!(
        Path::new("/dev/fuse").exists(),
        "this test mounts, which needs /dev/fuse: load the fuse module or pass the device in"
    );
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::yield_now();
    }
}

/// Runs a shell script in `dir`; panics with its output unless it succeeds.
pub fn shell(dir: &Path, script: &str) -> String {
    let output = std::process::Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "t")
        .env("GIT_AUTHOR_EMAIL", "t@example.org")
        .env("GIT_COMMITTER_NAME", "t")
        .env("GIT_COMMITTER_EMAIL", "t@example.org")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{script}\n{}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}
