//! Everything that changes state leaves an audit record.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    harness::TestServer,
    mount::{Mount, What},
};

async fn records(server: &TestServer) -> Vec<Value> {
    let mut out = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/acme/audit?limit=3&cursor={cursor}");
        let page = server.get(&server.admin, &path).await.ok(200);
        out.extend(page["records"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return out,
        }
    }
}

#[tokio::test]
async fn every_change_is_recorded_with_who_what_and_from_where() {
    let server = TestServer::start().await;
    let me = server.get(&server.admin, "/whoami").await.ok(200);
    let repo = server.repo("demo").await;
    let (key, _) = server.key(json!({})).await;
    let calls = [
        server
            .patch(&server.admin, "/acme/demo", json!({"tags": {"a": "b"}}))
            .await,
        server
            .patch(
                &server.admin,
                "/acme/demo",
                json!({"upstream": {"url": "https://g.example/"}}),
            )
            .await,
        server
            .patch(&server.admin, "/acme/demo", json!({"upstream": null}))
            .await,
        server
            .patch(
                &server.admin,
                "/acme/repos/tags",
                json!({"repo_ids": [repo], "action": "remove", "key": "a"}),
            )
            .await,
        server
            .patch(
                &server.admin,
                &format!("/acme/api-keys/{key}"),
                json!({"tags": {"a": "b"}}),
            )
            .await,
        server
            .delete(&server.admin, &format!("/acme/api-keys/{key}"))
            .await,
        server
            .post(
                &server.admin,
                "/acme/webhook-targets",
                json!({"url": "https://h.example/secret"}),
            )
            .await,
    ];
    for call in &calls {
        assert!(call.status.is_success(), "{call:?}");
    }
    let target = calls[6].json()["id"].as_str().unwrap().to_owned();
    let one = format!("/acme/webhook-targets/{target}");
    server
        .patch(&server.admin, &one, json!({"name": "x"}))
        .await
        .ok(200);
    server.delete(&server.admin, &one).await.ok(200);
    let mut mount = Mount::open(&server, &server.admin, "demo").await;
    let root = mount.root();
    mount.create(root, b"f", What::File(b"x", 0o644)).await;
    server.delete(&server.admin, "/acme/demo").await.ok(200);
    let all = records(&server).await;
    let actions: Vec<_> = all
        .iter()
        .rev()
        .map(|r| r["action"].as_str().unwrap())
        .collect();
    for expected in [
        "repo.create",
        "api_key.create",
        "repo.update",
        "repo.upstream_set",
        "repo.upstream_remove",
        "repo.tag",
        "api_key.update",
        "api_key.revoke",
        "webhook_target.create",
        "webhook_target.update",
        "webhook_target.delete",
        "change.create",
        "bookmark.move",
        "repo.delete",
    ] {
        assert!(actions.contains(&expected), "{expected} not in {actions:?}");
    }
    assert!(
        all.is_sorted_by(|a, b| a["id"].as_str() > b["id"].as_str()),
        "newest first"
    );
    for record in &all {
        if record["source"] != "server" {
            assert_eq!(record["key_id"], me["key_id"], "{record}");
        }
        assert!(!record.to_string().contains("/secret"), "{record}");
    }
    let repo_record = all.iter().find(|r| r["action"] == "repo.create").unwrap();
    assert!(
        repo_record["source"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1")
    );
    assert!(!repo_record["request_id"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn the_log_is_for_admins_of_the_whole_org() {
    let server = TestServer::start().await;
    let repo = server.repo("demo").await;
    let (_, writer) = server.key(json!({})).await;
    server
        .get(&writer, "/acme/audit")
        .await
        .refused(403, "FORBIDDEN");
    let (_, limited) = server
        .key(json!({"scopes": ["admin"], "repo_ids": [repo]}))
        .await;
    server
        .get(&limited, "/acme/audit")
        .await
        .refused(403, "FORBIDDEN");
    server
        .get(&server.admin, "/other/audit")
        .await
        .refused(404, "ORG_NOT_FOUND");
}

#[tokio::test]
async fn records_are_kept_as_long_as_asked() {
    let server = TestServer::start().await;
    server.repo("old").await;
    server.clock.forward_secs(3600);
    server.repo("new").await;
    // The first look at what is old is right after the start.
    let server = server
        .restarted(|options| options.audit_kept = Duration::from_mins(30))
        .await;
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        let all = records(&server).await;
        let names: Vec<_> = all
            .iter()
            .filter_map(|r| r["detail"]["name"].as_str())
            .collect();
        if names == ["new"] {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{names:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
