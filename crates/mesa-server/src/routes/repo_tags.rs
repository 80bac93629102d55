//! `PATCH /v1/{org}/repos/tags`.

use axum::{Json, extract::State};
use mesa_api::{BulkTagAction, BulkTags, BulkTagsResult};
use mesa_repo::Scope;
use mesa_types::RepoId;

use crate::{
    edge::{
        Caller,
        extract::{JsonBody, UrlPath},
    },
    error::ApiError,
    state::App,
};

/// Sets or removes one label on several repos: on all of them or, if one is unknown, on none.
pub async fn update(
    State(app): State<App>,
    caller: Caller,
    UrlPath(org): UrlPath<String>,
    body: JsonBody<BulkTags>,
) -> Result<Json<BulkTagsResult>, ApiError> {
    caller.org(&org, Scope::Write)?;
    let wanted = body.value;
    let ids = wanted
        .repo_ids
        .iter()
        .map(|id| id.parse::<RepoId>())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| ApiError::not_found("repo").narrowed("REPO_NOT_FOUND"))?;
    let value = match wanted.action {
        BulkTagAction::Set => Some(
            wanted
                .value
                .as_deref()
                .ok_or_else(|| ApiError::bad_request("the action `set` needs a value"))?,
        ),
        BulkTagAction::Remove => None,
    };
    let updated = app
        .catalog()
        .bulk_tag(&caller.principal, &ids, &wanted.key, value, &caller.actor)
        .await?;
    let updated = updated as u64;
    Ok(Json(BulkTagsResult { updated }))
}
