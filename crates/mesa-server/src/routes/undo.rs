//! `POST /v1/{org}/{repo}/changes/{change_id}/undo` and `/restore`.

use axum::{Json, extract::State};
use mesa_api::{
    RestoreAt, RestoreRequest, RestoreResult, RewriteOutcome, Timestamp, UndoRequest, UndoResult,
};
use mesa_head::{At, NotThere, Restore, Rewritten, Undo, UndoOutcome};
use mesa_repo::{Repo, Scope};
use mesa_types::{GitOid, Nanos};

use super::{
    changes::write::target,
    merge::conflicted,
    operations::{number, raw_path},
};
use crate::{
    edge::{
        Caller,
        extract::{JsonBody, UrlPath},
    },
    error::ApiError,
    state::App,
};

/// Most paths of one call.
const PATHS_MAX: usize = 1000;
const MILLISECOND: i64 = 1_000_000;

/// Undoes an action.
pub async fn undo(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo, named)): UrlPath<(String, String, String)>,
    JsonBody { value: body, .. }: JsonBody<UndoRequest>,
) -> Result<Json<UndoResult>, ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Write).await?;
    let change = app
        .catalog()
        .resolve_change(&repo.org, &repo.id, &named)
        .await?;
    let paths = body.paths.unwrap_or_default();
    let wanted = Undo {
        change,
        action: body.action.as_deref().map(number).transpose()?,
        onto: target(&app, &repo, body.onto.as_deref().unwrap_or(&named)).await?,
        paths: raw_paths(&paths)?,
        allow_conflicted: body.allow_conflicted,
    };
    match app.heads().undo(&caller.actor, &repo, wanted).await? {
        UndoOutcome::Conflicts(conflicts) => Err(conflicted(&conflicts)),
        UndoOutcome::Done { undone, rewritten } => {
            let conflicts = rewritten.conflicts.iter();
            let conflict_paths: Vec<String> = conflicts
                .map(|conflict| String::from_utf8_lossy(&conflict.path).into_owned())
                .collect();
            let answer = written(*rewritten);
            Ok(Json(UndoResult {
                outcome: answer.outcome,
                change_id: answer.change_id,
                commit_oid: answer.commit_oid,
                undone: undone.to_string(),
                action: answer.action,
                operation_count: answer.operation_count,
                is_conflicted: !conflict_paths.is_empty(),
                conflict_paths,
            }))
        }
    }
}

/// Brings paths back as they were.
pub async fn restore(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo, named)): UrlPath<(String, String, String)>,
    JsonBody { value: body, .. }: JsonBody<RestoreRequest>,
) -> Result<Json<RestoreResult>, ApiError> {
    restored(&app, &caller, (&org, &repo), &named, body, None)
        .await
        .map(Json)
}

/// Brings paths back as they were, if what is written to has the commit that the caller saw.
pub(crate) async fn restored(
    app: &App,
    caller: &Caller,
    place: (&str, &str),
    named: &str,
    body: RestoreRequest,
    seen: Option<GitOid>,
) -> Result<RestoreResult, ApiError> {
    let repo = caller.repo(app, place, Scope::Write).await?;
    let change = app
        .catalog()
        .resolve_change(&repo.org, &repo.id, named)
        .await?;
    if body.paths.is_empty() {
        return Err(ApiError::bad_request("paths must name at least one path"));
    }
    let wanted = Restore {
        change,
        at: state(app, &repo, body.at).await?,
        onto: target(app, &repo, body.onto.as_deref().unwrap_or(named)).await?,
        paths: raw_paths(&body.paths)?,
        allow_remove: body.allow_remove,
    };
    let done = app
        .heads()
        .restore_seen(&caller.actor, &repo, wanted, seen)
        .await?;
    match done {
        Ok(rewritten) => Ok(written(rewritten)),
        Err(NotThere(paths)) => {
            let paths: Vec<String> = paths
                .iter()
                .map(|path| String::from_utf8_lossy(path).into_owned())
                .collect();
            Err(ApiError::not_found("path")
                .narrowed("PATH_NOT_FOUND")
                .detail("paths", paths))
        }
    }
}

async fn state(app: &App, repo: &Repo, at: RestoreAt) -> Result<At, ApiError> {
    if at.before && at.operation.is_none() {
        return Err(ApiError::bad_request("before goes with an operation"));
    }
    match (at.change, at.commit_oid, at.time, at.operation) {
        (Some(named), None, None, None) => {
            let change = app.catalog().resolve_change(&repo.org, &repo.id, &named);
            Ok(At::Change(change.await?))
        }
        (None, Some(oid), None, None) => {
            let missing = || ApiError::not_found("commit").narrowed("COMMIT_NOT_FOUND");
            Ok(At::Commit(oid.parse::<GitOid>().map_err(|_| missing())?))
        }
        (None, None, Some(Timestamp(time)), None) => {
            // Times are told in whole milliseconds: all of one is meant.
            let rest = if time.0 % MILLISECOND == 0 {
                MILLISECOND - 1
            } else {
                0
            };
            Ok(At::Time(Nanos(time.0.saturating_add(rest))))
        }
        (None, None, None, Some(operation)) => {
            let seq = number(&operation)?;
            Ok(if at.before {
                At::Before(seq)
            } else {
                At::After(seq)
            })
        }
        _ => Err(ApiError::bad_request(
            "at must have exactly one of change, commit_oid, time and operation",
        )),
    }
}

fn raw_paths(paths: &[String]) -> Result<Vec<Vec<u8>>, ApiError> {
    if paths.len() > PATHS_MAX {
        return Err(ApiError::bad_request(format!(
            "at most {PATHS_MAX} paths may be named"
        )));
    }
    paths.iter().map(|path| raw_path(path)).collect()
}

fn written(rewritten: Rewritten) -> RestoreResult {
    let commit = rewritten.commit;
    RestoreResult {
        outcome: match rewritten.written {
            Some(_) => RewriteOutcome::Applied,
            None => RewriteOutcome::NoOp,
        },
        change_id: rewritten.change.to_string(),
        commit_oid: commit.map_or_else(|| "0".repeat(40), |oid| oid.to_string()),
        operation_count: rewritten.written.as_ref().map_or(0, |w| w.operations),
        action: rewritten.written.map(|written| written.first.to_string()),
    }
}
