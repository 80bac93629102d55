//! Changes, bookmarks and merges over REST.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::harness::{Answer, TestServer};

pub fn put(path: &str, content: &str) -> Value {
    json!({"path": path, "content": STANDARD.encode(content), "encoding": "base64"})
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl TestServer {
    pub async fn make_change(&self, base: &str, files: Value) -> Value {
        let author = json!({
            "name": "A", "email": "a@example.test", "date": "2001-02-03T04:05:06Z",
        });
        let body = json!({
            "base_change_id": base, "message": "m", "author": author, "files": files,
        });
        let made = self.post(&self.admin, "/acme/demo/changes", body).await;
        made.ok(201)
    }

    pub async fn make_bookmark(&self, name: &str, change: &Value) {
        let body = json!({"name": name, "change_id": change});
        let made = self.post(&self.admin, "/acme/demo/bookmarks", body).await;
        made.ok(201);
    }

    pub async fn text_at(&self, at: &str, path: &str) -> String {
        let path = format!("/acme/demo/content?change_id={at}&path={path}");
        let file = self.get(&self.admin, &path).await.ok(200);
        let bytes = STANDARD.decode(file["content"].as_str().unwrap());
        String::from_utf8(bytes.unwrap()).unwrap()
    }

    pub async fn amend(&self, change: &str, body: Value) -> Answer {
        let path = format!("/acme/demo/changes/{change}");
        self.patch(&self.admin, &path, body).await
    }
}

#[tokio::test]
async fn a_change_is_created_amended_and_closed() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let root = "z".repeat(32);
    let made = server.make_change(&root, json!([put("a/b", "1")])).await;
    let id = text(&made["id"]);
    assert_eq!(made["author"]["name"], "A");
    for date in [&made["author"]["date"], &made["authored_at"]] {
        assert!(text(date).starts_with("2001-02-03T04:05:06"), "{made}");
    }
    assert!(!text(&made["committer"]["date"]).starts_with("2001"));
    assert_eq!(made["message"], "m");
    assert_eq!(made["parents"], json!([root]));
    let first = text(&made["current_commit_oid"]);
    assert_eq!(first.len(), 40);

    let files = json!([put("a/b", "2"), {"path": "c", "action": "move", "from": "a/b"}]);
    let body = json!({"files": files, "base_commit_oid": first, "message": "other"});
    let amended = server.amend(&id, body.clone()).await.ok(200);
    assert_eq!(amended["id"], made["id"]);
    assert_eq!(amended["message"], "other");
    assert_eq!(server.text_at(&id, "c").await, "2");
    server.amend(&id, body).await.refused(409, "STALE_COMMIT");
    let bad = json!({"files": [{"path": "nope", "action": "delete"}]});
    server.amend(&id, bad).await.refused(400, "PATH_NOT_FOUND");
    let bad = json!({"files": [put("../x", "")]});
    server.amend(&id, bad).await.refused(400, "INVALID_PATH");

    let path = format!("/acme/demo/changes/{id}/new");
    let closed = server.post(&server.admin, &path, json!({})).await.ok(200);
    assert_eq!(closed["closed"]["id"], made["id"]);
    let on_top = json!({"files": [put("d", "3")]});
    let next = server.amend(&id, on_top).await.ok(200);
    assert_ne!(next["id"], made["id"]);
    assert_eq!(next["parents"], json!([id]));
}

#[tokio::test]
async fn bookmarks_are_created_moved_and_deleted() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let first = server.make_change("main", json!([put("f", "1")])).await;
    let id = text(&first["id"]);
    let second = server.make_change(&id, json!([put("f", "2")])).await;
    server.make_bookmark("feature/x", &first["id"]).await;
    let at = "/acme/demo/bookmarks/feature%2Fx";
    let shift = |body: Value| server.patch(&server.admin, at, body);
    let moved = shift(json!({"change_id": second["id"]})).await.ok(200);
    assert_eq!(moved["from_change_id"], first["id"]);
    assert_eq!(moved["change_id"], second["id"]);
    assert_eq!(moved["is_default"], false);
    let back = json!({"change_id": first["id"]});
    shift(back).await.refused(409, "NON_FORWARD_MOVE");
    let back = json!({"change_id": first["id"], "allow_backwards": true});
    shift(back).await.ok(200);
    let gone = server.delete(&server.admin, at).await.ok(200);
    assert_eq!(gone, json!({"success": true}));
    server
        .get(&server.admin, at)
        .await
        .refused(404, "BOOKMARK_NOT_FOUND");
    let main = "/acme/demo/bookmarks/main";
    server
        .delete(&server.admin, main)
        .await
        .refused(409, "DEFAULT_BOOKMARK");
}

#[tokio::test]
async fn merges_answer_conflicts_and_take_resolutions() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let files = json!({"files": [put("f", "a\nb\nc\n")]});
    let base = server.amend("main", files).await.ok(200);
    let id = text(&base["id"]);
    let side = server
        .make_change(&id, json!([put("f", "a\nB\nc\n")]))
        .await;
    server.make_bookmark("side", &side["id"]).await;
    let ours = json!({"files": [put("f", "a\nbee\nc\n"), put("g", "g")]});
    server.amend("main", ours).await.ok(200);

    let merge = |body: Value| server.post(&server.admin, "/acme/demo/bookmarks/merge", body);
    let wanted = json!({"target": "main", "source": "side"});
    let refused = merge(wanted).await;
    let details = refused.json()["error"]["details"].clone();
    refused.refused(409, "MERGE_CONFLICT");
    assert_eq!(details["conflict_paths"], json!(["f"]));
    let hunk = &details["conflicts"][0]["hunks"][0];
    assert_eq!(hunk["source"]["content"], STANDARD.encode("B\n"));
    let resolutions = json!([{
        "path": "f", "hunks": [{"hunk_id": hunk["hunk_id"], "take": "source"}],
    }]);
    let wanted = json!({
        "target": "main", "source": "side", "resolutions": resolutions, "delete_source": true,
        "message": "together",
    });
    let merged = merge(wanted).await.ok(200);
    assert_eq!(merged["merge_type"], "merge_commit");
    assert_eq!(merged["is_conflicted"], false);
    assert_eq!(merged["source_deleted"], true);
    assert_eq!(server.text_at("main", "f").await, "a\nB\nc\n");
    let path = format!("/acme/demo/changes/{}", text(&merged["change_id"]));
    let change = server.get(&server.admin, &path).await.ok(200);
    assert_eq!(change["message"], "together");
    assert_eq!(change["parents"].as_array().unwrap().len(), 2);
    server.make_bookmark("again", &side["id"]).await;
    let wanted = json!({"target": "main", "source": "again"});
    let nothing = merge(wanted).await.ok(200);
    assert_eq!(nothing["merge_type"], "no_op");
    assert_eq!(nothing["commit_oid"], merged["commit_oid"]);
}
