//! Repos and their labels.

use serde_json::{Value, json};

use crate::harness::TestServer;

#[tokio::test]
async fn create_read_change_delete() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let wanted =
        json!({"name": "Agent.Work_1", "default_bookmark": "trunk", "tags": {"Env": "Prod"}});
    let made = server.post(admin, "/acme/repos", wanted).await.ok(201);
    assert_eq!(made.as_object().unwrap().len(), 8);
    assert_eq!(made["org"], "acme");
    assert_eq!(made["name"], "Agent.Work_1");
    assert_eq!(made["default_bookmark"], "trunk");
    assert_eq!(made["head_change_id"], "z".repeat(32));
    assert_eq!(made["upstream"], Value::Null);
    assert_eq!(made["tags"], json!({"env": "Prod"}));
    assert_eq!(server.get(admin, "/acme/Agent.Work_1").await.ok(200), made);
    assert_eq!(
        server.get(admin, "/acme/Agent%2EWork_1").await.ok(200),
        made
    );

    let change = json!({"name": "renamed", "tags": {"env": null, "x": "1"}, "upstream": null});
    let changed = server
        .patch(admin, "/acme/Agent.Work_1", change)
        .await
        .ok(200);
    assert_eq!(changed["id"], made["id"]);
    assert_eq!(changed["tags"], json!({"x": "1"}));
    server
        .get(admin, "/acme/Agent.Work_1")
        .await
        .refused(404, "REPO_NOT_FOUND");

    let deleted = server.delete(admin, "/acme/renamed").await.ok(200);
    assert_eq!(deleted, json!({"success": true}));
    server
        .get(admin, "/acme/renamed")
        .await
        .refused(404, "REPO_NOT_FOUND");
    server
        .delete(admin, "/acme/renamed")
        .await
        .refused(404, "REPO_NOT_FOUND");
    // The name is free; the new repo is another one.
    assert_ne!(server.repo("renamed").await, made["id"].as_str().unwrap());
}

#[tokio::test]
async fn names_are_generated_when_absent() {
    let server = TestServer::start().await;
    let made = server
        .post(&server.admin, "/acme/repos", json!({}))
        .await
        .ok(201);
    assert!(!made["name"].as_str().unwrap().is_empty());
    assert_eq!(made["default_bookmark"], "main");
}

