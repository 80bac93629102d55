//! What differs between two changes.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    harness::TestServer,
    mount::{Mount, What},
};

const ROOT: &str = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";

async fn filled(server: &TestServer) {
    server.repo("demo").await;
    let mut mount = Mount::open(server, &server.admin, "demo").await;
    let root = mount.root();
    mount
        .create(root, b"a.txt", What::File(b"one\ntwo", 0o644))
        .await;
    mount
        .create(root, b"b.bin", What::File(b"\0\x01", 0o644))
        .await;
    let sub = mount.create(root, b"d", What::Dir).await;
    mount.create(sub, b"link", What::Link(b"../a.txt")).await;
}

#[tokio::test]
async fn a_first_change_against_the_root() {
    let server = TestServer::start().await;
    filled(&server).await;
    let path = format!("/acme/demo/diff?base_change_id={ROOT}&head_change_id=main");
    let diff = server.get(&server.admin, &path).await.ok(200);
    assert_eq!(diff["base_change_id"], ROOT);
    assert_ne!(diff["head_change_id"], "main", "answers carry ids");
    let entries = diff["entries"].as_array().unwrap();
    let of = |field: &str| entries.iter().map(|e| e[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("path"), ["a.txt", "b.bin", "d/link"]);
    assert_eq!(of("status"), ["added", "added", "added"]);
    assert_eq!(
        of("omitted_reason"),
        [Value::Null, json!("binary"), Value::Null]
    );
    assert_eq!(of("size_bytes"), [7, 2, 8]);
    let lines = json!([
        {"kind": "added", "text": "one"},
        {"kind": "added", "text": "two"},
        {"kind": "annotation", "text": "No newline at end of file"},
    ]);
    let hunk =
        json!({"old_start": 0, "old_lines": 0, "new_start": 1, "new_lines": 2, "lines": lines});
    assert_eq!(entries[0]["hunks"], json!([hunk]));
    assert_eq!(
        (&entries[1]["hunks"], &entries[1]["conflict_hunks"]),
        (&Value::Null, &Value::Null)
    );
    let stats = json!({"entries": 3, "additions": 3, "deletions": 0, "changes": 3,
        "conflicted_entries": 0, "conflicted_hunks": 0});
    assert_eq!(
        (&diff["stats"], &diff["truncated"]),
        (&stats, &json!(false))
    );
    assert_eq!(diff["conflicted_entries"], json!([]));
    // The other way round everything goes.
    let path = format!("/acme/demo/diff?base_change_id=main&head_change_id={ROOT}");
    let back = server.get(&server.admin, &path).await.ok(200);
    assert_eq!(back["entries"][0]["status"], "deleted");
    assert_eq!(back["stats"]["deletions"], 3);
    // Nothing differs from itself.
    let path = "/acme/demo/diff?base_change_id=main&head_change_id=main";
    assert_eq!(
        server.get(&server.admin, path).await.ok(200)["entries"],
        json!([])
    );
    let only = format!("/acme/demo/diff?base_change_id={ROOT}&head_change_id=main&conflicts=only");
    assert_eq!(
        server.get(&server.admin, &only).await.ok(200)["entries"],
        json!([])
    );
}

#[tokio::test]
async fn a_patch_on_request() {
    let server = TestServer::start().await;
    filled(&server).await;
    let url = server.url(&format!(
        "/v1/acme/demo/diff?base_change_id={ROOT}&head_change_id=main"
    ));
    let ask = |accept: &'static str| {
        let request = server
            .http
            .request(Method::GET, &url)
            .bearer_auth(&server.admin);
        server.send(request.header("accept", accept))
    };
    let patch = ask("text/plain").await;
    assert_eq!(patch.status, 200);
    assert_eq!(patch.headers["content-type"], "text/plain; charset=utf-8");
    let text = String::from_utf8(patch.body).unwrap();
    assert!(
        text.starts_with("diff --git a/a.txt b/a.txt\nnew file mode 100644\n"),
        "{text}"
    );
    assert!(
        text.contains("+two\n\\ No newline at end of file\n"),
        "{text}"
    );
    assert!(text.contains("new file mode 120000\n"), "{text}");
    ask("*/*").await.ok(200);
    ask("image/png").await.refused(406, "NOT_ACCEPTABLE");
}

#[tokio::test]
async fn wrong_questions() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let get = |query: &str| {
        let path = format!("/acme/demo/diff?{query}");
        let server = &server;
        async move { server.get(&server.admin, &path).await }
    };
    get("").await.refused(400, "BAD_REQUEST");
    get("base_change_id=main").await.refused(400, "BAD_REQUEST");
    get("base_change_id=main&head_change_id=main&conflicts=all")
        .await
        .refused(400, "BAD_REQUEST");
    get("base_change_id=main&head_change_id=nope")
        .await
        .refused(404, "CHANGE_NOT_FOUND");
}
