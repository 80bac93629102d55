//! The router: one file per resource.

pub mod health;
pub mod metrics;

use axum::{Router, middleware, routing::get};

use crate::{edge, state::App};

/// Every route of the server, inside the edge.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::page))
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(app.clone(), edge::around))
        .with_state(app)
}

async fn not_found() -> crate::error::ApiError {
    crate::error::ApiError::of_status(http::StatusCode::NOT_FOUND)
}
