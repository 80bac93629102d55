//! Creating, amending and closing changes.

use axum::{Json, extract::State};
use http::StatusCode;
use mesa_api::{Change, ChangeClose, ChangeClosed, ChangeCreate, ChangeUpdate, Signature};
use mesa_head::{Describe, NewChange, Resolutions, ViewTarget, Write};
use mesa_repo::{Repo, Scope};
use mesa_types::{BookmarkName, ChangeId, GitOid};

use super::{files, shown};
use crate::routes::{content::sealed_root, merge};
use crate::{
    edge::{
        Caller,
        extract::{FilesBody, JsonBody, UrlPath},
    },
    error::ApiError,
    state::App,
};

/// Creates a change on top of another.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo)): UrlPath<(String, String)>,
    FilesBody(body): FilesBody<ChangeCreate>,
) -> Result<(StatusCode, Json<Change>), ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Write).await?;
    let base = app
        .catalog()
        .resolve_change(&repo.org, &repo.id, &body.base_change_id)
        .await?;
    let new = NewChange {
        parents: vec![base],
        edits: files::edits(body.files.unwrap_or_default())?,
        describe: describe(&caller, body.message, body.author, body.committer),
    };
    let made = app.heads().create_change(&caller.actor, &repo, new).await?;
    Ok((
        StatusCode::CREATED,
        Json(read(&app, &repo, &made.change).await?),
    ))
}

/// Amends a change. One that takes no more writes gets a new change on top, which is the answer.
pub async fn update(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo, named)): UrlPath<(String, String, String)>,
    FilesBody(body): FilesBody<ChangeUpdate>,
) -> Result<Json<Change>, ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Write).await?;
    let target = target(&app, &repo, &named).await?;
    let resolutions = body.resolutions.unwrap_or_default();
    let has_files = body.files.as_ref().is_some_and(|files| !files.is_empty());
    if has_files && !resolutions.is_empty() {
        let why = "files and resolutions exclude each other";
        return Err(ApiError::bad_request(why));
    }
    if has_files {
        refuse_conflicted(&app, &repo, &named).await?;
    }
    let base_commit = match body.base_commit_oid {
        None => None,
        Some(text) => Some(text.parse::<GitOid>().map_err(|_| {
            ApiError::bad_request("base_commit_oid must be 40 lower-case hex digits")
        })?),
    };
    let mut describe = describe(&caller, body.message, body.author, body.committer);
    if describe.message.is_none() && body.files.is_none() {
        // Without anything to say the author of the token is none either.
        describe.author = describe.author.filter(|_| describe.committer.is_some());
        if describe.author.is_none() {
            describe.coauthors.clear();
        }
    }
    let written = if resolutions.is_empty() {
        let write = Write {
            target,
            edits: files::edits(body.files.unwrap_or_default())?,
            describe,
            base_commit,
        };
        app.heads().write(&caller.actor, &repo, write).await?
    } else {
        let wanted = Resolutions {
            target,
            paths: merge::resolutions(resolutions)?,
            describe,
            base_commit,
        };
        app.heads().resolve(&caller.actor, &repo, wanted).await?
    };
    Ok(Json(read(&app, &repo, &written.change).await?))
}

/// Files of a change in conflict are written through a mount, or by resolutions.
async fn refuse_conflicted(app: &App, repo: &Repo, named: &str) -> Result<(), ApiError> {
    let id = app
        .catalog()
        .resolve_change(&repo.org, &repo.id, named)
        .await?;
    let root = sealed_root(app, repo, &id).await?;
    let conflicts = app.heads().conflicts(repo, root).await?;
    if conflicts.is_empty() {
        Ok(())
    } else {
        Err(merge::conflicted(&conflicts))
    }
}

/// Closes a change; its sessions go on in a new one on top.
pub async fn close(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo, named)): UrlPath<(String, String, String)>,
    body: JsonBody<ChangeClose>,
) -> Result<Json<ChangeClosed>, ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Write).await?;
    let id = app
        .catalog()
        .resolve_change(&repo.org, &repo.id, &named)
        .await?;
    let describe = Describe {
        message: body.value.message,
        ..Describe::default()
    };
    let next = app
        .heads()
        .close_described(&caller.actor, &repo, &id, describe)
        .await?;
    Ok(Json(ChangeClosed {
        closed: read(&app, &repo, &id).await?,
        next_change_id: next.map(|id| id.to_string()),
    }))
}

/// What a write names: an exact change id first, else a bookmark, which goes along.
pub async fn target(app: &App, repo: &Repo, named: &str) -> Result<ViewTarget, ApiError> {
    let id = app
        .catalog()
        .resolve_change(&repo.org, &repo.id, named)
        .await?;
    Ok(match named.parse::<BookmarkName>() {
        Ok(name) if id.to_string() != named => ViewTarget::Bookmark(name),
        _ => ViewTarget::Change(id),
    })
}

async fn read(app: &App, repo: &Repo, id: &ChangeId) -> Result<Change, ApiError> {
    let change = app.catalog().change(&repo.org, &repo.id, id).await?;
    let missing = || ApiError::not_found("change").narrowed("CHANGE_NOT_FOUND");
    let change = change.ok_or_else(missing)?;
    shown(app, &change).await
}

fn of_token(author: &mesa_repo::Author) -> mesa_repo::Signature {
    mesa_repo::Signature {
        name: author.name.clone(),
        email: author.email.clone().unwrap_or_default(),
        at: None,
    }
}

/// What a change says about itself; a token's authors stand for one that the body lacks.
pub fn describe(
    caller: &Caller,
    message: Option<String>,
    author: Option<Signature>,
    committer: Option<Signature>,
) -> Describe {
    let stored = |who: Signature| mesa_repo::Signature {
        name: who.name,
        email: who.email,
        at: who.date.map(|date| date.0),
    };
    let mut authors = match author {
        Some(author) => vec![stored(author)],
        None => caller.principal.authors.iter().map(of_token).collect(),
    }
    .into_iter();
    Describe {
        message,
        author: authors.next(),
        coauthors: authors.collect(),
        committer: committer.map(stored),
    }
}
