//! `/v1/{org}/{repo}/bookmarks`.

use axum::{Json, extract::State};
use http::StatusCode;
use mesa_api::{Bookmark, BookmarkCreate, BookmarkList, BookmarkMove, BookmarkMoved, Success};
use mesa_repo::Scope;
use mesa_types::{BookmarkName, ChangeId};
use serde::Deserialize;

use super::repos::bookmark_name;
use crate::{
    edge::{
        Caller,
        extract::{JsonBody, Paging, UrlPath, UrlQuery},
    },
    error::ApiError,
    state::App,
};

/// The filter of the list.
#[derive(Debug, Deserialize)]
pub struct Query {
    pub(crate) glob: Option<String>,
}

fn shown(bookmark: &mesa_repo::Bookmark, default: &BookmarkName) -> Bookmark {
    Bookmark {
        name: bookmark.name.to_string(),
        change_id: bookmark.change.to_string(),
        is_default: bookmark.name == *default,
    }
}

/// Lists bookmarks by name.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo)): UrlPath<(String, String)>,
    UrlQuery(query): UrlQuery<Query>,
    Paging(page): Paging,
) -> Result<Json<BookmarkList>, ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Read).await?;
    let glob = query.glob.filter(|glob| !glob.is_empty());
    let page = app
        .catalog()
        .list_bookmarks(&repo.org, &repo.id, glob.as_deref(), &page)
        .await?;
    let default = &repo.default_bookmark;
    Ok(Json(BookmarkList {
        has_more: page.next.is_some(),
        next_cursor: page.next,
        bookmarks: page.items.iter().map(|b| shown(b, default)).collect(),
    }))
}

/// Reads a bookmark.
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo, name)): UrlPath<(String, String, String)>,
) -> Result<Json<Bookmark>, ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Read).await?;
    let missing = || ApiError::not_found("bookmark").narrowed("BOOKMARK_NOT_FOUND");
    let name = name.parse::<BookmarkName>().map_err(|_| missing())?;
    let bookmark = app
        .catalog()
        .bookmark(&repo.org, &repo.id, &name)
        .await?
        .ok_or_else(missing)?;
    Ok(Json(shown(&bookmark, &repo.default_bookmark)))
}

/// Creates a bookmark.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo)): UrlPath<(String, String)>,
    body: JsonBody<BookmarkCreate>,
) -> Result<(StatusCode, Json<Bookmark>), ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Write).await?;
    let name = bookmark_name(&body.value.name)?;
    let catalog = app.catalog();
    let change = catalog
        .resolve_change(&repo.org, &repo.id, &body.value.change_id)
        .await?;
    let made = catalog
        .create_bookmark(&repo.org, &repo.id, &name, change, &caller.actor)
        .await?;
    Ok((
        StatusCode::CREATED,
        Json(shown(&made, &repo.default_bookmark)),
    ))
}

/// Points a bookmark at another change; who follows it goes on there.
pub async fn shift(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo, name)): UrlPath<(String, String, String)>,
    body: JsonBody<BookmarkMove>,
) -> Result<Json<BookmarkMoved>, ApiError> {
    moved(&app, &caller, (&org, &repo), &name, &body.value, None)
        .await
        .map(Json)
}

/// Moves a bookmark, if it names the change that the caller saw.
pub(crate) async fn moved(
    app: &App,
    caller: &Caller,
    place: (&str, &str),
    name: &str,
    wanted: &BookmarkMove,
    seen: Option<ChangeId>,
) -> Result<BookmarkMoved, ApiError> {
    let repo = caller.repo(app, place, Scope::Write).await?;
    let name = existing(name)?;
    let to = app
        .catalog()
        .resolve_change(&repo.org, &repo.id, &wanted.change_id)
        .await?;
    let backwards = wanted.allow_backwards;
    let from = app
        .heads()
        .move_bookmark_from(&caller.actor, &repo, &name, seen, to, backwards)
        .await?;
    Ok(BookmarkMoved {
        bookmark: Bookmark {
            is_default: name == repo.default_bookmark,
            name: name.to_string(),
            change_id: to.to_string(),
        },
        from_change_id: Some(from.to_string()),
    })
}

/// Deletes a bookmark that is not the default one. What it named stays.
pub async fn delete(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo, name)): UrlPath<(String, String, String)>,
) -> Result<Json<Success>, ApiError> {
    deleted(&app, &caller, (&org, &repo), &name, None).await?;
    Ok(Json(Success::YES))
}

/// Deletes a bookmark, if it names the change that the caller saw.
pub(crate) async fn deleted(
    app: &App,
    caller: &Caller,
    place: (&str, &str),
    name: &str,
    seen: Option<ChangeId>,
) -> Result<(), ApiError> {
    let repo = caller.repo(app, place, Scope::Write).await?;
    let name = existing(name)?;
    app.catalog()
        .delete_bookmark_at(&repo.org, &repo.id, &name, seen, &caller.actor)
        .await?;
    Ok(())
}

/// A name in a path: one that cannot be does not exist.
pub(super) fn existing(name: &str) -> Result<BookmarkName, ApiError> {
    name.parse()
        .map_err(|_| ApiError::not_found("bookmark").narrowed("BOOKMARK_NOT_FOUND"))
}
