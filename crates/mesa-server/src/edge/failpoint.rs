//! Failures on purpose, for tests of what clients make of them. Not in released programs, and not
//! to be had by any request: the process is started with it.

use axum::{extract::Request, middleware::Next, response::Response};
use mesa_api::ErrorCode;

use crate::error::ApiError;

/// Answers requests to the REST contract as if their handlers had failed.
pub async fn fail(request: Request, next: Next) -> Result<Response, ApiError> {
    if request.uri().path().starts_with("/v1/") {
        let error = ApiError::new(ErrorCode::InternalError, "the server failed");
        return Err(error.caused_by("a failpoint"));
    }
    Ok(next.run(request).await)
}
