//! The one place that writes to the terminal: data to standard output, everything else to
//! standard error. A closed pipe ends output quietly.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::{
    cli::{Color, Global},
    error::CliError,
};

/// How to print.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    pub json: bool,
    quiet: bool,
    color: bool,
}

#[allow(clippy::unused_self)] // what is printed may come to depend on the settings
impl Printer {
    /// As the global options say.
    pub fn new(global: &Global) -> Self {
        let color = match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
            }
        };
        Self {
            json: global.json,
            quiet: global.quiet,
            color,
        }
    }

    /// A line of data.
    pub fn line(self, text: impl AsRef<str>) {
        let mut out = std::io::stdout().lock();
        let _closed = writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush());
    }

    /// Raw data.
    pub fn bytes(self, bytes: &[u8]) {
        let mut out = std::io::stdout().lock();
        let _closed = out.write_all(bytes).and_then(|()| out.flush());
    }

    /// One JSON value as data.
    pub fn value(self, value: &impl Serialize) {
        if let Ok(text) = serde_json::to_string_pretty(value) {
            self.line(text);
        }
    }

    /// A message for people.
    pub fn note(self, text: impl AsRef<str>) {
        if !self.quiet {
            err_line(text.as_ref());
        }
    }

    /// Something to know that stops nothing.
    pub fn warning(self, text: impl AsRef<str>) {
        if self.quiet {
            return;
        }
        if self.json {
            let object = serde_json::json!({ "warning": text.as_ref() });
            err_line(&object.to_string());
        } else {
            err_line(&format!(
                "{} {}",
                self.paint("warning:", "33"),
                text.as_ref()
            ));
        }
    }

    /// Why the command failed.
    pub fn error(self, error: &CliError) {
        if self.json {
            let object = serde_json::json!({
                "error": error,
                "exit_code": error.exit.code(),
            });
            err_line(&object.to_string());
            return;
        }
        err_line(&format!("{} {}", self.paint("error:", "31"), error.message));
        for cause in &error.causes {
            err_line(&format!("caused by: {cause}"));
        }
        if let Some(hint) = &error.hint {
            err_line(&format!("{} {hint}", self.paint("hint:", "36")));
        }
        if let Some(trace_id) = &error.trace_id
            && error.exit == crate::error::Exit::Failure
        {
            err_line(&format!("trace id: {trace_id}"));
        }
    }

    /// Columns of text, left-aligned, two blanks between.
    pub fn table(self, rows: &[Vec<String>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|c| {
                rows.iter()
                    .filter_map(|r| r.get(c))
                    .map(|t| t.chars().count())
                    .max()
            })
            .map(Option::unwrap_or_default)
            .collect();
        for row in rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
            }
            self.line(line.trim_end());
        }
    }

    fn paint(self, text: &str, code: &str) -> String {
        if self.color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

fn err_line(text: &str) {
    let mut err = std::io::stderr().lock();
    let _closed = writeln!(err, "{text}");
}

/// Bytes for people.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        assert_eq!(human_bytes(0), "0 B");
        assert_eq!(human_bytes(1023), "1023 B");
        assert_eq!(human_bytes(320 << 20), "320.0 MB");
    }
}
