//! `mesa version`

use clap::Args as ClapArgs;

use crate::{context::Context, error::CliResult};

/// Print the version
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  mesa version --json")]
pub struct Args {}

#[allow(clippy::unnecessary_wraps)]
pub fn run(context: &Context, _args: &Args) -> CliResult {
    let version = env!("CARGO_PKG_VERSION");
    if context.printer.json {
        context.printer.value(&serde_json::json!({
            "version": version,
            "os": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
        }));
    } else {
        context.printer.line(format!("mesa {version}"));
    }
    Ok(())
}
