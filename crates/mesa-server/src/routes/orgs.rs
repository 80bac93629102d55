//! `GET /v1/{org}` and `POST /v1/admin/orgs`.

use axum::{Json, extract::State};
use http::StatusCode;
use mesa_api::{OrgCreate, OrgCreated, OrgList, OrgSummary};
use mesa_repo::{Repo, Scope, catalog::NewOrg};
use mesa_types::OrgSlug;

use super::{api_keys, whoami::org_of};
use crate::{
    edge::{
        Caller,
        extract::{JsonBody, Paging, UrlPath},
    },
    error::ApiError,
    state::App,
};

/// The caller's org.
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    UrlPath(slug): UrlPath<String>,
) -> Result<Json<OrgSummary>, ApiError> {
    caller.org(&slug, Scope::Read)?;
    let principal = &caller.principal;
    let org = app
        .catalog()
        .org(&principal.org)
        .await?
        .ok_or_else(|| ApiError::internal("a key without its org"))?;
    let num_repos = match &principal.repos {
        None => app.catalog().count_repos(&org.id).await?,
        Some(ids) => {
            let keys: Vec<_> = ids.iter().map(|id| Repo::key_of(&org.id, id)).collect();
            let rows = app.catalog().read_many::<Repo>(&keys).await?;
            let living = rows.into_iter().flatten().filter(|r| r.deleted.is_none());
            living.count() as u64
        }
    };
    Ok(Json(OrgSummary {
        created_at: org.created.into(),
        num_repos,
        id: org.id.to_string(),
        slug: org.slug.to_string(),
        name: org.name,
    }))
}

/// Only the operator's key manages orgs.
fn operator(caller: &Caller) -> Result<(), ApiError> {
    caller.principal.require(Scope::Admin)?;
    if caller.principal.operator {
        return Ok(());
    }
    Err(ApiError::new(
        mesa_api::ErrorCode::Forbidden,
        "only the operator's key manages orgs",
    ))
}

/// Lists the orgs of the server. Only the operator's key may.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Paging(page): Paging,
) -> Result<Json<OrgList>, ApiError> {
    operator(&caller)?;
    let page = app.catalog().list_orgs(&page).await?;
    Ok(Json(OrgList {
        has_more: page.next.is_some(),
        next_cursor: page.next,
        orgs: page.items.iter().map(org_of).collect(),
    }))
}

/// Makes an org with its first admin key. Only the operator's key may.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    body: JsonBody<OrgCreate>,
) -> Result<(StatusCode, Json<OrgCreated>), ApiError> {
    operator(&caller)?;
    let slug = body.value.slug.parse::<OrgSlug>().map_err(|e| {
        ApiError::bad_request(format!("the org's slug {e}")).narrowed("INVALID_ORG_SLUG")
    })?;
    let new = NewOrg {
        slug,
        name: body.value.name,
    };
    let (org, made) = app
        .catalog()
        .create_org_with_key(new, &caller.actor)
        .await?;
    let answer = OrgCreated {
        org: org_of(&org),
        created_at: org.created.into(),
        admin_key: api_keys::created(&made),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}
