//! One server and one mount, started, killed and started again.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::worker::now_millis;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// The FUSE daemon, supervisor included.
    Daemon,
    /// The server.
    Server,
    /// Both, server first.
    Both,
    /// The daemon, and then its local state.
    Client,
}

/// Why a run stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("`{command}` failed with {status}: {output}")]
    Command {
        command: String,
        status: String,
        output: String,
    },
    #[error("{what} did not come within {seconds} s")]
    Deadline { what: &'static str, seconds: u64 },
    #[error("worker log has the line {0:?}")]
    Log(String),
    #[error("round {round}, {victim:?} killed: {message}")]
    Check {
        round: u64,
        victim: Victim,
        message: String,
    },
}

/// A running workload.
pub struct Worker {
    child: Child,
    pub log: PathBuf,
}

impl Worker {
    /// Waits until the workload finished its first step.
    pub fn wait_for_a_step(&self, seconds: u64) -> Result<(), Error> {
        let start = Instant::now();
        while !std::fs::read_to_string(&self.log)?.contains("\ndone ") {
            if start.elapsed() > Duration::from_secs(seconds) {
                return Err(Error::Deadline {
                    what: "the workload's first step",
                    seconds,
                });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Ends it; a process that hangs on the dead mount goes when the mount does.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processes and places of a run.
pub struct Rig {
    mesa: PathBuf,
    dir: PathBuf,
    port: u16,
    server: Option<Child>,
    key: String,
}

impl Rig {
    pub fn new(mesa: &Path, dir: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(dir.join("home"))?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let (mesa, dir) = (mesa.to_owned(), dir.canonicalize()?);
        Ok(Self {
            mesa,
            dir,
            port,
            server: None,
            key: String::new(),
        })
    }

    pub fn repo_dir(&self) -> PathBuf {
        self.dir.join("home/.local/share/mesa/mnt/my-org/work")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.mesa);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.join("home"))
            .env("MESA_RUNTIME_DIR", self.dir.join("run"))
            .env("MESA_API_URL", format!("http://127.0.0.1:{}", self.port))
            .stdin(Stdio::null());
        command
    }

    fn run(command: &mut Command) -> Result<String, Error> {
        let output = command.output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        Err(Error::Command {
            command: format!("{command:?}"),
            status: output.status.to_string(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    pub fn start_server(&mut self) -> Result<(), Error> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("server.log"))?;
        let data = self.dir.join("data");
        let listen = format!("127.0.0.1:{}", self.port);
        let mut command = self.command();
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(data)
            .args(["--listen", &listen]);
        self.server = Some(command.stdout(log.try_clone()?).stderr(log).spawn()?);
        let start = Instant::now();
        let key = self.dir.join("data/admin.key");
        while !key.exists() || std::net::TcpStream::connect(&listen).is_err() {
            if start.elapsed() > Duration::from_secs(30) {
                return Err(Error::Deadline {
                    what: "the server's port",
                    seconds: 30,
                });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub fn create_repo(&mut self) -> Result<(), Error> {
        let admin = std::fs::read_to_string(self.dir.join("data/admin.key"))?;
        let mut command = self.command();
        command
            .env("MESA_API_KEY", admin.trim())
            .args(["repo", "create", "work"]);
        Self::run(&mut command)?;
        let mut command = self.command();
        command.env("MESA_API_KEY", admin.trim());
        command.args([
            "key",
            "create",
            "--scope",
            "read",
            "--scope",
            "write",
            "--expires",
            "86400",
        ]);
        self.key = Self::run(&mut command)?;
        Ok(())
    }

    /// The guides' line.
    pub fn mount(&self) -> Result<(), Error> {
        let mut command = self.command();
        command
            .env("MESA_ORGS", format!("my-org:{}", self.key))
            .args(["mount", "-d", "-y"]);
        Self::run(&mut command)?;
        std::fs::read_dir(self.repo_dir())?;
        Ok(())
    }

    pub fn start_worker(&self, seed: u64, round: u64) -> Result<Worker, Error> {
        let log = self.dir.join(format!("worker-{round}.log"));
        File::create(&log)?;
        let child = Command::new(std::env::current_exe()?)
            .arg("worker")
            .arg(self.repo_dir())
            .arg(&log)
            .args([seed.to_string(), (round * 1_000_000).to_string()])
            .stdin(Stdio::null())
            .spawn()?;
        Ok(Worker { child, log })
    }

    /// Kills with SIGKILL; returns the time of it.
    pub fn kill(&mut self, victim: Victim) -> Result<u64, Error> {
        let when = now_millis();
        if matches!(victim, Victim::Server | Victim::Both) {
            self.kill_server()?;
        }
        if matches!(victim, Victim::Daemon | Victim::Both | Victim::Client) {
            self.kill_daemon();
        }
        Ok(when)
    }

    fn kill_server(&mut self) -> Result<(), Error> {
        if let Some(mut server) = self.server.take() {
            server.kill()?;
            server.wait()?;
        }
        Ok(())
    }

    fn kill_daemon(&self) {
        for file in ["run/supervisor.pid", "run/worker.pid"] {
            let Ok(text) = std::fs::read_to_string(self.dir.join(file)) else {
                continue;
            };
            let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) else {
                continue;
            };
            // Already gone is as good as killed.
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// What a destroyed sandbox takes with it.
    pub fn delete_client_state(&self) -> Result<(), Error> {
        let mnt = self.dir.join("home/.local/share/mesa/mnt");
        let _ = Command::new("umount")
            .arg("-l")
            .arg(&mnt)
            .stderr(Stdio::null())
            .status()?;
        std::fs::remove_dir_all(self.dir.join("home"))?;
        std::fs::create_dir_all(self.dir.join("home"))?;
        let _ = std::fs::remove_dir_all(self.dir.join("run"));
        Ok(())
    }

    /// Brings back whatever is down, as a user would: `mesa serve`, `mesa mount -d -y`.
    pub fn ensure_running(&mut self) -> Result<(), Error> {
        if self.server.is_none() {
            self.start_server()?;
        }
        self.mount()
    }

    pub fn stop(&mut self) -> Result<(), Error> {
        let mut command = self.command();
        command.arg("unmount");
        Self::run(&mut command)?;
        if let Some(mut server) = self.server.take() {
            if let Some(pid) = Pid::from_raw(server.id() as i32) {
                let _ = kill_process(pid, Signal::TERM);
            }
            server.wait()?;
        }
        Ok(())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.kill_server();
        self.kill_daemon();
        let mnt = self.dir.join("home/.local/share/mesa/mnt");
        let _ = Command::new("umount")
            .arg("-l")
            .arg(&mnt)
            .stderr(Stdio::null())
            .status();
    }
}
