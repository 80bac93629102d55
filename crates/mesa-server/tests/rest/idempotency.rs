//! `Idempotency-Key`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, TestServer};

async fn send(server: &TestServer, key: &str, name: &str, path: &str, body: Value) -> Answer {
    let request = server
        .http
        .request(Method::POST, server.url(&format!("/v1{path}")));
    let request = request
        .bearer_auth(key)
        .header("idempotency-key", name)
        .json(&body);
    server.send(request).await
}

#[tokio::test]
async fn a_repeated_write_has_one_effect_and_one_answer() {
    let server = TestServer::start().await;
    let body = json!({"name": "once"});
    let first = send(&server, &server.admin, "k1", "/acme/repos", body.clone()).await;
    let again = send(&server, &server.admin, "k1", "/acme/repos", body.clone()).await;
    assert_eq!(first.ok(201), again.ok(201));
    assert!(!first.headers.contains_key("idempotency-replayed"));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_ne!(first.headers["x-request-id"], again.headers["x-request-id"]);

    let other = send(
        &server,
        &server.admin,
        "k1",
        "/acme/repos",
        json!({"name": "x"}),
    )
    .await;
    other.refused(409, "IDEMPOTENCY_MISMATCH");
    let (_, writer) = server.key(json!({})).await;
    let theirs = send(&server, &writer, "k1", "/acme/repos", body.clone()).await;
    theirs.refused(409, "REPO_EXISTS");

    server.clock.forward_secs(24 * 3600);
    let later = send(&server, &server.admin, "k1", "/acme/repos", body).await;
    later.refused(409, "REPO_EXISTS");
}

#[tokio::test]
async fn a_new_key_can_be_asked_for_again_and_is_not_stored_in_the_clear() {
    let server = TestServer::start().await;
    let wanted = json!({"name": "sandbox"});
    let first = send(
        &server,
        &server.admin,
        "k",
        "/acme/api-keys",
        wanted.clone(),
    )
    .await
    .ok(201);
    let again = send(&server, &server.admin, "k", "/acme/api-keys", wanted)
        .await
        .ok(201);
    assert_eq!(first, again);
    let secret = first["key"].as_str().unwrap().to_owned();
    let dir = server.dir.path().join("data");
    server.running.shutdown().await;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && !path.ends_with("admin.key") {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn refusals_are_not_kept() {
    let server = TestServer::start().await;
    let body = json!({"name": "taken"});
    let repo = server.repo("taken").await;
    assert!(!repo.is_empty());
    let refused = send(&server, &server.admin, "k", "/acme/repos", body.clone()).await;
    refused.refused(409, "REPO_EXISTS");
    server.delete(&server.admin, "/acme/taken").await.ok(200);
    send(&server, &server.admin, "k", "/acme/repos", body)
        .await
        .ok(201);
    let long = "x".repeat(256);
    let answer = send(&server, &server.admin, &long, "/acme/repos", json!({})).await;
    answer.refused(400, "BAD_REQUEST");
    send(&server, "mesa_no", "k", "/acme/repos", json!({}))
        .await
        .refused(401, "CREDENTIAL_UNKNOWN");
}

#[tokio::test]
async fn a_method_that_no_route_has_is_refused_as_such() {
    let server = TestServer::start().await;
    let path = "/acme/repos";
    let body = json!({"name": "once"});
    let made = send(&server, &server.admin, "k1", path, body).await;
    made.ok(201);
    for method in [Method::PUT, Method::TRACE] {
        let request = server
            .http
            .request(method, server.url(&format!("/v1{path}")));
        let request = request.bearer_auth(&server.admin);
        let answer = server.send(request.header("idempotency-key", "k1")).await;
        answer.refused(405, "METHOD_NOT_ALLOWED");
    }
}
