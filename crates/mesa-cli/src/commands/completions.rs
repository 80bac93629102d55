//! `mesa completions`

use clap::Args as ClapArgs;

use crate::{context::Context, error::CliResult, support};

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
    context.printer.bytes(&support::completions(args.shell));
    Ok(())
}
