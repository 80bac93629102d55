//! What holds for every route.

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::TestServer;

#[tokio::test]
async fn routing_errors_have_the_envelope() {
    let server = TestServer::start().await;
    for path in [
        "/",
        "/v2",
        "/v1",
        "/v1/a/b/c/d",
        "/v1/acme/",
        "//",
        "/favicon.ico",
    ] {
        let answer = server.send(server.http.get(server.url(path))).await;
        answer.refused(404, "NOT_FOUND");
    }
    let answer = server
        .call(&server.admin, Method::PUT, "/acme/repos", None)
        .await;
    answer.refused(405, "METHOD_NOT_ALLOWED");
    assert_eq!(answer.headers["allow"], "GET,HEAD,POST");
    let answer = server
        .call(&server.admin, Method::DELETE, "/whoami", None)
        .await;
    answer.refused(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn request_ids_are_taken_over_or_made() {
    let server = TestServer::start().await;
    let ask = |id: &'static str| {
        let request = server.http.get(server.url("/healthz"));
        server.send(request.header("x-request-id", id))
    };
    assert_eq!(ask("abc-1").await.headers["x-request-id"], "abc-1");
    let made = ask("bad id {}").await;
    assert_eq!(made.headers["x-request-id"].len(), 26);
}

#[tokio::test]
async fn bodies_must_be_json_of_bounded_size() {
    let server = TestServer::start_with(|o| o.limits.json_body_bytes_max = 4096).await;
    let url = server.url("/v1/acme/repos");
    let post = |body: Vec<u8>, media_type: Option<&'static str>| {
        let mut request = server.http.post(&url).bearer_auth(&server.admin).body(body);
        if let Some(media_type) = media_type {
            request = request.header("content-type", media_type);
        }
        server.send(request)
    };
    let json_type = Some("application/json; charset=utf-8");
    for media_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
    ] {
        let answer = post(b"{}".to_vec(), media_type).await;
        answer.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    let deep = "[".repeat(2000);
    for bad in [
        "",
        "{",
        "[]",
        "null",
        "{\"name\":1}",
        "{\"nome\":\"x\"}",
        "\u{0}",
        &deep,
    ] {
        let answer = post(bad.as_bytes().to_vec(), json_type).await;
        answer.refused(400, "BAD_REQUEST");
    }
    post(b"{\"name\":\"\xff\"}".to_vec(), json_type)
        .await
        .refused(400, "BAD_REQUEST");
    let big = format!("{{\"name\":\"{}\"}}", "x".repeat(5000));
    let answer = post(big.into_bytes(), json_type).await;
    let body = answer.refused(413, "PAYLOAD_TOO_LARGE");
    assert_eq!(body["error"]["details"], json!({"max_bytes": 4096}));
    // Announced and never sent.
    let mut stream = tokio::net::TcpStream::connect(server.running.addr())
        .await
        .unwrap();
    let request = format!(
        "POST /v1/acme/repos HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 1000000000000\r\n\r\n{{",
        server.admin
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    let read = stream.read_exact(&mut answer);
    tokio::time::timeout(std::time::Duration::from_secs(10), read)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    // Nothing of all that had an effect.
    let repos = server.get(&server.admin, "/acme/repos").await.ok(200);
    assert_eq!(repos["repos"], json!([]));
}

#[tokio::test]
async fn paths_that_are_not_utf8_are_refused() {
    let server = TestServer::start().await;
    let answer = server.get(&server.admin, "/acme/%ff").await;
    answer.refused(400, "BAD_REQUEST");
}

#[tokio::test]
async fn health_readiness_and_metrics() {
    let server = TestServer::start().await;
    for path in ["/healthz", "/readyz"] {
        server.send(server.http.get(server.url(path))).await.ok(200);
    }
    server
        .get("mesa_wrong", "/whoami")
        .await
        .refused(401, "CREDENTIAL_UNKNOWN");
    server.get(&server.admin, "/acme").await.ok(200);
    let page = server.send(server.http.get(server.url("/metrics"))).await;
    assert_eq!(page.headers["content-type"], "text/plain; version=0.0.4");
    let text = String::from_utf8(page.body).unwrap();
    for line in [
        "mesa_http_requests_total{route=\"/v1/whoami\",status=\"401\"} 1",
        "mesa_http_requests_total{route=\"/v1/{org}\",status=\"200\"} 1",
        "mesa_http_request_seconds_count{route=\"/v1/{org}\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
    }
    assert!(text.contains("mesa_process_resident_bytes "));
    // Names of orgs and repos are not labels.
    assert!(!text.contains("acme"));
}

#[tokio::test]
async fn many_requests_of_one_key_are_slowed_down() {
    let server = TestServer::start_with(|o| {
        o.limits.rate_burst = 3;
        o.limits.rate_per_second = 1;
    })
    .await;
    for _ in 0..3 {
        server.get(&server.admin, "/whoami").await.ok(200);
    }
    let answer = server.get(&server.admin, "/whoami").await;
    answer.refused(429, "RATE_LIMITED");
    assert_eq!(answer.headers["retry-after"], "1");
    server.clock.forward_secs(1);
    server.get(&server.admin, "/whoami").await.ok(200);
}

#[tokio::test]
async fn guessed_keys_are_slowed_down_by_address() {
    let server = TestServer::start().await;
    let mut limited = 0;
    for n in 0..110 {
        let answer = server.get(&format!("mesa_{n:032}"), "/whoami").await;
        if answer.status == 429 {
            answer.refused(429, "RATE_LIMITED");
            limited += 1;
        } else {
            answer.refused(401, "CREDENTIAL_UNKNOWN");
        }
    }
    assert!(limited > 0);
    server.get(&server.admin, "/whoami").await.ok(200);
}
