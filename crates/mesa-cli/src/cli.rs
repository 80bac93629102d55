//! What can be typed.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::commands;

/// A durable, versioned filesystem for agents.
///
/// Start a server with `mesa serve`, make a repo and a key, mount with `mesa mount -d`, and work
/// in ~/.local/share/mesa/mnt/<org>/<repo> with ordinary tools.
#[derive(Debug, Parser)]
#[command(
    name = "mesa",
    version,
    max_term_width = 100,
    disable_help_subcommand = false,
    after_help = "Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 not authenticated, \
                  5 not permitted,\n6 conflict, 7 server unreachable, 8 FUSE not usable here, \
                  10 not synced."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Accepted before and after every subcommand.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Read this file instead of the usual configuration files
    #[arg(
        short = 'c',
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub config_path: Option<PathBuf>,
    /// Ask nothing; decide by defaults
    #[arg(short = 'y', long, global = true, help_heading = "Global options")]
    pub non_interactive: bool,
    /// Print JSON (errors as one object on standard error)
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// No progress and no warnings
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// Tell more; twice for debugging
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// Colours in messages
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        help_heading = "Global options"
    )]
    pub color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Serve(commands::serve::Args),
    #[command(subcommand)]
    Org(commands::org::Command),
    #[command(subcommand)]
    Key(commands::key::Command),
    #[command(subcommand)]
    Repo(commands::repo::Command),
    #[command(subcommand)]
    Auth(commands::auth::Command),
    Mount(commands::mount::Args),
    Unmount(commands::unmount::Args),
    Status(commands::status::Args),
    Sync(commands::sync::Args),
    Stats(commands::stats::Args),
    Logs(commands::logs::Args),
    New(commands::new::Args),
    Abandon(commands::abandon::Args),
    Edit(commands::edit::Args),
    Describe(commands::describe::Args),
    Checkpoint(commands::checkpoint::Args),
    Log(commands::log::Args),
    Show(commands::show::Args),
    Diff(commands::diff::Args),
    #[command(subcommand)]
    Bookmark(commands::bookmark::Command),
    Merge(commands::merge::Args),
    Resolve(commands::resolve::Args),
    Restore(commands::restore::Args),
    Undo(commands::undo::Args),
    #[command(subcommand)]
    Op(commands::op::Command),
    Mcp(commands::mcp::Args),
    Doctor(commands::doctor::Args),
    Version(commands::version::Args),
    DumpDefaultMesaignore(commands::dump_default_mesaignore::Args),
    Completions(commands::completions::Args),
    Man(commands::man::Args),
    /// The daemon's own processes
    #[command(subcommand, hide = true)]
    Daemon(commands::daemon::Command),
}

/// Which running daemon a command talks to.
#[derive(Debug, Clone, Default, Args)]
pub struct DaemonChoice {
    /// The daemon with this process id (supervisor or worker)
    #[arg(long, value_name = "PID", conflicts_with = "pid_file")]
    pub pid: Option<u32>,
    /// The daemon whose process id is in this file
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_work_on_both_sides() {
        for line in [
            ["mesa", "-y", "--json", "status"],
            ["mesa", "status", "--json", "-y"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert!(cli.global.json && cli.global.non_interactive);
        }
    }

    #[test]
    fn the_guides_lines_parse() {
        for line in [
            "mesa mount -d -y",
            "mesa mount --daemonize",
            "mesa mount",
            "mesa auth set-key --org my-org mesa_key",
            "mesa -c /c.toml mount -d --non-interactive",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap();
        }
    }

    #[test]
    fn every_command_has_an_example() {
        fn check(command: &clap::Command, path: &str) {
            for sub in command.get_subcommands().filter(|s| !s.is_hide_set()) {
                let path = format!("{path} {}", sub.get_name());
                if sub.has_subcommands() {
                    check(sub, &path);
                } else {
                    let after = sub
                        .get_after_help()
                        .map(ToString::to_string)
                        .unwrap_or_default();
                    assert!(after.contains("Example"), "{path} has no example");
                }
            }
        }
        check(&Cli::command(), "mesa");
    }
}
