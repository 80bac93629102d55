//! Where a versioning command works: the mounted repo it is run in, or a repo of the server.

use std::{
    path::{Component, Path, PathBuf},
    time::Duration,
};

use clap::Args;
use mesa_config::Settings;
use mesa_types::{OrgSlug, RepoName};
use serde::Deserialize;

use super::work::{Mounted, Named, Work};
use crate::{
    context::Context,
    credentials::ControlPlane,
    daemon::{
        client::{self, PATIENCE},
        control::{Command as Control, Seen},
        runtime_dir::RuntimeDir,
    },
    error::{CliError, CliResult, Exit},
};

/// How long what was done in the mount may take to reach the server.
const FLUSH: Duration = Duration::from_mins(1);
/// How long the mount may take to show what the server did.
const SHOWN: Duration = Duration::from_secs(10);

/// The repo, and what `@` means in it.
#[derive(Debug, Clone, Default, Args)]
pub struct Place {
    /// A repo of the server, instead of the mounted one this is run in
    #[arg(long, value_name = "ORG/NAME", help_heading = "Place")]
    repo: Option<String>,
    /// With --repo: the bookmark that @ stands for [default: the repo's default bookmark]
    #[arg(
        long,
        value_name = "NAME",
        requires = "repo",
        conflicts_with = "change",
        help_heading = "Place"
    )]
    bookmark: Option<String>,
    /// With --repo: the change that @ stands for
    #[arg(long, value_name = "REV", requires = "repo", help_heading = "Place")]
    change: Option<String>,
}

/// What the daemon says of a repo.
#[derive(Deserialize)]
struct Working {
    server: String,
    ca_file: Option<PathBuf>,
    change_id: String,
    #[serde(default)]
    parent_change_id: Option<String>,
    bookmark: String,
    isolate: bool,
    read_only: bool,
}

impl Place {
    /// Finds the repo. Inside a mount everything done there so far is on the server afterwards.
    pub fn open<'c>(&self, context: &'c Context) -> CliResult<Work<'c>> {
        let loaded = context.load()?;
        let mut settings = loaded.settings;
        if let Some(text) = &self.repo {
            return self.on_server(context, &settings, text);
        }
        let runtime = RuntimeDir::find(&settings);
        let spot = spot(&runtime)?;
        let working = flush(&runtime, &spot.org, &spot.repo, None, FLUSH)?;
        // The mount's server, wherever the settings have come to point.
        settings.server = working.server;
        settings.ca_file = working.ca_file.or(settings.ca_file);
        let plane = ControlPlane::for_repo(context, &settings, Some(&spot.org), &spot.repo)?;
        let bookmark = Some(working.bookmark).filter(|name| !name.is_empty());
        Ok(Work {
            context,
            plane,
            org: spot.org,
            repo: spot.repo,
            named: None,
            mounted: Some(Mounted {
                runtime,
                dir: spot.dir,
                root: spot.root,
                change: working.change_id,
                parent: working.parent_change_id,
                follows: bookmark.clone().filter(|_| !working.isolate),
                bookmark,
                read_only: working.read_only,
            }),
        })
    }

    fn on_server<'c>(
        &self,
        context: &'c Context,
        settings: &Settings,
        text: &str,
    ) -> CliResult<Work<'c>> {
        let (org, name) = match text.split_once('/') {
            Some((org, name)) => (Some(org), name),
            None => (None, text),
        };
        let org: Option<OrgSlug> = org
            .map(str::parse)
            .transpose()
            .map_err(|e| CliError::usage(format!("--repo: the org name {e}")))?;
        let repo: RepoName = name
            .parse()
            .map_err(|e| CliError::usage(format!("--repo: the repo name '{name}' {e}")))?;
        let plane = ControlPlane::for_repo(context, settings, org.as_ref(), &repo)?;
        let org = match org {
            Some(org) => org,
            None => context.block_on(plane.org())?,
        };
        let named = match (&self.bookmark, &self.change) {
            (Some(name), _) => Some(Named::Bookmark(name.clone())),
            (None, Some(rev)) => Some(Named::Change(rev.clone())),
            (None, None) => None,
        };
        Ok(Work {
            context,
            plane,
            org,
            repo,
            named,
            mounted: None,
        })
    }
}

