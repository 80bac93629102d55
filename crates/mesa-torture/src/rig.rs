//! One server and one mount, started, killed and started again.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    time::{Duration, Instant},
};

use mesa_e2e::{Client, Server, eventually};
use mesa_testkit::{Disk, freeze};

use crate::worker::now_millis;

/// Sizes of the machines' disks in bytes (sparse).
const CLIENT_DISK: u64 = 2 << 30;
const SERVER_DISK: u64 = 8 << 30;

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
    /// The client machine's power: what its disk had not synced is gone too.
    ClientPower,
    /// The server machine's power.
    ServerPower,
    /// The power of both at once.
    BothPower,
}

impl Victim {
    /// Whether more than processes of the client is lost, so that only what was fsynced, or is
    /// with the server for other reasons, has to be there.
    pub fn loses_client_state(self) -> bool {
        matches!(self, Self::Client | Self::ClientPower | Self::BothPower)
    }

    fn cuts_client(self) -> bool {
        matches!(self, Self::ClientPower | Self::BothPower)
    }

    fn cuts_server(self) -> bool {
        matches!(self, Self::ServerPower | Self::BothPower)
    }
}

/// Why a run stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Io(#[from] std::io::Error),
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

/// The kernel's boot id as this namespace sees it: what a program goes by to know that the machine
/// was started anew, and that what it never synced may be gone.
struct BootId {
    file: PathBuf,
    starts: u32,
}

impl BootId {
    const PLACE: &'static str = "/proc/sys/kernel/random/boot_id";

    fn put_over(dir: &Path) -> Result<Self, Error> {
        let mut boot = Self {
            file: dir.join("boot_id"),
            starts: 0,
        };
        boot.renew()?;
        let mut mount = Command::new("mount");
        mount.arg("--bind").arg(&boot.file).arg(Self::PLACE);
        let seen = |boot: &Self| std::fs::read(Self::PLACE).ok() == std::fs::read(&boot.file).ok();
        if !mount.status()?.success() || !seen(&boot) {
            let message = "the boot id cannot be replaced: root is needed";
            return Err(std::io::Error::other(message).into());
        }
        Ok(boot)
    }

    /// The machine starts again. Written in place: the file is what is mounted.
    fn renew(&mut self) -> Result<(), Error> {
        self.starts += 1;
        let text = format!("00000000-0000-4000-8000-{:012x}\n", self.starts);
        Ok(std::fs::write(&self.file, text)?)
    }
}

/// A running workload.
pub struct Worker {
    child: Child,
    pub log: PathBuf,
    /// Ends with the last process of the workload: its mapper outlives it.
    last: Option<ChildStderr>,
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

    /// Waits until no process of it can write any more: a store that comes after the look at what
    /// survived would be taken for one that was hidden until then.
    pub fn wait_until_gone(&mut self) -> Result<(), Error> {
        let Some(mut last) = self.last.take() else {
            return Ok(());
        };
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let ended = std::io::copy(&mut last, &mut std::io::sink());
            let _gone = sender.send(ended);
        });
        match receiver.recv_timeout(Duration::from_secs(GONE_SECONDS)) {
            Ok(ended) => ended.map(drop).map_err(Error::from),
            Err(_) => Err(Error::Deadline {
                what: "the end of the workload's processes",
                seconds: GONE_SECONDS,
            }),
        }
    }
}

/// How long killed processes may take to go.
const GONE_SECONDS: u64 = 60;

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processes and places of a run.
pub struct Rig {
    dir: PathBuf,
    // Before the disks they use: fields are dropped in this order.
    client: Client,
    server: Server,
    client_disk: Option<Disk>,
    server_disk: Option<Disk>,
    boot: Option<BootId>,
    key: String,
}

