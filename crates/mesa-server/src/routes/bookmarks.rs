//! `/v1/{org}/{repo}/bookmarks`.

use axum::{Json, extract::State};
use mesa_api::{Bookmark, BookmarkList};
use mesa_repo::Scope;
use mesa_types::BookmarkName;
use serde::Deserialize;

use crate::{
    edge::{
        Caller,
        extract::{Paging, UrlPath, UrlQuery},
    },
    error::ApiError,
    state::App,
};

/// The filter of the list.
#[derive(Debug, Deserialize)]
pub struct Query {
    glob: Option<String>,
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
