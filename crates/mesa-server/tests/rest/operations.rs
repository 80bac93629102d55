//! The operation log, undo and restore over REST.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use crate::harness::{Answer, TestServer};

const CHANGE: &str = "/acme/demo/changes/main";

fn put(path: &str, content: &str) -> Value {
    json!({"path": path, "content": STANDARD.encode(content), "encoding": "base64"})
}

impl TestServer {
    async fn put(&self, files: Value) -> Value {
        let amended = self.patch(&self.admin, CHANGE, json!({"files": files}));
        amended.await.ok(200)
    }

    async fn operations(&self, query: &str) -> Value {
        let path = format!("{CHANGE}/operations{query}");
        self.get(&self.admin, &path).await.ok(200)
    }

    async fn act(&self, verb: &str, body: Value) -> Answer {
        let path = format!("{CHANGE}/{verb}");
        self.post(&self.admin, &path, body).await
    }

    async fn content(&self, path: &str) -> Option<String> {
        let path = format!("/acme/demo/content?path={path}");
        let answer = self.get(&self.admin, &path).await;
        if answer.status == 404 {
            return None;
        }
        let content = answer.ok(200)["content"]
            .as_str()
            .map(|c| STANDARD.decode(c));
        Some(String::from_utf8(content.unwrap().unwrap()).unwrap())
    }
}

#[tokio::test]
async fn actions_are_listed_and_undone() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let empty = server.operations("").await;
    assert_eq!(
        empty,
        json!({"actions": [], "next_cursor": null, "has_more": false})
    );

    server
        .put(json!([put("d/a", "1\n"), put("b", "1\n")]))
        .await;
    server.clock.forward_secs(1);
    let written = server.put(json!([put("d/a", "2\n")])).await;
    let list = server.operations("?limit=1").await;
    assert_eq!(list["has_more"], true);
    let second = &list["actions"][0];
    assert_eq!(second["change_id"], written["id"]);
    assert_eq!(second["origin"], "rest");
    assert_eq!(second["counts"]["write"], 1);
    assert_eq!(second["operation_count"], 1);
    assert_eq!(
        second["paths"],
        json!([{"path": "d/a", "kinds": ["write"]}])
    );
    assert_eq!(second["address"], "127.0.0.1");
    assert_eq!(second["program"], Value::Null);
    let cursor = list["next_cursor"].as_str().unwrap();
    let rest = server
        .operations(&format!("?limit=1&cursor={cursor}"))
        .await;
    let first = &rest["actions"][0];
    assert_eq!(first["counts"]["create"], 3);
    assert_eq!(rest["has_more"], false);
    let on_b = server.operations("?path=b").await;
    assert_eq!(on_b["actions"].as_array().unwrap().len(), 1);
    let at = second["started_at"].as_str().unwrap();
    let early = server.operations(&format!("?until={at}")).await;
    assert_eq!(early["actions"], json!([first]));
    let whole = format!("?since={}", at.replace('+', "%2B"));
    let late = server.operations(&whole).await;
    assert_eq!(late["actions"], json!([second]));

    let id = first["last_operation"].as_str().unwrap();
    let detail = server.operations(&format!("/{id}?limit=2")).await;
    assert_eq!(&detail["action"], first);
    assert_eq!(detail["operations"][1]["path"], "d/a");
    assert_eq!(detail["operations"][1]["size"], 2);
    assert_eq!(detail["has_more"], true);
    let cursor = detail["next_cursor"].as_str().unwrap();
    let detail = server.operations(&format!("/{id}?cursor={cursor}")).await;
    assert_eq!(detail["operations"].as_array().unwrap().len(), 1);

    let undone = server.act("undo", json!({})).await.ok(200);
    assert_eq!(undone["outcome"], "applied");
    assert_eq!(undone["undone"], second["id"]);
    assert_eq!(undone["operation_count"], 1);
    assert_eq!(undone["is_conflicted"], false);
    assert_eq!(undone["change_id"], written["id"]);
    assert_eq!(server.content("d/a").await.as_deref(), Some("1\n"));
    let list = server.operations("").await;
    assert_eq!(list["actions"][0]["undoes"], second["id"]);
    assert_eq!(list["actions"][1]["undone_by"], undone["action"]);
    let redo = json!({"action": undone["action"]});
    server.act("undo", redo).await.ok(200);
    assert_eq!(server.content("d/a").await.as_deref(), Some("2\n"));

    // The same request again is answered, not done.
    let request = || {
        let url = server.url(&format!("/v1{CHANGE}/undo"));
        let request = server.http.post(url).bearer_auth(&server.admin);
        request.header("idempotency-key", "k").json(&json!({}))
    };
    let one = server.send(request()).await.ok(200);
    let two = server.send(request()).await.ok(200);
    assert_eq!(one, two);
    assert_eq!(server.content("b").await.as_deref(), Some("1\n"));
}

