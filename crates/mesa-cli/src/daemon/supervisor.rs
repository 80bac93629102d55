//! The process that outlives workers: it holds the kernel connection and starts a new worker
//! when one dies. It knows nothing about files, repos or the server.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant, SystemTime},
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{
    process::Child,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use rustix::process::{Pid, Signal};

use super::{
    client,
    control::Command as Control,
    frame::{Frame, Kind, Link},
    launch::{self, Report},
    plan::Plan,
    runtime_dir::RuntimeDir,
};
use crate::error::{CliError, CliResult, Exit};

/// Restarts allowed within [`RESTART_WINDOW`].
const RESTARTS_MAX: usize = 10;
const RESTART_WINDOW: Duration = Duration::from_mins(1);
/// How long a process may take to vanish after it closed its link.
const GONE_LIMIT: Duration = Duration::from_secs(10);
/// How long a worker may take to flush and unmount before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(90);

/// The process `mesa daemon supervise`.
pub fn run() -> CliResult {
    let _ = rustix::process::setsid();
    let _ = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let mut plan = Vec::new();
    std::io::stdin()
        .read_to_end(&mut plan)
        .map_err(|e| CliError::io("cannot read the plan", &e))?;
    let parsed: Plan = serde_json::from_slice(&plan)
        .map_err(|e| CliError::failure("the plan is broken").caused_by(&e))?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::io("cannot start", &e))?
        .block_on(supervise(Supervisor {
            runtime: RuntimeDir::at(&parsed.runtime_dir),
            parsed,
            plan,
        }))
}

struct Supervisor {
    runtime: RuntimeDir,
    parsed: Plan,
    /// As received; replaced when the worker's credentials change.
    plan: Vec<u8>,
}

/// What ended a worker.
enum End {
    /// It said so, or was told to; whether everything was sent.
    Finished(bool),
    /// It died, of this.
    Died(String),
    /// It could not start.
    Failed(CliError),
}

async fn supervise(mut this: Supervisor) -> CliResult {
    let failed = |e: std::io::Error| CliError::io("cannot supervise", &e);
    let _lock = this.runtime.hold().map_err(failed)?;
    RuntimeDir::write_pid(&this.runtime.supervisor_pid()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    this.runtime.forget_end();
    let mut parts: Option<(Vec<u8>, OwnedFd)> = None;
    let mut restarts: VecDeque<Instant> = VecDeque::new();
    let mut reported = false;
    let mut adopted = if this.parsed.adopt {
        match Worker::adopt(&this.runtime) {
            Ok(worker) => Some(worker),
            Err(error) => {
                // It goes on as it did.
                report(Some(error.clone()));
                return Err(error);
            }
        }
    } else {
        None
    };
    let result = loop {
        let resuming = parts.is_some();
        let worker = adopted
            .take()
            .map_or_else(|| Worker::start(&this, parts.as_ref()), Ok);
        let mut worker = match worker {
            Ok(worker) => worker,
            Err(error) => break Err(CliError::io("cannot start a worker", &error)),
        };
        let end = loop {
            tokio::select! {
                frame = worker.frames.recv() => match frame {
                    Some(Frame { kind: Kind::Parts, payload, fd: Some(fd) }) => {
                        parts = Some((payload, fd));
                    }
                    Some(Frame { kind: Kind::Ready, .. }) if !reported => {
                        reported = true;
                        report(None);
                    }
                    Some(Frame { kind: Kind::Plan, payload, .. }) => this.plan = payload,
                    Some(Frame { kind: Kind::Failed, payload, .. }) => {
                        let error = serde_json::from_slice(&payload)
                            .unwrap_or_else(|_| CliError::failure("the worker failed"));
                        let _ = worker.ended().await;
                        break End::Failed(error);
                    }
                    Some(Frame { kind: Kind::Ended, payload, .. }) => {
                        worker.told = Some(payload == [1]);
                    }
                    Some(_) => {}
                    None => break worker.ended().await.map_err(failed)?,
                },
                _ = terminate.recv() => break worker.stop().await.map_err(failed)?,
                _ = interrupt.recv() => break worker.stop().await.map_err(failed)?,
            }
        };
        let death = match end {
            End::Finished(true) => break Ok(()),
            End::Finished(false) => {
                break Err(CliError::new(Exit::NotSynced, "not everything was sent"));
            }
            End::Failed(error) if !resuming => break Err(error),
            // A mount that cannot be taken over is replaced: its users get errors, new ones work.
            End::Failed(error) => {
                parts = None;
                let _ = mesa_fuse::unmount(&this.parsed.mount_point, true);
                error.message
            }
            End::Died(status) if parts.is_none() && !reported => {
                break Err(CliError::failure(format!(
                    "the worker died while starting ({status})"
                )));
            }
            End::Died(status) => status,
        };
        let now = Instant::now();
        restarts.retain(|at| now.duration_since(*at) < RESTART_WINDOW);
        if restarts.len() >= RESTARTS_MAX {
            break Err(CliError::failure(format!(
                "the mount was ended because its worker died more than {RESTARTS_MAX} times within \
                 a minute (the last time: {death})"
            )));
        }
        this.log(
            "WARN",
            &format!("the worker died ({death}); starting another"),
        );
        let delay = Duration::from_millis(20 << restarts.len().min(7));
        restarts.push_back(now);
        tokio::time::sleep(delay).await;
    };
    drop(parts);
    let _ = mesa_fuse::clean_stale(&this.parsed.mount_point);
    this.runtime.clear();
    if let Err(error) = &result {
        if reported {
            // Nobody reads what this process says.
            this.log("ERROR", &error.message);
            this.runtime.note_end(&error.message);
        } else {
            report(Some(error.clone()));
        }
    }
    result
}

impl Supervisor {
    /// A line in the daemon's log.
    fn log(&self, level: &str, message: &str) {
        let Some(path) = &self.parsed.log else { return };
        let now = OffsetDateTime::from(SystemTime::now())
            .format(&Rfc3339)
            .unwrap_or_default();
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path);
        // Where a log cannot be written there is no other place to say it.
        let _ = file.and_then(|mut file| {
            file.write_all(format!("{now} {level:>5} mesa::supervisor: {message}\n").as_bytes())
        });
    }
}

