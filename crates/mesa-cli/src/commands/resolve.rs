//! `mesa resolve`

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use clap::Args as ClapArgs;
use mesa_client::rest::{ChangeUpdate, Resolution, Take};
use serde_json::json;

use super::merge;
use crate::{
    context::Context,
    error::{CliError, CliResult, Exit},
    versions::{
        change::short,
        paint::plain,
        place::Place,
        work::{At, Work},
    },
};

/// Resolve paths in conflict, or list them
///
/// In a mount a file in conflict has markers: writing it without them resolves it too, and deleting
/// it resolves it to nothing.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  mesa resolve --list\n  mesa resolve src/a.rs --theirs\n  mesa resolve src/a.rs --content /tmp/a.rs"
)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// List the paths in conflict (the default without paths)
    #[arg(short, long)]
    list: bool,
    /// The change in conflict
    #[arg(short, long = "revision", value_name = "REV", default_value = "@")]
    rev: String,
    /// By the side that was merged into
    #[arg(long, group = "side", requires = "paths")]
    ours: bool,
    /// By the side that was merged
    #[arg(long, group = "side", requires = "paths")]
    theirs: bool,
    /// By this file's content; - is standard input
    #[arg(long, group = "side", requires = "paths", value_name = "FILE")]
    content: Option<PathBuf>,
    /// The paths
    #[arg(conflicts_with = "list")]
    paths: Vec<PathBuf>,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    if !args.paths.is_empty() && !args.ours && !args.theirs && args.content.is_none() {
        return Err(CliError::usage(
            "say how: --ours, --theirs or --content FILE",
        ));
    }
    if args.content.is_some() && args.paths.len() > 1 {
        return Err(CliError::usage("--content is for one path"));
    }
    let work = args.place.open(context)?;
    if args.paths.is_empty() {
        return list(context, &work, &args.rev);
    }
    let paths = args.paths.iter().map(|path| work.path(path));
    let paths: Vec<String> = paths.collect::<CliResult<_>>()?;
    let content = args.content.as_deref().map(read).transpose()?;
    let resolution = |path: &String| match (&content, args.ours) {
        (Some(content), _) => Resolution::content(path, content),
        (None, true) => Resolution::take(path, Take::Target),
        (None, false) => Resolution::take(path, Take::Source),
    };
    let update = ChangeUpdate {
        resolutions: paths.iter().map(resolution).collect(),
        ..ChangeUpdate::default()
    };
    let (change, left) = context.block_on(async {
        work.may_write()?;
        let found = conflicted(&work, &args.rev).await?;
        if let Some(path) = paths.iter().find(|path| !found.1.contains(path)) {
            let message = format!("{} is not in conflict", plain(path));
            return Err(
                CliError::new(Exit::NotFound, message).hint("`mesa resolve --list` shows what is")
            );
        }
        let name = match (&work.mounted, args.rev.as_str()) {
            (_, "@") => work.writable(None).await?,
            _ => found.0,
        };
        let change = work
            .call(async |client, org, repo| client.update_change(org, repo, &name, &update).await)
            .await
            .map_err(merge::conflicts)?;
        let left: Vec<String> = found.1.into_iter().filter(|p| !paths.contains(p)).collect();
        Ok((change, left))
    })?;
    if context.printer.json {
        context
            .printer
            .value(&json!({ "change": change, "resolved": paths, "conflicts": left }));
        return Ok(());
    }
    for path in &paths {
        context.printer.note(format!("resolved {}", plain(path)));
    }
    if !left.is_empty() {
        let text = format!("still in conflict: {}", plain(&left.join(" ")));
        context.printer.note(text);
    }
    Ok(())
}

fn list(context: &Context, work: &Work<'_>, rev: &str) -> CliResult {
    let (id, paths) = context.block_on(conflicted(work, rev))?;
    if context.printer.json {
        context
            .printer
            .value(&json!({ "change_id": id, "conflicts": paths }));
        return Ok(());
    }
    for path in &paths {
        context.printer.line(path);
    }
    if paths.is_empty() {
        let text = format!("{} has no conflicts", short(&id));
        context.printer.note(text);
    }
    Ok(())
}

/// A change and its paths in conflict. On top of one in conflict they are the same until somebody
/// writes.
async fn conflicted(work: &Work<'_>, rev: &str) -> CliResult<(String, Vec<String>)> {
    let at = match work.at(rev).await? {
        At::Unwritten { parent, .. } => work.at(&parent).await?,
        at @ At::Written(_) => at,
    };
    match at {
        At::Written(details) => Ok((details.change.id, details.conflicts)),
        At::Unwritten { parent, .. } => Ok((parent, Vec::new())),
    }
}

fn read(file: &Path) -> CliResult<Vec<u8>> {
    let failed = |e: std::io::Error| CliError::io(format!("cannot read {}", file.display()), &e);
    if file.as_os_str() == "-" {
        let mut content = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut content)
            .map_err(failed)?;
        return Ok(content);
    }
    std::fs::read(file).map_err(failed)
}
