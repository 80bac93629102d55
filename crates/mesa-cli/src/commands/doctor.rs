//! `mesa doctor`

mod checks;
mod surroundings;

use clap::Args as ClapArgs;
use serde::Serialize;

use crate::{
    context::Context,
    error::{CliError, CliResult},
};

/// Check everything a mount needs; each finding comes with its fix
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  mesa doctor --fix")]
pub struct Args {
    /// Repair what can be repaired: remove the mount of a daemon that is gone
    #[arg(long)]
    fix: bool,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    Pass,
    Warn,
    Fail,
}

/// One line of the report.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// Stable name.
    pub check: &'static str,
    pub outcome: Outcome,
    pub message: String,
    /// What to do; absent when it passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    fn pass(check: &'static str, message: impl Into<String>) -> Self {
        Self {
            check,
            outcome: Outcome::Pass,
            message: message.into(),
            fix: None,
        }
    }

    fn warn(check: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        let (message, fix) = (message.into(), Some(fix.into()));
        Self {
            check,
            outcome: Outcome::Warn,
            message,
            fix,
        }
    }

    fn fail(check: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Fail,
            ..Self::warn(check, message, fix)
        }
    }

    fn of_error(check: &'static str, error: &CliError) -> Self {
        let mut message = error.message.clone();
        for cause in &error.causes {
            message = format!("{message}: {cause}");
        }
        Self::fail(check, message, error.hint.clone().unwrap_or_default())
    }
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let mut findings = checks::machine();
    findings.extend(surroundings::right_to_mount());
    match context.load() {
        Ok(loaded) => {
            let files: Vec<String> = loaded
                .files
                .iter()
                .map(|f| f.display().to_string())
                .collect();
            let message = if files.is_empty() {
                "no configuration file; defaults and environment".to_owned()
            } else {
                files.join(", ")
            };
            findings.push(Finding::pass("config", message));
            findings.extend(checks::directories(&loaded.settings));
            findings.push(checks::mount(&loaded.settings, args.fix));
            findings.extend(surroundings::room(&loaded.settings));
            let server = checks::server(context, &loaded.settings);
            let failed = |f: &Finding| f.check == "server" && f.outcome == Outcome::Fail;
            let unreachable = server.iter().any(failed);
            findings.extend(server);
            if unreachable {
                findings.push(surroundings::network(&loaded.settings));
            }
        }
        Err(error) => findings.push(Finding::of_error("config", &error)),
    }
    if context.printer.json {
        context.printer.value(&findings);
    } else {
        for finding in &findings {
            let word = match finding.outcome {
                Outcome::Pass => "PASS",
                Outcome::Warn => "WARN",
                Outcome::Fail => "FAIL",
            };
            context
                .printer
                .line(format!("{word}  {:<12} {}", finding.check, finding.message));
            if let Some(fix) = finding.fix.as_ref().filter(|f| !f.is_empty()) {
                context.printer.line(format!("      fix: {fix}"));
            }
        }
    }
    let failed = findings
        .iter()
        .filter(|f| f.outcome == Outcome::Fail)
        .count();
    match failed {
        0 => Ok(()),
        1 => Err(CliError::failure("1 check failed")),
        n => Err(CliError::failure(format!("{n} checks failed"))),
    }
}
