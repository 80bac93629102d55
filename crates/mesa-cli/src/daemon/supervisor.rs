//! The process that outlives workers: it holds the kernel connection and starts a new worker
//! when one dies. It knows nothing about files, repos or the server.

use std::{
    collections::VecDeque,
    io::Read,
    os::fd::{AsFd, OwnedFd},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tokio::{
    process::Child,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::{
    frame::{Frame, Kind, Link},
    launch::{self, Report},
    plan::Plan,
    runtime_dir::RuntimeDir,
};
use crate::error::{CliError, CliResult, Exit};

/// Restarts allowed within [`RESTART_WINDOW`].
const RESTARTS_MAX: usize = 10;
const RESTART_WINDOW: Duration = Duration::from_mins(1);
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
    /// It said so, or was told to.
    Finished(ExitStatus),
    /// It died.
    Died(ExitStatus),
    /// It could not start.
    Failed(CliError),
}

async fn supervise(mut this: Supervisor) -> CliResult {
    let failed = |e: std::io::Error| CliError::io("cannot supervise", &e);
    let _lock = this.runtime.hold().map_err(failed)?;
    RuntimeDir::write_pid(&this.runtime.supervisor_pid()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut parts: Option<(Vec<u8>, OwnedFd)> = None;
    let mut restarts: VecDeque<Instant> = VecDeque::new();
    let mut reported = false;
    let result = loop {
        let resuming = parts.is_some();
        let mut worker = match Worker::start(&this, parts.as_ref()) {
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
                        let _ = worker.child.wait().await;
                        break End::Failed(error);
                    }
                    Some(_) => {}
                    None => {
                        let status = worker.child.wait().await.map_err(failed)?;
                        break classify(status);
                    }
                },
                _ = terminate.recv() => break worker.stop().await.map_err(failed)?,
                _ = interrupt.recv() => break worker.stop().await.map_err(failed)?,
            }
        };
        match end {
            End::Finished(status) if status.success() => break Ok(()),
            End::Finished(_) => {
                break Err(CliError::new(Exit::NotSynced, "not everything was sent"));
            }
            End::Failed(error) if !resuming => break Err(error),
            // A mount that cannot be taken over is replaced: its users get errors, new ones work.
            End::Failed(_) => {
                parts = None;
                let _ = mesa_fuse::unmount(&this.parsed.mount_point, true);
            }
            End::Died(status) if parts.is_none() && !reported => {
                break Err(CliError::failure(format!(
                    "the worker died while starting ({status})"
                )));
            }
            End::Died(_) => {}
        }
        let now = Instant::now();
        restarts.retain(|at| now.duration_since(*at) < RESTART_WINDOW);
        if restarts.len() >= RESTARTS_MAX {
            break Err(CliError::failure("the worker died too often"));
        }
        let delay = Duration::from_millis(20 << restarts.len().min(7));
        restarts.push_back(now);
        tokio::time::sleep(delay).await;
    };
    drop(parts);
    let _ = mesa_fuse::clean_stale(&this.parsed.mount_point);
    this.runtime.clear();
    if let Err(error) = &result
        && !reported
    {
        report(Some(error.clone()));
    }
    result
}

/// A signal or a panic is a death; an exit code the worker chose is an end.
fn classify(status: ExitStatus) -> End {
    match status.code() {
        Some(code) if code != 101 => End::Finished(status),
        _ => End::Died(status),
    }
}

/// Tells the waiting command, then lets go of its pipe.
fn report(error: Option<CliError>) {
    use std::io::Write;
    if let Ok(line) = serde_json::to_string(&Report { error }) {
        let mut out = std::io::stdout().lock();
        let _gone = writeln!(out, "{line}").and_then(|()| out.flush());
    }
    if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}

struct Worker {
    child: Child,
    frames: mpsc::UnboundedReceiver<Frame>,
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
        Ok(Self { child, frames })
    }

    /// Lets the worker flush and unmount.
    async fn stop(&mut self) -> std::io::Result<End> {
        if let Some(pid) = self
            .child
            .id()
            .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()))
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if let Ok(status) = tokio::time::timeout(STOP_LIMIT, self.child.wait()).await {
            return Ok(End::Finished(status?));
        }
        self.child.kill().await?;
        Ok(End::Finished(self.child.wait().await?))
    }
}
