//! Bookmarks.

use serde_json::json;

use crate::harness::TestServer;

#[tokio::test]
async fn list_and_get() {
    let server = TestServer::start().await;
    let wanted = json!({"name": "demo", "default_bookmark": "feature/x"});
    server
        .post(&server.admin, "/acme/repos", wanted)
        .await
        .ok(201);
    let bookmark = json!({"name": "feature/x", "change_id": "z".repeat(32), "is_default": true});
    let list = server
        .get(&server.admin, "/acme/demo/bookmarks")
        .await
        .ok(200);
    assert_eq!(
        list,
        json!({"next_cursor": null, "has_more": false, "bookmarks": [bookmark]})
    );
    let one = server
        .get(&server.admin, "/acme/demo/bookmarks/feature%2Fx")
        .await;
    assert_eq!(one.ok(200), bookmark);
    let glob = |glob: &str| format!("/acme/demo/bookmarks?glob={glob}");
    let found = server.get(&server.admin, &glob("f%2A")).await.ok(200);
    assert_eq!(found["bookmarks"].as_array().unwrap().len(), 1);
    let found = server.get(&server.admin, &glob("m*")).await.ok(200);
    assert_eq!(found["bookmarks"], json!([]));
    for bad in ["main", "..", "a%20b", "%00", "x%2F%2Fy"] {
        let path = format!("/acme/demo/bookmarks/{bad}");
        let answer = server.get(&server.admin, &path).await;
        // `..` is resolved by the client before it sends anything.
        if bad == ".." {
            assert_eq!(answer.status, 404);
        } else {
            answer.refused(404, "BOOKMARK_NOT_FOUND");
        }
    }
}
