//! `mesa bookmark`

use clap::{Args, Subcommand};
use mesa_client::rest::model::Bookmark;

use crate::{
    context::Context,
    error::CliResult,
    versions::{
        change::short,
        paint::plain,
        place::Place,
        work::{At, Work},
    },
};

/// Bookmarks: names of changes, as git's branches
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List bookmarks and the changes they name
    #[command(after_help = "Example:\n  mesa bookmark list --json")]
    List(List),
    /// Make a bookmark
    #[command(after_help = "Example:\n  mesa bookmark create feature -r @")]
    Create(Create),
    /// Point a bookmark at another change; mounts that follow it go along
    #[command(
        after_help = "Examples:\n  mesa bookmark move feature --to @\n  mesa bookmark move feature --to @- --allow-backwards"
    )]
    Move(Move),
    /// Delete a bookmark; the changes stay
    #[command(after_help = "Example:\n  mesa bookmark delete feature")]
    Delete(Delete),
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub struct Create {
    #[command(flatten)]
    place: Place,
    /// The new name
    name: String,
    /// The change it names
    #[arg(short, long = "revision", value_name = "REV", default_value = "@")]
    rev: String,
}

#[derive(Debug, Args)]
pub struct Move {
    #[command(flatten)]
    place: Place,
    /// The bookmark
    name: String,
    /// The change it is to name
    #[arg(long, value_name = "REV", default_value = "@")]
    to: String,
    /// Also to a change that does not descend from the present one
    #[arg(short = 'B', long)]
    allow_backwards: bool,
}

#[derive(Debug, Args)]
pub struct Delete {
    #[command(flatten)]
    place: Place,
    /// The bookmark
    name: String,
}

pub fn run(context: &Context, command: Command) -> CliResult {
    match command {
        Command::List(args) => list(context, &args),
        Command::Create(args) => create(context, &args),
        Command::Move(args) => shift(context, &args),
        Command::Delete(args) => delete(context, &args),
    }
}

fn list(context: &Context, args: &List) -> CliResult {
    let work = args.place.open(context)?;
    let all = context.block_on(work.bookmarks())?;
    if context.printer.json {
        context.printer.value(&all);
        return Ok(());
    }
    let followed = work.mounted.as_ref().and_then(|m| m.follows.as_deref());
    context.printer.table(&rows(&all, followed));
    Ok(())
}

fn rows(all: &[Bookmark], followed: Option<&str>) -> Vec<Vec<String>> {
    let row = |bookmark: &Bookmark| {
        let mut notes = Vec::new();
        if bookmark.is_default {
            notes.push("default");
        }
        if followed == Some(bookmark.name.as_str()) {
            notes.push("mounted");
        }
        vec![
            plain(&bookmark.name),
            short(&bookmark.change_id).to_owned(),
            notes.join(", "),
        ]
    };
    all.iter().map(row).collect()
}

fn create(context: &Context, args: &Create) -> CliResult {
    let work = args.place.open(context)?;
    let made = context.block_on(async {
        let change = named(&work, &args.rev).await?;
        let name = args.name.as_str();
        work.call(async |client, org, repo| client.create_bookmark(org, repo, name, &change).await)
            .await
    })?;
    report(context, &made, "made bookmark");
    Ok(())
}

fn shift(context: &Context, args: &Move) -> CliResult {
    let work = args.place.open(context)?;
    let moved = context.block_on(async {
        let change = named(&work, &args.to).await?;
        let (name, backwards) = (args.name.as_str(), args.allow_backwards);
        work.call(async |client, org, repo| {
            client
                .move_bookmark(org, repo, name, &change, backwards)
                .await
        })
        .await
        .map_err(|error| {
            if error.has_code("NON_FORWARD_MOVE") {
                error.hint("--allow-backwards moves it all the same")
            } else {
                error
            }
        })
    })?;
    report(context, &moved, "moved bookmark");
    Ok(())
}

fn delete(context: &Context, args: &Delete) -> CliResult {
    let work = args.place.open(context)?;
    let name = args.name.as_str();
    let answer = context.block_on(
        work.call(async |client, org, repo| client.delete_bookmark(org, repo, name).await),
    )?;
    if context.printer.json {
        context.printer.value(&answer);
    } else {
        context
            .printer
            .note(format!("deleted bookmark {}", plain(name)));
    }
    Ok(())
}

/// A change that a bookmark can name.
async fn named(work: &Work<'_>, rev: &str) -> CliResult<String> {
    match work.at(rev).await? {
        At::Written(details) => Ok(details.change.id),
        At::Unwritten { parent, .. } => {
            let message = format!(
                "nothing was written to the working change yet; taking its parent {}",
                short(&parent)
            );
            work.context.printer.note(message);
            Ok(parent)
        }
    }
}

fn report(context: &Context, bookmark: &Bookmark, what: &str) {
    if context.printer.json {
        context.printer.value(bookmark);
        return;
    }
    let (name, id) = (plain(&bookmark.name), short(&bookmark.change_id));
    context.printer.note(format!("{what} {name} at {id}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_tell_what_is_special() {
        let bookmark = |name: &str, is_default| Bookmark {
            name: name.to_owned(),
            change_id: "k".repeat(32),
            is_default,
            more: serde_json::Map::new(),
        };
        let all = [bookmark("feature\n", false), bookmark("main", true)];
        assert_eq!(
            rows(&all, Some("main")),
            [
                ["feature\\n", "kkkkkkkk", ""],
                ["main", "kkkkkkkk", "default, mounted"]
            ]
        );
    }
}
