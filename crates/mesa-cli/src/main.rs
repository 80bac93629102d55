//! The `mesa` command: server, FUSE daemon and command line in one binary.
//!
//! The only crate that prints. Each command is one file in `commands`; the daemon's processes are
//! in `daemon`; what goes wrong leaves through the one table in `error`.

mod cli;
mod commands;
mod context;
mod credentials;
mod daemon;
mod duration;
mod error;
mod memory;
mod output;
mod support;
mod terminal;
mod versions;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Both TLS back ends are compiled in through dependencies; ring is ours.
    let _already_set = rustls::crypto::ring::default_provider().install_default();
    commands::run()
}
