//! `mesa abandon`

use clap::Args as ClapArgs;
use mesa_client::rest::model::ChangeAbandoned;

use super::merge::wanted;
use crate::{
    context::Context,
    error::CliResult,
    versions::{
        change::{short, title},
        paint::plain,
        place::Place,
        summary::many,
        work::At,
    },
};

/// Give a change up
///
/// Changes on top of it are put on what is below it, without what it did; its bookmarks go there,
/// and so does a mount that works on it. What does not go together is a conflict then. It is hidden
/// from `mesa log` and kept: --undo brings it back. A change that is part of a merge is published
/// and stays.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  mesa abandon\n  mesa abandon kxqpvunt\n  mesa abandon --undo kxqpvunt\n  mesa log --abandoned"
)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// The change
    #[arg(default_value = "@")]
    rev: String,
    /// Bring an abandoned change back, with what was on top of it
    #[arg(long, requires = "rev")]
    undo: bool,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let work = args.place.open(context)?;
    work.may_write()?;
    let done = context.block_on(async {
        let At::Written(details) = work.at(&args.rev).await? else {
            return Ok(None);
        };
        let (id, undo) = (details.change.id.as_str(), args.undo);
        work.call(async |client, org, repo| client.abandon_change(org, repo, id, undo).await)
            .await
            .map(Some)
            .map_err(|error| {
                if error.has_code("CHANGE_PUBLISHED") {
                    error.hint("`mesa undo` and `mesa restore` take back what it did to files")
                } else {
                    wanted(error)
                }
            })
    })?;
    let printer = context.printer;
    let Some(done) = done else {
        printer.note("nothing was written to the working change yet");
        return Ok(());
    };
    work.show_left(&done.change.id);
    if printer.json {
        printer.value(&done);
    } else {
        for line in lines(&done, args.undo) {
            printer.note(line);
        }
    }
    Ok(())
}

fn lines(done: &ChangeAbandoned, undo: bool) -> Vec<String> {
    let id = short(&done.change.id);
    let below = short(&done.parent_change_id);
    let what = title(&done.change.message);
    let mut lines = vec![if undo {
        format!("{id} is back: {what}")
    } else {
        format!("abandoned {id} {what}; `mesa abandon --undo {id}` brings it back")
    }];
    if !done.bookmarks.is_empty() {
        let names: Vec<String> = done.bookmarks.iter().map(|name| plain(name)).collect();
        let to = if undo { id } else { below };
        lines.push(format!("moved {} to {to}", names.join(" ")));
    }
    if done.descendants > 0 {
        let rebased = many(done.descendants as usize, "change");
        lines.push(format!("{rebased} on top to be rebased"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use mesa_client::rest::model::Change;

    use super::*;

    #[test]
    fn what_moved_is_told() {
        let done = ChangeAbandoned {
            change: Change {
                id: "k".repeat(32),
                message: "parser".to_owned(),
                ..Change::default()
            },
            parent_change_id: "l".repeat(32),
            bookmarks: vec!["main".to_owned()],
            descendants: 2,
        };
        assert_eq!(
            lines(&done, false),
            [
                "abandoned kkkkkkkk parser; `mesa abandon --undo kkkkkkkk` brings it back",
                "moved main to llllllll",
                "2 changes on top to be rebased",
            ]
        );
        assert_eq!(
            lines(&done, true)[..2],
            ["kkkkkkkk is back: parser", "moved main to kkkkkkkk"]
        );
    }
}
