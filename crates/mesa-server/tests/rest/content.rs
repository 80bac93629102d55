//! Files, symlinks and directories, as written through the mount protocol.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    harness::{Answer, TestServer},
    mount::{Mount, What},
};

/// 300 kB that do not repeat.
fn big() -> Vec<u8> {
    (0..75_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

/// git's oid of a blob.
fn blob(bytes: &[u8]) -> String {
    mesa_object::git::blob_oid(bytes).unwrap().to_string()
}

async fn filled() -> (TestServer, Mount) {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let mut mount = Mount::open(&server, &server.admin, "demo").await;
    let root = mount.root();
    mount
        .create(root, b"README.md", What::File(b"hello\n", 0o644))
        .await;
    let src = mount.create(root, b"src", What::Dir).await;
    mount
        .create(src, b"run.sh", What::File(b"#!/bin/sh\n", 0o755))
        .await;
    mount
        .create(src, b"link", What::Link(b"../README.md"))
        .await;
    let deep = mount.create(src, b"deep", What::Dir).await;
    mount.create(deep, b"leaf", What::File(b"", 0o600)).await;
    mount
        .create(root, b"caf\xe9", What::File(b"latin", 0o644))
        .await;
    mount
        .create(root, b"big.bin", What::File(&big(), 0o644))
        .await;
    (server, mount)
}

async fn at(server: &TestServer, query: &str) -> Answer {
    server
        .get(&server.admin, &format!("/acme/demo/content{query}"))
        .await
}

async fn raw(server: &TestServer, path: &str, range: Option<&str>) -> Answer {
    let url = server.url(&format!("/v1/acme/demo/content?path={path}"));
    let mut request = server.http.get(url).bearer_auth(&server.admin);
    request = request.header("accept", "application/octet-stream");
    if let Some(range) = range {
        request = request.header("range", range);
    }
    server.send(request).await
}

#[tokio::test]
async fn a_fresh_repo_is_an_empty_directory() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let empty = json!({
        "type": "dir", "name": "", "path": "", "child_count": 0, "entries": [],
        "sha": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    });
    assert_eq!(at(&server, "").await.ok(200), empty);
    assert_eq!(at(&server, "?path=").await.ok(200), empty);
    at(&server, "?path=x").await.refused(404, "PATH_NOT_FOUND");
}

#[tokio::test]
async fn files_and_symlinks() {
    let (server, mut mount) = filled().await;
    let file = at(&server, "?path=README.md").await.ok(200);
    assert_eq!(
        file,
        json!({
            "type": "file", "name": "README.md", "path": "README.md", "size": 6,
            "sha": blob(b"hello\n"), "encoding": "base64", "content": "aGVsbG8K",
            "mode": "100644", "is_conflicted": false,
        })
    );
    let script = at(&server, "?path=%2Fsrc%2Frun.sh").await.ok(200);
    assert_eq!(
        (&script["mode"], &script["path"]),
        (&json!("100755"), &json!("src/run.sh"))
    );
    let link = at(&server, "?path=src/link").await.ok(200);
    assert_eq!(
        (&link["type"], &link["mode"]),
        (&json!("symlink"), &json!("120000"))
    );
    assert_eq!(link["content"], STANDARD.encode("../README.md"));
    assert_eq!(link["sha"], blob(b"../README.md"));
    let empty = at(&server, "?path=src/deep/leaf").await.ok(200);
    assert_eq!((&empty["content"], &empty["size"]), (&json!(""), &json!(0)));
    let odd = at(&server, "?path=caf%e9").await.ok(200);
    assert_eq!(
        (&odd["path"], &odd["name"]),
        (&json!("caf\u{fffd}"), &json!("caf\u{fffd}"))
    );
    assert_eq!(odd["path_b64"], STANDARD.encode(b"caf\xe9"));
    let large = at(&server, "?path=big.bin").await.ok(200);
    assert_eq!(
        STANDARD.decode(large["content"].as_str().unwrap()).unwrap(),
        big()
    );
    assert_eq!(large["sha"], blob(&big()));

    // What was acknowledged a moment ago is there.
    let root = mount.root();
    mount.create(root, b"new", What::File(b"now", 0o644)).await;
    assert_eq!(
        at(&server, "?path=new").await.ok(200)["content"],
        STANDARD.encode("now")
    );
}

#[tokio::test]
async fn directories_to_a_depth() {
    let (server, _mount) = filled().await;
    let names = |answer: &Value| -> Vec<String> {
        let entries = answer["entries"].as_array().unwrap();
        entries
            .iter()
            .map(|e| e["path"].as_str().unwrap().to_owned())
            .collect()
    };
    let root = at(&server, "").await.ok(200);
    assert_eq!(root["child_count"], 4);
    assert_eq!(names(&root), ["README.md", "big.bin", "caf\u{fffd}", "src"]);
    let dir = &root["entries"][3];
    assert_eq!((&dir["type"], &dir["name"]), (&json!("dir"), &json!("src")));
    assert_eq!(dir["sha"].as_str().unwrap().len(), 40);
    assert!(dir.get("size").is_none());
    let file = &root["entries"][0];
    assert_eq!((&file["type"], &file["size"]), (&json!("file"), &json!(6)));
    assert!(file.get("content").is_none());

    let bare = at(&server, "?path=src&depth=0").await.ok(200);
    assert_eq!(
        (&bare["child_count"], &bare["entries"]),
        (&json!(3), &json!([]))
    );
    assert_eq!(bare["sha"], dir["sha"]);
    let two = at(&server, "?path=src&depth=2").await.ok(200);
    assert_eq!(
        names(&two),
        ["src/deep", "src/deep/leaf", "src/link", "src/run.sh"]
    );
    let all = at(&server, "?depth=10").await.ok(200);
    assert_eq!(names(&all).len(), 8);
    // Nothing carries metadata, so nothing passes a filter on it.
    assert_eq!(
        names(&at(&server, "?tag=arch").await.ok(200)),
        Vec::<String>::new()
    );
    for bad in [
        "?depth=11",
        "?depth=x",
        "?path=..",
        "?path=a%00",
        "?path=src//deep",
    ] {
        assert_eq!(at(&server, bad).await.status, 400, "{bad}");
    }
    at(&server, "?path=README.md/x")
        .await
        .refused(404, "PATH_NOT_FOUND");
}

#[tokio::test]
async fn raw_bytes_and_ranges() {
    let (server, _mount) = filled().await;
    let big = big();
    let whole = raw(&server, "big.bin", None).await;
    assert_eq!((whole.status.as_u16(), &whole.body), (200, &big));
    assert_eq!(whole.headers["content-type"], "application/octet-stream");
    assert_eq!(whole.headers["content-length"], big.len().to_string());
    assert_eq!(whole.headers["etag"], format!("\"{}\"", blob(&big)));
    for (header, span) in [
        ("bytes=0-0", 0..1),
        ("bytes=100000-200000", 100_000..200_001),
        ("bytes=299990-", 299_990..300_000),
        ("bytes=-7", 299_993..300_000),
    ] {
        let part = raw(&server, "big.bin", Some(header)).await;
        assert_eq!(part.status, 206);
        assert_eq!(part.body, big[span.clone()]);
        let expected = format!("bytes {}-{}/300000", span.start, span.end - 1);
        assert_eq!(part.headers["content-range"], expected);
    }
    let outside = raw(&server, "big.bin", Some("bytes=300000-")).await;
    outside.refused(416, "RANGE_NOT_SATISFIABLE");
    assert_eq!(outside.headers["content-range"], "bytes */300000");
    assert_eq!(raw(&server, "src/link", None).await.body, b"../README.md");
    assert_eq!(raw(&server, "src/deep/leaf", None).await.body, b"");
    raw(&server, "src", None)
        .await
        .refused(406, "NOT_ACCEPTABLE");
    let request = server
        .http
        .get(server.url("/v1/acme/demo/content?path=README.md"));
    let html = server
        .send(
            request
                .bearer_auth(&server.admin)
                .header("accept", "text/html"),
        )
        .await;
    html.refused(406, "NOT_ACCEPTABLE");
    let head = server
        .http
        .head(server.url("/v1/acme/demo/content?path=big.bin"));
    let head = head
        .bearer_auth(&server.admin)
        .header("accept", "application/octet-stream");
    let head = server.send(head).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.headers["content-length"], "300000");
}

