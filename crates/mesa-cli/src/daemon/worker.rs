//! The process that serves the mount.

use std::{path::Path, sync::Arc, time::Duration};

use mesa_fuse::{Parts, SavedState};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    frame::{Frame, Kind, Link},
    plan::Plan,
    runtime_dir::RuntimeDir,
    server::Control,
    service::Service,
    upward::Upward,
};
use crate::error::{CliError, CliResult, Exit};

/// Priority of background threads.
const BACKGROUND_NICE: i32 = 5;

/// How long the end of the process waits for commands that are being answered.
const ANSWERS_MAX: Duration = Duration::from_secs(2);

/// How long the end of the process may take to send what is left.
const FINAL_SYNC: Duration = Duration::from_secs(30);

/// The process `mesa daemon work`, started by a supervisor.
pub fn run() -> CliResult {
    let failed = |e: std::io::Error| CliError::io("cannot talk to the supervisor", &e);
    let broken = || CliError::failure("the supervisor said something strange");
    let link = Link::from_stdin().map_err(failed)?;
    // Nothing else may read from the link.
    if let Ok(null) = std::fs::File::open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&null);
    }
    let Some(Frame {
        kind: Kind::Plan,
        payload: plan,
        ..
    }) = link.receive().map_err(failed)?
    else {
        return Err(broken());
    };
    let plan: Plan = serde_json::from_slice(&plan).map_err(|_| broken())?;
    let parts = match link.receive().map_err(failed)? {
        Some(Frame {
            kind: Kind::Fresh, ..
        }) => None,
        Some(Frame {
            kind: Kind::Parts,
            payload,
            fd: Some(device),
        }) => Some(Parts {
            device,
            state: SavedState::from_bytes(&payload)?,
        }),
        _ => return Err(broken()),
    };
    log_to(&plan)?;
    let outcome = serve(plan, parts, Some(&link));
    if let Err(Stop::Start(error)) = &outcome {
        tracing::error!(error = %error.message, causes = ?error.causes, "not started");
        if let Ok(payload) = serde_json::to_vec(error) {
            let _gone = link.send(Kind::Failed, &payload, None);
        }
    }
    outcome.map_err(Stop::into_error)
}

/// `mesa mount` in the foreground: until the mount is removed, Ctrl-C or SIGTERM. `ready` runs
/// when the mount answers.
pub fn foreground(plan: Plan, ready: impl FnOnce() + Send + 'static) -> CliResult {
    let watch = Ready(Some(Box::new(ready)));
    serve_with(plan, None, None, watch).map_err(Stop::into_error)
}

/// When it ended badly.
enum Stop {
    /// Nothing was served.
    Start(CliError),
    /// After serving.
    Later(CliError),
}

impl Stop {
    fn into_error(self) -> CliError {
        match self {
            Self::Start(error) | Self::Later(error) => error,
        }
    }
}

struct Ready(Option<Box<dyn FnOnce() + Send>>);

fn serve(plan: Plan, parts: Option<Parts>, link: Option<&Link>) -> Result<(), Stop> {
    serve_with(plan, parts, link, Ready(None))
}

fn serve_with(
    plan: Plan,
    parts: Option<Parts>,
    link: Option<&Link>,
    ready: Ready,
) -> Result<(), Stop> {
    crate::commands::serve::raise_open_files();
    crate::commands::serve::small_pages();
    crate::memory::give_back_when_idle();
    let cpus = rustix::thread::sched_getaffinity(None).ok();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8)))
        // What runs here (sending, hashing, waiting) makes way for the programs that use the mount;
        // the threads that answer them are others, and one of these may have been started by one of
        // those and have its CPU.
        .on_thread_start(move || {
            if let Some(cpus) = &cpus {
                let _ = rustix::thread::sched_setaffinity(None, cpus);
            }
            let _ = rustix::process::setpriority_process(None, BACKGROUND_NICE);
        })
        .enable_all()
        .build()
        .map_err(|e| Stop::Start(CliError::io("cannot start", &e)))?;
    let result = runtime.block_on(work(plan, parts, link, ready));
    // Threads stuck in a dead server's answers must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn work(
    plan: Plan,
    parts: Option<Parts>,
    link: Option<&Link>,
    ready: Ready,
) -> Result<(), Stop> {
    let start = |e: std::io::Error| Stop::Start(CliError::io("cannot start", &e));
    let runtime = RuntimeDir::at(&plan.runtime_dir);
    let _lock = runtime.hold().map_err(start)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(start)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(start)?;
    let pid_file = plan.pid_file.clone();
    let service = tokio::select! {
        service = Service::start(plan, parts) => Arc::new(service.map_err(Stop::Start)?),
        _ = terminate.recv() => return Err(Stop::Start(interrupted())),
        _ = interrupt.recv() => return Err(Stop::Start(interrupted())),
    };
    RuntimeDir::write_pid(&runtime.worker_pid()).map_err(start)?;
    if let Some(path) = &pid_file
        && let Err(error) = RuntimeDir::write_pid(path)
    {
        tracing::warn!(path = %path.display(), %error, "the pid file was not written");
    }
    let upward = link.map(Link::duplicate).transpose().map_err(start)?;
    let upward = Arc::new(Upward::new(upward));
    let listener = runtime.listen().map_err(start)?;
    let control = Control::start(listener, Arc::clone(&service), Arc::clone(&upward));
    if let Some(link) = link {
        let parts = service.parts().map_err(Stop::Start)?;
        link.send(
            Kind::Parts,
            &parts.state.to_bytes(),
            Some(std::os::fd::AsFd::as_fd(&parts.device)),
        )
        .and_then(|()| link.send(Kind::Ready, &[], None))
        .map_err(start)?;
    }
    if let Some(ready) = ready.0 {
        ready();
    }
    tracing::info!(mount_point = %service.mount_point().display(), "serving");
    let result = tokio::select! {
        () = service.ended() => service.finish(FINAL_SYNC).await,
        ended = service.stopped() => ended,
        _ = terminate.recv() => service.stop(true, FINAL_SYNC).await,
        _ = interrupt.recv() => service.stop(true, FINAL_SYNC).await,
    };
    // `mesa unmount` waits for its answer, and the mount ended because of it.
    service.answered(ANSWERS_MAX).await;
    control.end().await;
    upward.send(Kind::Ended, &[u8::from(result.is_ok())]);
    tracing::info!(synced = result.is_ok(), "ended");
    if link.is_none() {
        runtime.clear();
    }
    if let Some(path) = &pid_file {
        remove_pid_file(path);
    }
    result.map_err(Stop::Later)
}

fn interrupted() -> CliError {
    CliError::new(Exit::Failure, "stopped before the mount was made")
}

fn remove_pid_file(path: &Path) {
    let _ = std::fs::remove_file(path);
}

/// Sends the log where the plan says, and standard error with it (panics go there).
fn log_to(plan: &Plan) -> CliResult {
    if let Some(path) = &plan.log {
        let failed = |e| CliError::io(format!("cannot write the log {}", path.display()), &e);
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(failed)?;
        }
        // One old log is kept; the size of the new one is bounded by what restarts add.
        if std::fs::metadata(path).is_ok_and(|m| m.len() > LOG_BYTES_MAX) {
            let _ = std::fs::rename(path, path.with_extension("log.old"));
        }
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(failed)?;
        rustix::stdio::dup2_stderr(&file).map_err(|e| failed(e.into()))?;
    }
    mesa_server::logging::init(mesa_server::logging::LogFormat::Text, &plan.log_filter);
    Ok(())
}

/// A log longer than this is put aside when a worker starts.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;
