//! `mesa restore`

use std::path::PathBuf;

use clap::Args as ClapArgs;
use mesa_client::rest::{PastState, RestoreRequest, model::Reverted};

use super::merge;
use crate::{
    context::Context,
    daemon::control::Seen,
    duration,
    error::{CliError, CliResult},
    versions::{change::short, paint::plain, place::Place, summary::many, work::Work},
};

/// Give files and directories the state they had
///
/// A directory becomes exactly what it was: files that were made in it later go. Everything outside
/// the paths stays. It is an action like any other, so `mesa undo` takes it back.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  mesa restore src --at 10m\n  mesa restore . --at 2026-01-31T12:00:00Z\n  mesa restore a.txt b.txt --at main\n  mesa restore src --before 1041"
)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// The state: a change or bookmark, a commit (40 hex digits), a time (RFC 3339, or how long ago
    /// as in 10m), or an operation's id, after it [default: @-]
    #[arg(
        long,
        visible_alias = "from",
        value_name = "STATE",
        conflicts_with = "before"
    )]
    at: Option<String>,
    /// The state before this action or operation of `mesa op log`
    #[arg(long, value_name = "ID", value_parser = super::undo::id)]
    before: Option<String>,
    /// Remove paths that did not exist then
    #[arg(long)]
    allow_remove: bool,
    /// Files and directories; . is the present one
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

pub fn run(context: &Context, args: &Args) -> CliResult {
    let work = args.place.open(context)?;
    let paths = args.paths.iter().map(|path| work.path(path));
    let paths: Vec<String> = paths.collect::<CliResult<_>>()?;
    let done = context.block_on(async {
        let at = match (&args.before, args.at.as_deref().unwrap_or("@-")) {
            (Some(operation), _) => PastState::Operation {
                operation: operation.clone(),
                before: true,
            },
            (None, text) => state(&work, text).await?,
        };
        // The log and the times are the working change's, which may not exist yet.
        let logged = work.at("@").await?.readable().to_owned();
        let request = RestoreRequest {
            paths,
            at,
            onto: Some(work.writable(None).await?),
            allow_remove: args.allow_remove,
        };
        let restored =
            work.call(async |client, org, repo| client.restore(org, repo, &logged, &request).await);
        restored
            .await
            .map_err(|error| explained(merge::conflicts(error)))
    })?;
    shown(&work, &done);
    report(context, &done, "restored");
    Ok(())
}

fn explained(error: CliError) -> CliError {
    if error.has_code("PATH_NOT_FOUND") {
        return error.hint("--allow-remove removes what did not exist then");
    }
    if error.has_code("OPERATION_NOT_FOUND") || error.has_code("STATE_NOT_KEPT") {
        return error.hint("single operations are kept for a while only; `mesa log` shows changes");
    }
    error
}

/// What a state's text names.
async fn state(work: &Work<'_>, text: &str) -> CliResult<PastState> {
    if let Some(state) = fixed(text)? {
        return Ok(state);
    }
    let change = work.at(text).await?.readable().to_owned();
    Ok(PastState::Change { change })
}

/// A state that is no revision.
fn fixed(text: &str) -> CliResult<Option<PastState>> {
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};
    let time = |at: OffsetDateTime| {
        let time = at
            .format(&Rfc3339)
            .map_err(|_| CliError::usage(format!("'{text}' is no time")))?;
        Ok(Some(PastState::Time { time }))
    };
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() && text.len() <= 20 {
        return Ok(Some(PastState::Operation {
            operation: text.to_owned(),
            before: false,
        }));
    }
    if text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(Some(PastState::Commit {
            commit_oid: text.to_owned(),
        }));
    }
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return time(at);
    }
    if text.starts_with(|c: char| c.is_ascii_digit())
        && let Ok(ago) = duration::parse(text)
    {
        return time(OffsetDateTime::now_utc() - ago);
    }
    Ok(None)
}

/// Waits until the mount shows what was written.
pub(super) fn shown(work: &Work<'_>, done: &Reverted) {
    let first: Option<u64> = done.action.as_deref().and_then(|id| id.parse().ok());
    if let Some(first) = first {
        let last = first + done.operation_count.saturating_sub(1);
        work.show(Seen::operation(last));
    }
}

/// Says what an undo or a restore did.
pub(super) fn report(context: &Context, done: &Reverted, what: &str) {
    let printer = context.printer;
    if printer.json {
        printer.value(done);
        return;
    }
    if done.outcome == "no_op" {
        printer.note("nothing to do: everything is like that already");
        return;
    }
    let operations = many(done.operation_count as usize, "operation");
    let change = short(&done.change_id);
    let action = done.action.as_ref();
    let action = action.map_or_else(String::new, |action| format!(", action {}", plain(action)));
    printer.note(format!("{what}: {operations} in {change}{action}"));
    for path in &done.conflict_paths {
        printer.warning(format!("conflict in {}", plain(path)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states() {
        let operation = PastState::Operation {
            operation: "1041".into(),
            before: false,
        };
        assert_eq!(fixed("1041").unwrap(), Some(operation));
        let oid = "0a".repeat(20);
        let commit = PastState::Commit {
            commit_oid: oid.clone(),
        };
        assert_eq!(fixed(&oid).unwrap(), Some(commit));
        let time = PastState::Time {
            time: "2026-01-31T12:00:00Z".into(),
        };
        assert_eq!(fixed("2026-01-31T12:00:00Z").unwrap(), Some(time));
        assert!(matches!(
            fixed("10m").unwrap(),
            Some(PastState::Time { .. })
        ));
        for revision in ["@-", "main", "kxqpvunt", "1.0", ""] {
            assert_eq!(fixed(revision).unwrap(), None, "{revision}");
        }
    }
}
