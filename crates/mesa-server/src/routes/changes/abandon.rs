//! `POST /v1/{org}/{repo}/changes/{change}/abandon`, and the list of what was abandoned.

use axum::{Json, extract::State};
use mesa_api::{ChangeAbandon, ChangeAbandoned, ChangeList};
use mesa_repo::{PageRequest, Repo, Scope};

use super::shown;
use crate::{
    edge::{
        Caller,
        extract::{JsonBody, UrlPath},
    },
    error::ApiError,
    state::App,
};

/// Gives a change up, or brings it back.
pub async fn abandon(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo, named)): UrlPath<(String, String, String)>,
    body: JsonBody<ChangeAbandon>,
) -> Result<Json<ChangeAbandoned>, ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Write).await?;
    let id = app
        .catalog()
        .resolve_change(&repo.org, &repo.id, &named)
        .await?;
    let (heads, actor) = (app.heads(), &caller.actor);
    let done = if body.value.undo == Some(true) {
        heads.restore_abandoned(actor, &repo, &id).await?
    } else {
        heads.abandon(actor, &repo, &id).await?
    };
    Ok(Json(ChangeAbandoned {
        change: shown(&app, &done.change).await?,
        parent_change_id: done.parent.to_string(),
        bookmarks: done.bookmarks.iter().map(ToString::to_string).collect(),
        descendants: done.descendants as u64,
    }))
}

/// The abandoned changes of a repo, by id.
pub(super) async fn list(
    app: &App,
    repo: &Repo,
    page: &PageRequest,
) -> Result<ChangeList, ApiError> {
    let catalog = app.catalog();
    let page = catalog.list_abandoned(&repo.org, &repo.id, page).await?;
    let mut changes = Vec::with_capacity(page.items.len());
    for row in page.items {
        if let Some(change) = catalog.change(&repo.org, &repo.id, &row.change).await? {
            changes.push(shown(app, &change).await?);
        }
    }
    Ok(ChangeList {
        has_more: page.next.is_some(),
        next_cursor: page.next,
        changes,
    })
}
