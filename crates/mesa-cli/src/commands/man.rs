//! `mesa man`

use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::{
    context::Context,
    error::{CliError, CliResult},
    support,
};

/// Print the manual page of a command, or write all pages to a directory
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Example:\n  mesa man mount | man -l -\n  mesa man --dir /usr/local/share/man/man1"
)]
pub struct Args {
    /// The command; absent: mesa itself
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// Write all pages there instead
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let pages = support::manual()?;
    let Some(dir) = &args.dir else {
        let mut name = vec!["mesa".to_owned()];
        name.extend(args.command.iter().cloned());
        let name = format!("{}.1", name.join("-"));
        let page = pages.iter().find(|(page, _)| *page == name);
        let (_, text) = page.ok_or_else(|| {
            CliError::usage(format!("there is no command '{}'", args.command.join(" ")))
                .hint("see `mesa help`")
        })?;
        context.printer.bytes(text);
        return Ok(());
    };
    let failed = |e| CliError::io(format!("cannot write to {}", dir.display()), &e);
    std::fs::create_dir_all(dir).map_err(failed)?;
    for (name, text) in &pages {
        std::fs::write(dir.join(name), text).map_err(failed)?;
    }
    context
        .printer
        .note(format!("{} pages in {}", pages.len(), dir.display()));
    Ok(())
}
