//! `/v1/{org}/repos` and `/v1/{org}/{repo}`.

use axum::{Json, extract::State};
use http::StatusCode;
use mesa_api::{Repo, RepoCreate, RepoList, RepoUpdate, Success, Upstream};
use mesa_repo::{
    Bookmark, Scope,
    catalog::{NewRepo, RepoUpdate as CatalogUpdate},
    tags::TagFilter,
};
use mesa_types::{BookmarkName, ChangeId, OrgSlug, RepoName};
use serde::Deserialize;

use super::upstream_syncs::{upstream_of, upstreams};
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
    pub(crate) tags: Option<String>,
}

pub(super) fn bookmark_name(text: &str) -> Result<BookmarkName, ApiError> {
    text.parse::<BookmarkName>().map_err(|e| {
        ApiError::bad_request(format!("the bookmark's name {e}")).narrowed("INVALID_BOOKMARK_NAME")
    })
}

fn repo_name(text: &str) -> Result<RepoName, ApiError> {
    text.parse::<RepoName>().map_err(|e| {
        ApiError::bad_request(format!("the repo's name {e}")).narrowed("INVALID_REPO_NAME")
    })
}

/// Lists the repos the caller sees.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    UrlPath(org): UrlPath<String>,
    UrlQuery(query): UrlQuery<Query>,
    Paging(page): Paging,
) -> Result<Json<RepoList>, ApiError> {
    caller.org(&org, Scope::Read)?;
    let filter = query
        .tags
        .filter(|text| !text.is_empty())
        .map(|text| TagFilter::parse(&text))
        .transpose()?;
    let principal = &caller.principal;
    let page = app
        .catalog()
        .list_repos(principal, filter.as_ref(), &page)
        .await?;
    let slug = &principal.org_slug;
    Ok(Json(RepoList {
        has_more: page.next.is_some(),
        next_cursor: page.next,
        repos: with_heads(&app, slug, &page.items).await?,
    }))
}

/// Repos on the wire, with the changes their default bookmarks point at.
async fn with_heads(
    app: &App,
    slug: &OrgSlug,
    repos: &[mesa_repo::Repo],
) -> Result<Vec<Repo>, ApiError> {
    let key = |r: &mesa_repo::Repo| Bookmark::key_of(&r.org, &r.id, &r.default_bookmark);
    let keys: Vec<_> = repos.iter().map(key).collect();
    let bookmarks = app.catalog().read_many::<Bookmark>(&keys).await?;
    let ids: Vec<_> = repos.iter().map(|r| &r.id).collect();
    let upstreams = match repos.first() {
        Some(first) => upstreams(app, &first.org, &ids).await?,
        None => Vec::new(),
    };
    type Found<'a> = (
        (&'a mesa_repo::Repo, Option<mesa_repo::Versioned<Bookmark>>),
        Option<Upstream>,
    );
    let one = |((repo, bookmark), upstream): Found<'_>| {
        let head = bookmark.map_or(ChangeId::ROOT, |b| b.change);
        Repo {
            id: repo.id.to_string(),
            org: slug.to_string(),
            name: repo.name.to_string(),
            default_bookmark: repo.default_bookmark.to_string(),
            head_change_id: head.to_string(),
            upstream,
            created_at: repo.created.into(),
            tags: repo.tags.clone(),
        }
    };
    let found = repos.iter().zip(bookmarks).zip(upstreams);
    Ok(found.map(one).collect())
}

async fn with_head(app: &App, slug: &OrgSlug, repo: mesa_repo::Repo) -> Result<Repo, ApiError> {
    let mut repos = with_heads(app, slug, &[repo]).await?;
    repos
        .pop()
        .ok_or_else(|| ApiError::internal("a listing of one repo is empty"))
}

/// Creates a repo. A caller restricted to some repos may not.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    UrlPath(org): UrlPath<String>,
    body: JsonBody<RepoCreate>,
) -> Result<(StatusCode, Json<Repo>), ApiError> {
    caller.org(&org, Scope::Write)?;
    caller.principal.require_whole_org()?;
    let wanted = body.value;
    let upstream = wanted.upstream.map(upstream_of).transpose()?;
    let new = NewRepo {
        name: wanted.name.as_deref().map(repo_name).transpose()?,
        default_bookmark: wanted
            .default_bookmark
            .as_deref()
            .map(bookmark_name)
            .transpose()?,
        tags: wanted.tags.unwrap_or_default(),
    };
    let principal = &caller.principal;
    let repo = app
        .catalog()
        .create_repo(&principal.org, new, &caller.actor)
        .await?;
    if upstream.is_some() {
        app.catalog()
            .set_upstream(&principal.org, &repo.id, upstream, &caller.actor)
            .await?;
    }
    let repo = with_head(&app, &principal.org_slug, repo).await?;
    Ok((StatusCode::CREATED, Json(repo)))
}

/// Reads a repo.
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo)): UrlPath<(String, String)>,
) -> Result<Json<Repo>, ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Read).await?;
    let repo = with_head(&app, &caller.principal.org_slug, repo.record).await?;
    Ok(Json(repo))
}

/// Changes a repo's name, default bookmark or labels.
pub async fn update(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo)): UrlPath<(String, String)>,
    body: JsonBody<RepoUpdate>,
) -> Result<Json<Repo>, ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Write).await?;
    let wanted = body.value;
    let upstream = wanted
        .upstream
        .map(|upstream| upstream.map(upstream_of).transpose())
        .transpose()?;
    let update = CatalogUpdate {
        name: wanted.name.as_deref().map(repo_name).transpose()?,
        default_bookmark: wanted
            .default_bookmark
            .as_deref()
            .map(bookmark_name)
            .transpose()?,
        tags: wanted.tags.unwrap_or_default(),
    };
    let repo = app
        .catalog()
        .update_repo(&repo.org, &repo.id, &update, &caller.actor)
        .await?;
    if let Some(upstream) = upstream {
        app.catalog()
            .set_upstream(&repo.org, &repo.id, upstream, &caller.actor)
            .await?;
    }
    let repo = with_head(&app, &caller.principal.org_slug, repo).await?;
    Ok(Json(repo))
}

/// Deletes a repo; its name is free at once.
pub async fn delete(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo)): UrlPath<(String, String)>,
) -> Result<Json<Success>, ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Write).await?;
    app.catalog()
        .delete_repo(&repo.org, &repo.id, &caller.actor)
        .await?;
    app.heads().drop_repo(&repo.id).await;
    Ok(Json(Success::YES))
}
