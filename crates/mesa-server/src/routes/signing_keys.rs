//! `/v1/{org}/signing-keys`.

use axum::{Json, extract::State};
use http::StatusCode;
use mesa_api::{SigningKey, SigningKeyCreate, SigningKeyList, Success};
use mesa_repo::{
    Scope,
    catalog::{KeyFilter, ListedKey, NewKey},
    records::api_key::PublicKey,
};
use mesa_types::{KeyId, Nanos, RepoId};
use serde::Deserialize;

use super::{
    api_keys::{repo_ids, scopes, status_of},
    whoami::scopes_of,
};
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
pub struct Filter {
    status: Option<mesa_api::KeyStatus>,
}

/// Lists the signing keys the caller may manage.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    UrlPath(org): UrlPath<String>,
    UrlQuery(wanted): UrlQuery<Filter>,
    Paging(page): Paging,
) -> Result<Json<SigningKeyList>, ApiError> {
    caller.org(&org, Scope::Admin)?;
    let filter = KeyFilter {
        status: status_of(wanted.status),
        signing: true,
        ..KeyFilter::default()
    };
    let page = app
        .catalog()
        .list_keys(&caller.principal, &filter, &page)
        .await?;
    Ok(Json(SigningKeyList {
        has_more: page.next.is_some(),
        next_cursor: page.next,
        signing_keys: page.items.into_iter().map(shown).collect(),
    }))
}

fn shown(listed: ListedKey) -> SigningKey {
    let key = listed.key;
    SigningKey {
        id: key.id.to_string(),
        name: key.name,
        public_key: key.public_key.map_or_else(String::new, |k| k.text()),
        scopes: scopes_of(&key.scopes),
        repo_ids: key.repos.map(|r| r.iter().map(RepoId::to_string).collect()),
        tags: key.tags,
        last_used_at: listed.last_used.map(Nanos::into),
        expires_at: key.expires.map(Nanos::into),
        revoked_at: key.revoked.map(Nanos::into),
        created_at: key.created.into(),
    }
}

/// Registers a public key that never exceeds the caller.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    UrlPath(org): UrlPath<String>,
    body: JsonBody<SigningKeyCreate>,
) -> Result<(StatusCode, Json<SigningKey>), ApiError> {
    caller.org(&org, Scope::Admin)?;
    let wanted = body.value;
    let public = PublicKey::from_text(&wanted.public_key).ok_or_else(|| {
        ApiError::bad_request("public_key is not an Ed25519 public key in base64url")
            .narrowed("INVALID_PUBLIC_KEY")
    })?;
    let new = NewKey {
        name: wanted.name,
        scopes: wanted.scopes.map(scopes),
        repos: repo_ids(wanted.repo_ids)?,
        expires_in_secs: wanted.expires_in_seconds,
        tags: wanted.tags.unwrap_or_default(),
    };
    let key = app
        .catalog()
        .create_signing_key(&caller.principal, new, public, &caller.actor)
        .await?;
    let made = ListedKey {
        key,
        last_used: None,
    };
    Ok((StatusCode::CREATED, Json(shown(made))))
}

/// Revokes a signing key, and with it every token it signed.
pub async fn revoke(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, id)): UrlPath<(String, String)>,
) -> Result<Json<Success>, ApiError> {
    caller.org(&org, Scope::Admin)?;
    let missing = || ApiError::not_found("signing key").narrowed("SIGNING_KEY_NOT_FOUND");
    let id = id.parse::<KeyId>().map_err(|_| missing())?;
    let key = app.catalog().key(&caller.principal, &id).await;
    if !key.is_ok_and(|key| key.public_key.is_some()) {
        return Err(missing());
    }
    app.catalog()
        .revoke_key(&caller.principal, &id, &caller.actor)
        .await?;
    Ok(Json(Success::YES))
}
