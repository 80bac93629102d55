//! `mesa mount` over a mount that is there already.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mesa_fuse::MountState;

use crate::{
    context::Context,
    daemon::{client, control::Command as Control, launch, plan::Plan, runtime_dir::RuntimeDir},
    error::{CliError, CliResult, Exit},
};

/// Uses a running daemon if there is one: hands it the orgs and checks that they are usable.
/// `false`: there is none (any more), mount. One that goes away meanwhile (it was killed a moment
/// ago, or is replaced by its supervisor) is looked for again.
pub fn adopt(
    context: &Context,
    runtime: &RuntimeDir,
    plan: &Plan,
    limit: Duration,
) -> CliResult<bool> {
    let end = Instant::now() + limit;
    loop {
        match try_adopt(context, runtime, plan, limit) {
            Err(error) if error.has_code(client::DAEMON_GONE) && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(20));
            }
            done => return done,
        }
    }
}

/// Gives a daemon whose supervisor was killed another one: without it the mount would end with
/// the next crash.
pub fn supervise(context: &Context, runtime: &RuntimeDir, plan: &mut Plan) {
    let supervised = client::ask_at(runtime, &Control::Ping, client::PATIENCE)
        .map(|ping| ping["supervised"].as_bool());
    if !matches!(supervised, Ok(Some(false))) {
        return;
    }
    plan.log.get_or_insert_with(|| runtime.log());
    match launch::supervise(plan) {
        Ok(()) => context
            .printer
            .note("the daemon's supervisor was gone; started another"),
        Err(error) => context.printer.warning(format!(
            "the daemon runs without a supervisor: {}",
            error.message
        )),
    }
}

fn try_adopt(
    context: &Context,
    runtime: &RuntimeDir,
    plan: &Plan,
    limit: Duration,
) -> CliResult<bool> {
    let ping = match client::ask_at(runtime, &Control::Ping, client::PATIENCE) {
        Ok(ping) => ping,
        Err(error) if error.exit == Exit::NotFound => {
            return if runtime.daemon_lives() {
                settle(runtime, limit)
            } else {
                Ok(false)
            };
        }
        Err(error) => return Err(error),
    };
    let at = ping["mount_point"]
        .as_str()
        .map(PathBuf::from)
        .unwrap_or_default();
    // Not there any more, or dead, or another program's: what is written there would not arrive.
    let state = mesa_fuse::state(&at);
    if !matches!(state, MountState::Live { ours: true }) {
        if state != MountState::Dead && is_elsewhere(runtime, &at) {
            let message = format!(
                "a daemon is mounted at {} for other processes",
                at.display()
            );
            return Err(CliError::new(Exit::Conflict, message).hint(
                "this process has a mount namespace of its own: mount where the daemon runs, or \
                 with a MESA_RUNTIME_DIR, MESA_STATE_DIR and MESA_CACHE_PATH of its own",
            ));
        }
        context
            .printer
            .note("the running daemon lost its mount; ending it");
        let stop = Control::Unmount {
            force: true,
            timeout_ms: 2000,
        };
        let _ = client::ask_at(runtime, &stop, Duration::from_secs(10));
        if !client::wait_gone(runtime, Duration::from_secs(10)) {
            // Another mount namespace keeps its filesystem; everything that could be sent is.
            for pid in runtime.pids() {
                let pid = i32::try_from(pid)
                    .ok()
                    .and_then(rustix::process::Pid::from_raw);
                if let Some(pid) = pid {
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
            }
            client::wait_gone(runtime, Duration::from_secs(10));
        }
        return Ok(false);
    }
    if at != plan.mount_point {
        let message = format!("a daemon is already mounted at {}", at.display());
        return Err(CliError::new(Exit::Conflict, message).hint(
            "unmount it first, or give the second mount its own MESA_RUNTIME_DIR, \
             MESA_STATE_DIR and MESA_CACHE_PATH",
        ));
    }
    let orgs = Control::AddOrgs {
        orgs: plan.orgs.clone(),
    };
    client::ask_at(runtime, &orgs, client::PATIENCE)?;
    let check = Control::Check {
        timeout_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
    };
    client::ask_at(runtime, &check, limit + Duration::from_secs(5))?;
    launch::answers(&at, Instant::now() + limit)?;
    Ok(true)
}

/// Whether the daemon sees a mount of its own there, in another mount namespace than ours.
fn is_elsewhere(runtime: &RuntimeDir, at: &Path) -> bool {
    let mut pids = runtime.pids().into_iter();
    pids.any(|pid| mesa_fuse::is_mounted_for(pid, at))
}

/// A daemon lives but has no socket: it is starting, being restarted, or ending.
fn settle(runtime: &RuntimeDir, limit: Duration) -> CliResult<bool> {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if !runtime.daemon_lives() {
            return Ok(false);
        }
        if runtime.connect().is_ok() {
            let restarted = CliError::new(Exit::Conflict, "the daemon was being restarted");
            return Err(restarted
                .hint("run the command again")
                .coded(client::DAEMON_GONE));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(CliError::failure("a daemon runs but does not answer")
        .hint("`mesa unmount --force` ends it"))
}
