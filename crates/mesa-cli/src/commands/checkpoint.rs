//! `mesa checkpoint`

use clap::Args as ClapArgs;
use serde_json::json;

use super::new;
use crate::{
    context::Context,
    error::CliResult,
    versions::{
        change::{short, title},
        place::Place,
        work::At,
    },
};

/// Keep the working change as it is now and go on in a new one
///
/// What `jj commit` does: the description is that of the change that is kept. Nothing happens when
/// nothing was written since the last one.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  mesa checkpoint -m 'before the refactoring'")]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Description of the change that is kept
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let work = args.place.open(context)?;
    let closed = context.block_on(async {
        work.may_write()?;
        match work.working().await? {
            At::Unwritten { .. } => Ok(None),
            At::Written(details) => {
                let id = &details.change.id;
                let message = args.message.as_deref();
                new::close(&work, id, message).await.map(Some)
            }
        }
    })?;
    let printer = context.printer;
    if printer.json {
        printer.value(&json!({
            "checkpoint": closed.as_ref().map(|c| &c.closed),
            "next_change_id": closed.as_ref().and_then(|c| c.next_change_id.clone()),
        }));
        return Ok(());
    }
    match closed {
        None => printer.note("nothing was written since the last checkpoint"),
        Some(done) => {
            let kept = &done.closed;
            let what = title(&kept.message);
            printer.note(format!("checkpoint {} {what}", short(&kept.id)));
        }
    }
    Ok(())
}
