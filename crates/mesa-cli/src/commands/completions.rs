//! `mesa completions`

use clap::{Args as ClapArgs, CommandFactory};

use crate::{cli::Cli, context::Context, error::CliResult};

/// Print a completion script for a shell
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  mesa completions bash > /etc/bash_completion.d/mesa")]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

#[allow(clippy::unnecessary_wraps)]
pub fn run(context: &Context, args: &Args) -> CliResult {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mesa", &mut script);
    context.printer.bytes(&script);
    Ok(())
}
