//! The operation log, and taking things back.

use axum::{Json, extract::State};
use bytes::Bytes;
use mesa_api::{
    ActionDetails, ActionList, RestoreAt, RestoreRequest, RestoreResult, Timestamp, UndoRequest,
    UndoResult,
};
use mesa_repo::Scope;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{RepoArg, Rev, page, rev};
use crate::{
    edge::extract::{JsonBody, Paging, UrlPath, UrlQuery},
    error::ApiError,
    mcp::{
        call::{About, Answer, Context, Effect, Tool},
        seen::{ATTEMPTS, busy, commit, text},
    },
    routes::{content::path::RepoPath, operations, undo},
};

pub fn tools() -> Vec<Tool> {
    vec![
        Tool::new(
            About {
                name: "operation_list",
                title: "List what was done",
                description: "Lists the actions of a change, newest first: what one program or \
                              call did to the files in one go, by which key, on which machine. \
                              `id` is what undo wants as action. Single operations are kept for a \
                              day.",
                effect: Effect::Reads,
            },
            list,
        ),
        Tool::new(
            About {
                name: "operation_get",
                title: "Show an action",
                description: "Shows an action with its single operations, and the bytes it \
                              replaced that somebody else had written meanwhile.",
                effect: Effect::Reads,
            },
            get,
        ),
        Tool::new(
            About {
                name: "undo",
                title: "Undo an action",
                description: "Takes back what one action did (its id from operation_list) and \
                              keeps everything that was done later or by others. Where they wrote \
                              the same lines it is refused with the conflicts, unless \
                              allow_conflicted is set. An undo is an action too and can be undone.",
                effect: Effect::Replaces,
            },
            take_back,
        ),
        Tool::new(
            About {
                name: "restore",
                title: "Restore paths",
                description: "Gives paths the state they had at another change, commit or time, or \
                              after (before) an operation: content, type, mode. A directory \
                              becomes exactly what it was. Pass for each path the version you see \
                              there now, or none if nothing is there now.",
                effect: Effect::Replaces,
            },
            restore,
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    repo: RepoArg,
    rev: Option<Rev>,
    /// Only actions that touched this path or something below it.
    path: Option<String>,
    /// Only actions that ended at or after this RFC 3339 time.
    since: Option<String>,
    /// Only actions that began before this RFC 3339 time.
    until: Option<String>,
    /// Actions in the answer, 1 to 100; 20 when absent.
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The id of the change that is meant.
async fn change_of(
    context: &Context,
    repo: &RepoArg,
    at: Option<&Rev>,
    scope: Scope,
) -> Result<(String, String, String), ApiError> {
    let opened = context.open(&repo.0, rev(at), scope).await?;
    let (org, repo) = context.place(&repo.0);
    Ok((org.to_owned(), repo.to_owned(), opened.named))
}

async fn list(context: Context, wanted: List) -> Result<Answer<ActionList>, ApiError> {
    let path = change_of(&context, &wanted.repo, wanted.rev.as_ref(), Scope::Read).await?;
    let query = UrlQuery(operations::Query {
        path: wanted.path,
        since: wanted.since,
        until: wanted.until,
        session: None,
        key_id: None,
    });
    let page = Paging(page(wanted.limit.or(Some(20)), wanted.cursor)?);
    let Context { app, caller } = context;
    let Json(found) = operations::list(State(app), caller, UrlPath(path), query, page).await?;
    Ok(found.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Get {
    repo: RepoArg,
    rev: Option<Rev>,
    /// The id of the action or of one of its operations.
    action: String,
    /// Operations in the answer, 1 to 100; 50 when absent.
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

async fn get(context: Context, wanted: Get) -> Result<Answer<ActionDetails>, ApiError> {
    let place = change_of(&context, &wanted.repo, wanted.rev.as_ref(), Scope::Read).await?;
    let path = UrlPath((place.0, place.1, place.2, wanted.action));
    let page = Paging(page(wanted.limit, wanted.cursor)?);
    let Json(found) = operations::get(State(context.app), context.caller, path, page).await?;
    Ok(found.into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Undo {
    repo: RepoArg,
    rev: Option<Rev>,
    /// The id of the action, or of one of its operations.
    action: String,
    /// Only at these paths and below.
    paths: Option<Vec<String>>,
    /// The bookmark or change that is written to; rev when absent.
    onto: Option<String>,
    /// Write what is in conflict with markers instead of refusing.
    #[serde(default)]
    allow_conflicted: bool,
}

async fn take_back(context: Context, wanted: Undo) -> Result<Answer<UndoResult>, ApiError> {
    let path = change_of(&context, &wanted.repo, wanted.rev.as_ref(), Scope::Write).await?;
    let body = JsonBody {
        value: UndoRequest {
            action: Some(wanted.action),
            onto: wanted.onto,
            paths: wanted.paths,
            allow_conflicted: wanted.allow_conflicted,
        },
        raw: Bytes::new(),
    };
    let Context { app, caller } = context;
    let Json(done) = undo::undo(State(app), caller, UrlPath(path), body).await?;
    Ok(done.into())
}

/// A path to be restored.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RestorePath {
    /// The path; empty for the whole tree.
    path: String,
    /// The version you see there now; absent: nothing is there now.
    expected_version: Option<String>,
}

/// A state of the past: exactly one of change, commit_oid, time and operation.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Moment {
    /// A bookmark or change, as it is now.
    change: Option<String>,
    /// A commit.
    commit_oid: Option<String>,
    /// An RFC 3339 time.
    time: Option<String>,
    /// An operation or action of the change.
    operation: Option<String>,
    /// The state before that operation, not the one after it.
    #[serde(default)]
    before: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Restore {
    repo: RepoArg,
    rev: Option<Rev>,
    /// What to restore, up to 1,000 paths.
    paths: Vec<RestorePath>,
    /// As it was when.
    at: Moment,
    /// Remove paths that were not there then, instead of refusing.
    #[serde(default)]
    allow_remove: bool,
}

async fn restore(context: Context, wanted: Restore) -> Result<Answer<RestoreResult>, ApiError> {
    let time = wanted.at.time.map(|text| {
        serde_json::from_value::<Timestamp>(text.into())
            .map_err(|_| ApiError::bad_request("at.time must be an RFC 3339 time"))
    });
    let at = RestoreAt {
        change: wanted.at.change,
        commit_oid: wanted.at.commit_oid,
        time: time.transpose()?,
        operation: wanted.at.operation,
        before: wanted.at.before,
    };
    let paths = wanted
        .paths
        .iter()
        .map(|one| RepoPath::parse(one.path.as_bytes()))
        .collect::<Result<Vec<_>, _>>()?;
    let body = RestoreRequest {
        paths: paths.iter().map(text).collect(),
        at,
        onto: None,
        allow_remove: wanted.allow_remove,
    };
    for _ in 0..ATTEMPTS {
        let named = rev(wanted.rev.as_ref());
        let opened = context.open(&wanted.repo.0, named, Scope::Write).await?;
        for (one, path) in wanted.paths.iter().zip(&paths) {
            let node = opened.node(path).await?;
            let seen = one.expected_version.as_deref();
            opened.check(&context, path, node.as_ref(), seen).await?;
        }
        let seen = Some(commit(&opened.commit_oid())?);
        let (app, caller) = (&context.app, &context.caller);
        let place = context.place(&wanted.repo.0);
        let named = &opened.named;
        match undo::restored(app, caller, place, named, body.clone(), seen).await {
            // Somebody wrote after the comparison: compare again.
            Err(error) if error.wire_code() == "STALE_COMMIT" => {}
            outcome => return outcome.map(Answer::from),
        }
    }
    Err(busy())
}
