//! `/v1/{org}/{repo}/changes/{change_id}/operations`.

use axum::{Json, extract::State};
use base64::{Engine, engine::general_purpose::STANDARD};
use mesa_api::{
    Action, ActionDetails, ActionList, ActionPath, ActionProgram, Operation, OperationCounts,
    OperationKind, OverwrittenContent, PAGE_LIMIT_DEFAULT, Timestamp,
};
use mesa_head::{ActionCursor, ActionFilter, FilePath, OpSort, oplog};
use mesa_repo::Scope;
use serde::Deserialize;

use crate::{
    edge::{
        Caller, cursor,
        extract::{Paging, UrlPath, UrlQuery},
    },
    error::ApiError,
    state::App,
};

/// The filter of the list.
#[derive(Debug, Deserialize)]
pub struct Query {
    pub(crate) path: Option<String>,
    pub(crate) since: Option<String>,
    pub(crate) until: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) key_id: Option<String>,
}

/// Lists the actions of a change, newest first.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo, named)): UrlPath<(String, String, String)>,
    UrlQuery(query): UrlQuery<Query>,
    Paging(page): Paging,
) -> Result<Json<ActionList>, ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Read).await?;
    let change = app
        .catalog()
        .resolve_change(&repo.org, &repo.id, &named)
        .await?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let filter = ActionFilter {
        path: given(query.path).map(|path| raw_path(&path)).transpose()?,
        since: given(query.since)
            .map(|text| time("since", &text))
            .transpose()?,
        until: given(query.until)
            .map(|text| time("until", &text))
            .transpose()?,
        session: given(query.session),
        key: given(query.key_id),
    };
    let from = page.cursor.as_deref().map(read_cursor).transpose()?;
    let limit = page.limit.unwrap_or(PAGE_LIMIT_DEFAULT);
    let page = app
        .heads()
        .actions(&repo, &change, &filter, from, limit)
        .await?;
    Ok(Json(ActionList {
        has_more: page.next.is_some(),
        next_cursor: page.next.map(write_cursor),
        actions: page.actions.into_iter().map(shown).collect(),
    }))
}

/// One action with its operations.
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo, named, operation)): UrlPath<(String, String, String, String)>,
    Paging(page): Paging,
) -> Result<Json<ActionDetails>, ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Read).await?;
    let change = app
        .catalog()
        .resolve_change(&repo.org, &repo.id, &named)
        .await?;
    let heads = app.heads();
    let action = heads.action(&repo, &change, number(&operation)?).await?;
    let after = match page.cursor.as_deref().map(cursor::decode).transpose()? {
        Some(at) => {
            let at = u64::from_be_bytes(at.try_into().map_err(|_| wrong_cursor())?);
            let is_within = (action.first..action.last).contains(&at);
            is_within.then_some(at).ok_or_else(wrong_cursor)?
        }
        None => 0,
    };
    let limit = page.limit.unwrap_or(PAGE_LIMIT_DEFAULT);
    let (operations, has_more) = heads.operations(&repo, &action, after, limit).await?;
    let last = operations.last().map(|operation| operation.seq);
    Ok(Json(ActionDetails {
        action: shown(action),
        next_cursor: last
            .filter(|_| has_more)
            .map(|last| cursor::encode(&last.to_be_bytes())),
        has_more,
        operations: operations.into_iter().map(one).collect(),
    }))
}

/// The number of an operation in a path or body.
pub fn number(text: &str) -> Result<u64, ApiError> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| is_number)
        .ok_or_else(|| ApiError::not_found("operation").narrowed("OPERATION_NOT_FOUND"))
}

/// A path of a request; the empty one is the root.
pub fn raw_path(text: &str) -> Result<Vec<u8>, ApiError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    FilePath::parse(text.as_bytes())
        .map(|path| path.to_bytes())
        .map_err(|bad| {
            ApiError::bad_request(format!("'{}': {bad}", text.escape_debug()))
                .narrowed("INVALID_PATH")
        })
}

