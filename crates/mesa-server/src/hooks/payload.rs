//! What a delivery says.

use mesa_api::Timestamp;
use mesa_repo::{
    Repo,
    catalog::event_id,
    records::webhook::{HookEvent, HookEventKind},
};
use mesa_types::{BookmarkName, ChangeId};
use serde_json::{Value, json};

use crate::{
    error::ApiError,
    routes::{changes, upstream_syncs},
    state::App,
};

/// The body of an event's deliveries.
pub async fn body(app: &App, event: &HookEvent) -> Result<String, ApiError> {
    let catalog = app.catalog();
    let org = catalog
        .org(&event.org)
        .await?
        .ok_or_else(|| ApiError::not_found("org"))?;
    let repo = catalog
        .repo(&event.org, &event.repo)
        .await?
        .ok_or_else(|| ApiError::not_found("repo"))?
        .record;
    let name = event.what.name();
    let body = json!({
        "id": event_id(event),
        "type": name,
        "occurred_at": Timestamp(event.at),
        "organization": {"id": org.id, "slug": org.slug, "name": org.name},
        "repository": {
            "id": repo.id,
            "name": repo.name,
            "url": format!("{}/{}/{}", app.public_url(), org.slug, repo.name),
        },
        "data": data(app, &repo, &event.what).await?,
    });
    Ok(body.to_string())
}

async fn data(app: &App, repo: &Repo, what: &HookEventKind) -> Result<Value, ApiError> {
    Ok(match what {
        HookEventKind::RepoCreated | HookEventKind::RepoDeleted => {
            json!({"repo": repo_data(app, repo).await?})
        }
        HookEventKind::RepoUpdated { before, after } => {
            let mut shown = repo_data(app, repo).await?;
            // As it was when it happened, not as it is when this is told.
            shown["name"] = json!(after.name);
            shown["default_bookmark"] = json!(after.default_bookmark);
            shown["tags"] = json!(after.tags);
            json!({"repo": shown, "before": before, "after": after})
        }
        HookEventKind::BookmarkCreated { name, change }
        | HookEventKind::BookmarkDeleted { name, change }
        | HookEventKind::BookmarkMerged { name, change } => {
            json!({"bookmark": bookmark_data(app, repo, name, change).await?})
        }
        HookEventKind::BookmarkMoved { name, from, to } => json!({
            "bookmark": bookmark_data(app, repo, name, to).await?,
            "from": {"change_id": from, "commit_oid": commit_of(app, repo, from).await?},
        }),
        HookEventKind::ChangeCreated { change } => {
            json!({"change": change_data(app, repo, change).await?})
        }
        HookEventKind::ChangeEvolved { change, from, to } => {
            let mut shown = change_data(app, repo, change).await?;
            shown["current_commit_oid"] = json!(to);
            json!({"change": shown, "previous_current_commit_oid": from})
        }
        HookEventKind::SyncChanged { sync } => json!({"sync": upstream_syncs::shown(sync)}),
        _ => return Err(ApiError::internal("an event of a newer server")),
    })
}

async fn repo_data(app: &App, repo: &Repo) -> Result<Value, ApiError> {
    let default = app
        .catalog()
        .bookmark(&repo.org, &repo.id, &repo.default_bookmark)
        .await?;
    Ok(json!({
        "id": repo.id,
        "name": repo.name,
        "default_bookmark": repo.default_bookmark,
        "head_change_id": default.map_or(ChangeId::ROOT, |b| b.change),
        "created_at": Timestamp(repo.created),
        "tags": repo.tags,
    }))
}

async fn bookmark_data(
    app: &App,
    repo: &Repo,
    name: &BookmarkName,
    change: &ChangeId,
) -> Result<Value, ApiError> {
    Ok(json!({
        "name": name,
        "is_default": *name == repo.default_bookmark,
        "change_id": change,
        "commit_oid": commit_of(app, repo, change).await?,
    }))
}

async fn commit_of(app: &App, repo: &Repo, change: &ChangeId) -> Result<Value, ApiError> {
    Ok(change_data(app, repo, change).await?["current_commit_oid"].take())
}

async fn change_data(app: &App, repo: &Repo, change: &ChangeId) -> Result<Value, ApiError> {
    let shown = if change.is_root() {
        changes::virtual_root()
    } else {
        let missing = || ApiError::not_found("change");
        let read = app.catalog().change(&repo.org, &repo.id, change).await?;
        changes::shown(app, &*read.ok_or_else(missing)?).await?
    };
    serde_json::to_value(shown).map_err(ApiError::internal)
}
