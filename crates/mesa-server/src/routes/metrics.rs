//! `/metrics`.

use axum::{extract::State, response::IntoResponse};
use http::header;

use crate::state::App;

/// The Prometheus text page.
pub async fn page(State(app): State<App>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        app.metrics().render(&app.samples()),
    )
}
