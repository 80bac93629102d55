//! Questions to a person.

use std::io::{BufRead, IsTerminal, Write};

use mesa_types::Secret;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::error::{CliError, CliResult};

/// Whether a person can be asked.
pub fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks for a line.
pub fn ask(question: &str) -> CliResult<String> {
    let mut err = std::io::stderr();
    let _closed = write!(err, "{question} ").and_then(|()| err.flush());
    let mut line = String::new();
    let read = std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|e| CliError::io("cannot read the answer", &e))?;
    if read == 0 {
        return Err(CliError::failure("there was no answer"));
    }
    Ok(line.trim().to_owned())
}

/// Asks for a line without showing it.
pub fn ask_secret(question: &str) -> CliResult<Secret> {
    let stdin = std::io::stdin();
    let saved = tcgetattr(&stdin).ok();
    if let Some(mut silent) = saved.clone() {
        silent.local_modes.remove(LocalModes::ECHO);
        let _ = tcsetattr(&stdin, OptionalActions::Flush, &silent);
    }
    let answer = ask(question);
    if let Some(saved) = saved {
        let _ = tcsetattr(&stdin, OptionalActions::Flush, &saved);
        let _closed = writeln!(std::io::stderr());
    }
    Ok(Secret::new(&answer?))
}
