//! Starting the daemon's processes and waiting until the mount answers.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::error::{CliError, CliResult, Exit};

/// Variables with credentials, which the daemon gets through its plan instead.
const SECRET_VARIABLES: &[&str] = &[
    "MESA_ORGS",
    "MESA_API_KEY",
    "MESA_ACCESS_TOKEN",
    "MESA_VAULT_PASSPHRASE",
    "MESA_PRIVATE_KEY",
    "MESA_WEBHOOK_SECRET",
];

/// The one line the supervisor writes to its parent.
#[derive(Serialize, Deserialize)]
pub struct Report {
    /// Absent: the mount answers.
    pub error: Option<CliError>,
}

/// This program again, with a hidden subcommand.
pub fn this_program(role: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("mesa").args(["daemon", role]).current_dir("/");
    for name in SECRET_VARIABLES {
        command.env_remove(name);
    }
    command
}

/// Starts supervisor and worker; returns when the mount answers, with the time that is left.
/// On an error nothing is left behind.
pub fn launch(plan: &Plan) -> CliResult {
    let limit = Duration::from_millis(plan.start_timeout_ms);
    let end = Instant::now() + limit;
    let mut child = this_program("supervise")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| CliError::io("cannot start the daemon", &e))?;
    let outcome = start(&mut child, plan, end).and_then(|()| answers(&plan.mount_point, end));
    if outcome.is_err() {
        stop(&mut child);
        let _ = mesa_fuse::clean_stale(&plan.mount_point);
    }
    outcome
}

/// Starts a supervisor for a worker that lost its own. Whatever happens, the worker goes on.
pub fn supervise(plan: &Plan) -> CliResult {
    let plan = Plan {
        adopt: true,
        ..plan.clone()
    };
    let mut child = this_program("supervise")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| CliError::io("cannot start a supervisor", &e))?;
    let end = Instant::now() + Duration::from_millis(plan.start_timeout_ms);
    start(&mut child, &plan, end).inspect_err(|_| {
        // Not by a signal it would hand on.
        let _ = child.kill();
        let _ = child.wait();
    })
}

fn start(child: &mut Child, plan: &Plan, end: Instant) -> CliResult {
    let failed = |e: &std::io::Error| CliError::io("cannot talk to the daemon", e);
    let text = serde_json::to_vec(plan)
        .map_err(|e| CliError::failure("cannot start the daemon").caused_by(&e))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&text).map_err(|e| failed(&e))?;
    }
    let Some(stdout) = child.stdout.take() else {
        return Err(CliError::failure("cannot talk to the daemon"));
    };
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).take(1 << 20).read_line(&mut line);
        let _gone = sender.send(read.map(|_| line));
    });
    // The worker keeps the deadline itself and reports what it waited for.
    let grace = end.saturating_duration_since(Instant::now()) + Duration::from_secs(3);
    let line = match receiver.recv_timeout(grace) {
        Ok(Ok(line)) => line,
        Ok(Err(e)) => return Err(failed(&e)),
        Err(_) => return Err(gave_up("the daemon did not report")),
    };
    if line.is_empty() {
        return Err(
            CliError::failure("the daemon ended while starting").hint("`mesa logs` may tell why")
        );
    }
    let report: Report = serde_json::from_str(&line)
        .map_err(|e| CliError::failure("the daemon said something strange").caused_by(&e))?;
    report.error.map_or(Ok(()), Err)
}

/// The error of a start that took too long.
pub fn gave_up(what: &str) -> CliError {
    CliError::new(
        Exit::Unreachable,
        format!("the mount was not usable in time: {what}"),
    )
    .hint("give it more time with --timeout, or check the server with `mesa doctor`")
}

/// Asks the kernel, in a thread of its own, since a stuck mount blocks the caller for ever.
pub fn answers(mount_point: &Path, end: Instant) -> CliResult {
    let path = mount_point.to_owned();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let listed = std::fs::read_dir(&path).and_then(|mut entries| match entries.next() {
            Some(Err(e)) => Err(e),
            _ => Ok(()),
        });
        let _gone = sender.send(listed);
    });
    let limit = end
        .saturating_duration_since(Instant::now())
        .max(Duration::from_secs(2));
    match receiver.recv_timeout(limit) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(e)) => Err(CliError::io(
            format!("the mount at {} does not answer", mount_point.display()),
            &e,
        )),
        Err(_) => Err(gave_up(&format!(
            "{} does not answer",
            mount_point.display()
        ))),
    }
}

/// Ends a supervisor (which ends its worker).
fn stop(child: &mut Child) {
    if let Some(pid) = rustix::process::Pid::from_raw(child.id() as i32) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}
