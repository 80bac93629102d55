//! `mesa new`

use clap::Args as ClapArgs;
use mesa_client::rest::{
    ChangeUpdate,
    model::{Change, ChangeClosed},
};
use serde_json::json;

use crate::{
    context::Context,
    daemon::control::Seen,
    error::CliResult,
    versions::{
        change::{short, title},
        place::Place,
        work::{At, Work},
    },
};

/// Start the next change
///
/// Without REV the working change is closed as it is, and what is written from now on belongs to a
/// new change on top; the bookmark of the mount goes along. With REV a new change is made on top of
/// that, the mount goes there, and no bookmark moves.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  mesa new -m 'fix the parser'\n  mesa new main")]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Description of the new change
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Make it on top of this [default: the working change]
    rev: Option<String>,
}

/// What became of it.
struct Started {
    /// The change that takes writes now; `None`: made by the first write.
    change: Option<Change>,
    id: Option<String>,
    closed: Option<Change>,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let work = args.place.open(context)?;
    let message = args.message.as_deref();
    let started = context.block_on(async {
        work.may_write()?;
        match &args.rev {
            Some(rev) => {
                let base = work.at(rev).await?;
                let made = work.start_on(base.readable(), message).await?;
                Ok(Started {
                    id: Some(made.id.clone()),
                    change: Some(made),
                    closed: None,
                })
            }
            None => next(&work, message).await,
        }
    })?;
    if context.printer.json {
        context.printer.value(&json!({
            "change_id": started.id,
            "change": started.change,
            "closed": started.closed,
        }));
        return Ok(());
    }
    if let Some(closed) = &started.closed {
        let what = title(&closed.message);
        let id = short(&closed.id);
        context.printer.note(format!("closed {id} {what}"));
    }
    match (&started.change, &started.id) {
        (Some(change), _) => {
            let what = title(&change.message);
            let id = short(&change.id);
            context.printer.note(format!("working change: {id} {what}"));
        }
        (None, Some(id)) => {
            let id = short(id);
            let text = format!("working change: {id} (nothing written yet)");
            context.printer.note(text);
        }
        (None, None) => context
            .printer
            .note("the next write to the bookmark makes a new change"),
    }
    Ok(())
}

/// The change on top of the working one.
async fn next(work: &Work<'_>, message: Option<&str>) -> CliResult<Started> {
    let along = work.bookmark_along().await?;
    let mut started = match work.working().await? {
        // What would be closed does not exist: it is the new change already.
        At::Unwritten { id, parent } => match (message, &along) {
            (Some(_), None) => return begun(work, &parent, message).await,
            _ => Started {
                change: None,
                id: Some(id),
                closed: None,
            },
        },
        At::Written(details) => {
            if message.is_some() && along.is_none() {
                let mut started = begun(work, &details.change.id, message).await?;
                started.closed = Some(details.change);
                return Ok(started);
            }
            let closed = close(work, &details.change.id, None).await?;
            Started {
                change: None,
                id: closed.next_change_id,
                closed: Some(closed.closed),
            }
        }
    };
    if let (Some(message), Some(bookmark)) = (message, &along) {
        let update = ChangeUpdate {
            message: Some(message.to_owned()),
            ..ChangeUpdate::default()
        };
        let change = work
            .call(async |client, org, repo| {
                client.update_change(org, repo, bookmark, &update).await
            })
            .await?;
        started.id = Some(change.id.clone());
        started.change = Some(change);
    }
    Ok(started)
}

async fn begun(work: &Work<'_>, base: &str, message: Option<&str>) -> CliResult<Started> {
    let made = work.start_on(base, message).await?;
    Ok(Started {
        id: Some(made.id.clone()),
        change: Some(made),
        closed: None,
    })
}

/// Closes a change and waits until the mount works on the next one.
pub(super) async fn close(
    work: &Work<'_>,
    id: &str,
    message: Option<&str>,
) -> CliResult<ChangeClosed> {
    let closed = work
        .call(async |client, org, repo| client.close_change(org, repo, id, message).await)
        .await?;
    if closed.next_change_id.is_some() {
        work.show(Seen::left(id));
    }
    Ok(closed)
}
