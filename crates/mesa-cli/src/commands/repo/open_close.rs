//! `mesa repo open` and `mesa repo close`

use clap::Args as ClapArgs;
use mesa_config::{ConfigEdit, MountMode, Settings};
use mesa_types::{OrgSlug, RepoName};

use super::list::not_explicit;
use crate::{
    context::Context,
    daemon::{self, control::Command as Control},
    error::{CliError, CliResult, Exit},
};

#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The repo
    name: RepoName,
    /// Its org; needed only when several are configured
    #[arg(long, env = "MESA_ORG", hide_env = true)]
    org: Option<OrgSlug>,
}

pub fn open(context: &Context, args: &Args) -> CliResult {
    let loaded = context.load()?;
    let org = explicit_org(&loaded.settings, args)?;
    let mut edit = ConfigEdit::open(&loaded.config_file)?;
    let new = edit.add_repo(&org, &args.name)?;
    edit.save()?;
    let command = Control::OpenRepo {
        org: org.to_string(),
        repo: args.name.to_string(),
    };
    let live = tell(&loaded.settings, &command)?;
    report(
        context,
        &org,
        &args.name,
        if new { "opened" } else { "already open:" },
        live,
    );
    Ok(())
}

pub fn close(context: &Context, args: &Args) -> CliResult {
    let loaded = context.load()?;
    let org = explicit_org(&loaded.settings, args)?;
    let mut edit = ConfigEdit::open(&loaded.config_file)?;
    if !edit.remove_repo(&org, &args.name)? {
        let message = format!("repo '{}' of org '{org}' is not open", args.name);
        return Err(CliError::new(Exit::NotFound, message).hint("`mesa repo list` shows what is"));
    }
    let command = Control::CloseRepo {
        org: org.to_string(),
        repo: args.name.to_string(),
    };
    let live = tell(&loaded.settings, &command)?;
    edit.save()?;
    report(context, &org, &args.name, "closed", live);
    Ok(())
}

fn explicit_org(settings: &Settings, args: &Args) -> CliResult<OrgSlug> {
    let org = match (&args.org, settings.orgs.len()) {
        (Some(org), _) => org.clone(),
        (None, 1) => settings
            .orgs
            .keys()
            .next()
            .cloned()
            .unwrap_or_else(|| unreachable!()),
        _ => return Err(CliError::usage("name the org with --org")),
    };
    match settings.orgs.get(&org) {
        Some(found) if found.mode == MountMode::Explicit => Ok(org),
        Some(_) => Err(not_explicit(&org)),
        None => Err(
            CliError::new(Exit::NotFound, format!("org '{org}' is not configured")).hint(format!(
                "add [organizations.{org}] with mount = \"explicit\""
            )),
        ),
    }
}

/// Whether a running daemon was told.
fn tell(settings: &Settings, command: &Control) -> CliResult<bool> {
    match daemon::client::ask(settings, command) {
        Ok(_) => Ok(true),
        Err(error) if error.exit == Exit::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn report(context: &Context, org: &OrgSlug, repo: &RepoName, what: &str, live: bool) {
    if context.printer.json {
        let repo = repo.as_str();
        context
            .printer
            .value(&serde_json::json!({ "org": org, "repo": repo, "live": live }));
    } else {
        let when = if live {
            ""
        } else {
            " (from the next mount on)"
        };
        context.printer.note(format!("{what} {org}/{repo}{when}"));
    }
}
