//! `mesa op`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mesa_client::{
    RestErrorKind,
    rest::{
        ActionFilter,
        model::{Action, ActionDetails},
    },
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    context::Context,
    duration,
    error::{CliError, CliResult},
    versions::{
        actions,
        change::{ROOT, clock, short},
        paint::{Ink, Style, plain},
        place::Place,
        work::Work,
    },
};

/// Changes whose logs are read for one listing.
const CHANGES_MAX: usize = 20;
/// Operations of one action that are shown.
const OPERATIONS_MAX: usize = 10_000;

/// The operation log: everything that was done to the files, by whom and by which program
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List actions, newest first: operations that one program made in one go
    ///
    /// Of the working change, and of those before it until enough are shown. Ids count within a
    /// change.
    #[command(after_help = "Examples:\n  mesa op log\n  mesa op log src --since 1h -n 100 --json")]
    Log(Log),
    /// Show the operations of an action
    #[command(after_help = "Example:\n  mesa op show 1041")]
    Show(Show),
}

#[derive(Debug, Args)]
pub struct Log {
    #[command(flatten)]
    place: Place,
    /// Only of this change
    #[arg(short, long = "revision", value_name = "REV")]
    rev: Option<String>,
    /// At most this many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Not before this time (RFC 3339, or how long ago as in 1h)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<String>,
    /// Only what touched this path or something below it
    path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    place: Place,
    /// The change whose log it is in [default: the working change or one before it]
    #[arg(short, long = "revision", value_name = "REV")]
    rev: Option<String>,
    /// The id of an action or of an operation
    #[arg(value_parser = super::undo::id)]
    id: String,
}

pub fn run(context: &Context, command: Command) -> CliResult {
    match command {
        Command::Log(args) => log(context, &args),
        Command::Show(args) => show(context, &args),
    }
}

fn log(context: &Context, args: &Log) -> CliResult {
    let work = args.place.open(context)?;
    let path = args.path.as_deref().map(|path| work.path(path));
    let filter = ActionFilter {
        path: path.transpose()?.filter(|path| !path.is_empty()),
        since: args.since.clone(),
        until: args.until.clone(),
    };
    let found = context.block_on(read(&work, args, &filter))?;
    let printer = context.printer;
    if printer.json {
        printer.value(&found);
        return Ok(());
    }
    let style = Style::of_output(&context.global);
    let mut change: Option<&str> = None;
    for action in &found {
        // Ids count within a change: where another one begins, it is said.
        if change.is_some_and(|change| change != action.change_id) {
            let text = format!("in {}:", short(&action.change_id));
            printer.line(style.paint(&text, Ink::Heading));
        }
        change = Some(&action.change_id);
        for line in actions::lines(action, style) {
            printer.line(line);
        }
    }
    Ok(())
}

async fn read(work: &Work<'_>, args: &Log, filter: &ActionFilter) -> CliResult<Vec<Action>> {
    let limit = args.limit as usize;
    let mut change = work
        .at(args.rev.as_deref().unwrap_or("@"))
        .await?
        .readable()
        .to_owned();
    let changes = if args.rev.is_some() { 1 } else { CHANGES_MAX };
    let mut found: Vec<Action> = Vec::new();
    for _ in 0..changes {
        if change == ROOT {
            break;
        }
        let mut cursor = None;
        loop {
            let page = work
                .call(async |client, org, repo| {
                    let cursor = cursor.clone();
                    client
                        .list_actions(org, repo, &change, filter, cursor)
                        .await
                })
                .await?;
            found.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() || found.len() >= limit {
                break;
            }
        }
        if found.len() >= limit {
            break;
        }
        let Some(parent) = parent(work, &change).await? else {
            break;
        };
        change = parent;
    }
    found.truncate(limit);
    Ok(found)
}

async fn parent(work: &Work<'_>, change: &str) -> CliResult<Option<String>> {
    let details = work
        .call(async |client, org, repo| client.get_change(org, repo, change).await)
        .await?;
    Ok(details.change.parents.into_iter().next())
}

fn show(context: &Context, args: &Show) -> CliResult {
    let work = args.place.open(context)?;
    let details = context.block_on(find(&work, args))?;
    let printer = context.printer;
    if printer.json {
        printer.value(&details);
        return Ok(());
    }
    let style = Style::of_output(&context.global);
    for line in actions::lines(&details.action, style) {
        printer.line(line);
    }
    let rows = details.operations.iter().map(|operation| {
        let path = match &operation.from {
            Some(from) => format!("{} => {}", plain(from), plain(&operation.path)),
            None => plain(&operation.path),
        };
        let size = operation.size.map(|size| format!("{size} bytes"));
        vec![
            format!("  {}", operation.id),
            clock(&operation.at),
            operation.kind.clone(),
            path,
            size.unwrap_or_default(),
        ]
    });
    printer.table(&rows.collect::<Vec<_>>());
    if details.next_cursor.is_some() {
        printer.note(format!("only the first {OPERATIONS_MAX} are shown"));
    }
    Ok(())
}

/// The action in the log of a change or of one of its ancestors.
async fn find(work: &Work<'_>, args: &Show) -> CliResult<ActionDetails> {
    let rev = args.rev.as_deref().unwrap_or("@");
    let mut change = work.at(rev).await?.readable().to_owned();
    let changes = if args.rev.is_some() { 1 } else { CHANGES_MAX };
    let mut first = None;
    for _ in 0..changes {
        let (id, cursor) = (args.id.as_str(), None::<String>);
        let tried = work
            .plane
            .call(async |client| {
                let (org, repo) = (work.org.as_str(), work.repo.as_str());
                match client
                    .get_action(org, repo, &change, id, cursor.clone())
                    .await
                {
                    Err(error)
                        if error.kind == RestErrorKind::NotFound
                            && error.code == "OPERATION_NOT_FOUND" =>
                    {
                        Ok(Err(error))
                    }
                    other => other.map(Ok),
                }
            })
            .await?;
        match tried {
            Ok(details) => return rest(work, &change, details).await,
            Err(error) => first.get_or_insert(CliError::from(error)),
        };
        match parent(work, &change).await? {
            Some(parent) => change = parent,
            None => break,
        }
    }
    let error = first.unwrap_or_else(|| CliError::failure("there is no such operation"));
    Err(error.hint("`mesa op log` shows what is kept"))
}

/// The pages after the first.
async fn rest(
    work: &Work<'_>,
    change: &str,
    mut details: ActionDetails,
) -> CliResult<ActionDetails> {
    while details.operations.len() < OPERATIONS_MAX
        && let Some(cursor) = details.next_cursor.take()
    {
        let id = details.action.id.clone();
        let page = work
            .call(async |client, org, repo| {
                let cursor = Some(cursor.clone());
                client.get_action(org, repo, change, &id, cursor).await
            })
            .await?;
        details.operations.extend(page.operations);
        details.next_cursor = page.next_cursor;
    }
    Ok(details)
}

/// A time for the server.
fn moment(text: &str) -> Result<String, String> {
    if OffsetDateTime::parse(text, &Rfc3339).is_ok() {
        return Ok(text.to_owned());
    }
    let ago = duration::parse(text)
        .map_err(|_| format!("'{text}' is neither a time such as 2026-01-31T12:00:00Z nor a length of time such as 1h"))?;
    let at = OffsetDateTime::now_utc() - ago;
    at.format(&Rfc3339).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(
            moment("2026-01-31T12:00:00Z").unwrap(),
            "2026-01-31T12:00:00Z"
        );
        assert!(moment("1h").unwrap().ends_with('Z'));
        assert!(moment("soon").unwrap_err().contains("1h"));
    }
}
