//! `mesa describe`

use clap::Args as ClapArgs;
use mesa_client::rest::ChangeUpdate;

use crate::{
    context::Context,
    error::{CliError, CliResult, Exit},
    versions::{
        change::{short, title},
        place::Place,
        work::{At, Work},
    },
};

/// Say what a change is for
///
/// The commit of a closed change is never written again, and so its description stays.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  mesa describe -m 'parser: accept empty input'")]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// The description; repeated ones become paragraphs
    #[arg(short, long, value_name = "TEXT", required = true)]
    message: Vec<String>,
    /// The change
    #[arg(default_value = "@")]
    rev: String,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let work = args.place.open(context)?;
    let message = args.message.join("\n\n");
    let change = context.block_on(async {
        let name = if args.rev == "@" {
            work.writable(Some(&message)).await?
        } else {
            open_change(&work, &args.rev).await?
        };
        let update = ChangeUpdate {
            message: Some(message.clone()),
            ..ChangeUpdate::default()
        };
        work.call(async |client, org, repo| client.update_change(org, repo, &name, &update).await)
            .await
    })?;
    if context.printer.json {
        context.printer.value(&change);
    } else {
        let text = format!("{} {}", short(&change.id), title(&change.message));
        context.printer.note(text);
    }
    Ok(())
}

/// The id of a change that can be written to.
async fn open_change(work: &Work<'_>, rev: &str) -> CliResult<String> {
    work.may_write()?;
    let At::Written(details) = work.at(rev).await? else {
        return work.writable(None).await;
    };
    let state = details.change.more.get("state").and_then(|s| s.as_str());
    match state {
        Some("open") | None => Ok(details.change.id),
        Some(state) => {
            let message = format!(
                "{} is {state}, so its description stays",
                short(&details.change.id)
            );
            Err(CliError::new(Exit::Conflict, message)
                .hint("`mesa new -m TEXT` starts a change with a description"))
        }
    }
}
