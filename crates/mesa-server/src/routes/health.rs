//! `/healthz` and `/readyz`.

use std::time::Duration;

use axum::{Json, extract::State};
use mesa_api::ErrorCode;
use serde_json::{Value, json};

use crate::{error::ApiError, state::App};

/// A store that takes longer is not ready.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

fn unavailable() -> ApiError {
    ApiError::new(ErrorCode::Unavailable, "the metadata store does not answer")
}

/// The process runs.
pub async fn live() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// The server can answer requests: it is not shutting down and its stores answer.
pub async fn ready(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    if app.stop().is_cancelled() {
        return Err(ApiError::new(ErrorCode::Unavailable, "shutting down"));
    }
    let answers = app.catalog().meta().ping();
    match tokio::time::timeout(PING_TIMEOUT, answers).await {
        Ok(Ok(())) => Ok(Json(json!({"status": "ready"}))),
        Ok(Err(e)) => Err(unavailable().caused_by(e)),
        Err(elapsed) => Err(unavailable().caused_by(elapsed)),
    }
}
