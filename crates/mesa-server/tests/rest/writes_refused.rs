//! What routes of changes, bookmarks, merges and differences refuse.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{harness::TestServer, writes::put};

const CHANGES: &str = "/acme/demo/changes";
const BOOKMARKS: &str = "/acme/demo/bookmarks";
const MERGE: &str = "/acme/demo/bookmarks/merge";

/// Every writing route with a body that would be taken.
fn writes(change: &str) -> Vec<(Method, String, Value)> {
    let of = |method: Method, path: &str, body| (method, path.to_owned(), body);
    vec![
        of(Method::POST, CHANGES, json!({"base_change_id": change})),
        of(
            Method::PATCH,
            &format!("{CHANGES}/{change}"),
            json!({"message": "m"}),
        ),
        of(Method::POST, &format!("{CHANGES}/{change}/new"), json!({})),
        of(
            Method::POST,
            BOOKMARKS,
            json!({"name": "b", "change_id": change}),
        ),
        of(
            Method::PATCH,
            "/acme/demo/bookmarks/main",
            json!({"change_id": change}),
        ),
        of(Method::DELETE, "/acme/demo/bookmarks/b", Value::Null),
        of(
            Method::POST,
            MERGE,
            json!({"target": "main", "source": "main"}),
        ),
    ]
}

#[tokio::test]
async fn who_may_not_write_is_told_so() {
    let server = TestServer::start().await;
    let demo = server.repo("demo").await;
    let other = server.repo("other").await;
    let made = server.make_change("main", json!([put("f", "1")])).await;
    let id = made["id"].as_str().unwrap();
    let (_, reader) = server
        .key(json!({"scopes": ["read"], "repo_ids": [demo]}))
        .await;
    let (_, elsewhere) = server.key(json!({"repo_ids": [other]})).await;
    let mut routes = writes(id);
    let query = format!("?base_change_id={id}&head_change_id=main");
    let diff = (Method::GET, format!("/acme/demo/diff{query}"), Value::Null);
    for (method, path, body) in &routes {
        let body = Some(body.clone()).filter(|body| !body.is_null());
        let answer = server.call(&reader, method.clone(), path, body).await;
        answer.refused(403, "FORBIDDEN");
    }
    server.get(&reader, &diff.1).await.ok(200);
    routes.push(diff);
    for (method, path, body) in &routes {
        let body = Some(body.clone()).filter(|body| !body.is_null());
        let call = |key| server.call(key, method.clone(), path, body.clone());
        call(&elsewhere).await.refused(404, "REPO_NOT_FOUND");
        call("nonsense").await.refused(401, "CREDENTIAL_MALFORMED");
        let path = path.replace("/demo/", "/nowhere/");
        let nowhere = server.call(&server.admin, method.clone(), &path, body.clone());
        nowhere.await.refused(404, "REPO_NOT_FOUND");
    }
    let after = server.get(&server.admin, &format!("{CHANGES}/{id}")).await;
    assert_eq!(after.ok(200)["message"], "m");
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let made = server.make_change("main", json!([put("f", "1")])).await;
    let id = &made["id"];
    let none = "k".repeat(32);
    let post = |path: &str, body: Value| {
        let (server, path) = (&server, path.to_owned());
        async move { server.post(&server.admin, &path, body).await }
    };
    for named in [&none[..], "nope", "a..b"] {
        let gone = "CHANGE_NOT_FOUND";
        let base = json!({"base_change_id": named});
        post(CHANGES, base).await.refused(404, gone);
        let amended = server.amend(named, json!({"message": "m"})).await;
        amended.refused(404, gone);
        let closed = post(&format!("{CHANGES}/{named}/new"), json!({})).await;
        closed.refused(404, gone);
        let at = json!({"name": "b", "change_id": named});
        post(BOOKMARKS, at).await.refused(404, gone);
        let to = json!({"change_id": named});
        let moved = server
            .patch(&server.admin, "/acme/demo/bookmarks/main", to)
            .await;
        moved.refused(404, gone);
        let query = format!("/acme/demo/diff?base_change_id={named}&head_change_id=main");
        server.get(&server.admin, &query).await.refused(404, gone);
    }
    for named in ["nope", "a..b"] {
        let gone = "BOOKMARK_NOT_FOUND";
        let path = format!("{BOOKMARKS}/{named}");
        let to = json!({"change_id": id});
        let moved = server.patch(&server.admin, &path, to).await;
        moved.refused(404, gone);
        server.delete(&server.admin, &path).await.refused(404, gone);
        let from = json!({"target": "main", "source": named});
        post(MERGE, from).await.refused(404, gone);
        let into = json!({"target": named, "source": "main"});
        post(MERGE, into).await.refused(404, gone);
    }
}

