//! `mesa repo`

mod create;
mod list;
mod open_close;

use clap::{Args, Subcommand};
use mesa_types::{OrgSlug, RepoName};

use crate::{context::Context, credentials::ControlPlane, error::CliResult};

/// Repos: make, list, delete; choose which are mounted
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a repo
    #[command(after_help = "Example:\n  mesa repo create agent-workspace --org my-org")]
    Create(create::Args),
    /// List mounted repos; with --all those on the server
    #[command(after_help = "Example:\n  mesa repo list --all --json")]
    List(list::Args),
    /// Delete a repo and its history
    #[command(after_help = "Example:\n  mesa repo delete old-workspace --org my-org")]
    Delete(Delete),
    /// Show a repo in the mount (explicit mode)
    #[command(after_help = "Example:\n  mesa repo open agent-workspace --org my-org")]
    Open(open_close::Args),
    /// Stop showing a repo in the mount (explicit mode)
    #[command(after_help = "Example:\n  mesa repo close agent-workspace --org my-org")]
    Close(open_close::Args),
}

#[derive(Debug, Args)]
pub struct Delete {
    /// The repo
    name: RepoName,
    /// Its org; needed only when there are several
    #[arg(long, env = "MESA_ORG", hide_env = true)]
    org: Option<OrgSlug>,
}

pub fn run(context: &Context, command: Command) -> CliResult {
    match command {
        Command::Create(args) => create::run(context, &args),
        Command::List(args) => list::run(context, &args),
        Command::Delete(args) => delete(context, &args),
        Command::Open(args) => open_close::open(context, &args),
        Command::Close(args) => open_close::close(context, &args),
    }
}

fn delete(context: &Context, args: &Delete) -> CliResult {
    let loaded = context.load()?;
    let plane = ControlPlane::open(context, &loaded.settings, args.org.as_ref(), None)?;
    context.block_on(async {
        let org = plane.org().await?;
        let name = args.name.as_str();
        let answer = plane
            .call(async |client| client.delete_repo(org.as_str(), name).await)
            .await?;
        if context.printer.json {
            context.printer.value(&answer);
        } else {
            context.printer.note(format!("deleted repo {org}/{name}"));
        }
        Ok(())
    })
}
