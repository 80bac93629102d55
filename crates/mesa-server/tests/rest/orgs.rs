//! `GET /{org}` and `POST /admin/orgs`.

use serde_json::{Value, json};

use crate::harness::TestServer;

#[tokio::test]
async fn whoami_and_summary() {
    let server = TestServer::start().await;
    let me = server.get(&server.admin, "/whoami").await.ok(200);
    assert_eq!(me["org"]["slug"], "acme");
    assert!(me["org"]["id"].as_str().unwrap().starts_with("org_"));
    assert_eq!(me["org"]["name"], "acme");
    assert!(me["key_id"].as_str().unwrap().starts_with("key_"));
    assert_eq!(me["key_name"], "admin");
    assert_eq!(me["scopes"], json!(["read", "write", "admin"]));
    assert_eq!(
        (&me["repo_ids"], &me["expires_at"]),
        (&Value::Null, &Value::Null)
    );

    let a = server.repo("a").await;
    server.repo("b").await;
    let summary = server.get(&server.admin, "/acme").await.ok(200);
    assert_eq!(summary["num_repos"], 2);
    let created = summary["created_at"].as_str().unwrap();
    assert!(
        created.starts_with("2027-") && created.ends_with("+00:00"),
        "{created}"
    );
    let (_, one) = server.key(json!({"repo_ids": [a]})).await;
    assert_eq!(server.get(&one, "/acme").await.ok(200)["num_repos"], 1);
    server.delete(&server.admin, "/acme/a").await.ok(200);
    assert_eq!(server.get(&one, "/acme").await.ok(200)["num_repos"], 0);
}

#[tokio::test]
async fn other_orgs_do_not_exist() {
    let server = TestServer::start().await;
    let made = server
        .post(
            &server.admin,
            "/admin/orgs",
            json!({"slug": "other", "name": "Other Ltd"}),
        )
        .await
        .ok(201);
    assert_eq!(
        (&made["slug"], &made["name"]),
        (&json!("other"), &json!("Other Ltd"))
    );
    let other = made["admin_key"]["key"].as_str().unwrap();
    server.repo("demo").await;
    for path in [
        "/acme",
        "/acme/repos",
        "/acme/demo",
        "/acme/api-keys",
        "/acme/demo/bookmarks",
        "/nobody",
        "/..%2F",
        "/%00",
        "/ACME",
    ] {
        server.get(other, path).await.refused(404, "ORG_NOT_FOUND");
    }
    server
        .get(other, "/other/demo")
        .await
        .refused(404, "REPO_NOT_FOUND");
    server.get(other, "/other").await.ok(200);
    server
        .post(other, "/acme/repos", json!({"name": "x"}))
        .await
        .refused(404, "ORG_NOT_FOUND");
}

#[tokio::test]
async fn only_the_operator_makes_orgs() {
    let server = TestServer::start().await;
    let (_, admin) = server.key(json!({"scopes": ["admin"]})).await;
    let wanted = json!({"slug": "new"});
    server
        .post(&admin, "/admin/orgs", wanted.clone())
        .await
        .refused(403, "FORBIDDEN");
    server
        .post("", "/admin/orgs", wanted.clone())
        .await
        .refused(401, "CREDENTIAL_MISSING");
    for bad in ["", "A", "-a", "a b", "v1", "whoami", "../x", "é"] {
        let wanted = json!({"slug": bad});
        let answer = server.post(&server.admin, "/admin/orgs", wanted).await;
        answer.refused(400, "INVALID_ORG_SLUG");
    }
    server
        .post(&server.admin, "/admin/orgs", wanted.clone())
        .await
        .ok(201);
    server
        .post(&server.admin, "/admin/orgs", wanted)
        .await
        .refused(409, "ORG_EXISTS");
}
