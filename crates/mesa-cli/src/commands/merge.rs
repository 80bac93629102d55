//! `mesa merge`

use std::path::PathBuf;

use clap::Args as ClapArgs;
use mesa_client::{
    RestErrorKind,
    rest::{MergeRequest, Resolution, Take, model::MergeResult},
};
use serde_json::json;

use crate::{
    context::Context,
    daemon::control::{Goal, Seen},
    error::{CliError, CliResult},
    versions::{
        change::short,
        paint::plain,
        place::Place,
        summary::many,
        work::{At, Work},
    },
};

/// Merge a bookmark or change into another
///
/// Mounts that follow the bookmark merged into go on on top of the merge. Into a change no bookmark
/// moves; a mount that works on it goes to the merge. Both sides are closed.
///
/// Conflicts stop it with exit code 6 and the paths, and nothing is changed: resolve them in the
/// same command with --ours and --theirs, or keep them in the merge with --allow-conflicts and
/// resolve them in the files or with `mesa resolve`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  mesa merge feature\n  mesa merge feature --into main --theirs src/gen -m 'take the feature'\n  mesa merge kxqpvunt --into @"
)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// The bookmark or change that is merged
    source: String,
    /// The bookmark or change merged into [default: the bookmark of the mount, or its change; the
    /// repo's default bookmark elsewhere]
    #[arg(long, value_name = "TARGET")]
    into: Option<String>,
    /// Description of the merge
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Only move the bookmark forward if that is all there is to do
    #[arg(long)]
    ff: bool,
    /// Delete the source afterwards
    #[arg(long)]
    delete_source: bool,
    /// Keep conflicts in the merge
    #[arg(long)]
    allow_conflicts: bool,
    /// Resolve this path in conflict by the target's side, repeatable
    #[arg(long, value_name = "PATH")]
    ours: Vec<PathBuf>,
    /// Resolve this path in conflict by the source's side, repeatable
    #[arg(long, value_name = "PATH")]
    theirs: Vec<PathBuf>,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let work = args.place.open(context)?;
    work.may_write()?;
    let mut resolutions = Vec::new();
    for (paths, side) in [(&args.ours, Take::Target), (&args.theirs, Take::Source)] {
        for path in paths {
            resolutions.push(Resolution::take(work.path(path)?, side));
        }
    }
    let merged = context.block_on(async {
        let target = match &args.into {
            Some(target) => side(&work, target).await?,
            None => target(&work).await?,
        };
        let source = side(&work, &args.source).await?;
        if args.ff
            && let Some(moved) = forward(&work, args, (&target, &source)).await?
        {
            return Ok(moved);
        }
        let request = MergeRequest {
            target: target.name().to_owned(),
            source: source.name().to_owned(),
            delete_source: args.delete_source,
            allow_conflicted: args.allow_conflicts,
            message: args.message.clone(),
            resolutions,
        };
        let merged = work
            .call(async |client, org, repo| client.merge(org, repo, &request).await)
            .await
            .map_err(|error| conflicts(wanted(error)))?;
        Ok(Merged {
            target,
            result: merged,
            kind: None,
        })
    })?;
    if let Some(mounted) = &work.mounted
        && merged.kind() != "no_op"
    {
        match &merged.target {
            Side::Bookmark(name) if mounted.follows.as_ref() == Some(name) => {
                work.show(Seen::left(&mounted.change));
            }
            // On top of what was merged into, and with no bookmark that goes along.
            Side::Change(id)
                if *id == mounted.change
                    || (mounted.follows.is_none() && mounted.parent.as_ref() == Some(id)) =>
            {
                work.switch(Goal::Change(merged.result.change_id.clone()))?;
            }
            _ => {}
        }
    }
    report(context, args, &merged);
    Ok(())
}

/// A merge that succeeded.
struct Merged {
    target: Side,
    result: MergeResult,
    kind: Option<&'static str>,
}

impl Merged {
    fn kind(&self) -> &str {
        self.kind.unwrap_or(&self.result.merge_type)
    }
}

/// What is merged, or merged into.
enum Side {
    Bookmark(String),
    /// A change's whole id.
    Change(String),
}

impl Side {
    fn name(&self) -> &str {
        match self {
            Self::Bookmark(name) => name,
            Self::Change(id) => id,
        }
    }

    /// As messages name it.
    fn shown(&self) -> String {
        match self {
            Self::Bookmark(name) => plain(name),
            Self::Change(id) => short(id).to_owned(),
        }
    }
}

