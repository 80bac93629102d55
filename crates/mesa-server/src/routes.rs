//! The router: one file per resource.

pub mod api_keys;
pub mod audit;
pub mod bookmarks;
pub mod changes;
pub mod content;
pub mod diff;
pub mod downloads;
pub mod health;
pub mod merge;
pub mod metrics;
pub mod operations;
pub mod orgs;
pub mod repo_tags;
pub mod repos;
pub mod signing_keys;
pub mod undo;
pub mod upstream_syncs;
pub mod webhook_targets;
pub mod whoami;

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{delete, get, patch, post},
};

use crate::{edge, error::ApiError, mcp, openapi, state::App, sync};

/// Routes inside the edge.
pub(crate) fn in_edge(routes: Router<App>, app: App) -> Router {
    routes
        .layer(middleware::from_fn_with_state(
            app.clone(),
            edge::idempotency::once,
        ))
        .layer(middleware::from_fn_with_state(app.clone(), edge::around))
        .with_state(app)
}

/// Every route. A fixed segment wins over a parameter, so that `/{org}/repos` is never a repo.
pub(crate) fn routes(app: &App) -> Router<App> {
    let repo = get(repos::get).patch(repos::update).delete(repos::delete);
    let bookmarks = get(bookmarks::list).post(bookmarks::create);
    let bookmark = get(bookmarks::get)
        .patch(bookmarks::shift)
        .delete(bookmarks::delete);
    let sync = sync::service(
        app.heads().clone(),
        app.auth().clone(),
        Arc::clone(app.metrics()),
    );
    Router::new()
        .route_service("/mesa.sync.v1.Sync/{call}", sync)
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::page))
        .route("/openapi.json", get(openapi::page))
        .route("/install.sh", get(downloads::script))
        .route("/download/SHA256SUMS", get(downloads::sums))
        .route("/download/{name}", get(downloads::file))
        .route("/download/generic/{name}", get(downloads::generic))
        .route("/mcp", post(mcp::endpoint))
        .route("/v1/whoami", get(whoami::whoami))
        .route("/v1/admin/orgs", get(orgs::list).post(orgs::create))
        .route("/v1/{org}", get(orgs::get))
        .route(
            "/v1/{org}/api-keys",
            get(api_keys::list).post(api_keys::create),
        )
        .route(
            "/v1/{org}/api-keys/{id}",
            delete(api_keys::revoke).patch(api_keys::update),
        )
        .route(
            "/v1/{org}/signing-keys",
            get(signing_keys::list).post(signing_keys::create),
        )
        .route("/v1/{org}/signing-keys/{id}", delete(signing_keys::revoke))
        .route(
            "/v1/{org}/webhook-targets",
            get(webhook_targets::list).post(webhook_targets::create),
        )
        .route(
            "/v1/{org}/webhook-targets/{id}",
            get(webhook_targets::get)
                .patch(webhook_targets::update)
                .delete(webhook_targets::delete),
        )
        .route(
            "/v1/{org}/webhook-targets/{id}/deliveries",
            get(webhook_targets::deliveries),
        )
        .route(
            "/v1/{org}/webhook-targets/{id}/deliveries/{delivery}/redeliver",
            post(webhook_targets::redeliver),
        )
        .route("/v1/{org}/audit", get(audit::list))
        .route("/v1/{org}/repos", get(repos::list).post(repos::create))
        .route("/v1/{org}/repos/tags", patch(repo_tags::update))
        .route("/v1/{org}/{repo}", repo)
        .route("/v1/{org}/{repo}/bookmarks", bookmarks)
        .route("/v1/{org}/{repo}/bookmarks/merge", post(merge::merge))
        .route("/v1/{org}/{repo}/bookmarks/{bookmark}", bookmark)
        .route("/v1/{org}/{repo}/content", get(content::get))
        .route(
            "/v1/{org}/{repo}/changes",
            get(changes::list).post(changes::write::create),
        )
        .route(
            "/v1/{org}/{repo}/changes/{change}",
            get(changes::get).patch(changes::write::update),
        )
        .route(
            "/v1/{org}/{repo}/changes/{change}/new",
            post(changes::write::close),
        )
        .route(
            "/v1/{org}/{repo}/changes/{change}/abandon",
            post(changes::abandon::abandon),
        )
        .route(
            "/v1/{org}/{repo}/changes/{change}/operations",
            get(operations::list),
        )
        .route(
            "/v1/{org}/{repo}/changes/{change}/operations/{operation}",
            get(operations::get),
        )
        .route("/v1/{org}/{repo}/changes/{change}/undo", post(undo::undo))
        .route(
            "/v1/{org}/{repo}/changes/{change}/restore",
            post(undo::restore),
        )
        .route(
            "/v1/{org}/{repo}/upstream/syncs",
            get(upstream_syncs::list).post(upstream_syncs::create),
        )
        .route(
            "/v1/{org}/{repo}/upstream/syncs/{id}",
            get(upstream_syncs::get),
        )
        .route("/v1/{org}/{repo}/diff", get(diff::get))
        .fallback(no_route)
}

async fn no_route() -> ApiError {
    ApiError::of_status(http::StatusCode::NOT_FOUND)
}