#[tokio::test]
async fn any_change_or_bookmark_can_be_read() {
    let (server, mount) = filled().await;
    let change = &mount.opened.change_id;
    let by_id = at(&server, &format!("?path=README.md&change_id={change}"))
        .await
        .ok(200);
    let by_name = at(&server, "?path=README.md&change_id=main").await.ok(200);
    assert_eq!(by_id, by_name);
    let root = format!("?change_id={}", "z".repeat(32));
    assert_eq!(at(&server, &root).await.ok(200)["child_count"], 0);
    for absent in ["k".repeat(32), "nope".to_owned(), "..".to_owned()] {
        let answer = at(&server, &format!("?change_id={absent}")).await;
        answer.refused(404, "CHANGE_NOT_FOUND");
    }
}

#[tokio::test]
async fn keys_open_content_as_they_open_the_repo() {
    let (server, _mount) = filled().await;
    let other = server.repo("other").await;
    let (_, read) = server.key(json!({"scopes": ["read"]})).await;
    let (_, elsewhere) = server.key(json!({"repo_ids": [other]})).await;
    let path = "/acme/demo/content?path=README.md";
    server.get(&read, path).await.ok(200);
    server
        .get(&elsewhere, path)
        .await
        .refused(404, "REPO_NOT_FOUND");
    server
        .get("", path)
        .await
        .refused(401, "CREDENTIAL_MISSING");
    server.delete(&server.admin, "/acme/demo").await.ok(200);
    server.get(&read, path).await.refused(404, "REPO_NOT_FOUND");
}

#[tokio::test]
async fn a_restarted_server_serves_the_same() {
    let (server, mount) = filled().await;
    let before = at(&server, "?depth=10").await.ok(200);
    drop(mount);
    let dir = server.dir;
    server.running.shutdown().await;
    let options = crate::harness::options(dir.path());
    let running = mesa_server::Server::start(options).await.unwrap();
    let url = format!("http://{}/v1/acme/demo/content?depth=10", running.addr());
    let answer = server
        .http
        .get(url)
        .bearer_auth(&server.admin)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap(), before);
    running.shutdown().await;
}
