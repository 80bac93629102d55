//! `GET /v1/whoami`.

use axum::{Json, extract::State};
use mesa_api::{Org, Scope, Whoami};
use mesa_types::Nanos;

use crate::{edge::Caller, error::ApiError, state::App};

/// The identity behind the credential; needs no scope.
pub async fn whoami(State(app): State<App>, caller: Caller) -> Result<Json<Whoami>, ApiError> {
    let principal = caller.principal;
    let org = app
        .catalog()
        .org(&principal.org)
        .await?
        .ok_or_else(|| ApiError::internal("a key without its org"))?;
    Ok(Json(Whoami {
        org: org_of(&org),
        key_id: Some(principal.key.to_string()),
        key_name: principal.key_name,
        scopes: scopes_of(&principal.scopes),
        repo_ids: principal
            .repos
            .map(|ids| ids.iter().map(ToString::to_string).collect()),
        expires_at: principal.expires.map(Nanos::into),
    }))
}

/// An org on the wire.
pub(super) fn org_of(org: &mesa_repo::Org) -> Org {
    Org {
        id: org.id.to_string(),
        slug: org.slug.to_string(),
        name: org.name.clone(),
    }
}

/// Scopes on the wire.
pub(super) fn scopes_of(scopes: &mesa_repo::Scopes) -> Vec<Scope> {
    scopes
        .iter()
        .map(|scope| match scope {
            mesa_repo::Scope::Read => Scope::Read,
            mesa_repo::Scope::Write => Scope::Write,
            mesa_repo::Scope::Admin => Scope::Admin,
        })
        .collect()
}
