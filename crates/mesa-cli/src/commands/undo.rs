//! `mesa undo`

use std::path::PathBuf;

use clap::Args as ClapArgs;
use mesa_client::{
    RestErrorKind,
    rest::{UndoRequest, model::Reverted},
};

use super::{
    merge,
    restore::{report, shown},
};
use crate::{
    context::Context,
    error::{CliError, CliResult},
    versions::{paint::plain, place::Place, work::Work},
};

/// Ancestors in whose logs an action is looked for.
const ANCESTORS_MAX: usize = 20;

/// Undo an action: what a program did to the files in one go
///
/// Shell commands, editors and programs that use the server's interface alike. Without ACTION the
/// newest that is not undone; again undoes the one before. What was written later stays; where it
/// is in the same lines there is a conflict, which stops the command with exit code 6 and the
/// paths. The id of an undo undoes that.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  mesa op log\n  mesa undo 1041\n  mesa undo 1041 --path src")]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// An id of `mesa op log`
    #[arg(value_parser = id)]
    action: Option<String>,
    /// Only in this file or directory, repeatable
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write conflicts into the files instead of stopping
    #[arg(long)]
    allow_conflicts: bool,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let work = args.place.open(context)?;
    let paths = args.paths.iter().map(|path| work.path(path));
    let paths: Vec<String> = paths.collect::<CliResult<_>>()?;
    let done = context.block_on(async {
        let logged = work.at("@").await?.readable().to_owned();
        let onto = work.writable(None).await?;
        let request = UndoRequest {
            action: args.action.clone(),
            onto: Some(onto),
            paths,
            allow_conflicted: args.allow_conflicts,
        };
        undo(&work, logged, &request).await
    })?;
    shown(&work, &done);
    let undone = done.undone.as_deref().or(args.action.as_deref());
    let what = match undone {
        Some(action) => format!("undid {}", plain(action)),
        None => "undid".to_owned(),
    };
    report(context, &done, &what);
    Ok(())
}

/// Undoes an action of a change or of one of its ancestors.
async fn undo(work: &Work<'_>, logged: String, request: &UndoRequest) -> CliResult<Reverted> {
    let mut change = logged;
    let mut first: Option<CliError> = None;
    for _ in 0..ANCESTORS_MAX {
        let tried = work
            .plane
            .call(async |client| {
                let (org, repo) = (work.org.as_str(), work.repo.as_str());
                match client.undo(org, repo, &change, request).await {
                    Err(error) if is_elsewhere(&error.code, error.kind) => Ok(Err(error)),
                    other => other.map(Ok),
                }
            })
            .await
            .map_err(merge::conflicts)?;
        let missing = match tried {
            Ok(done) => return Ok(done),
            Err(error) => CliError::from(error),
        };
        first.get_or_insert(missing);
        let details = work
            .call(async |client, org, repo| client.get_change(org, repo, &change).await)
            .await?;
        match details.change.parents.into_iter().next() {
            Some(parent) => change = parent,
            None => break,
        }
    }
    let error = first.unwrap_or_else(|| CliError::failure("there is nothing to undo"));
    Err(error.hint("`mesa op log` shows what can be undone"))
}

fn is_elsewhere(code: &str, kind: RestErrorKind) -> bool {
    kind == RestErrorKind::NotFound && ["OPERATION_NOT_FOUND", "NOTHING_TO_UNDO"].contains(&code)
}

/// Checks the form of an operation's id.
pub(super) fn id(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("an action's id is a number; `mesa op log` shows them".to_owned())
    }
}
