//! `mesa sync`

use std::time::Duration;

use clap::Args as ClapArgs;

use crate::{
    cli::DaemonChoice,
    context::Context,
    daemon::{self, control::Command as Control},
    duration,
    error::CliResult,
};

/// Return when everything done in the mount so far is on the server
///
/// Exit code 10 when it is not, by the end of the time given; also while work of earlier sessions
/// that could not be sent is kept on this machine.
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
    context.printer.note("everything is on the server");
    Ok(())
}
