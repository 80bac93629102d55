//! Running shell text and programs.

use std::{path::Path, process::Command};

/// What a finished program left.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit code; -1 when it died of a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Runs a command to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn of(command: &mut Command) -> Self {
        let output = command
            .output()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its standard output, trimmed.
    ///
    /// # Panics
    /// If it failed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(
            self.code, 0,
            "stdout: {}\nstderr: {}",
            self.stdout, self.stderr
        );
        self.stdout.trim().to_owned()
    }
}

/// Runs `script` by bash (`set -euo pipefail`) in `dir` and returns its standard output.
///
/// # Panics
/// If it fails.
#[track_caller]
pub fn sh(dir: &Path, script: &str) -> String {
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(dir);
    run(for_git(&mut command), script)
}

/// Lets git know nothing of this machine's configuration.
pub(crate) fn for_git(command: &mut Command) -> &mut Command {
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs([
            ("GIT_AUTHOR_NAME", "t"),
            ("GIT_AUTHOR_EMAIL", "t@example.com"),
        ])
        .envs([
            ("GIT_COMMITTER_NAME", "t"),
            ("GIT_COMMITTER_EMAIL", "t@example.com"),
        ])
}

/// Standard output of a command that succeeds.
#[track_caller]
pub(crate) fn run(command: &mut Command, shown: &str) -> String {
    let output = Output::of(command);
    assert_eq!(
        output.code, 0,
        "{shown}\n--- stdout:\n{}\n--- stderr:\n{}",
        output.stdout, output.stderr
    );
    output.stdout.trim().to_owned()
}
