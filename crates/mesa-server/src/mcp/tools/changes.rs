//! Changes.

use axum::{Json, extract::State};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use mesa_api::{
    Change, ChangeClose, ChangeCreate, ChangeState, ChangeUpdate, HunkResolution, Resolution,
    Timestamp,
};
use mesa_repo::Scope;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RepoArg, Rev, bounded, page, rev};
use crate::{
    edge::extract::{FilesBody, JsonBody, Paging, UrlPath, UrlQuery},
    error::ApiError,
    mcp::{
        call::{About, Answer, Context, Effect, Tool},
        seen::{ATTEMPTS, busy},
    },
    routes::changes::{self, write},
};

const FILES_DEFAULT: usize = 500;
const FILES_MAX: usize = 10_000;

pub fn tools() -> Vec<Tool> {
    vec![
        Tool::new(
            About {
                name: "change_list",
                title: "List changes",
                description: "Lists a change and its ancestors, newest first, as git log does.",
                effect: Effect::Reads,
            },
            list,
        ),
        Tool::new(
            About {
                name: "change_get",
                title: "Show a change",
                description: "Shows a change: description, state, commit, parents, the paths it \
                              changed and those in conflict. diff shows what it did.",
                effect: Effect::Reads,
            },
            get,
        ),
        Tool::new(
            About {
                name: "change_create",
                title: "Start a change",
                description: "Starts an empty change on top of another, for work beside that of \
                              others: give it a bookmark (bookmark_create), write with rev set to \
                              that, and merge it later (bookmark_merge). A base that is still open \
                              is closed; those who write to it go on in a change on top of it.",
                effect: Effect::Adds,
            },
            create,
        ),
        Tool::new(
            About {
                name: "change_new",
                title: "Finish a change",
                description: "Closes a change, so that it stays as it is; the next write to its \
                              bookmark starts a new change on top. Use it when a step of the work \
                              is done. message describes the change that is closed; if it has a \
                              description already, pass that as expected_message.",
                effect: Effect::Replaces,
            },
            finish,
        ),
        Tool::new(
            About {
                name: "change_describe",
                title: "Describe a change",
                description: "Replaces the description of an open change. Pass the description \
                              you saw as expected_message (empty if it had none).",
                effect: Effect::Replaces,
            },
            describe,
        ),
        Tool::new(
            About {
                name: "change_resolve",
                title: "Resolve conflicts",
                description: "Resolves paths in conflict of a change: each with its whole content, \
                              by taking a side, or by all of its hunks (diff shows them). Paths \
                              that are not named stay in conflict. Pass the commit you looked at.",
                effect: Effect::Replaces,
            },
            resolve,
        ),
    ]
}

/// A change.
#[derive(Serialize, JsonSchema)]
pub struct ShownChange {
    change_id: String,
    /// The commit it is at now.
    commit_oid: String,
    /// Only open changes take writes.
    state: ChangeState,
    /// Its description.
    message: String,
    author: String,
    parents: Vec<String>,
    is_conflicted: bool,
    updated_at: Timestamp,
}

