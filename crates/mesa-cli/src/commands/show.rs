//! `mesa show`

use clap::Args as ClapArgs;
use serde_json::json;

use super::diff::{self, Form};
use crate::{
    context::Context,
    error::CliResult,
    versions::{change, paint::Style, place::Place, work::At},
};

/// Show a change: who, when, why and what
///
/// What it did is what differs from its first parent.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  mesa show\n  mesa show kxqpvunt --git\n  mesa show main --no-patch --json"
)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    form: Form,
    /// Without the differences
    #[arg(long)]
    no_patch: bool,
    /// The change
    #[arg(default_value = "@")]
    rev: String,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let work = args.place.open(context)?;
    context.block_on(async {
        let at = work.at(&args.rev).await?;
        let sides = diff::of_change(&at);
        let printer = context.printer;
        let details = match &at {
            At::Written(details) => details,
            At::Unwritten { id, parent } => {
                if printer.json {
                    printer.value(&json!({
                        "change": { "id": id, "parents": [parent], "is_written": false },
                    }));
                } else {
                    printer.line(format!("Change ID: {id}"));
                    printer.line(format!("Parents  : {parent}"));
                    printer.line("\n    (nothing written yet)");
                }
                return Ok(());
            }
        };
        let id = &details.change.id;
        let names = work.bookmarks().await?;
        let names: Vec<String> = names
            .into_iter()
            .filter(|bookmark| bookmark.change_id == *id)
            .map(|bookmark| bookmark.name)
            .collect();
        if printer.json {
            let mut shown = json!({ "change": details, "bookmarks": names });
            if !args.no_patch {
                shown["diff"] = json!(diff::read(&work, &sides, &[]).await?);
            }
            printer.value(&shown);
            return Ok(());
        }
        let style = Style::of_output(&context.global);
        for line in change::header(style, details, &names) {
            printer.line(line);
        }
        if args.no_patch {
            return Ok(());
        }
        diff::print(&work, args.form, &sides, &[]).await
    })
}