#[tokio::test]
async fn wrong_values_are_refused() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let long = "x".repeat(101);
    for name in [
        "", ".", "..", "../x", "a/b", "a b", "a.git", "repos", "api-keys", "a\0b", "é", &long,
    ] {
        let answer = server
            .post(admin, "/acme/repos", json!({"name": name}))
            .await;
        answer.refused(400, "INVALID_REPO_NAME");
    }
    for bookmark in ["", "a..b", "/a", "a b", "-a", "@", "x.lock"] {
        let wanted = json!({"name": "n", "default_bookmark": bookmark});
        server
            .post(admin, "/acme/repos", wanted)
            .await
            .refused(400, "INVALID_BOOKMARK_NAME");
    }
    for tags in [
        json!({"$and": "x"}),
        json!({"": "x"}),
        json!({"k": "v".repeat(257)}),
    ] {
        let answer = server
            .post(admin, "/acme/repos", json!({"name": "n", "tags": tags}))
            .await;
        assert_eq!(answer.status, 400);
    }
    let upstream = json!({"name": "n", "upstream": {"url": "git@example.com:x.git"}});
    server
        .post(admin, "/acme/repos", upstream)
        .await
        .refused(400, "INVALID_UPSTREAM_URL");

    server.repo("one").await;
    server.repo("two").await;
    server
        .post(admin, "/acme/repos", json!({"name": "one"}))
        .await
        .refused(409, "REPO_EXISTS");
    server
        .patch(admin, "/acme/two", json!({"name": "one"}))
        .await
        .refused(409, "REPO_EXISTS");
    let absent = json!({"default_bookmark": "nope"});
    server
        .patch(admin, "/acme/two", absent)
        .await
        .refused(400, "BOOKMARK_NOT_FOUND");
    let repos = server.get(admin, "/acme/repos").await.ok(200);
    assert_eq!(repos["repos"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn pages_are_stable_while_repos_come_and_go() {
    let server = TestServer::start().await;
    for n in 0..5 {
        server.repo(&format!("r{n}")).await;
    }
    let mut seen = Vec::new();
    let mut path = "/acme/repos?limit=2".to_owned();
    loop {
        let page = server.get(&server.admin, &path).await.ok(200);
        for repo in page["repos"].as_array().unwrap() {
            seen.push(repo["name"].as_str().unwrap().to_owned());
        }
        if seen.len() == 2 {
            server.delete(&server.admin, "/acme/r1").await.ok(200);
            server.repo("later").await;
        }
        assert_eq!(page["has_more"], page["next_cursor"].is_string());
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/acme/repos?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, ["r0", "r1", "r2", "r3", "r4", "later"]);
    for bad in ["limit=0", "limit=101", "limit=x", "limit=-1"] {
        let answer = server
            .get(&server.admin, &format!("/acme/repos?{bad}"))
            .await;
        answer.refused(400, "BAD_REQUEST");
    }
    let answer = server.get(&server.admin, "/acme/repos?cursor=hello").await;
    answer.refused(400, "INVALID_CURSOR");
}

#[tokio::test]
async fn filters_by_tags() {
    let server = TestServer::start().await;
    for (name, tags) in [("a", json!({"env": "prod"})), ("b", json!({"env": "dev"}))] {
        let wanted = json!({"name": name, "tags": tags});
        server
            .post(&server.admin, "/acme/repos", wanted)
            .await
            .ok(201);
    }
    let server = &server;
    let names = |query: &'static str| async move {
        let query =
            percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC);
        let path = format!("/acme/repos?tags={query}");
        let page = server.get(&server.admin, &path).await.ok(200);
        let repos = page["repos"].as_array().unwrap().clone();
        repos
            .iter()
            .map(|r| r["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("env:prod").await, ["a"]);
    assert_eq!(names(r#"{"env":"DEV"}"#).await, ["b"]);
    assert_eq!(names("").await, ["a", "b"]);
    let answer = server.get(&server.admin, "/acme/repos?tags=%7B").await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn bulk_tags_are_all_or_nothing() {
    let server = TestServer::start().await;
    let (a, b) = (server.repo("a").await, server.repo("b").await);
    let path = "/acme/repos/tags";
    let set = json!({"repo_ids": [a, b], "action": "set", "key": "Team", "value": "x"});
    for _ in 0..2 {
        assert_eq!(
            server.patch(&server.admin, path, set.clone()).await.ok(200),
            json!({"updated": 2})
        );
    }
    assert_eq!(
        server.get(&server.admin, "/acme/b").await.ok(200)["tags"],
        json!({"team": "x"})
    );
    let unknown = json!({"repo_ids": [a, "repo_NONE"], "action": "remove", "key": "team"});
    server
        .patch(&server.admin, path, unknown)
        .await
        .refused(404, "REPO_NOT_FOUND");
    assert_eq!(
        server.get(&server.admin, "/acme/a").await.ok(200)["tags"],
        json!({"team": "x"})
    );
    let no_value = json!({"repo_ids": [a], "action": "set", "key": "k"});
    server
        .patch(&server.admin, path, no_value)
        .await
        .refused(400, "BAD_REQUEST");
    let none = json!({"repo_ids": [], "action": "remove", "key": "k"});
    server
        .patch(&server.admin, path, none)
        .await
        .refused(400, "INVALID_REPO_IDS");
    let remove = json!({"repo_ids": [a], "action": "remove", "key": "team"});
    server.patch(&server.admin, path, remove).await.ok(200);
    assert_eq!(
        server.get(&server.admin, "/acme/a").await.ok(200)["tags"],
        json!({})
    );
}
