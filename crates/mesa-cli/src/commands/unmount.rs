//! `mesa unmount`

use std::time::Duration;

use clap::Args as ClapArgs;
use mesa_fuse::MountState;

use crate::{
    cli::DaemonChoice,
    context::Context,
    daemon::{self, control::Command as Control, runtime_dir::RuntimeDir},
    duration,
    error::{CliError, CliResult, Exit},
};

/// Send everything to the server, then unmount and end the daemon
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  mesa unmount\n  mesa unmount --force --timeout 5s")]
pub struct Args {
    #[command(flatten)]
    daemon: DaemonChoice,
    /// Unmount even if files are open or the server is unreachable; what was not sent stays in
    /// the journal and goes up with the next mount
    #[arg(long)]
    force: bool,
    /// How long to wait for the server
    #[arg(long, value_parser = duration::parse, default_value = "30s", value_name = "TIME")]
    timeout: Duration,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let loaded = context.load()?;
    let settings = &loaded.settings;
    let runtime = daemon::client::chosen(settings, &args.daemon)?;
    let command = Control::Unmount {
        force: args.force,
        timeout_ms: u64::try_from(args.timeout.as_millis()).unwrap_or(u64::MAX),
    };
    let limit = args.timeout + Duration::from_secs(15);
    match daemon::client::ask_at(&runtime, &command, limit) {
        Ok(answer) => {
            daemon::client::wait_gone(&runtime, Duration::from_secs(10));
            if context.printer.json {
                context.printer.value(&answer);
            } else {
                context.printer.note("unmounted");
            }
            Ok(())
        }
        Err(error) if error.exit == Exit::NotFound => without_daemon(context, settings, args.force),
        // It stands still, or died with the question.
        Err(_) if args.force => end(context, settings, &runtime),
        Err(error) => Err(error),
    }
}

/// Ends a daemon that does not answer, and its mount. Everything it took is in its journal.
fn end(context: &Context, settings: &mesa_config::Settings, runtime: &RuntimeDir) -> CliResult {
    runtime.kill();
    if !daemon::client::wait_gone(runtime, Duration::from_secs(10)) {
        let message = "the daemon does not answer and could not be ended";
        return Err(CliError::failure(message).hint("run this as the user who mounted, or as root"));
    }
    runtime.clear();
    match mesa_fuse::state(&settings.mount_point) {
        MountState::NotMounted => {}
        _ => mesa_fuse::unmount(&settings.mount_point, true)?,
    }
    context
        .printer
        .note("ended a daemon that did not answer; what was not sent goes up with the next mount");
    Ok(())
}

/// There is no daemon: a dead mount may be left.
fn without_daemon(context: &Context, settings: &mesa_config::Settings, force: bool) -> CliResult {
    let point = &settings.mount_point;
    match mesa_fuse::state(point) {
        MountState::Dead => {
            mesa_fuse::clean_stale(point)?;
            context
                .printer
                .note("removed the mount of a daemon that was gone");
            Ok(())
        }
        MountState::Live { ours: true } if force => {
            mesa_fuse::unmount(point, true)?;
            context.printer.note("unmounted");
            Ok(())
        }
        MountState::Live { ours: true } => {
            let message = format!(
                "{} is mounted, but its daemon does not answer",
                point.display()
            );
            Err(CliError::failure(message).hint("use `mesa unmount --force`"))
        }
        _ => {
            let message = format!("nothing is mounted at {}", point.display());
            Err(CliError::new(Exit::NotFound, message))
        }
    }
}
