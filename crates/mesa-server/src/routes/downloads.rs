//! `/install.sh` and `/download`: what a machine installs mesa from. Nothing here needs a
//! credential.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use mesa_api::ErrorCode;

use super::content::range::{Wanted, answer, value, wanted};
use crate::{
    downloads::{Served, address},
    error::ApiError,
    state::App,
};

const TEXT: &str = "text/plain; charset=utf-8";
const SCRIPT: &str = "text/x-shellscript; charset=utf-8";
/// What has at most this many bytes goes out whatever else is being sent.
const SMALL_MAX: u64 = 128 * 1024;
const BYTES: &str = "application/octet-stream";

/// `GET /install.sh`
pub async fn script(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let text = app.downloads().script(&address(&app, &uri, &headers)?);
    small(&app, SCRIPT, text, &headers).await
}

/// `GET /download/SHA256SUMS`
pub async fn sums(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    let text = app.downloads().sums().await.map_err(ApiError::internal)?;
    small(&app, TEXT, text.into(), &headers).await
}

/// `GET /download/{name}`
pub async fn file(
    State(app): State<App>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let address = address(&app, &uri, &headers)?;
    named(&app, &name, Some(&address), &headers).await
}

/// `GET /download/generic/{name}`: packages that name no server.
pub async fn generic(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    named(&app, &name, None, &headers).await
}

async fn named(
    app: &App,
    name: &str,
    address: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let downloads = app.downloads();
    let got = |name: String| async move {
        let found = downloads
            .get(&name, address)
            .await
            .map_err(ApiError::internal)?;
        found.ok_or_else(|| {
            let version = downloads.version();
            let message = format!("no such file; this server hands out mesa {version}");
            ApiError::new(ErrorCode::NotFound, message)
        })
    };
    if let Some(of) = name.strip_suffix(".sha256") {
        let served = got(of.to_owned()).await?;
        let sum = served.sha256().await.map_err(ApiError::internal)?;
        return small(app, TEXT, format!("{sum}  {of}\n").into(), headers).await;
    }
    send(app, got(name.to_owned()).await?, BYTES, headers).await
}

/// The address that is written into what is handed out: the one the operator named, else the one
/// the request was sent to.
fn address(app: &App, uri: &Uri, headers: &HeaderMap) -> Result<String, ApiError> {
    if let Some(address) = app.named_url() {
        return Ok(address.to_owned());
    }
    let scheme = app.public_url().split(':').next().unwrap_or("http");
    address::of_request(scheme, uri, headers)
        .ok_or_else(|| ApiError::bad_request("the request names no usable Host"))
}

async fn small(
    app: &App,
    kind: &'static str,
    text: Bytes,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let served = Served::pieces([text, Bytes::new(), Bytes::new()]);
    send(app, Arc::new(served), kind, headers).await
}

async fn send(
    app: &App,
    served: Arc<Served>,
    kind: &'static str,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let sum = served.sha256().await.map_err(ApiError::internal)?;
    let etag = value(&format!("\"{sum}\""));
    let common = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::ETAG, etag.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::VARY, HeaderValue::from_static("Host")),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    let has = |name| {
        headers
            .get(name)
            .and_then(|v: &HeaderValue| v.to_str().ok())
    };
    let known = |list: &str| {
        list.split(',')
            .any(|tag| tag.trim() == "*" || tag.trim() == etag)
    };
    if has(header::IF_NONE_MATCH).is_some_and(known) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let size = served.size();
    // A part of something else than the client has begun with would be of no use to it.
    let part = match has(header::IF_RANGE) {
        Some(tag) if tag != etag => Wanted::Whole,
        _ => wanted(headers, size),
    };
    let (status, range, span) = answer(part, size)?;
    let mut permit = None;
    if size > SMALL_MAX {
        let Ok(one) = Arc::clone(app.downloads().sending()).try_acquire_owned() else {
            let error = ApiError::new(
                ErrorCode::Unavailable,
                "too many downloads at the same time",
            );
            return Err(error.retry_after(5));
        };
        permit = Some(one);
    }
    let body = Body::from_stream(served.stream(range, permit));
    Ok((status, common, span, body).into_response())
}
