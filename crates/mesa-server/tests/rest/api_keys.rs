//! API keys.

use serde_json::{Value, json};

use crate::harness::TestServer;

const KEYS: &str = "/acme/api-keys";

#[tokio::test]
async fn create_list_tag_revoke() {
    let server = TestServer::start().await;
    let repo = server.repo("demo").await;
    let wanted = json!({
        "name": "sandbox", "scopes": ["read", "write"], "expires_in_seconds": 3600,
        "repo_ids": [repo], "tags": {"Job": "7"},
    });
    let made = server.post(&server.admin, KEYS, wanted).await.ok(201);
    let secret = made["key"].as_str().unwrap();
    assert!(secret.starts_with("mesa_") && secret.len() >= 40);
    assert_eq!(made["scopes"], json!(["read", "write"]));
    assert_eq!(made["repo_ids"], json!([repo]));
    assert_eq!(made["tags"], json!({"job": "7"}));
    assert_eq!(made["name"], "sandbox");

    server.get(secret, "/acme/demo").await.ok(200);
    let list = server.get(&server.admin, KEYS).await;
    // The secret is nowhere but in the answer that made it.
    assert!(!String::from_utf8_lossy(&list.body).contains(secret));
    let list = list.ok(200);
    let keys = list["api_keys"].as_array().unwrap();
    let listed = keys.iter().find(|k| k["id"] == made["id"]).unwrap();
    assert_eq!(listed.as_object().unwrap().len(), 10);
    assert_eq!(listed["metadata"], Value::Null);
    assert_eq!(listed["revoked_at"], Value::Null);
    assert!(listed["last_used_at"].is_string() && listed["expires_at"].is_string());

    let path = format!("{KEYS}/{}", made["id"].as_str().unwrap());
    let patch = json!({"tags": {"job": null, "new": "1"}});
    let tags = server.patch(&server.admin, &path, patch).await.ok(200);
    assert_eq!(tags, json!({"tags": {"new": "1"}}));

    for _ in 0..2 {
        let revoked = server.delete(&server.admin, &path).await.ok(200);
        assert_eq!(revoked, json!({"success": true}));
    }
    server
        .get(secret, "/acme/demo")
        .await
        .refused(401, "CREDENTIAL_REVOKED");
}

#[tokio::test]
async fn defaults() {
    let server = TestServer::start().await;
    let made = server.post(&server.admin, KEYS, json!({})).await.ok(201);
    assert_eq!(made["scopes"], json!(["read", "write"]));
    assert_eq!(
        (&made["name"], &made["repo_ids"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(made["tags"], json!({}));
}

#[tokio::test]
async fn a_key_never_exceeds_its_creator() {
    let server = TestServer::start().await;
    let (a, b) = (server.repo("a").await, server.repo("b").await);
    let (_, limited) = server
        .key(json!({"scopes": ["admin"], "repo_ids": [a], "expires_in_seconds": 1000}))
        .await;
    let post = |wanted: Value| server.post(&limited, KEYS, wanted);
    post(json!({})).await.refused(403, "FORBIDDEN");
    post(json!({"expires_in_seconds": 2000}))
        .await
        .refused(403, "FORBIDDEN");
    post(json!({"expires_in_seconds": 500, "repo_ids": [b]}))
        .await
        .refused(400, "INVALID_REPO_IDS");
    let made = post(json!({"expires_in_seconds": 500})).await.ok(201);
    assert_eq!(made["repo_ids"], json!([a]));
    // A restricted admin neither sees nor revokes the keys of others.
    let me = server.get(&server.admin, "/whoami").await.ok(200);
    let path = format!("{KEYS}/{}", me["key_id"].as_str().unwrap());
    server
        .delete(&limited, &path)
        .await
        .refused(404, "API_KEY_NOT_FOUND");
    let (_, writer) = server.key(json!({"scopes": ["write"]})).await;
    server
        .post(&writer, KEYS, json!({}))
        .await
        .refused(403, "FORBIDDEN");
    server.get(&writer, KEYS).await.refused(403, "FORBIDDEN");
    server
        .delete(&writer, &path)
        .await
        .refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn wrong_values_are_refused() {
    let server = TestServer::start().await;
    let bad = [
        (json!({"scopes": []}), "INVALID_SCOPES"),
        (json!({"scopes": ["root"]}), "BAD_REQUEST"),
        (json!({"repo_ids": []}), "INVALID_REPO_IDS"),
        (json!({"repo_ids": ["repo_NONE"]}), "INVALID_REPO_IDS"),
        (json!({"repo_ids": ["../x"]}), "INVALID_REPO_IDS"),
        (json!({"expires_in_seconds": 99}), "INVALID_EXPIRY"),
        (json!({"expires_in_seconds": 31_536_001}), "INVALID_EXPIRY"),
        (json!({"expires_in_seconds": -1}), "BAD_REQUEST"),
        (json!({"expires_in_seconds": 1.5}), "BAD_REQUEST"),
        (json!({"name": "x".repeat(201)}), "INVALID_KEY_NAME"),
        (json!({"expires": 100}), "BAD_REQUEST"),
    ];
    for (wanted, code) in bad {
        server
            .post(&server.admin, KEYS, wanted)
            .await
            .refused(400, code);
    }
    for id in ["key_NONE", "x", "..%2F", "%00"] {
        let path = format!("{KEYS}/{id}");
        server
            .delete(&server.admin, &path)
            .await
            .refused(404, "API_KEY_NOT_FOUND");
        let patch = json!({"tags": {}});
        server
            .patch(&server.admin, &path, patch)
            .await
            .refused(404, "API_KEY_NOT_FOUND");
    }
    let keys = server.get(&server.admin, KEYS).await.ok(200);
    assert_eq!(keys["api_keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn filters() {
    let server = TestServer::start().await;
    let repo = server.repo("demo").await;
    let (gone, _) = server.key(json!({"name": "Gone"})).await;
    server
        .delete(&server.admin, &format!("{KEYS}/{gone}"))
        .await
        .ok(200);
    server
        .key(json!({"name": "Short", "expires_in_seconds": 100, "repo_ids": [repo]}))
        .await;
    server.clock.forward_secs(101);
    let server = &server;
    let names = |query: String| async move {
        let page = server
            .get(&server.admin, &format!("{KEYS}?{query}"))
            .await
            .ok(200);
        let keys = page["api_keys"].as_array().unwrap().clone();
        keys.iter()
            .map(|k| k["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names("status=all&limit=100".into()).await,
        ["admin", "Gone", "Short"]
    );
    assert_eq!(names("status=active".into()).await, ["admin"]);
    assert_eq!(names("status=revoked".into()).await, ["Gone"]);
    assert_eq!(names("status=expired".into()).await, ["Short"]);
    assert_eq!(names("scope=admin".into()).await, ["admin"]);
    assert_eq!(names("query=sho".into()).await, ["Short"]);
    assert_eq!(names(format!("repo_id={repo}")).await, ["Short"]);
    let answer = server
        .get(&server.admin, &format!("{KEYS}?status=odd"))
        .await;
    answer.refused(400, "BAD_REQUEST");
}
