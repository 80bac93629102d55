//! Routes of the contract that this server version does not offer.

use axum::{Router, routing::any};
use mesa_api::ErrorCode;

use crate::{error::ApiError, state::App};

/// Paths of the contract without a handler. Methods of paths that have one are in
/// [`super::router`].
const PATHS: &[&str] = &["/v1/{org}/{repo}/bookmarks/merge", "/v1/{org}/{repo}/diff"];

/// The refusal.
pub async fn not_offered() -> ApiError {
    ApiError::new(
        ErrorCode::NotFound,
        "this server version does not offer this route",
    )
}

/// Every path of [`PATHS`], refused for any method.
pub fn router() -> Router<App> {
    PATHS.iter().fold(Router::new(), |router, path| {
        router.route(path, any(not_offered))
    })
}