/// What a name stands for: a bookmark, unless it is a whole id, and else a revision.
async fn side(work: &Work<'_>, name: &str) -> CliResult<Side> {
    let change = match work.at(name).await? {
        At::Written(details) => details.change.id,
        At::Unwritten { parent, .. } => parent,
    };
    if name == change || name.starts_with('@') {
        return Ok(Side::Change(change));
    }
    let found = work
        .plane
        .call(async |client| {
            match client
                .get_bookmark(work.org.as_str(), work.repo.as_str(), name)
                .await
            {
                Ok(_) => Ok(true),
                Err(error) if error.kind == RestErrorKind::NotFound => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await?;
    Ok(if found {
        Side::Bookmark(name.to_owned())
    } else {
        Side::Change(change)
    })
}

async fn target(work: &Work<'_>) -> CliResult<Side> {
    match work.bookmark_along().await? {
        Some(bookmark) => Ok(Side::Bookmark(bookmark)),
        None => side(work, "@").await,
    }
}

/// A hint for those who merge what was given up.
pub(super) fn wanted(error: CliError) -> CliError {
    if error.has_code("CHANGE_ABANDONED") {
        return error.hint("`mesa abandon --undo REV` brings it back");
    }
    error
}

/// Moves the target to the source if that is a descendant; `None`: it is not.
async fn forward(
    work: &Work<'_>,
    args: &Args,
    (target, source): (&Side, &Side),
) -> CliResult<Option<Merged>> {
    let Side::Bookmark(name) = target else {
        return Err(CliError::usage("--ff moves a bookmark, and there is none"));
    };
    let to = match source {
        Side::Bookmark(name) => work.bookmark(name).await?.change_id,
        Side::Change(id) => id.clone(),
    };
    let moved = work
        .plane
        .call(async |client| {
            let (org, repo) = (work.org.as_str(), work.repo.as_str());
            let moved = client.move_bookmark(org, repo, name, &to, false);
            match moved.await {
                Ok(moved) => Ok(Some(moved)),
                Err(error)
                    if error.kind == RestErrorKind::Conflict
                        && error.code == "NON_FORWARD_MOVE" =>
                {
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        })
        .await?;
    let Some(moved) = moved else { return Ok(None) };
    let from = moved.more.get("from_change_id").and_then(|id| id.as_str());
    let kind = if from == Some(&moved.change_id) {
        "no_op"
    } else {
        "fast_forward"
    };
    let delete = match source {
        Side::Bookmark(name) if args.delete_source => Some(name.as_str()),
        _ => None,
    };
    if let Some(name) = delete {
        work.call(async |client, org, repo| client.delete_bookmark(org, repo, name).await)
            .await?;
    }
    let tip = work
        .call(async |client, org, repo| client.get_change(org, repo, &moved.change_id).await)
        .await?;
    Ok(Some(Merged {
        target: Side::Bookmark(name.clone()),
        result: MergeResult {
            merge_type: kind.to_owned(),
            is_conflicted: tip.change.is_conflicted,
            commit_oid: tip.change.current_commit_oid,
            change_id: moved.change_id,
            more: [
                ("target".to_owned(), json!(name)),
                ("source".to_owned(), json!(args.source)),
                ("source_deleted".to_owned(), json!(delete.is_some())),
            ]
            .into_iter()
            .collect(),
        },
        kind: Some(kind),
    }))
}

/// Most paths in a message.
const PATHS_SHOWN: usize = 20;

/// The paths in conflict as causes, and what to do.
pub(super) fn conflicts(mut error: CliError) -> CliError {
    if !error.has_code("MERGE_CONFLICT") {
        return error;
    }
    let paths = error.details.as_ref().map(|d| d["conflict_paths"].clone());
    let paths: Vec<String> = paths
        .and_then(|paths| serde_json::from_value(paths).ok())
        .unwrap_or_default();
    if let Some(details) = &mut error.details {
        // The sides' whole contents are for programs that ask the server themselves.
        **details = json!({ "conflict_paths": paths });
    }
    error.message = match paths.len() {
        1 => "1 path is in conflict".to_owned(),
        n => format!("{n} paths are in conflict"),
    };
    let shown = paths.iter().take(PATHS_SHOWN);
    error.causes = shown
        .map(|path| format!("conflict in {}", plain(path)))
        .collect();
    if paths.len() > PATHS_SHOWN {
        let rest = paths.len() - PATHS_SHOWN;
        error.causes.push(format!("{} more", many(rest, "path")));
    }
    error.hint(
        "choose sides with --ours PATH and --theirs PATH, or keep the conflicts as markers in the \
         files with --allow-conflicts",
    )
}

fn report(context: &Context, args: &Args, done: &Merged) {
    let printer = context.printer;
    let merged = &done.result;
    if printer.json {
        printer.value(merged);
        return;
    }
    let (source, target) = (plain(&args.source), done.target.shown());
    let id = short(&merged.change_id);
    printer.note(match done.kind() {
        "no_op" => format!("{target} has everything of {source} already"),
        "fast_forward" => format!("moved {target} forward to {source}: {id}"),
        _ => format!("merged {source} into {target}: {id}"),
    });
    if merged.is_conflicted {
        printer.warning("the merge has conflicts; `mesa resolve --list` shows them");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;

    #[test]
    fn conflicts_name_paths_and_what_to_do() {
        let paths: Vec<String> = (0..22).map(|n| format!("f{n}")).collect();
        let mut error = CliError::new(Exit::Conflict, "m").coded("MERGE_CONFLICT");
        error.details = Some(Box::new(json!({"conflict_paths": paths, "conflicts": []})));
        let error = conflicts(error);
        assert_eq!(error.message, "22 paths are in conflict");
        assert_eq!(error.causes[0], "conflict in f0");
        assert_eq!(error.causes.last().unwrap(), "2 paths more");
        assert!(error.hint.unwrap().contains("--allow-conflicts"));
        assert!(error.details.unwrap()["conflicts"].is_null());
    }
}
