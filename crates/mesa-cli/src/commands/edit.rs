//! `mesa edit`

use clap::Args as ClapArgs;
use mesa_client::RestErrorKind;
use serde_json::json;

use crate::{
    context::Context,
    daemon::control::Goal,
    error::{CliError, CliResult, Exit},
    versions::{
        change::short,
        place::Place,
        work::{At, Work},
    },
};

/// Let the mount work on another change
///
/// A bookmark is followed from then on; an open change is edited; on top of a closed one a new
/// change begins. Every file of the repo that is open for writing has to be closed first. It lasts
/// until the repo is unmounted.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  mesa edit kxqpvunt\n  mesa edit main")]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// A bookmark, or a change
    rev: String,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let work = args.place.open(context)?;
    work.inside("`mesa edit` moves a mount")?;
    let (goal, asked) = context.block_on(goal(&work, &args.rev))?;
    let change = match &goal {
        Some(goal) => work.switch(goal.clone())?,
        None => asked.clone(),
    };
    let bookmark = match &goal {
        Some(Goal::Bookmark(name)) => Some(name.clone()),
        _ => None,
    };
    if context.printer.json {
        context
            .printer
            .value(&json!({ "change_id": change, "bookmark": bookmark }));
        return Ok(());
    }
    let text = match (bookmark, change == asked) {
        (Some(name), _) => format!("working change: {} at {name}", short(&change)),
        (None, true) => format!("working change: {}", short(&change)),
        (None, false) => format!(
            "{} takes no writes; working change: {} on top of it (nothing written yet)",
            short(&asked),
            short(&change)
        ),
    };
    context.printer.note(text);
    Ok(())
}

/// Where to go, and the change that was named; nowhere when the mount is there.
async fn goal(work: &Work<'_>, rev: &str) -> CliResult<(Option<Goal>, String)> {
    if rev == "@" {
        return Ok((None, work.working().await?.id().to_owned()));
    }
    // An exact change id wins over a bookmark of that name, as everywhere.
    let at = work.at(rev).await?;
    if at.id() != rev && !rev.starts_with('@') {
        let found = work
            .plane
            .call(async |client| {
                let found = client.get_bookmark(work.org.as_str(), work.repo.as_str(), rev);
                match found.await {
                    Ok(found) => Ok(Some(found)),
                    Err(error) if error.kind == RestErrorKind::NotFound => Ok(None),
                    Err(error) => Err(error),
                }
            })
            .await?;
        if let Some(found) = found {
            return Ok((Some(Goal::Bookmark(found.name)), found.change_id));
        }
    }
    match at {
        At::Unwritten { id, .. } => Ok((None, id)),
        At::Written(details) => {
            let id = details.change.id;
            let mounted = work.inside("`mesa edit` moves a mount")?;
            if id == mounted.change {
                return Ok((None, id));
            }
            if details.change.parents.is_empty() {
                return Err(
                    CliError::new(Exit::Conflict, "the root change cannot be edited")
                        .hint("`mesa new REV` starts a change on top of another"),
                );
            }
            Ok((Some(Goal::Change(id.clone())), id))
        }
    }
}