/// A signal or a panic is a death; an exit code the worker chose is an end.
fn classify(status: ExitStatus) -> End {
    match status.code() {
        Some(code) if code != 101 => End::Finished(status.success()),
        _ => End::Died(status.to_string()),
    }
}

/// Whether the process has not ended. (Somebody else may be slow to reap it.)
fn runs(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Tells the waiting command, then lets go of its pipe.
fn report(error: Option<CliError>) {
    if let Ok(line) = serde_json::to_string(&Report { error }) {
        let mut out = std::io::stdout().lock();
        let _gone = writeln!(out, "{line}").and_then(|()| out.flush());
    }
    if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}

struct Worker {
    process: Process,
    frames: mpsc::UnboundedReceiver<Frame>,
    /// It said that it ends, and whether everything was sent.
    told: Option<bool>,
}

enum Process {
    Child(Child),
    /// Started by a supervisor that is gone.
    Adopted(Pid),
}

impl Worker {
    fn start(this: &Supervisor, parts: Option<&(Vec<u8>, OwnedFd)>) -> std::io::Result<Self> {
        let (ours, theirs) = Link::pair()?;
        let mut command = launch::this_program("work");
        command
            .stdin(Stdio::from(theirs.into_fd()))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = tokio::process::Command::from(command).spawn()?;
        let (sender, frames) = mpsc::unbounded_channel();
        let plan = this.plan.clone();
        let second = match parts {
            Some((state, fd)) => (Kind::Parts, state.clone(), Some(fd.try_clone()?)),
            None => (Kind::Fresh, Vec::new(), None),
        };
        // Blocking calls on a thread of their own, which ends with the worker.
        std::thread::Builder::new()
            .name("link".to_owned())
            .spawn(move || {
                let (kind, payload, fd) = second;
                let sent = ours
                    .send(Kind::Plan, &plan, None)
                    .and_then(|()| ours.send(kind, &payload, fd.as_ref().map(AsFd::as_fd)));
                drop(fd);
                while let (Ok(()), Ok(Some(frame))) = (&sent, ours.receive()) {
                    if sender.send(frame).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            process: Process::Child(child),
            frames,
            told: None,
        })
    }

    /// The worker that runs already, which lost its supervisor.
    fn adopt(runtime: &RuntimeDir) -> CliResult<Self> {
        let failed = |e: std::io::Error| CliError::io("cannot supervise the daemon", &e);
        let path = runtime.supervisor_socket();
        let listener = Link::listen(&path).map_err(failed)?;
        let (sender, frames) = mpsc::unbounded_channel();
        let (joined, joins) = std::sync::mpsc::channel();
        std::thread::Builder::new()
            .name("link".to_owned())
            .spawn(move || {
                let link = Link::accept(&listener);
                let link = link.and_then(|link| link.peer().map(|pid| (link, pid)));
                let (link, pid) = match link {
                    Ok((link, pid)) => (link, Ok(pid)),
                    Err(error) => return joined.send(Err(error)).unwrap_or(()),
                };
                let _gone = joined.send(pid);
                while let Ok(Some(frame)) = link.receive() {
                    if sender.send(frame).is_err() {
                        return;
                    }
                }
            })
            .map_err(failed)?;
        let command = Control::Supervise {
            socket: path.clone(),
        };
        let asked = client::ask_at(runtime, &command, client::PATIENCE);
        let _ = std::fs::remove_file(path);
        asked?;
        let pid = joins.recv_timeout(client::PATIENCE);
        let pid = pid.map_err(|_| CliError::failure("the daemon did not join"))?;
        Ok(Self {
            process: Process::Adopted(pid.map_err(failed)?),
            frames,
            told: None,
        })
    }

    /// How it ended; waits until its process is gone.
    async fn ended(&mut self) -> std::io::Result<End> {
        match &mut self.process {
            Process::Child(child) => Ok(classify(child.wait().await?)),
            Process::Adopted(pid) => {
                // Not our child: only its absence can be seen.
                let end = Instant::now() + GONE_LIMIT;
                while runs(*pid) && Instant::now() < end {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok(match self.told {
                    Some(synced) => End::Finished(synced),
                    None => End::Died("its link is gone".to_owned()),
                })
            }
        }
    }

    /// Lets the worker flush and unmount.
    async fn stop(&mut self) -> std::io::Result<End> {
        let pid = match &self.process {
            Process::Child(child) => child.id().and_then(|id| Pid::from_raw(id.cast_signed())),
            Process::Adopted(pid) => Some(*pid),
        };
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, Signal::TERM);
        }
        if let Ok(end) = tokio::time::timeout(STOP_LIMIT, self.finished()).await {
            return Ok(End::Finished(end?));
        }
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        self.finished().await.map(End::Finished)
    }

    /// Whether everything was sent when it ended.
    async fn finished(&mut self) -> std::io::Result<bool> {
        if let Process::Child(child) = &mut self.process {
            return Ok(child.wait().await?.success());
        }
        while let Some(frame) = self.frames.recv().await {
            if frame.kind == Kind::Ended {
                self.told = Some(frame.payload == [1]);
            }
        }
        self.ended().await?;
        Ok(self.told == Some(true))
    }
}
