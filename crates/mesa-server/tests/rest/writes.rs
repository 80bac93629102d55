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

#[tokio::test]
async fn changes_are_abandoned_listed_and_brought_back() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let mut ids = vec!["z".repeat(32)];
    for name in ["a", "b", "c"] {
        let made = server.make_change(&ids[ids.len() - 1], json!([put(name, name)]));
        ids.push(text(&made.await["id"]));
    }
    server.make_bookmark("top", &json!(ids[3])).await;
    server.make_bookmark("middle", &json!(ids[2])).await;
    let changes = "/acme/demo/changes";
    let path = format!("{changes}/{}/abandon", ids[2]);
    let done = server.post(&server.admin, &path, json!({})).await.ok(200);
    assert_eq!(done["change"]["state"], "abandoned");
    assert_eq!(done["parent_change_id"], ids[1]);
    assert_eq!(done["bookmarks"], json!(["middle"]));
    assert_eq!(done["descendants"], 1);
    let listed = |query: &'static str| {
        let path = format!("{changes}?{query}");
        let server = &server;
        async move {
            let listed = server.get(&server.admin, &path).await.ok(200);
            let listed = listed["changes"].as_array().unwrap().clone();
            listed.iter().map(|c| text(&c["id"])).collect::<Vec<_>>()
        }
    };
    assert_eq!(
        listed("bookmark=top").await,
        [ids[3].clone(), ids[1].clone()]
    );
    assert_eq!(listed("state=abandoned").await, [ids[2].clone()]);
    let bad = format!("{changes}?state=open");
    let bad = server.get(&server.admin, &bad).await;
    bad.refused(400, "BAD_REQUEST");
    let top = server
        .get(&server.admin, &format!("{changes}/top"))
        .await
        .ok(200);
    assert_eq!(top["parents"], json!([ids[1]]));
    assert_eq!(top["files"], json!(["c"]));
    let missing = "/acme/demo/content?change_id=top&path=b".to_owned();
    let missing = server.get(&server.admin, &missing).await;
    missing.refused(404, "PATH_NOT_FOUND");
    let on_it = json!({"files": [put("x", "1")]});
    let refused = server.amend(&ids[2], on_it).await;
    refused.refused(409, "CHANGE_ABANDONED");

    let body = json!({"undo": true});
    let back = server.post(&server.admin, &path, body).await.ok(200);
    assert_eq!(back["change"]["state"], "closed");
    assert_eq!(back["bookmarks"], json!(["middle"]));
    assert_eq!(server.text_at("top", "b").await, "b");
    assert_eq!(listed("state=abandoned").await, [""; 0]);
    let root = format!("{changes}/{}/abandon", ids[0]);
    let root = server.post(&server.admin, &root, json!({})).await;
    root.refused(409, "ROOT_CHANGE");
    let (_, reader) = server.key(json!({"scopes": ["read"]})).await;
    let refused = server.post(&reader, &path, json!({})).await;
    refused.refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn changes_are_merged_by_their_ids() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let base = server
        .make_change(&"z".repeat(32), json!([put("a", "1")]))
        .await;
    let base = text(&base["id"]);
    let one = server.make_change(&base, json!([put("b", "2")])).await;
    let other = server.make_change(&base, json!([put("c", "3")])).await;
    server.make_bookmark("one", &one["id"]).await;
    let merge = |target: Value, source: Value, delete: bool| {
        let body = json!({"target": target, "source": source, "delete_source": delete});
        server.post(&server.admin, "/acme/demo/bookmarks/merge", body)
    };
    let merged = merge(one["id"].clone(), other["id"].clone(), false)
        .await
        .ok(200);
    assert_eq!(merged["merge_type"], "merge_commit");
    assert_eq!(
        (&merged["target"], &merged["source"]),
        (&one["id"], &other["id"])
    );
    let made = text(&merged["change_id"]);
    for (path, content) in [("a", "1"), ("b", "2"), ("c", "3")] {
        assert_eq!(server.text_at(&made, path).await, content);
    }
    let read = server
        .get(&server.admin, &format!("/acme/demo/changes/{made}"))
        .await;
    assert_eq!(read.ok(200)["parents"], json!([one["id"], other["id"]]));
    let named = server.get(&server.admin, "/acme/demo/bookmarks/one").await;
    assert_eq!(named.ok(200)["change_id"], one["id"]);
    // A bookmark goes to the merge of a change into it.
    let into = merge(json!("one"), json!(made), false).await.ok(200);
    let named = server.get(&server.admin, "/acme/demo/bookmarks/one").await;
    assert_eq!(named.ok(200)["change_id"], into["change_id"]);
    let refused = merge(json!("one"), json!(made), true).await;
    refused.refused(400, "BAD_REQUEST");
    let refused = merge(json!("one"), json!("k".repeat(32)), false).await;
    refused.refused(404, "BOOKMARK_NOT_FOUND");
}

#[tokio::test]
async fn closing_with_a_description_at_the_same_time_makes_nothing() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    for round in 0..8 {
        let made = server
            .make_change(&"z".repeat(32), json!([put("a", "1")]))
            .await;
        let id = text(&made["id"]);
        let path = format!("/acme/demo/changes/{id}/new");
        let close = |n: usize| {
            let body = json!({"message": format!("by {n}")});
            server.post(&server.admin, &path, body)
        };
        let all = futures::future::join_all((0..6).map(close)).await;
        let said: Vec<String> = all
            .iter()
            .map(|answer| {
                let answer = answer.ok(200);
                assert_eq!(answer["closed"]["id"], made["id"]);
                assert_eq!(answer["closed"]["state"], "closed");
                text(&answer["closed"]["message"])
            })
            .collect();
        let read = format!("/acme/demo/changes/{id}");
        let read = server.get(&server.admin, &read).await.ok(200);
        let last = text(&read["message"]);
        assert!(said.contains(&last), "{round}: {said:?} and not {last}");
        // Nothing else came of it.
        let audit = "/acme/audit?limit=100";
        let audit = server.get(&server.admin, audit).await.ok(200);
        let made = audit["records"].as_array().unwrap().iter();
        let made = made.filter(|e| e["action"] == "change.create").count();
        assert_eq!(made, round + 1, "{audit}");
    }
}