#[tokio::test]
async fn conflicts_are_told_as_those_of_merges() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    for content in ["1\n", "2\n", "3\n"] {
        server.put(json!([put("f", content)])).await;
    }
    let list = server.operations("").await;
    let middle = list["actions"][1]["id"].clone();
    let refused = server.act("undo", json!({"action": middle})).await;
    let details = refused.refused(409, "MERGE_CONFLICT")["error"]["details"].clone();
    assert_eq!(details["conflict_paths"], json!(["f"]));
    let hunk = &details["conflicts"][0]["hunks"][0];
    assert!(hunk["hunk_id"].is_string());
    let side = |name: &str| {
        STANDARD
            .decode(hunk[name]["content"].as_str().unwrap())
            .unwrap()
    };
    assert_eq!(
        [side("target"), side("base"), side("source")],
        [b"3\n", b"2\n", b"1\n"]
    );
    let allowed = json!({"action": middle, "allow_conflicted": true});
    let done = server.act("undo", allowed).await.ok(200);
    assert_eq!(done["is_conflicted"], true);
    assert_eq!(done["conflict_paths"], json!(["f"]));
    assert!(server.content("f").await.unwrap().contains("<<<<<<<"));
}

#[tokio::test]
async fn paths_are_restored_and_what_is_wrong_is_refused() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let first = server.put(json!([put("d/a", "1"), put("b", "1")])).await;
    let time = server.operations("").await["actions"][0]["ended_at"].clone();
    server.clock.forward_secs(60);
    let files = json!([{"path": "d", "action": "delete"}, put("b", "2"), put("new", "1")]);
    server.put(files).await;
    let commit = first["current_commit_oid"].clone();
    let body = json!({"paths": ["d"], "at": {"commit_oid": commit}});
    let done = server.act("restore", body.clone()).await.ok(200);
    assert_eq!(done["outcome"], "applied");
    assert_eq!(server.content("d/a").await.as_deref(), Some("1"));
    assert_eq!(server.content("b").await.as_deref(), Some("2"));
    let again = server.act("restore", body).await.ok(200);
    assert_eq!(again["outcome"], "no_op");
    assert_eq!(again["action"], Value::Null);
    assert_eq!(again["commit_oid"], done["commit_oid"]);

    // The time as it was told, which is in whole milliseconds.
    let body = json!({"paths": ["b"], "at": {"time": time}});
    server.act("restore", body).await.ok(200);
    assert_eq!(server.content("b").await.as_deref(), Some("1"));
    let body = json!({"paths": ["new"], "at": {"time": time}});
    let refused = server.act("restore", body).await;
    let refused = refused.refused(404, "PATH_NOT_FOUND");
    assert_eq!(refused["error"]["details"]["paths"], json!(["new"]));
    let body = json!({"paths": [""], "at": {"operation": "3"}});
    server.act("restore", body).await.ok(200);
    assert_eq!(server.content("new").await, None);
    assert_eq!(server.content("b").await.as_deref(), Some("1"));
    let body = json!({"paths": ["new"], "at": {"operation": "3"}, "allow_remove": true});
    server.act("restore", body).await.ok(200);

    for (body, status, code) in [
        (
            json!({"paths": [], "at": {"change": "main"}}),
            400,
            "BAD_REQUEST",
        ),
        (json!({"paths": ["b"], "at": {}}), 400, "BAD_REQUEST"),
        (
            json!({"paths": ["b"], "at": {"change": "main", "operation": "1"}}),
            400,
            "BAD_REQUEST",
        ),
        (
            json!({"paths": ["b"], "at": {"time": "now"}}),
            400,
            "BAD_REQUEST",
        ),
        (
            json!({"paths": ["../b"], "at": {"change": "main"}}),
            400,
            "INVALID_PATH",
        ),
        (
            json!({"paths": ["b"], "at": {"operation": "99"}}),
            404,
            "OPERATION_NOT_FOUND",
        ),
        (
            json!({"paths": ["b"], "at": {"operation": "-1"}}),
            404,
            "OPERATION_NOT_FOUND",
        ),
        (
            json!({"paths": ["b"], "at": {"commit_oid": "0".repeat(40)}}),
            404,
            "COMMIT_NOT_FOUND",
        ),
    ] {
        let shown = body.to_string();
        println!("{shown}");
        server.act("restore", body).await.refused(status, code);
    }
    let wrong = json!({"action": "99"});
    server
        .act("undo", wrong)
        .await
        .refused(404, "OPERATION_NOT_FOUND");
    let wrong = server
        .get(&server.admin, &format!("{CHANGE}/operations?cursor=x"))
        .await;
    wrong.refused(400, "INVALID_CURSOR");
    // A number, but none of the action's.
    let list = server.operations("").await;
    let id = list["actions"][0]["id"].as_str().unwrap();
    for number in [u64::MAX, 0, 1 << 40] {
        let cursor = URL_SAFE_NO_PAD.encode([&[2][..], &number.to_be_bytes()].concat());
        let path = format!("{CHANGE}/operations/{id}?cursor={cursor}");
        let wrong = server.get(&server.admin, &path).await;
        wrong.refused(400, "INVALID_CURSOR");
    }
    let (_, reader) = server.key(json!({"scopes": ["read"]})).await;
    let path = format!("{CHANGE}/undo");
    server
        .post(&reader, &path, json!({}))
        .await
        .refused(403, "FORBIDDEN");
    let path = format!("{CHANGE}/operations");
    server.get(&reader, &path).await.ok(200);
}