impl From<Change> for ShownChange {
    fn from(change: Change) -> Self {
        Self {
            change_id: change.id,
            commit_oid: change.current_commit_oid,
            state: change.state,
            message: change.message,
            author: change.author.name,
            parents: change.parents,
            is_conflicted: change.is_conflicted,
            updated_at: change.updated_at,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    repo: RepoArg,
    rev: Option<Rev>,
    /// Changes in the answer, 1 to 100; 50 when absent.
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Listed {
    changes: Vec<ShownChange>,
    next_cursor: Option<String>,
    has_more: bool,
}

async fn list(context: Context, wanted: List) -> Result<Answer<Listed>, ApiError> {
    let (org, repo) = context.place(&wanted.repo.0);
    let path = UrlPath((org.to_owned(), repo.to_owned()));
    let page = Paging(page(wanted.limit, wanted.cursor)?);
    let query = UrlQuery(changes::Query {
        state: None,
        bookmark: wanted.rev.map(|rev| rev.0),
    });
    let Context { app, caller } = context;
    let Json(found) = changes::list(State(app), caller, path, query, page).await?;
    Ok(Listed {
        changes: found.changes.into_iter().map(Into::into).collect(),
        next_cursor: found.next_cursor,
        has_more: found.has_more,
    }
    .into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Get {
    repo: RepoArg,
    rev: Option<Rev>,
    /// Paths in the answer, 1 to 10,000; 500 when absent.
    limit: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
struct Details {
    #[serde(flatten)]
    change: ShownChange,
    /// Paths that differ from the first parent.
    files: Vec<String>,
    file_count: u64,
    /// Whether files lacks some.
    truncated: bool,
    /// Paths in conflict.
    conflicts: Vec<String>,
}

/// Org, repo and change of a path.
async fn place(
    context: &Context,
    repo: &RepoArg,
    at: Option<&Rev>,
) -> Result<UrlPath<(String, String, String)>, ApiError> {
    let named = if let Some(named) = rev(at).filter(|rev| !rev.is_empty()) {
        named.to_owned()
    } else {
        let repo = context.repo(&repo.0, Scope::Read).await?;
        repo.default_bookmark.to_string()
    };
    let (org, repo) = context.place(&repo.0);
    Ok(UrlPath((org.to_owned(), repo.to_owned(), named)))
}

async fn get(context: Context, wanted: Get) -> Result<Answer<Details>, ApiError> {
    let limit = bounded("limit", wanted.limit, FILES_DEFAULT, FILES_MAX)?;
    let path = place(&context, &wanted.repo, wanted.rev.as_ref()).await?;
    let Json(found) = changes::get(State(context.app), context.caller, path).await?;
    let mut files = found.files;
    let file_count = files.len();
    files.truncate(limit);
    Ok(Details {
        change: found.change.into(),
        file_count: file_count as u64,
        truncated: file_count > limit,
        files,
        conflicts: found.conflicts,
    }
    .into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    repo: RepoArg,
    /// What it is on top of: a bookmark or change; the default bookmark when absent.
    base: Option<Rev>,
    /// Its description.
    message: Option<String>,
}

async fn create(context: Context, wanted: Create) -> Result<Answer<ShownChange>, ApiError> {
    let path = place(&context, &wanted.repo, wanted.base.as_ref()).await?;
    let UrlPath((org, repo, base)) = path;
    let body = ChangeCreate {
        base_change_id: base,
        message: wanted.message,
        author: None,
        committer: None,
        files: None,
    };
    let Context { app, caller } = context;
    let path = UrlPath((org, repo));
    let (_, Json(made)) = write::create(State(app), caller, path, FilesBody(body)).await?;
    Ok(Answer::from(ShownChange::from(made)))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Finish {
    repo: RepoArg,
    rev: Option<Rev>,
    /// The description of the change that is closed; the one it has stays when absent.
    message: Option<String>,
    /// The description you saw; absent: it had none.
    expected_message: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Finished {
    closed: ShownChange,
    /// The change its writers go on in, which exists from its first write on; null if it had none.
    next_change_id: Option<String>,
}

async fn finish(context: Context, wanted: Finish) -> Result<Answer<Finished>, ApiError> {
    let opened = context
        .open(&wanted.repo.0, rev(wanted.rev.as_ref()), Scope::Write)
        .await?;
    // From here on the change that was found is meant, wherever its bookmark goes.
    let id = opened.change.to_string();
    if let Some(message) = wanted.message {
        let seen = wanted.expected_message.unwrap_or_default();
        say(&context, &wanted.repo, &id, message, &seen).await?;
    }
    let (org, repo) = context.place(&wanted.repo.0);
    let path = UrlPath((org.to_owned(), repo.to_owned(), id));
    let body = JsonBody {
        value: ChangeClose::default(),
        raw: Bytes::new(),
    };
    let Json(done) = write::close(State(context.app), context.caller, path, body).await?;
    Ok(Finished {
        closed: done.closed.into(),
        next_change_id: done.next_change_id,
    }
    .into())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Describe {
    repo: RepoArg,
    rev: Option<Rev>,
    /// The new description.
    message: String,
    /// The description you saw, empty if there was none.
    expected_message: String,
}

async fn describe(context: Context, wanted: Describe) -> Result<Answer<ShownChange>, ApiError> {
    let opened = context
        .open(&wanted.repo.0, rev(wanted.rev.as_ref()), Scope::Write)
        .await?;
    let id = opened.change.to_string();
    let seen = &wanted.expected_message;
    let said = say(&context, &wanted.repo, &id, wanted.message, seen).await?;
    Ok(Answer::from(ShownChange::from(said)))
}

/// Describes an open change, if its description is the one the caller saw.
async fn say(
    context: &Context,
    repo: &RepoArg,
    id: &str,
    message: String,
    seen: &str,
) -> Result<Change, ApiError> {
    for _ in 0..ATTEMPTS {
        let path = place(context, repo, Some(&Rev(id.to_owned()))).await?;
        let (app, caller) = (State(context.app.clone()), context.caller.clone());
        let Json(now) = changes::get(app, caller, path).await?;
        let now = now.change;
        if now.state != ChangeState::Open {
            return Err(ApiError::new(
                mesa_api::ErrorCode::Conflict,
                format!("the change {id} is closed: its description stays"),
            )
            .narrowed("CHANGE_CLOSED"));
        }
        if now.message != seen {
            return Err(ApiError::new(
                mesa_api::ErrorCode::Conflict,
                format!("the change {id} has another description than the one you saw"),
            )
            .narrowed("STALE_MESSAGE")
            .detail("expected_message", seen)
            .detail("message", now.message));
        }
        let update = ChangeUpdate {
            message: Some(message.clone()),
            base_commit_oid: Some(now.current_commit_oid),
            ..ChangeUpdate::default()
        };
        let path = place(context, repo, Some(&Rev(id.to_owned()))).await?;
        let (app, caller) = (State(context.app.clone()), context.caller.clone());
        match write::update(app, caller, path, FilesBody(update)).await {
            Err(error) if error.wire_code() == "STALE_COMMIT" => {}
            outcome => return outcome.map(|Json(change)| change),
        }
    }
    Err(busy())
}

/// A side of a conflict.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Take {
    /// What was merged into.
    Target,
    /// What was merged.
    Source,
}

impl Take {
    fn name(self) -> String {
        match self {
            Self::Target => "target",
            Self::Source => "source",
        }
        .to_owned()
    }
}

/// How a path in conflict is resolved: exactly one of content, take and hunks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    path: String,
    /// The whole content, as text.
    content: Option<String>,
    /// The side that is taken; a side without the path deletes it.
    take: Option<Take>,
    /// All hunks in conflict.
    hunks: Option<Vec<ResolveHunk>>,
}

/// How a hunk is resolved: exactly one of content and take.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveHunk {
    hunk_id: String,
    /// The lines, as text.
    content: Option<String>,
    /// The side that is taken.
    take: Option<Take>,
}

/// Resolutions as REST has them.
pub fn resolutions(given: Vec<Resolve>) -> Vec<Resolution> {
    let encoded = |text: Option<String>| text.map(|text| STANDARD.encode(text));
    let hunk = |hunk: ResolveHunk| HunkResolution {
        hunk_id: hunk.hunk_id,
        content: encoded(hunk.content),
        take: hunk.take.map(Take::name),
        encoding: None,
    };
    let one = |resolve: Resolve| Resolution {
        path: resolve.path,
        content: encoded(resolve.content),
        take: resolve.take.map(Take::name),
        encoding: None,
        hunks: resolve
            .hunks
            .map(|hunks| hunks.into_iter().map(hunk).collect()),
    };
    given.into_iter().map(one).collect()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ResolveArgs {
    repo: RepoArg,
    rev: Option<Rev>,
    /// How each path is resolved.
    resolutions: Vec<Resolve>,
    /// The commit of the change you looked at.
    expected_commit: String,
}

async fn resolve(context: Context, wanted: ResolveArgs) -> Result<Answer<ShownChange>, ApiError> {
    if wanted.resolutions.is_empty() {
        return Err(ApiError::bad_request("resolutions must name a path"));
    }
    let path = place(&context, &wanted.repo, wanted.rev.as_ref()).await?;
    let update = ChangeUpdate {
        resolutions: Some(resolutions(wanted.resolutions)),
        base_commit_oid: Some(wanted.expected_commit),
        ..ChangeUpdate::default()
    };
    let Context { app, caller } = context;
    let Json(change) = write::update(State(app), caller, path, FilesBody(update)).await?;
    Ok(Answer::from(ShownChange::from(change)))
}
