//! One file per command; the doc comment of its arguments is the help.

pub mod abandon;
pub mod auth;
pub mod bookmark;
pub mod checkpoint;
pub mod completions;
pub mod daemon;
pub mod describe;
pub mod diff;
pub mod doctor;
pub mod dump_default_mesaignore;
pub mod edit;
pub mod key;
pub mod log;
pub mod logs;
pub mod man;
pub mod mcp;
pub mod merge;
pub mod mount;
pub mod new;
pub mod op;
pub mod org;
pub mod repo;
pub mod resolve;
pub mod restore;
pub mod serve;
pub mod show;
pub mod stats;
pub mod status;
pub mod sync;
pub mod undo;
pub mod unmount;
pub mod version;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    cli::{Cli, Color, Command, Global},
    context::Context,
    error::{CliError, CliResult, Exit},
    output::Printer,
};

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let context = Context::new(cli.global);
    if !matches!(cli.command, Command::Serve(_) | Command::Daemon(_)) {
        log_to_stderr(context.global.verbose);
    }
    match dispatch(&context, cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            context.printer.error(&error);
            ExitCode::from(error.exit.code())
        }
    }
}

fn dispatch(context: &Context, command: Command) -> CliResult {
    match command {
        Command::Serve(args) => serve::run(context, args),
        Command::Org(command) => org::run(context, command),
        Command::Key(command) => key::run(context, command),
        Command::Repo(command) => repo::run(context, command),
        Command::Auth(command) => auth::run(context, command),
        Command::Mount(args) => mount::run(context, &args),
        Command::Unmount(args) => unmount::run(context, &args),
        Command::Status(args) => status::run(context, &args),
        Command::Sync(args) => sync::run(context, &args),
        Command::Stats(args) => stats::run(context, &args),
        Command::Logs(args) => logs::run(context, &args),
        Command::New(args) => new::run(context, &args),
        Command::Abandon(args) => abandon::run(context, &args),
        Command::Edit(args) => edit::run(context, &args),
        Command::Describe(args) => describe::run(context, &args),
        Command::Checkpoint(args) => checkpoint::run(context, &args),
        Command::Log(args) => log::run(context, &args),
        Command::Show(args) => show::run(context, &args),
        Command::Diff(args) => diff::run(context, &args),
        Command::Bookmark(command) => bookmark::run(context, command),
        Command::Merge(args) => merge::run(context, &args),
        Command::Resolve(args) => resolve::run(context, &args),
        Command::Restore(args) => restore::run(context, &args),
        Command::Undo(args) => undo::run(context, &args),
        Command::Op(command) => op::run(context, command),
        Command::Doctor(args) => doctor::run(context, &args),
        Command::Version(args) => version::run(context, &args),
        Command::DumpDefaultMesaignore(args) => dump_default_mesaignore::run(context, &args),
        Command::Completions(args) => completions::run(context, &args),
        Command::Man(args) => man::run(context, &args),
        Command::Mcp(args) => mcp::run(context, &args),
        Command::Daemon(command) => daemon::run(context, command),
    }
}

/// What the parser has to say: help and version are data, the rest is wrong use.
fn usage(error: &clap::Error) -> ExitCode {
    let printer = Printer::new(&Global {
        config_path: None,
        non_interactive: true,
        json: std::env::args_os().any(|a| a == "--json"),
        quiet: false,
        verbose: 0,
        color: Color::Auto,
    });
    if !error.use_stderr() {
        printer.bytes(error.to_string().as_bytes());
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let mut lines = text.lines().filter(|l| !l.trim().is_empty());
    let first = lines.next().unwrap_or("wrong use");
    let message = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    let rest: Vec<&str> = lines.map(str::trim).collect();
    let mut failure = CliError::usage(message);
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // A bare `mesa` or `mesa repo`: the help is the answer.
        printer.note(text.trim_end());
        return ExitCode::from(Exit::Usage.code());
    }
    failure.hint = Some(rest.join("; ")).filter(|h| !h.is_empty());
    printer.error(&failure);
    ExitCode::from(failure.exit.code())
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => "error",
        1 => "info",
        _ => "debug",
    };
    let filter = std::env::var("MESA_LOG").unwrap_or_else(|_| level.to_owned());
    mesa_server::logging::init(mesa_server::logging::LogFormat::Text, &filter);
}
