//! A client machine: a home directory, a runtime directory and the `mesa` binary.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Output, Place, mesa_binary};

/// One client machine.
#[derive(Debug)]
pub struct Client {
    home: Place,
    url: String,
    environment: Vec<(String, String)>,
    binary: PathBuf,
    /// `None` = whoever runs the tests.
    uid: Option<u32>,
}

impl Client {
    pub(crate) fn new(home: Place, url: &str) -> Self {
        Self {
            home,
            url: url.to_owned(),
            environment: Vec::new(),
            binary: mesa_binary(),
            uid: None,
        }
    }

    /// Makes everything on this machine run as a user without privileges, who owns the home
    /// directory and can reach nothing else of the tests.
    ///
    /// # Panics
    /// If the files cannot be made ready.
    #[must_use]
    pub fn of_user(mut self, uid: u32) -> Self {
        let own = self.home().join("mesa");
        std::fs::copy(&self.binary, &own).expect("a copy of the program");
        for path in [self.home(), &own] {
            rustix::fs::chmod(path, rustix::fs::Mode::from(0o755)).expect("chmod");
        }
        std::os::unix::fs::chown(self.home(), Some(uid), Some(uid)).expect("chown");
        self.binary = own;
        self.uid = Some(uid);
        self
    }

    /// Runs `script` by bash as the machine's user.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn sh(&self, dir: &Path, script: &str) -> String {
        let mut command = self.program("bash");
        command
            .args(["-euo", "pipefail", "-c", "cd \"$1\"; eval \"$2\"", "bash"])
            .arg(dir)
            .arg(script);
        crate::shell::run(crate::shell::for_git(&mut command), script)
    }

    /// A program run by the machine's user.
    fn program(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let Some(uid) = self.uid else {
            return Command::new(program);
        };
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={uid}"))
            .arg(format!("--regid={uid}"))
            .args(["--clear-groups", "--inh-caps=-all"])
            .arg(program)
            .current_dir("/");
        command
    }

    /// Adds a variable to the environment of every command.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
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
        let mut command = self.program(&self.binary);
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("MESA_RUNTIME_DIR", self.home().join("run"))
            .env("MESA_API_URL", &self.url)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Runs `mesa ARGS`.
    pub fn mesa(&self, args: &[&str]) -> Output {
        Output::of(&mut self.command(args))
    }

    /// Runs `mesa ARGS` in a directory.
    pub fn mesa_in(&self, dir: &Path, args: &[&str]) -> Output {
        Output::of(self.command(args).current_dir(dir))
    }

    /// The JSON that `mesa ARGS --json` prints in a directory.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn json_in(&self, dir: &Path, args: &[&str]) -> serde_json::Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let text = self.mesa_in(dir, &args).ok();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
    }

    /// Runs `script` by bash in a directory with the environment of this machine's commands, and
    /// `$MESA` the program.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn sh_in(&self, dir: &Path, script: &str) -> String {
        let own = self.command(&[]);
        let mut command = self.program("bash");
        command
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(dir)
            .env_clear()
            .envs(
                own.get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("MESA", &self.binary);
        crate::shell::run(&mut command, script)
    }

    /// Copies what this machine keeps (not what only its running daemon uses) to another one, as
    /// a snapshot of a virtual machine does. Stop the daemon first.
    ///
    /// # Panics
    /// If it cannot be copied.
    #[must_use]
    pub fn cloned(&self) -> Self {
        let Place::Fresh(dir) = Place::fresh() else {
            unreachable!("fresh places are fresh")
        };
        // The mount point is left out: nobody answers there now.
        let mut tar = Command::new("bash");
        tar.args([
            "-euo",
            "pipefail",
            "-c",
            "tar -C \"$1\" --exclude=./run --exclude=./.local/share/mesa/mnt -cf - . | tar -C \"$2\" -xpf -",
            "bash",
        ]);
        crate::shell::run(tar.arg(self.home()).arg(dir.path()), "copy");
        Self {
            home: Place::Fresh(dir),
            url: self.url.clone(),
            environment: self.environment.clone(),
            binary: self.binary.clone(),
            uid: self.uid,
        }
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

    /// The daemon's processes (supervisor and worker, or the one that is both) that run. A home
    /// directory from before a power cut names processes that are somebody else's by now.
    pub fn daemon_pids(&self) -> Vec<Pid> {
        let files = ["supervisor.pid", "worker.pid"].map(|f| self.home().join("run").join(f));
        let texts = files.iter().filter_map(|f| std::fs::read_to_string(f).ok());
        let mut pids: Vec<Pid> = texts
            .filter_map(|t| Pid::from_raw(t.trim().parse().ok()?))
            .filter(|pid| self.is_mesa(*pid))
            .collect();
        pids.dedup();
        pids
    }

    fn is_mesa(&self, pid: Pid) -> bool {
        let exe = std::fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero()));
        exe.is_ok_and(|exe| Some(exe) == self.binary.canonicalize().ok())
    }

    /// Sends a signal to every process of the daemon.
    pub fn signal_daemon(&self, signal: Signal) {
        for pid in self.daemon_pids() {
            let _ = kill_process(pid, signal);
        }
    }

    /// kill -9 of every process of the daemon.
    pub fn kill_daemon(&self) {
        self.signal_daemon(Signal::KILL);
    }

    /// Removes a mount whose daemon is gone, even if it is in use.
    pub fn detach(&self) {
        let mut unmount = Command::new("umount");
        unmount
            .arg("-l")
            .arg(self.mount_point())
            .stderr(Stdio::null());
        let _ = unmount.status();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.kill_daemon();
        self.detach();
    }
}
