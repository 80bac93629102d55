//! `/healthz` and `/readyz`.

use axum::{Json, extract::State};
use mesa_api::ErrorCode;
use serde_json::{Value, json};

use crate::{error::ApiError, state::App};

/// The process runs.
pub async fn live() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// The server can answer requests: it is not shutting down and its stores answer.
pub async fn ready(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    if app.stop().is_cancelled() {
        return Err(ApiError::new(ErrorCode::Unavailable, "shutting down"));
    }
    Ok(Json(json!({"status": "ready"})))
}