impl Rig {
    /// Starts a server with a repo and mounts it, with files below `dir` or, where the power is to
    /// be cut, on disks of their own.
    pub fn start(dir: &Path, disks: bool) -> Result<Self, Error> {
        std::fs::create_dir_all(dir)?;
        let dir = dir.canonicalize()?;
        let disk = |bytes| disks.then(|| Disk::new(bytes)).transpose();
        let (client_disk, server_disk) = (disk(CLIENT_DISK)?, disk(SERVER_DISK)?);
        let boot = disks.then(|| BootId::put_over(&dir)).transpose()?;
        let place = |disk: &Option<Disk>, name: &str| {
            let place = disk.as_ref().map_or_else(|| dir.clone(), Disk::path);
            std::fs::create_dir_all(place.join(name)).map(|()| place.join(name))
        };
        let server = Server::start_in(&place(&server_disk, "server")?);
        let client = server.client_in(&place(&client_disk, "home")?);
        server.create_repo("work");
        let (key, _) = server.create_key(r#"{"scopes":["read","write"]}"#);
        let rig = Self {
            dir,
            client,
            server,
            client_disk,
            server_disk,
            boot,
            key,
        };
        rig.mount()?;
        Ok(rig)
    }

    pub fn repo_dir(&self) -> PathBuf {
        self.client.repo("work")
    }

    /// The guides' line.
    fn mount(&self) -> Result<(), Error> {
        self.client.mount(&self.key).ok();
        std::fs::read_dir(self.repo_dir())?;
        Ok(())
    }

    pub fn start_worker(&self, seed: u64, round: u64) -> Result<Worker, Error> {
        let log = self.dir.join(format!("worker-{round}.log"));
        File::create(&log)?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("worker")
            .arg(self.repo_dir())
            .arg(&log)
            .args([seed.to_string(), (round * 1_000_000).to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let last = child.stderr.take();
        Ok(Worker { child, log, last })
    }

    /// Kills with SIGKILL, or as a power cut does; returns the time of it.
    pub fn kill(&mut self, victim: Victim, worker: &mut Worker) -> Result<u64, Error> {
        let when = now_millis();
        match victim {
            Victim::Daemon => self.client.kill_daemon(),
            Victim::Server => self.server.kill(),
            Victim::Both => {
                self.server.kill();
                self.client.kill_daemon();
            }
            Victim::Client => {
                self.client.kill_daemon();
                worker.stop();
                self.delete_client_state()?;
            }
            Victim::ClientPower | Victim::ServerPower | Victim::BothPower => {
                self.cut_power(victim, worker)?;
            }
        }
        worker.stop();
        Ok(when)
    }

    /// Everything stands still while the disks are copied, so both are of one moment.
    fn cut_power(&mut self, victim: Victim, worker: &mut Worker) -> Result<(), Error> {
        let daemon = self.client.daemon_pids();
        if victim.cuts_server() {
            self.server.pid().map_or(Ok(()), freeze)?;
        }
        if victim.cuts_client() {
            daemon.iter().try_for_each(|pid| freeze(*pid))?;
        }
        let cut = [
            (victim.cuts_server(), &mut self.server_disk),
            (victim.cuts_client(), &mut self.client_disk),
        ];
        let disks = || std::io::Error::other("this run has no disks of its own");
        let mut cut: Vec<&mut Disk> = cut
            .into_iter()
            .filter(|(is_cut, _)| *is_cut)
            .map(|(_, disk)| disk.as_mut().ok_or_else(disks))
            .collect::<Result<_, _>>()?;
        cut.iter().try_for_each(|disk| disk.keep())?;
        if victim.cuts_server() {
            self.server.kill();
        }
        if victim.cuts_client() {
            self.client.kill_daemon();
            worker.stop();
            self.client.detach();
            eventually(20, "the daemon is gone", || {
                self.client.daemon_pids().is_empty()
            });
        }
        cut.iter_mut().try_for_each(|disk| disk.restore())?;
        if let Some(boot) = self.boot.as_mut().filter(|_| victim.cuts_client()) {
            boot.renew()?;
        }
        Ok(())
    }

    /// What a destroyed sandbox takes with it.
    fn delete_client_state(&self) -> Result<(), Error> {
        self.client.detach();
        std::fs::remove_dir_all(self.client.home())?;
        std::fs::create_dir_all(self.client.home())?;
        Ok(())
    }

    /// Brings back whatever is down, as a user would: `mesa serve`, `mesa mount -d -y`.
    pub fn ensure_running(&mut self) -> Result<(), Error> {
        if !self.server.is_running() {
            self.server.restart();
        }
        self.mount()
    }

    /// Everything the mount shows is with the server after this.
    pub fn sync(&self) {
        self.client.mesa(&["sync"]).ok();
    }

    pub fn stop(&mut self) {
        self.client.mesa(&["unmount"]).ok();
        self.server.terminate();
    }
}
