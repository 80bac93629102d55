//! `/v1/{org}/webhook-targets` and the deliveries of a target.

use axum::{Json, extract::State};
use http::StatusCode;
use mesa_api::{
    Delivery, DeliveryAttempt, DeliveryList, DeliveryState, Success, WebhookTarget,
    WebhookTargetCreate, WebhookTargetCreated, WebhookTargetList, WebhookTargetUpdate,
};
use mesa_repo::{
    Scope, Versioned,
    catalog::{NewWebhook, WebhookUpdate},
    records::webhook as records,
};
use mesa_types::{DeliveryId, Nanos, RepoId, WebhookId};
use reqwest::Url;

use super::api_keys::repo_ids;
use crate::{
    edge::{
        Caller,
        extract::{JsonBody, Paging, UrlPath},
    },
    error::ApiError,
    hooks::address,
    state::App,
};

fn missing() -> ApiError {
    ApiError::not_found("webhook target").narrowed("WEBHOOK_TARGET_NOT_FOUND")
}

fn shown(target: &mesa_repo::WebhookTarget) -> WebhookTarget {
    WebhookTarget {
        id: target.id.to_string(),
        name: target.name.clone(),
        url: target.url.clone(),
        events: target.events.iter().copied().collect(),
        repo_ids: target
            .repos
            .as_ref()
            .map(|r| r.iter().map(RepoId::to_string).collect()),
        created_at: target.created.into(),
        updated_at: target.updated.into(),
    }
}

/// Checks a target's URL. A name may lead anywhere; that is looked at when it is used.
fn checked_url(app: &App, text: &str) -> Result<(), ApiError> {
    let wrong = |message: &str| ApiError::bad_request(message).narrowed("INVALID_WEBHOOK_URL");
    let url: Url = text
        .parse()
        .map_err(|_| wrong("the URL of a webhook target must be an absolute one"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("the URL of a webhook target must be http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "the URL of a webhook target must not hold a user name or password",
        ));
    }
    address::check_literal(&url, app.webhooks_allow_private())
        .map_err(|_| wrong("this server sends webhooks to public addresses only"))
}

async fn target(
    app: &App,
    caller: &Caller,
    (org, id): (&str, &str),
) -> Result<Versioned<mesa_repo::WebhookTarget>, ApiError> {
    caller.org(org, Scope::Admin)?;
    let id = id.parse::<WebhookId>().map_err(|_| missing())?;
    Ok(app.catalog().webhook(&caller.principal, &id).await?)
}

/// Lists the targets the caller may manage.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    UrlPath(org): UrlPath<String>,
    Paging(page): Paging,
) -> Result<Json<WebhookTargetList>, ApiError> {
    caller.org(&org, Scope::Admin)?;
    let page = app
        .catalog()
        .list_webhooks(&caller.principal, &page)
        .await?;
    Ok(Json(WebhookTargetList {
        has_more: page.next.is_some(),
        next_cursor: page.next,
        webhook_targets: page.items.iter().map(shown).collect(),
    }))
}

/// Creates a target; its secret is in this answer only.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    UrlPath(org): UrlPath<String>,
    body: JsonBody<WebhookTargetCreate>,
) -> Result<(StatusCode, Json<WebhookTargetCreated>), ApiError> {
    caller.org(&org, Scope::Admin)?;
    let wanted = body.value;
    checked_url(&app, &wanted.url)?;
    let new = NewWebhook {
        url: wanted.url,
        name: wanted.name,
        events: wanted.events.map(|events| events.into_iter().collect()),
        repos: repo_ids(wanted.repo_ids)?,
    };
    let (target, secret) = app
        .catalog()
        .create_webhook(&caller.principal, new, &caller.actor)
        .await?;
    let made = WebhookTargetCreated {
        target: shown(&target),
        secret,
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Reads a target.
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, id)): UrlPath<(String, String)>,
) -> Result<Json<WebhookTarget>, ApiError> {
    Ok(Json(shown(&*target(&app, &caller, (&org, &id)).await?)))
}

/// Changes a target.
pub async fn update(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, id)): UrlPath<(String, String)>,
    body: JsonBody<WebhookTargetUpdate>,
) -> Result<Json<WebhookTarget>, ApiError> {
    let target = target(&app, &caller, (&org, &id)).await?;
    let wanted = body.value;
    if let Some(url) = &wanted.url {
        checked_url(&app, url)?;
    }
    let update = WebhookUpdate {
        name: wanted.name,
        url: wanted.url,
        events: wanted.events.map(|events| events.into_iter().collect()),
        repos: match wanted.repo_ids {
            None => None,
            Some(ids) => Some(repo_ids(ids)?),
        },
    };
    let changed = app
        .catalog()
        .update_webhook(&caller.principal, &target.id, &update, &caller.actor)
        .await?;
    Ok(Json(shown(&changed)))
}

/// Deletes a target with its deliveries.
pub async fn delete(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, id)): UrlPath<(String, String)>,
) -> Result<Json<Success>, ApiError> {
    let target = target(&app, &caller, (&org, &id)).await?;
    app.catalog()
        .delete_webhook(&caller.principal, &target.id, &caller.actor)
        .await?;
    Ok(Json(Success::YES))
}

fn delivery(delivery: &records::Delivery) -> Delivery {
    let pending = delivery.state == records::DeliveryState::Pending;
    Delivery {
        id: delivery.id.to_string(),
        event_id: delivery.event_id.clone(),
        event: delivery.event,
        repo_id: delivery.repo.to_string(),
        state: match delivery.state {
            records::DeliveryState::Pending => DeliveryState::Pending,
            records::DeliveryState::Delivered => DeliveryState::Delivered,
            records::DeliveryState::Failed => DeliveryState::Failed,
        },
        attempts: delivery.attempts.iter().map(attempt).collect(),
        next_attempt_at: pending.then(|| delivery.next.into()),
        created_at: delivery.created.into(),
        finished_at: delivery.finished.map(Nanos::into),
        redelivery_of: delivery.repeats.as_ref().map(ToString::to_string),
    }
}

fn attempt(attempt: &records::Attempt) -> DeliveryAttempt {
    DeliveryAttempt {
        at: attempt.at.into(),
        status: attempt.status,
        error: attempt.error.clone(),
        duration_ms: attempt.millis,
    }
}

/// Lists a target's deliveries, newest first.
pub async fn deliveries(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, id)): UrlPath<(String, String)>,
    Paging(page): Paging,
) -> Result<Json<DeliveryList>, ApiError> {
    let target = target(&app, &caller, (&org, &id)).await?;
    let page = app.catalog().list_deliveries(&target, &page).await?;
    Ok(Json(DeliveryList {
        has_more: page.next.is_some(),
        next_cursor: page.next,
        deliveries: page.items.iter().map(delivery).collect(),
    }))
}

/// Sends the event of a delivery once more, after what is queued already.
pub async fn redeliver(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, id, which)): UrlPath<(String, String, String)>,
) -> Result<(StatusCode, Json<Delivery>), ApiError> {
    let target = target(&app, &caller, (&org, &id)).await?;
    let which = which
        .parse::<DeliveryId>()
        .map_err(|_| ApiError::not_found("delivery").narrowed("DELIVERY_NOT_FOUND"))?;
    let again = app
        .catalog()
        .redeliver(&target, &which, &caller.actor)
        .await?;
    Ok((StatusCode::CREATED, Json(delivery(&again))))
}
