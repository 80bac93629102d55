//! `GET /v1/{org}/audit`.

use axum::{Json, extract::State};
use mesa_api::{AuditList, AuditRecord};
use mesa_repo::{Audit, Scope};

use crate::{
    edge::{
        Caller,
        extract::{Paging, UrlPath},
    },
    error::ApiError,
    state::App,
};

/// What changed the org's state, newest first.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    UrlPath(org): UrlPath<String>,
    Paging(page): Paging,
) -> Result<Json<AuditList>, ApiError> {
    caller.org(&org, Scope::Admin)?;
    // The log tells of every repo.
    caller.principal.require_whole_org()?;
    let page = app
        .catalog()
        .newest_audit(Some(&caller.principal.org), &page)
        .await?;
    Ok(Json(AuditList {
        has_more: page.next.is_some(),
        next_cursor: page.next,
        records: page.items.into_iter().map(shown).collect(),
    }))
}

fn shown(record: Audit) -> AuditRecord {
    AuditRecord {
        id: record.id,
        at: record.at.into(),
        key_id: record.key.map(|key| key.to_string()),
        source: record.source,
        request_id: record.request,
        action: record.action,
        target: record.target,
        detail: record.detail,
    }
}
