//! Reading requests: path, query and body, with refusals in our own words.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use bytes::Bytes;
use http::{header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use mesa_api::{ErrorCode, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, page};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{error::ApiError, state::App};

/// The path's parameters, percent-decoded.
#[derive(Debug, Clone)]
pub struct UrlPath<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for UrlPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        Path::<T>::from_request_parts(parts, app)
            .await
            .map(|Path(value)| Self(value))
            .map_err(|_| ApiError::bad_request("the path is not valid percent-encoded UTF-8"))
    }
}

/// The query string as `T`; unknown keys are ignored.
#[derive(Debug, Clone)]
pub struct UrlQuery<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for UrlQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        axum::extract::Query::<T>::from_request_parts(parts, app)
            .await
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|e| ApiError::bad_request(format!("the query is wrong: {}", e.body_text())))
    }
}

/// A JSON body, with its bytes for those who compare them.
#[derive(Debug, Clone)]
pub struct JsonBody<T> {
    /// The parsed value.
    pub value: T,
    /// The body as received.
    pub raw: Bytes,
}

impl<T: DeserializeOwned + Send> FromRequest<App> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let media_type = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.split(';').next())
            .map(|v| v.trim().to_ascii_lowercase());
        if media_type.as_deref() != Some("application/json") {
            return Err(ApiError::new(
                ErrorCode::UnsupportedMediaType,
                "the body must be sent with content-type: application/json",
            ));
        }
        let limits = app.limits();
        let reading = Limited::new(request.into_body(), limits.json_body_bytes_max).collect();
        let raw = match tokio::time::timeout(limits.body_timeout, reading).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(e)) if e.is::<LengthLimitError>() => {
                let max = limits.json_body_bytes_max;
                return Err(ApiError::new(
                    ErrorCode::PayloadTooLarge,
                    format!("the body is larger than {max} bytes"),
                )
                .detail("max_bytes", max));
            }
            Ok(Err(e)) => {
                return Err(ApiError::bad_request("the body broke off").caused_by(e));
            }
            Err(_elapsed) => {
                return Err(ApiError::new(
                    ErrorCode::RequestTimeout,
                    "the body did not arrive in time",
                ));
            }
        };
        let value = serde_json::from_slice(&raw)
            .map_err(|e| ApiError::bad_request(format!("the body is wrong: {e}")))?;
        Ok(Self { value, raw })
    }
}

/// `limit` and `cursor` of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Most items to answer with, 1..=100.
    pub limit: usize,
    /// The place after which to go on.
    pub after: Option<Arc<[u8]>>,
}

#[derive(Deserialize)]
struct RawPage {
    limit: Option<String>,
    cursor: Option<String>,
}

impl FromRequestParts<App> for Page {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let UrlQuery(raw) = UrlQuery::<RawPage>::from_request_parts(parts, app).await?;
        let limit = match raw.limit.as_deref() {
            None | Some("") => PAGE_LIMIT_DEFAULT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|n| (1..=PAGE_LIMIT_MAX).contains(n))
                .ok_or_else(|| ApiError::bad_request("limit must be a number from 1 to 100"))?,
        };
        let after = match raw.cursor.as_deref() {
            None | Some("") => None,
            Some(text) => Some(page::decode_cursor(text).ok_or_else(wrong_cursor)?.into()),
        };
        Ok(Self { limit, after })
    }
}

/// The refusal of a cursor this server did not write for this list.
pub fn wrong_cursor() -> ApiError {
    ApiError::bad_request("the cursor is not one of this list's")
}
