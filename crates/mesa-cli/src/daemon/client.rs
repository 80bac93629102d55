//! The commands' end of the control socket.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    time::{Duration, Instant},
};

use mesa_config::Settings;
use serde_json::Value;

use super::{
    control::{Answer, Command, LINE_BYTES_MAX, Request, VERSION},
    runtime_dir::RuntimeDir,
};
use crate::{
    cli::DaemonChoice,
    error::{CliError, CliResult, Exit},
};

/// How long an answer from memory may take.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Code of an error: the daemon went away before it had answered.
pub const DAEMON_GONE: &str = "DAEMON_GONE";

/// Asks the daemon of these settings.
pub fn ask(settings: &Settings, command: &Command) -> CliResult<Value> {
    ask_at(&RuntimeDir::find(settings), command, PATIENCE)
}

/// Asks the daemon of a runtime directory. No daemon is [`Exit::NotFound`].
pub fn ask_at(runtime: &RuntimeDir, command: &Command, limit: Duration) -> CliResult<Value> {
    let stream = runtime.connect().map_err(|_| none_running(runtime))?;
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => CliError::failure(
            format!("the daemon did not answer within {} s", limit.as_secs()),
        )
        .hint("`mesa logs` may tell why; `mesa unmount --force` ends it"),
        _ => CliError::io("the daemon ended the conversation", &e).coded(DAEMON_GONE),
    };
    stream.set_read_timeout(Some(limit)).map_err(failed)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    let request = Request {
        v: VERSION,
        command: command.clone(),
    };
    let mut line = serde_json::to_vec(&request)
        .map_err(|e| CliError::failure("cannot write the request").caused_by(&e))?;
    line.push(b'\n');
    (&stream).write_all(&line).map_err(failed)?;
    let mut answer = Vec::new();
    BufReader::new(&stream)
        .take(LINE_BYTES_MAX * 16)
        .read_until(b'\n', &mut answer)
        .map_err(failed)?;
    if answer.is_empty() {
        let gone = CliError::failure("the daemon ended the conversation");
        return Err(gone.coded(DAEMON_GONE));
    }
    let answer: Answer = serde_json::from_slice(&answer).map_err(|_| {
        CliError::new(Exit::Conflict, "the running daemon speaks another version")
            .hint("unmount with the program that mounted, then mount again")
    })?;
    answer.into_result()
}

fn none_running(runtime: &RuntimeDir) -> CliError {
    let mut error = CliError::new(Exit::NotFound, "no mount is running");
    let Some(why) = runtime.last_end() else {
        return error.hint("start one with `mesa mount -d`");
    };
    error.causes.push(why);
    error.hint("`mesa logs` tells more; `mesa mount -d` mounts again, with all that was done")
}

/// The runtime directory of the daemon a command was pointed at.
pub fn chosen(settings: &Settings, choice: &DaemonChoice) -> CliResult<RuntimeDir> {
    let pid = match (&choice.pid, &choice.pid_file) {
        (Some(pid), _) => *pid,
        (None, Some(file)) => read_pid(file)?,
        (None, None) => return Ok(RuntimeDir::find(settings)),
    };
    let found = RuntimeDir::find(settings);
    if found.pids().contains(&pid) {
        return Ok(found);
    }
    // Another daemon.
    RuntimeDir::of_process(pid)
        .ok_or_else(|| CliError::new(Exit::NotFound, format!("process {pid} is no mesa daemon")))
}

fn read_pid(file: &Path) -> CliResult<u32> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| CliError::io(format!("cannot read {}", file.display()), &e))?;
    text.trim()
        .parse()
        .map_err(|_| CliError::usage(format!("{} holds no process id", file.display())))
}

/// Waits until no daemon runs any more; whether that happened in time.
pub fn wait_gone(runtime: &RuntimeDir, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while runtime.daemon_lives() {
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}
