//! `/v1/{org}/api-keys`.

use axum::{Json, extract::State};
use http::StatusCode;
use mesa_api::{
    ApiKey, ApiKeyCreate, ApiKeyCreated, ApiKeyList, ApiKeyTagUpdate, ApiKeyTags, Success,
};
use mesa_repo::{
    Scope,
    catalog::{KeyFilter, KeyStatus, ListedKey, NewKey, NewKeySecret},
};
use mesa_types::{KeyId, Nanos, RepoId};
use serde::Deserialize;

use super::whoami::scopes_of;
use crate::{
    edge::{
        Caller,
        extract::{JsonBody, Paging, UrlPath, UrlQuery},
    },
    error::ApiError,
    state::App,
};

/// The filters of the list.
#[derive(Debug, Deserialize)]
pub struct Filter {
    query: Option<String>,
    status: Option<mesa_api::KeyStatus>,
    scope: Option<mesa_api::Scope>,
    repo_id: Option<String>,
}

/// Scopes of a body.
pub(super) fn scopes(wanted: Vec<mesa_api::Scope>) -> Vec<Scope> {
    wanted.into_iter().map(scope_of).collect()
}

fn scope_of(scope: mesa_api::Scope) -> Scope {
    match scope {
        mesa_api::Scope::Read => Scope::Read,
        mesa_api::Scope::Write => Scope::Write,
        mesa_api::Scope::Admin => Scope::Admin,
    }
}

/// The status a list is narrowed to, if any.
pub(super) fn status_of(wanted: Option<mesa_api::KeyStatus>) -> Option<KeyStatus> {
    match wanted.unwrap_or_default() {
        mesa_api::KeyStatus::Active => Some(KeyStatus::Active),
        mesa_api::KeyStatus::Revoked => Some(KeyStatus::Revoked),
        mesa_api::KeyStatus::Expired => Some(KeyStatus::Expired),
        mesa_api::KeyStatus::All => None,
    }
}

fn no_key() -> ApiError {
    ApiError::not_found("API key").narrowed("API_KEY_NOT_FOUND")
}

/// Lists the keys the caller may manage.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    UrlPath(org): UrlPath<String>,
    UrlQuery(wanted): UrlQuery<Filter>,
    Paging(page): Paging,
) -> Result<Json<ApiKeyList>, ApiError> {
    caller.org(&org, Scope::Admin)?;
    let repo = match wanted.repo_id.as_deref() {
        None | Some("") => None,
        Some(text) => Some(text.parse().map_err(|_| {
            ApiError::bad_request("repo_id is not a repo id").narrowed("INVALID_REPO_IDS")
        })?),
    };
    let filter = KeyFilter {
        query: wanted.query.filter(|q| !q.is_empty()),
        status: status_of(wanted.status),
        scope: wanted.scope.map(scope_of),
        repo,
        signing: false,
    };
    let page = app
        .catalog()
        .list_keys(&caller.principal, &filter, &page)
        .await?;
    Ok(Json(ApiKeyList {
        has_more: page.next.is_some(),
        next_cursor: page.next,
        api_keys: page.items.into_iter().map(listed).collect(),
    }))
}

fn listed(listed: ListedKey) -> ApiKey {
    let key = listed.key;
    ApiKey {
        id: key.id.to_string(),
        name: key.name,
        scopes: scopes_of(&key.scopes),
        repo_ids: key.repos.map(|r| r.iter().map(RepoId::to_string).collect()),
        metadata: None,
        tags: key.tags,
        last_used_at: listed.last_used.map(Nanos::into),
        expires_at: key.expires.map(Nanos::into),
        revoked_at: key.revoked.map(Nanos::into),
        created_at: key.created.into(),
    }
}

/// Creates a key that never exceeds the caller.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    UrlPath(org): UrlPath<String>,
    body: JsonBody<ApiKeyCreate>,
) -> Result<(StatusCode, Json<ApiKeyCreated>), ApiError> {
    caller.org(&org, Scope::Admin)?;
    let wanted = body.value;
    let new = NewKey {
        name: wanted.name,
        scopes: wanted.scopes.map(scopes),
        repos: repo_ids(wanted.repo_ids)?,
        expires_in_secs: wanted.expires_in_seconds,
        tags: wanted.tags.unwrap_or_default(),
    };
    let made = app
        .catalog()
        .create_key(&caller.principal, new, &caller.actor)
        .await?;
    Ok((StatusCode::CREATED, Json(created(&made))))
}

/// Repo ids of a body. What cannot be one is as wrong as one that does not exist.
pub(super) fn repo_ids(ids: Option<Vec<String>>) -> Result<Option<Vec<RepoId>>, ApiError> {
    let parse = |id: String| {
        id.parse::<RepoId>().map_err(|_| {
            let shown: String = id.chars().take(80).collect();
            ApiError::bad_request(format!("there is no repo '{}'", shown.escape_debug()))
                .narrowed("INVALID_REPO_IDS")
        })
    };
    ids.map(|ids| ids.into_iter().map(parse).collect())
        .transpose()
}

/// A new key on the wire, with its secret.
pub(super) fn created(made: &NewKeySecret) -> ApiKeyCreated {
    let key = &made.key;
    ApiKeyCreated {
        id: key.id.to_string(),
        key: made.secret.expose().to_owned(),
        name: key.name.clone(),
        scopes: scopes_of(&key.scopes),
        repo_ids: key
            .repos
            .as_ref()
            .map(|r| r.iter().map(RepoId::to_string).collect()),
        tags: key.tags.clone(),
        created_at: key.created.into(),
        expires_at: key.expires.map(Nanos::into),
    }
}

/// Checks that the id is of an API key, and not of a signing key.
async fn api_key(app: &App, caller: &Caller, id: &KeyId) -> Result<(), ApiError> {
    let key = app.catalog().key(&caller.principal, id).await?;
    if key.public_key.is_some() {
        return Err(no_key());
    }
    Ok(())
}

/// Revokes a key, and with it every token it signed.
pub async fn revoke(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, id)): UrlPath<(String, String)>,
) -> Result<Json<Success>, ApiError> {
    caller.org(&org, Scope::Admin)?;
    let id = id.parse::<KeyId>().map_err(|_| no_key())?;
    api_key(&app, &caller, &id).await?;
    app.catalog()
        .revoke_key(&caller.principal, &id, &caller.actor)
        .await?;
    Ok(Json(Success::YES))
}

/// Sets and removes labels of a key.
pub async fn update(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, id)): UrlPath<(String, String)>,
    body: JsonBody<ApiKeyTagUpdate>,
) -> Result<Json<ApiKeyTags>, ApiError> {
    caller.org(&org, Scope::Admin)?;
    let id = id.parse::<KeyId>().map_err(|_| no_key())?;
    api_key(&app, &caller, &id).await?;
    let tags = app
        .catalog()
        .update_key_tags(&caller.principal, &id, &body.value.tags, &caller.actor)
        .await?;
    Ok(Json(ApiKeyTags { tags }))
}