#[tokio::test]
async fn impossible_file_operations_have_no_effect() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let files = json!([put("d/f", "1"), put("g", "2")]);
    let made = server.make_change("main", files).await;
    let id = made["id"].as_str().unwrap();
    let file = |path: &str| put(path, "x");
    let shift = |from: &str, to: &str| json!({"path": to, "action": "move", "from": from});
    let gone = |path: &str| json!({"path": path, "action": "delete"});
    let odd = |field: &str, value: &str| {
        let mut file = file("g");
        file[field] = json!(value);
        file
    };
    for (op, code) in [
        (file("d"), "PATH_IS_DIRECTORY"),
        (file("g/below"), "PARENT_NOT_DIRECTORY"),
        (file("a//b"), "INVALID_PATH"),
        (file("/a"), "INVALID_PATH"),
        (file("a/../b"), "INVALID_PATH"),
        (file(&"x".repeat(256)), "INVALID_PATH"),
        (gone("nope"), "PATH_NOT_FOUND"),
        (gone("d/nope"), "PATH_NOT_FOUND"),
        (shift("nope", "a"), "PATH_NOT_FOUND"),
        (shift("g", "d"), "PATH_EXISTS"),
        (shift("d", "g"), "PATH_EXISTS"),
        (shift("d", "d/e"), "BAD_MOVE"),
        (json!({"path": "g", "action": "move"}), "BAD_REQUEST"),
        (json!({"path": "g"}), "BAD_REQUEST"),
        (odd("action", "touch"), "BAD_REQUEST"),
        (odd("mode", "100600"), "BAD_REQUEST"),
        (odd("encoding", "utf-8"), "BAD_REQUEST"),
        (odd("content", "?"), "BAD_REQUEST"),
        (
            json!({"path": "l", "mode": "120000", "content": ""}),
            "BAD_SYMLINK",
        ),
        (json!({"path": 1}), "BAD_REQUEST"),
    ] {
        // What comes first is not done either.
        let both = json!({"files": [put("first", "x"), op.clone()]});
        let amended = server.amend(id, both).await;
        amended.refused(400, code);
        if matches!(code, "INVALID_PATH" | "BAD_REQUEST" | "BAD_SYMLINK") {
            let body = json!({"base_change_id": "main", "files": [op]});
            let made = server.post(&server.admin, CHANGES, body).await;
            made.refused(400, code);
        }
    }
    let many: Vec<_> = (0..10_001).map(|_| gone("g")).collect();
    let many = server.amend(id, json!({"files": many})).await;
    many.refused(413, "PAYLOAD_TOO_LARGE");
    let oid = json!({"base_commit_oid": "abc", "message": "m"});
    server.amend(id, oid).await.refused(400, "BAD_REQUEST");
    let path = format!("{CHANGES}/{id}");
    let after = server.get(&server.admin, &path).await.ok(200);
    assert_eq!(after["current_commit_oid"], made["current_commit_oid"]);
    assert_eq!(after["files"], json!(["d/f", "g"]));
    let text = server.http.patch(server.url(&format!("/v1{path}")));
    let text = server
        .send(text.bearer_auth(&server.admin).body("{}"))
        .await;
    text.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    for wrong in [json!([]), json!({}), json!({"base_change_id": null})] {
        let made = server.post(&server.admin, CHANGES, wrong).await;
        made.refused(400, "BAD_REQUEST");
    }
}

#[tokio::test]
async fn bookmarks_and_merges_refuse_what_would_lose_something() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let made = server.make_change("main", json!([put("f", "1")])).await;
    server.make_bookmark("side", &made["id"]).await;
    let post = |path: &str, body: Value| {
        let (server, path) = (&server, path.to_owned());
        async move { server.post(&server.admin, &path, body).await }
    };
    let again = json!({"name": "side", "change_id": made["id"]});
    post(BOOKMARKS, again).await.refused(409, "BOOKMARK_EXISTS");
    for name in ["", "a..b", "a b", "x".repeat(201).as_str()] {
        let bad = json!({"name": name, "change_id": made["id"]});
        let refused = post(BOOKMARKS, bad).await;
        assert_eq!(refused.status, 400, "{name}");
    }
    let main = json!({"target": "side", "source": "main", "delete_source": true});
    post(MERGE, main).await.refused(409, "DEFAULT_BOOKMARK");
    for resolution in [
        json!({"path": "f"}),
        json!({"path": "f", "take": "ours"}),
        json!({"path": "f", "take": "source", "hunks": []}),
        json!({"path": "f", "hunks": [{"hunk_id": "0"}]}),
        json!({"path": "f", "hunks": [{"hunk_id": "0".repeat(32)}]}),
    ] {
        let body = json!({"target": "main", "source": "side", "resolutions": [resolution]});
        let refused = post(MERGE, body).await;
        assert_eq!(refused.status, 400, "{resolution}");
    }
    let twice = json!([{"path": "f", "take": "source"}, {"path": "f", "take": "target"}]);
    let body = json!({"target": "main", "source": "side", "resolutions": twice});
    post(MERGE, body).await.refused(400, "BAD_REQUEST");
    let other = json!([{"path": "f", "take": "source"}]);
    let body = json!({"target": "main", "source": "side", "resolutions": other});
    post(MERGE, body).await.refused(400, "NOT_IN_CONFLICT");
    let main = server.get(&server.admin, "/acme/demo/bookmarks/main").await;
    assert_eq!(main.ok(200)["change_id"], "z".repeat(32));
}
