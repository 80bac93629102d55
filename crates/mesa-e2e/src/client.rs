//! A client machine: a home directory, a runtime directory and the `mesa` binary.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{Output, mesa_binary};

/// One client machine.
#[derive(Debug)]
pub struct Client {
    home: TempDir,
    url: String,
}

impl Client {
    pub(crate) fn new(url: &str) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        Self {
            home,
            url: url.to_owned(),
        }
    }

    /// `$HOME`.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Lets other users reach the mount through the home directory.
    ///
    /// # Panics
    /// If the mode cannot be set.
    pub fn let_others_in(&self) {
        rustix::fs::chmod(self.home(), rustix::fs::Mode::from(0o755)).expect("chmod");
    }

    /// `mesa ARGS` on this machine.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(mesa_binary());
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("MESA_RUNTIME_DIR", self.home().join("run"))
            .env("MESA_API_URL", &self.url)
            .stdin(Stdio::null());
        command
    }

    /// Runs `mesa ARGS`.
    pub fn mesa(&self, args: &[&str]) -> Output {
        Output::of(&mut self.command(args))
    }

    /// The guides' line: `MESA_ORGS=my-org:<key> mesa mount -d -y`.
    pub fn mount(&self, key: &str) -> Output {
        let mut command = self.command(&["mount", "-d", "-y"]);
        Output::of(command.env("MESA_ORGS", format!("my-org:{key}")))
    }

    /// `<mount>`.
    pub fn mount_point(&self) -> PathBuf {
        self.home().join(".local/share/mesa/mnt")
    }

    /// `<mount>/my-org/<repo>`.
    pub fn repo(&self, name: &str) -> PathBuf {
        self.mount_point().join("my-org").join(name)
    }

    /// The daemon's processes (supervisor and worker, or the one that is both).
    pub fn daemon_pids(&self) -> Vec<Pid> {
        let files = ["supervisor.pid", "worker.pid"].map(|f| self.home().join("run").join(f));
        let texts = files.iter().filter_map(|f| std::fs::read_to_string(f).ok());
        let mut pids: Vec<Pid> = texts
            .filter_map(|t| Pid::from_raw(t.trim().parse().ok()?))
            .collect();
        pids.dedup();
        pids
    }

    /// kill -9 of every process of the daemon.
    pub fn kill_daemon(&self) {
        for pid in self.daemon_pids() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.kill_daemon();
        let mut unmount = Command::new("umount");
        unmount
            .arg("-l")
            .arg(self.mount_point())
            .stderr(Stdio::null());
        let _ = unmount.status();
    }
}
