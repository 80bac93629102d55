//! The directory that holds control socket, pid files, lock and log.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::{
        fd::AsRawFd,
        unix::{
            fs::{DirBuilderExt, OpenOptionsExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use mesa_config::{Settings, paths};
use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal},
};

/// Held by every process of a daemon.
const LOCK: &str = "daemon.lock";

/// `MESA_RUNTIME_DIR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeDir {
    path: PathBuf,
}

impl RuntimeDir {
    /// At this path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where a running daemon of these settings would be.
    pub fn find(settings: &Settings) -> Self {
        let preferred = Self::at(&settings.daemon.runtime_dir);
        if preferred.socket().exists() {
            return preferred;
        }
        let fallback = Self::fallback();
        if fallback.socket().exists() {
            fallback
        } else {
            preferred
        }
    }

    /// Makes the directory; where that is impossible (a read-only root) a private one below the
    /// temporary directory, and a warning.
    pub fn make(settings: &Settings) -> io::Result<(Self, Option<String>)> {
        let preferred = Self::at(&settings.daemon.runtime_dir);
        let Err(error) = preferred.create() else {
            return Ok((preferred, None));
        };
        let fallback = Self::fallback();
        fallback.create()?;
        let warning = format!(
            "{} cannot be used ({error}); using {}",
            preferred.path.display(),
            fallback.path.display()
        );
        Ok((fallback, Some(warning)))
    }

    fn fallback() -> Self {
        Self::at(paths::private_temp(&mesa_config::Environment::of_process()).join("run"))
    }

    fn create(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)?;
        // A directory on a read-only file system may exist already.
        let probe = self.path.join(".probe");
        File::create(&probe)?;
        std::fs::remove_file(probe)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Log of a daemonized mount without a target of its own.
    pub fn log(&self) -> PathBuf {
        self.path.join("daemon.log")
    }

    /// Control socket.
    pub fn socket(&self) -> PathBuf {
        self.path.join("daemon.sock")
    }

    /// Where a new supervisor waits for the worker of one that is gone.
    pub fn supervisor_socket(&self) -> PathBuf {
        self.path.join("supervisor.sock")
    }

    /// The supervisor's pid.
    pub fn supervisor_pid(&self) -> PathBuf {
        self.path.join("supervisor.pid")
    }

    /// The worker's pid.
    pub fn worker_pid(&self) -> PathBuf {
        self.path.join("worker.pid")
    }

    /// Notes why a daemon ended that was not told to, for whoever asks for it.
    pub fn note_end(&self, why: &str) {
        let _ = mesa_config::write_private(&self.end(), format!("{why}\n").as_bytes(), 0o644);
    }

    /// A daemon is there again.
    pub fn forget_end(&self) {
        let _ = std::fs::remove_file(self.end());
    }

    /// Why the last daemon ended.
    pub fn last_end(&self) -> Option<String> {
        let why = std::fs::read_to_string(self.end()).ok()?;
        Some(why.trim().to_owned()).filter(|why| !why.is_empty())
    }

    fn end(&self) -> PathBuf {
        self.path.join("ended")
    }

    /// Pids of both processes as far as they are written down.
    pub fn pids(&self) -> Vec<u32> {
        [self.supervisor_pid(), self.worker_pid()]
            .iter()
            .filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok())
            .collect()
    }

    /// Ends both processes at once, whatever they do.
    pub fn kill(&self) {
        // The supervisor first: it would start another worker.
        for pid in self.pids().into_iter().filter(|pid| self.is_held_by(*pid)) {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            if let Some(pid) = pid {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
    }

    /// Whether a process is one of the daemon's: its number may be another one's by now.
    fn is_held_by(&self, pid: u32) -> bool {
        Self::of_process(pid).is_some_and(|dir| dir.path == self.path)
    }

    /// The directory of the daemon a process belongs to, which keeps its lock file open there.
    pub fn of_process(pid: u32) -> Option<Self> {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        let mut open = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        let lock = open.find(|file| file.file_name().is_some_and(|name| name == LOCK))?;
        lock.parent().map(Self::at)
    }

    /// Writes a pid file.
    pub fn write_pid(path: &Path) -> io::Result<()> {
        mesa_config::write_private(path, format!("{}\n", std::process::id()).as_bytes(), 0o644)
    }

    /// Removes the files of a daemon that ends.
    pub fn clear(&self) {
        for path in [self.socket(), self.worker_pid(), self.supervisor_pid()] {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Shared by every process of a running daemon: see [`RuntimeDir::daemon_lives`].
    pub fn hold(&self) -> io::Result<File> {
        let file = self.lock_file(LOCK)?;
        flock(&file, FlockOperation::NonBlockingLockShared)?;
        Ok(file)
    }

    /// Whether any process of a daemon runs here. (Pid files lie after a reboot; a lock does not.)
    pub fn daemon_lives(&self) -> bool {
        let Ok(file) = self.lock_file(LOCK) else {
            return false;
        };
        flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
    }

    /// One `mesa mount` at a time.
    pub fn start_lock(&self) -> io::Result<File> {
        let file = self.lock_file("mount.lock")?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }

    fn lock_file(&self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.path.join(name))
    }

    /// Listens on the control socket, replacing one of a daemon that is gone.
    pub fn listen(&self) -> io::Result<UnixListener> {
        let _ = std::fs::remove_file(self.socket());
        self.with_short_path(|path| UnixListener::bind(path))
    }

    /// Connects to the control socket.
    pub fn connect(&self) -> io::Result<UnixStream> {
        self.with_short_path(|path| UnixStream::connect(path))
    }

    /// Socket addresses are at most 107 bytes; a longer directory is reached by its descriptor.
    fn with_short_path<T>(&self, action: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        let path = self.socket();
        if path.as_os_str().len() < 100 {
            return action(&path);
        }
        let dir = File::open(&self.path)?;
        action(Path::new(&format!(
            "/proc/self/fd/{}/daemon.sock",
            dir.as_raw_fd()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_directories_work() {
        let root = tempfile::tempdir().unwrap();
        let runtime = RuntimeDir::at(root.path().join("d".repeat(120)));
        runtime.create().unwrap();
        let _listener = runtime.listen().unwrap();
        assert!(runtime.connect().is_ok());
    }

    #[test]
    fn the_lock_tells_whether_a_daemon_lives() {
        let root = tempfile::tempdir().unwrap();
        let runtime = RuntimeDir::at(root.path());
        assert!(!runtime.daemon_lives());
        let one = runtime.hold().unwrap();
        let two = runtime.hold().unwrap();
        assert!(runtime.daemon_lives());
        drop(one);
        assert!(runtime.daemon_lives());
        drop(two);
        assert!(!runtime.daemon_lives());
    }

    #[test]
    fn the_end_of_a_daemon_is_known_until_there_is_another() {
        let root = tempfile::tempdir().unwrap();
        let runtime = RuntimeDir::at(root.path());
        assert_eq!(runtime.last_end(), None);
        runtime.note_end("it died too often");
        assert_eq!(runtime.last_end().unwrap(), "it died too often");
        runtime.forget_end();
        assert_eq!(runtime.last_end(), None);
    }

    #[test]
    fn a_stale_socket_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        let runtime = RuntimeDir::at(root.path());
        drop(runtime.listen().unwrap());
        assert!(runtime.connect().is_err());
        let _listener = runtime.listen().unwrap();
        assert!(runtime.connect().is_ok());
    }
}
