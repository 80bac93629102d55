//! Reading requests: path, query and body, with refusals in our own words.

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use bytes::Bytes;
use http::{HeaderMap, header, request::Parts};
use mesa_api::{ErrorCode, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX};
use mesa_repo::PageRequest;
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
        json_type(request.headers())?;
        let max = app.limits().json_body_bytes_max;
        let raw = app.read_body(request.into_body(), max).await?;
        Self::parse(raw)
    }
}

/// A JSON body that may carry files, and so be large.
#[derive(Debug, Clone)]
pub struct FilesBody<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequest<App> for FilesBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        json_type(request.headers())?;
        let max = app.limits().files_body_bytes_max;
        let raw = app.read_body(request.into_body(), max).await?;
        JsonBody::parse(raw).map(|body| Self(body.value))
    }
}

/// Refuses a body that is not announced as JSON.
pub fn json_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split(';').next())
        .map(|v| v.trim().to_ascii_lowercase());
    if media_type.as_deref() == Some("application/json") {
        Ok(())
    } else {
        Err(ApiError::new(
            ErrorCode::UnsupportedMediaType,
            "the body must be sent with content-type: application/json",
        ))
    }
}

impl<T: DeserializeOwned> JsonBody<T> {
    fn parse(raw: Bytes) -> Result<Self, ApiError> {
        // A list would be read as an object's values in order.
        if raw.trim_ascii_start().first() != Some(&b'{') {
            return Err(ApiError::bad_request("the body must be a JSON object"));
        }
        let value = serde_json::from_slice(&raw)
            .map_err(|e| ApiError::bad_request(format!("the body is wrong: {e}")))?;
        Ok(Self { value, raw })
    }
}

/// `limit` and `cursor` of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging(pub PageRequest);

#[derive(Deserialize)]
struct RawPaging {
    limit: Option<String>,
    cursor: Option<String>,
}

impl FromRequestParts<App> for Paging {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let UrlQuery(raw) = UrlQuery::<RawPaging>::from_request_parts(parts, app).await?;
        let limit = match raw.limit.as_deref().unwrap_or_default() {
            "" => PAGE_LIMIT_DEFAULT,
            text => text
                .parse()
                .ok()
                .filter(|n| (1..=PAGE_LIMIT_MAX).contains(n))
                .ok_or_else(|| ApiError::bad_request("limit must be a number from 1 to 100"))?,
        };
        Ok(Self(PageRequest {
            limit: Some(limit),
            cursor: raw.cursor.filter(|text| !text.is_empty()),
        }))
    }
}
