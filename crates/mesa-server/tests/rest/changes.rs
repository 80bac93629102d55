//! Changes, as made through the mount protocol.

use serde_json::json;

use crate::{
    harness::TestServer,
    mount::{Mount, What},
};

#[tokio::test]
async fn the_first_write_makes_a_change_that_is_listed_and_read() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let list = |query: &'static str| {
        let path = format!("/acme/demo/changes{query}");
        let server = &server;
        async move { server.get(&server.admin, &path).await }
    };
    let none = json!({"next_cursor": null, "has_more": false, "changes": []});
    assert_eq!(list("").await.ok(200), none);

    let mut mount = Mount::open(&server, &server.admin, "demo").await;
    let id = mount.opened.change_id.clone();
    // Opened and not written to: there is no change yet.
    let path = format!("/acme/demo/changes/{id}");
    server
        .get(&server.admin, &path)
        .await
        .refused(404, "CHANGE_NOT_FOUND");
    let root = mount.root();
    let src = mount.create(root, b"src", What::Dir).await;
    mount.create(src, b"a", What::File(b"1", 0o644)).await;
    mount.create(root, b"b", What::Link(b"src/a")).await;

    let one = server.get(&server.admin, &path).await.ok(200);
    assert_eq!(one["id"], id);
    assert_eq!(one["files"], json!(["b", "src/a"]));
    assert_eq!(one["conflicts"], json!([]));
    assert_eq!(one["parents"], json!(["z".repeat(32)]));
    assert_eq!(one["is_conflicted"], false);
    let oid = one["current_commit_oid"].as_str().unwrap().to_owned();
    assert!(oid.len() == 40 && oid != "0".repeat(40), "{oid}");
    for key in [
        "author",
        "authors",
        "authored_at",
        "committer",
        "created_at",
        "updated_at",
        "message",
    ] {
        assert!(one.get(key).is_some(), "{key}");
    }
    assert!(one["author"]["name"].is_string() && one["author"]["email"].is_string());

    let listed = list("?bookmark=main").await.ok(200);
    assert_eq!(listed["changes"].as_array().unwrap().len(), 1);
    assert_eq!(listed["changes"][0]["id"], id);
    assert_eq!(listed["has_more"], false);
    list("?bookmark=nope")
        .await
        .refused(404, "CHANGE_NOT_FOUND");
    list("?cursor=zzz").await.refused(400, "INVALID_CURSOR");

    // The bookmark and the repo follow.
    let bookmark = server
        .get(&server.admin, "/acme/demo/bookmarks/main")
        .await
        .ok(200);
    assert_eq!(bookmark["change_id"], id);
    let repo = server.get(&server.admin, "/acme/demo").await.ok(200);
    assert_eq!(repo["head_change_id"], id);

    // More writes: the same change, another commit.
    mount.create(root, b"c", What::File(b"2", 0o644)).await;
    let later = server
        .get(&server.admin, "/acme/demo/changes/main")
        .await
        .ok(200);
    assert_eq!(later["id"], id);
    assert_ne!(later["current_commit_oid"], oid);
    assert_eq!(later["files"], json!(["b", "c", "src/a"]));
}

#[tokio::test]
async fn the_virtual_root() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let path = format!("/acme/demo/changes/{}", "z".repeat(32));
    let root = server.get(&server.admin, &path).await.ok(200);
    assert_eq!(root["authors"], json!([]));
    assert_eq!(root["authored_at"], "1970-01-01T00:00:00.000+00:00");
    assert_eq!((&root["files"], &root["parents"]), (&json!([]), &json!([])));
    for absent in ["k".repeat(32), "a".repeat(32), "%00".to_owned()] {
        let path = format!("/acme/demo/changes/{absent}");
        server
            .get(&server.admin, &path)
            .await
            .refused(404, "CHANGE_NOT_FOUND");
    }
}

#[tokio::test]
async fn a_revoked_key_ends_the_live_mount() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let (id, key) = server.key(json!({})).await;
    let mut mount = Mount::open(&server, &key, "demo").await;
    let root = mount.root();
    mount.create(root, b"a", What::File(b"1", 0o644)).await;
    server
        .delete(&server.admin, &format!("/acme/api-keys/{id}"))
        .await
        .ok(200);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), mount.end()).await;
    let status = ended.unwrap().unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    // What was acknowledged before stays.
    server
        .get(&server.admin, "/acme/demo/content?path=a")
        .await
        .ok(200);
}
