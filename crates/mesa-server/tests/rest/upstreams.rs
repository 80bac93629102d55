//! Upstreams of repos, and requests to sync with them.

use serde_json::{Value, json};

use crate::harness::TestServer;

#[tokio::test]
async fn an_upstream_is_set_changed_and_removed() {
    let server = TestServer::start().await;
    let upstream = json!({"url": "https://git.example/a.git",
        "auth": {"kind": "token", "token": "hush", "token_username": "x"}});
    let body = json!({"name": "demo", "upstream": upstream});
    let made = server
        .post(&server.admin, "/acme/repos", body)
        .await
        .ok(201);
    let shown = json!({"url": "https://git.example/a.git", "auth_kind": "token",
        "latest_sync": null});
    assert_eq!(made["upstream"], shown);
    assert!(!made.to_string().contains("hush"));
    let patch = |upstream: Value| {
        let body = json!({"upstream": upstream});
        async { server.patch(&server.admin, "/acme/demo", body).await }
    };
    // Absent keeps the credential, null forgets it, an object replaces it.
    let kept = patch(json!({"url": "https://git.example/b.git"}))
        .await
        .ok(200);
    assert_eq!(kept["upstream"]["auth_kind"], "token");
    assert_eq!(kept["upstream"]["url"], "https://git.example/b.git");
    let auth = json!({"kind": "username_password", "username": "u", "password": "hush"});
    let replaced = patch(json!({"url": "https://git.example/b.git", "auth": auth}))
        .await
        .ok(200);
    assert_eq!(replaced["upstream"]["auth_kind"], "username_password");
    let open = patch(json!({"url": "https://git.example/b.git", "auth": null}))
        .await
        .ok(200);
    assert_eq!(open["upstream"]["auth_kind"], Value::Null);
    let listed = server.get(&server.admin, "/acme/repos").await.ok(200);
    assert_eq!(listed["repos"][0]["upstream"], open["upstream"]);
    let untouched = server
        .patch(&server.admin, "/acme/demo", json!({}))
        .await
        .ok(200);
    assert_eq!(untouched["upstream"], open["upstream"]);
    assert_eq!(patch(Value::Null).await.ok(200)["upstream"], Value::Null);
    for url in [
        "",
        "git.example",
        "ssh://git.example/a",
        "https://u:p@git.example/a",
    ] {
        patch(json!({"url": url}))
            .await
            .refused(400, "INVALID_UPSTREAM_URL");
    }
    let empty = json!({"url": "https://git.example/a", "auth": {"kind": "token", "token": ""}});
    patch(empty).await.refused(400, "INVALID_UPSTREAM_AUTH");
}

#[tokio::test]
async fn a_sync_is_refused_clearly_and_nothing_is_queued() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let path = "/acme/demo/upstream/syncs";
    let pull = json!({"direction": "pull"});
    server
        .post(&server.admin, path, pull.clone())
        .await
        .refused(409, "NO_UPSTREAM");
    let upstream = json!({"upstream": {"url": "https://git.example/a.git"}});
    server
        .patch(&server.admin, "/acme/demo", upstream)
        .await
        .ok(200);
    server
        .post(&server.admin, path, pull)
        .await
        .refused(400, "NOT_SUPPORTED");
    let globs = json!({"direction": "push", "ref_globs": {}});
    server
        .post(&server.admin, path, globs)
        .await
        .refused(400, "INVALID_REF_GLOBS");
    server
        .post(&server.admin, path, json!({"direction": "sideways"}))
        .await
        .refused(400, "BAD_REQUEST");
    let list = server.get(&server.admin, path).await.ok(200);
    assert_eq!(
        list,
        json!({"syncs": [], "has_more": false, "next_cursor": null})
    );
    server
        .get(&server.admin, &format!("{path}/sync_NONE"))
        .await
        .refused(404, "SYNC_NOT_FOUND");
    let (_, reader) = server.key(json!({"scopes": ["read"]})).await;
    server.get(&reader, path).await.ok(200);
    server
        .post(&reader, path, json!({"direction": "pull"}))
        .await
        .refused(403, "FORBIDDEN");
}
