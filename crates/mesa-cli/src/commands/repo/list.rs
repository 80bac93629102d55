//! `mesa repo list`

use std::collections::BTreeSet;

use clap::Args as ClapArgs;
use mesa_config::{MountMode, OrgSettings, Settings};
use mesa_types::OrgSlug;
use serde_json::json;

use crate::{
    context::Context,
    credentials::ControlPlane,
    daemon::{self, control::Command as Control},
    error::{CliError, CliResult, Exit},
};

#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Ask the server for every repo the key can see
    #[arg(long)]
    all: bool,
    /// Only this org
    #[arg(long)]
    org: Option<OrgSlug>,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let loaded = context.load()?;
    let settings = &loaded.settings;
    let mut orgs: Vec<(OrgSlug, OrgSettings)> = settings
        .orgs
        .iter()
        .map(|(slug, org)| (slug.clone(), org.clone()))
        .collect();
    if let Some(only) = &args.org {
        orgs.retain(|(slug, _)| slug == only);
        if orgs.is_empty() {
            orgs.push((only.clone(), all_mode()));
        }
    }
    if orgs.is_empty() {
        let plane = ControlPlane::open(context, settings, None, None)?;
        let org = context.block_on(plane.org())?;
        orgs.push((org, all_mode()));
    }
    let mut document = Vec::new();
    for (slug, org) in &orgs {
        let mounted = mounted(settings, slug, org);
        let available = if args.all {
            let plane = ControlPlane::open(context, settings, Some(slug), None)?;
            let repos = context
                .block_on(plane.call(async |client| client.all_repos(slug.as_str()).await))?;
            Some(repos)
        } else {
            None
        };
        if context.printer.json {
            document.push(json!({
                "org": slug,
                "mode": if org.mode == MountMode::All { "all" } else { "explicit" },
                "mounted": mounted,
                "repos": available,
            }));
            continue;
        }
        match (org.mode, available) {
            (MountMode::All, None) => {
                context.printer.line(format!(
                    "org '{slug}' mounts all repos ({} mounted)",
                    mounted.len()
                ));
                context
                    .printer
                    .line("  (run `mesa repo list --all` to enumerate)");
            }
            (MountMode::Explicit, None) => {
                for name in &mounted {
                    context.printer.line(format!("{slug}/{name}"));
                }
            }
            (mode, Some(repos)) => {
                for repo in repos {
                    let here = mode == MountMode::All || mounted.contains(&repo.name);
                    let mark = if here { '●' } else { '○' };
                    context.printer.line(format!("{mark} {slug}/{}", repo.name));
                }
            }
        }
    }
    if context.printer.json {
        context.printer.value(&document);
    }
    Ok(())
}

fn all_mode() -> OrgSettings {
    OrgSettings {
        mode: MountMode::All,
        repos: std::collections::BTreeMap::new(),
    }
}

/// Repos the running daemon shows; without one, those the configuration names.
fn mounted(settings: &Settings, slug: &OrgSlug, org: &OrgSettings) -> BTreeSet<String> {
    let asked = daemon::client::ask(
        settings,
        &Control::Repos {
            org: slug.to_string(),
        },
    );
    let names = asked
        .ok()
        .and_then(|data| serde_json::from_value(data).ok());
    match (names, org.mode) {
        (Some(names), _) => names,
        (None, MountMode::Explicit) => org.repos.keys().map(ToString::to_string).collect(),
        (None, MountMode::All) => BTreeSet::new(),
    }
}

/// The error of `open` and `close` for an org that mounts everything.
pub(super) fn not_explicit(org: &OrgSlug) -> CliError {
    CliError::new(
        Exit::Usage,
        format!("org '{org}' mounts all repos; there is nothing to open or close"),
    )
    .hint(format!(
        "set mount = \"explicit\" in [organizations.{org}] and mount again"
    ))
}
