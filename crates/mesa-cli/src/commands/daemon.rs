//! `mesa daemon`: the processes behind `mesa mount -d`.

use clap::Subcommand;

use crate::{
    context::Context,
    daemon::{supervisor, worker},
    error::CliResult,
};

#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Command {
    /// Keeps the kernel connection and restarts the worker
    Supervise,
    /// Serves the mount
    Work,
}

pub fn run(_context: &Context, command: Command) -> CliResult {
    match command {
        Command::Supervise => supervisor::run(),
        Command::Work => worker::run(),
    }
}
