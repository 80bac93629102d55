//! What every answer of the mount protocol carries when it refuses: a gRPC status, its stable code
//! and the request's id, whether the live layer, the framing or a panic made it.

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body_util::BodyExt;
use mesa_proto::status::{CODE, TRACE_ID};

use super::RequestId;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

const OK: &str = "0";
const INVALID_ARGUMENT: &str = "3";
const INTERNAL: &str = "13";

/// Completes an answer's statuses, in its headers or in the trailers that end its stream.
pub fn completed(response: Response, id: &RequestId) -> Response {
    let (mut parts, body) = if response.status().is_success() {
        response.into_parts()
    } else {
        failed().into_parts()
    };
    complete(&mut parts.headers, id);
    let id = id.clone();
    let body = body.map_frame(move |mut frame| {
        if let Some(trailers) = frame.trailers_mut() {
            complete(trailers, &id);
        }
        frame
    });
    Response::from_parts(parts, Body::new(body))
}

/// Instead of an answer that is not gRPC: a handler panicked.
fn failed() -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert(STATUS, HeaderValue::from_static(INTERNAL));
    headers.insert(MESSAGE, HeaderValue::from_static("the%20server%20failed"));
    headers.insert(CODE, HeaderValue::from_static("INTERNAL"));
    response
}

fn complete(map: &mut HeaderMap, id: &RequestId) {
    let Some(status) = map.get(STATUS).filter(|status| *status != OK).cloned() else {
        return;
    };
    map.insert(TRACE_ID, id.header());
    if map.contains_key(CODE) {
        return;
    }
    // The live layer names its refusals; what comes without a name was refused by the framing,
    // which says "internal" of requests that it cannot read.
    let (status, code) = match status.to_str().unwrap_or_default() {
        "1" => ("1", "CANCELLED"),
        INVALID_ARGUMENT | INTERNAL => (INVALID_ARGUMENT, "MALFORMED"),
        "4" => ("4", "TIMED_OUT"),
        // A message over the limit.
        "8" => ("8", "PAYLOAD_TOO_LARGE"),
        "11" => ("11", "PAYLOAD_TOO_LARGE"),
        "12" => ("12", "NOT_OFFERED"),
        "14" => ("14", "UNAVAILABLE"),
        _ => ("2", "INTERNAL"),
    };
    map.insert(STATUS, HeaderValue::from_static(status));
    map.insert(CODE, HeaderValue::from_static(code));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> RequestId {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_static("r-1"));
        RequestId::of(&headers)
    }

    fn completed_map(status: &'static str, code: Option<&'static str>) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.insert(STATUS, HeaderValue::from_static(status));
        if let Some(code) = code {
            map.insert(CODE, HeaderValue::from_static(code));
        }
        complete(&mut map, &id());
        map
    }

    #[test]
    fn every_refusal_has_a_code_and_the_request() {
        for status in 1..=16 {
            let status: &'static str = status.to_string().leak();
            let named = completed_map(status, Some("SOME_CODE"));
            assert_eq!(
                (&named[STATUS], &named[CODE]),
                (&status.parse().unwrap(), &"SOME_CODE".parse().unwrap())
            );
            assert_eq!(named[TRACE_ID], "r-1");
            let unnamed = completed_map(status, None);
            assert!(!unnamed[CODE].is_empty());
            assert_eq!(unnamed[TRACE_ID], "r-1");
        }
        assert_eq!(completed_map(INTERNAL, None)[STATUS], INVALID_ARGUMENT);
        assert_eq!(completed_map(OK, None).len(), 1);
    }

    #[tokio::test]
    async fn trailers_are_completed_and_other_answers_become_statuses() {
        let mut trailers = HeaderMap::new();
        trailers.insert(STATUS, HeaderValue::from_static("11"));
        let body = http_body_util::Full::new(bytes::Bytes::from_static(b"data"))
            .with_trailers(async move { Some(Ok(trailers)) });
        let response = completed(Response::new(Body::new(body)), &id());
        let collected = response.into_body().collect().await.unwrap();
        let trailers = collected.trailers().unwrap().clone();
        assert_eq!(trailers[CODE], "PAYLOAD_TOO_LARGE");
        assert_eq!(trailers[TRACE_ID], "r-1");

        let mut panicked = Response::new(Body::from("{}"));
        *panicked.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        let response = completed(panicked, &id());
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[STATUS], INTERNAL);
        assert_eq!(response.headers()[CODE], "INTERNAL");
    }
}