/// A directory in a mounted repo.
struct Spot {
    org: OrgSlug,
    repo: RepoName,
    /// The repo's directory.
    root: PathBuf,
    /// The present directory below it.
    dir: PathBuf,
}

fn spot(runtime: &RuntimeDir) -> CliResult<Spot> {
    let hint = "change into a mounted repo, or name one of the server with --repo ORG/NAME";
    let nowhere = |message: &str| CliError::new(Exit::NotFound, message).hint(hint);
    let here = std::env::current_dir()
        .map_err(|e| CliError::io("the present directory is gone", &e).hint(hint))?;
    let ping = match client::ask_at(runtime, &Control::Ping, PATIENCE) {
        Ok(ping) => ping,
        Err(error) if error.exit == Exit::NotFound => {
            return Err(nowhere(
                "this directory is in no mounted repo, and no mount is running",
            ));
        }
        Err(error) => return Err(error),
    };
    let point = ping["mount_point"].as_str().unwrap_or_default();
    let point = physical(Path::new(point));
    let Ok(below) = here.strip_prefix(&point) else {
        return Err(nowhere("this directory is in no mounted repo"));
    };
    let mut parts = below.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    let (Some(org), Some(repo)) = (parts.next(), parts.next()) else {
        return Err(nowhere("this directory is above the mounted repos"));
    };
    let root = point.join(org).join(repo);
    let dir = parts.collect();
    let (org, repo) = (org.to_string_lossy(), repo.to_string_lossy());
    match (org.parse(), repo.parse()) {
        (Ok(org), Ok(repo)) => Ok(Spot {
            org,
            repo,
            root,
            dir,
        }),
        _ => Err(nowhere("this directory is in no mounted repo")),
    }
}

/// The mount point without symlinks on the way; the mount itself is not asked.
fn physical(point: &Path) -> PathBuf {
    let (Some(parent), Some(name)) = (point.parent(), point.file_name()) else {
        return point.to_owned();
    };
    match std::fs::canonicalize(parent) {
        Ok(parent) => parent.join(name),
        Err(_) => point.to_owned(),
    }
}

fn flush(
    runtime: &RuntimeDir,
    org: &OrgSlug,
    repo: &RepoName,
    seen: Option<Seen>,
    limit: Duration,
) -> CliResult<Working> {
    let command = Control::Working {
        org: org.to_string(),
        repo: repo.to_string(),
        seen,
        timeout_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
    };
    let answer = client::ask_at(runtime, &command, limit + Duration::from_secs(5))?;
    serde_json::from_value(answer).map_err(|e| {
        CliError::new(Exit::Conflict, "the running daemon speaks another version")
            .caused_by(&e)
            .hint("unmount with the program that mounted, then mount again")
    })
}

/// Waits until the mount shows what the server did; it will sooner or later, so that not to see it
/// is no failure. Answers the change it works on.
pub fn seen(work: &Work<'_>, mounted: &Mounted, what: Seen) -> Option<String> {
    match flush(&mounted.runtime, &work.org, &work.repo, Some(what), SHOWN) {
        Ok(working) => Some(working.change_id),
        Err(error) => {
            let message = format!("the mount does not show it yet: {}", error.message);
            work.context.printer.warning(message);
            None
        }
    }
}

/// Waits until the mount works neither on a change nor on top of it.
pub fn left(work: &Work<'_>, mounted: &Mounted, change: &str) {
    let mut what = Seen::left(change);
    // It may be closed first: then the mount moves twice.
    for _ in 0..2 {
        match flush(&mounted.runtime, &work.org, &work.repo, Some(what), SHOWN) {
            Ok(working) if working.parent_change_id.as_deref() == Some(change) => {
                what = Seen::left(&working.change_id);
            }
            Ok(_) => return,
            Err(error) => {
                let message = format!("the mount does not show it yet: {}", error.message);
                work.context.printer.warning(message);
                return;
            }
        }
    }
}