fn time(name: &str, text: &str) -> Result<mesa_types::Nanos, ApiError> {
    // An unescaped plus sign of the offset arrives as a blank.
    let text = text.replace(' ', "+");
    serde_json::from_value::<Timestamp>(text.into())
        .map(|time| time.0)
        .map_err(|_| ApiError::bad_request(format!("{name} must be an RFC 3339 time")))
}

fn read_cursor(text: &str) -> Result<ActionCursor, ApiError> {
    let bytes = cursor::decode(text)?;
    let (below, from) = bytes.split_at_checked(8).ok_or_else(wrong_cursor)?;
    let number = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes);
    match (number(below), number(from)) {
        (Ok(below), Ok(from)) => Ok(ActionCursor { below, from }),
        _ => Err(wrong_cursor()),
    }
}

fn write_cursor(at: ActionCursor) -> String {
    cursor::encode(&[at.below.to_be_bytes(), at.from.to_be_bytes()].concat())
}

fn wrong_cursor() -> ApiError {
    ApiError::bad_request("the cursor is not one of this list's").narrowed("INVALID_CURSOR")
}

fn kind(sort: OpSort) -> OperationKind {
    match sort {
        OpSort::Create => OperationKind::Create,
        OpSort::Write => OperationKind::Write,
        OpSort::Delete => OperationKind::Delete,
        OpSort::Rename => OperationKind::Rename,
        OpSort::Link => OperationKind::Link,
        OpSort::Attributes => OperationKind::Attributes,
        OpSort::Xattr => OperationKind::Xattr,
    }
}

fn shown(action: oplog::Action) -> Action {
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let count = |sort| action.counts.of(sort);
    Action {
        id: action.first.to_string(),
        change_id: action.change.to_string(),
        first_operation: action.first.to_string(),
        last_operation: action.last.to_string(),
        started_at: action.started.into(),
        ended_at: action.ended.into(),
        counts: OperationCounts {
            create: count(OpSort::Create),
            write: count(OpSort::Write),
            delete: count(OpSort::Delete),
            rename: count(OpSort::Rename),
            link: count(OpSort::Link),
            attributes: count(OpSort::Attributes),
            xattr: count(OpSort::Xattr),
        },
        origin: action.origin,
        undoes: action.undoes.map(|seq| seq.to_string()),
        undone_by: action.undone_by.map(|seq| seq.to_string()),
        session: action.session,
        key_id: some(action.key),
        host: some(action.host),
        address: some(action.address),
        program: action.program.map(|program| ActionProgram {
            exe: program.exe,
            pid: program.pid,
            process_group: Some(program.group).filter(|group| *group != 0),
            uid: program.uid,
        }),
        operation_count: action.operations,
        paths: action
            .paths
            .into_iter()
            .map(|touched| {
                let (path, path_b64) = path_text(&touched.path);
                ActionPath {
                    path,
                    path_b64,
                    kinds: touched.sorts.into_iter().map(kind).collect(),
                    from: touched.from.map(|from| path_text(&from).0),
                }
            })
            .collect(),
        path_count: action.path_count as u64,
        overwrote: action.overwrote,
    }
}

fn one(operation: oplog::Operation) -> Operation {
    let (path, path_b64) = path_text(&operation.path);
    Operation {
        id: operation.seq.to_string(),
        at: operation.at.into(),
        kind: kind(operation.sort),
        path,
        path_b64,
        from: operation.from.map(|from| path_text(&from).0),
        size: operation.size,
        overwrote: operation.overwrote.map(|lost| OverwrittenContent {
            size: lost.size,
            content: lost.bytes.map(|bytes| STANDARD.encode(bytes)),
        }),
    }
}

/// A path as text, and as base64 if it is none.
fn path_text(path: &[u8]) -> (String, Option<String>) {
    let raw = std::str::from_utf8(path)
        .is_err()
        .then(|| STANDARD.encode(path));
    (String::from_utf8_lossy(path).into_owned(), raw)
}
