//! What happens around every request: id, log, metrics, panics, and the error envelope.

pub mod accept;
pub mod body;
pub mod caller;
pub mod cursor;
pub mod extract;
#[cfg(debug_assertions)]
pub mod failpoint;
pub mod grpc;
pub mod idempotency;
pub mod peer;
pub mod rate;
pub mod request_id;

use std::{panic::AssertUnwindSafe, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use http::{HeaderValue, header};
use tracing::Instrument;

use crate::{error::ApiError, state::App};

pub use caller::Caller;
pub use peer::Peer;
pub use request_id::RequestId;

/// Paths of the mount protocol's service begin with this; their failures are gRPC statuses, not
/// envelopes.
pub const GRPC_PREFIX: &str = "/mesa.sync.v1.Sync/";

/// Marks a refusal whose body is another protocol's, to be sent as it is.
#[derive(Debug, Clone, Copy)]
pub struct OwnBody;

/// The outermost layer of the router.
pub async fn around(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().clone();
    let is_grpc = request.uri().path().starts_with(GRPC_PREFIX);
    let span = tracing::info_span!("request", id = %id, %method, route = %route);

    let run = AssertUnwindSafe(next.run(request)).catch_unwind();
    let mut response = match run.instrument(span.clone()).await {
        Ok(response) => response,
        Err(_panic) => {
            app.metrics().panics.add(1);
            ApiError::internal("a handler panicked; the panic's message is above").into_response()
        }
    };
    let _entered = span.enter();
    if is_grpc {
        response = grpc::completed(response, &id);
    } else if (response.status().is_client_error() || response.status().is_server_error())
        && response.extensions().get::<OwnBody>().is_none()
    {
        response = enveloped(response, &id);
    }
    response.headers_mut().insert("x-request-id", id.header());
    let (status, took) = (response.status(), started.elapsed());
    app.metrics().request(&route, status.as_u16(), took);
    tracing::debug!(
        status = status.as_u16(),
        micros = took.as_micros() as u64,
        "answered"
    );
    response
}

/// Gives an error answer its body. The headers a handler or the router set (`Allow`,
/// `WWW-Authenticate`, `Retry-After`, `Content-Range`) stay.
fn enveloped(response: Response, id: &RequestId) -> Response {
    let (mut parts, _body) = response.into_parts();
    let error = parts
        .extensions
        .remove::<ApiError>()
        .unwrap_or_else(|| ApiError::of_status(parts.status));
    if parts.status.is_server_error() {
        error.log();
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::TRANSFER_ENCODING);
    parts.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    let body = serde_json::to_vec(&error.envelope(id.as_str())).unwrap_or_default();
    Response::from_parts(parts, body.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::{Router, body::Body, middleware, routing::get};
    use http_body_util::BodyExt;
    use mesa_meta::MemoryStore;
    use mesa_repo::{Catalog, ServerKey};
    use mesa_types::{random::SeededRandom, time::SystemClock};
    use tower::ServiceExt;

    use super::*;

    fn app() -> App {
        let meta = Arc::new(MemoryStore::new());
        let objects = Arc::new(mesa_store::MemoryStore::new());
        let packs = mesa_store::PackStore::new(
            objects,
            meta.clone(),
            mesa_store::PackStoreConfig::default(),
        );
        let catalog = Catalog::new(
            meta,
            Arc::new(SystemClock),
            Arc::new(SeededRandom::new(1)),
            ServerKey::from_bytes([1; 32]),
        );
        let heads = mesa_head::Heads::new(catalog, packs, mesa_head::HeadsConfig::default());
        let limits = crate::options::Limits::default();
        App::new(
            limits,
            heads,
            Box::new(Vec::new),
            tokio_util::sync::CancellationToken::new(),
            crate::state::Outward::default(),
            crate::downloads::Downloads::open(crate::DownloadOptions::default()).unwrap(),
        )
    }

    async fn broken() -> &'static str {
        assert!(std::hint::black_box(false), "secret detail");
        "never"
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_like_any_other_failure() {
        let app = app();
        let router = Router::new()
            .route("/broken", get(broken))
            .layer(middleware::from_fn_with_state(app.clone(), around));
        let request = Request::get("/broken").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 500);
        let id = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"]["code"], "INTERNAL_ERROR");
        assert_eq!(
            (&body["trace_id"], &body["error"]["trace_id"]),
            (&id.clone().into(), &id.into())
        );
        assert!(!body.to_string().contains("secret"));
        assert_eq!(app.metrics().panics.get(), 1);
    }
}
