//! `mesa sync`

use std::time::Duration;

use clap::Args as ClapArgs;
use serde_json::Value;

use crate::{
    cli::DaemonChoice,
    context::Context,
    daemon::{self, control::Command as Control},
    duration,
    error::CliResult,
};

/// Return when everything done in the mount so far is on the server
///
/// Exit code 10 when it is not, by the end of the time given.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  mesa sync --timeout 10s && echo safe")]
pub struct Args {
    #[command(flatten)]
    daemon: DaemonChoice,
    /// Wait (the default; accepted for scripts)
    #[arg(long = "wait")]
    _wait: bool,
    /// How long to wait
    #[arg(long, value_parser = duration::parse, default_value = "60s", value_name = "TIME")]
    timeout: Duration,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let loaded = context.load()?;
    let runtime = daemon::client::chosen(&loaded.settings, &args.daemon)?;
    let command = Control::Sync {
        timeout_ms: u64::try_from(args.timeout.as_millis()).unwrap_or(u64::MAX),
    };
    let limit = args.timeout + Duration::from_secs(5);
    let answer = daemon::client::ask_at(&runtime, &command, limit)?;
    if context.printer.json {
        context.printer.value(&answer);
        return Ok(());
    }
    for line in describe(&answer) {
        context.printer.note(line);
    }
    Ok(())
}

/// The answer as lines for people.
fn describe(answer: &Value) -> Vec<String> {
    let kept = answer["kept"].as_array().map_or(&[][..], Vec::as_slice);
    if kept.is_empty() {
        return vec!["everything is on the server".to_owned()];
    }
    let paths = kept.iter().filter_map(Value::as_str);
    std::iter::once(
        "everything is on the server, except what could not be sent earlier:".to_owned(),
    )
    .chain(paths.map(|path| format!("  kept in {path}")))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_not_passed_over() {
        let answer = serde_json::json!({"synced": true, "kept": []});
        assert_eq!(describe(&answer), ["everything is on the server"]);
        let answer = serde_json::json!({"synced": true, "kept": ["/s/lost-1"]});
        assert_eq!(
            describe(&answer),
            [
                "everything is on the server, except what could not be sent earlier:",
                "  kept in /s/lost-1",
            ]
        );
    }
}
