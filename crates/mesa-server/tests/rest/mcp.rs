//! MCP on `/mcp`: what the protocol and the edge decide. The tools are driven by the official
//! clients (`tests/clients/mcp`); here are the fences, whose races clients cannot make.

use serde_json::{Value, json};

use crate::harness::{Answer, TestServer};

const NOW: &str = "2026-07-28";

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": NOW,
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

impl TestServer {
    fn mcp_request(&self, key: &str) -> reqwest::RequestBuilder {
        self.http
            .post(self.url("/mcp"))
            .bearer_auth(key)
            .header("accept", "application/json, text/event-stream")
    }

    /// A message of a client before 2026-07-28.
    async fn mcp_old(&self, key: &str, message: &Value) -> Answer {
        self.send(self.mcp_request(key).json(message)).await
    }

    /// A request of the newest version.
    async fn mcp(&self, key: &str, method: &str, mut params: Value) -> Answer {
        params["_meta"] = meta();
        let mut request = self
            .mcp_request(key)
            .header("mcp-protocol-version", NOW)
            .header("mcp-method", method);
        if let Some(name) = params["name"].as_str() {
            request = request.header("mcp-name", name.to_owned());
        }
        let message = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        self.send(request.json(&message)).await
    }

    async fn tool_result(&self, key: &str, name: &str, arguments: Value) -> Value {
        let params = json!({"name": name, "arguments": arguments});
        let answer = self.mcp(key, "tools/call", params).await.ok(200);
        assert_eq!(
            (&answer["id"], &answer["jsonrpc"]),
            (&json!(7), &json!("2.0"))
        );
        assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
        answer["result"].clone()
    }

    /// The structured content of a call that succeeds.
    pub async fn tool(&self, name: &str, arguments: Value) -> Value {
        let result = self.tool_result(&self.admin, name, arguments).await;
        assert_eq!(result["isError"], false, "{name}: {result}");
        result["structuredContent"].clone()
    }

    /// The text of a call that is refused with this code.
    pub async fn tool_refused(
        &self,
        key: &str,
        name: &str,
        arguments: Value,
        code: &str,
    ) -> String {
        let result = self.tool_result(key, name, arguments).await;
        assert_eq!(result["isError"], true, "{name}: {result}");
        assert_eq!(result["_meta"]["mesa/error"]["code"], code, "{result}");
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with(&format!("{code}: ")), "{text}");
        text.to_owned()
    }
}

fn error(answer: &Answer, status: u16, code: i64) -> Value {
    assert_eq!(
        answer.status,
        status,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    let body = answer.json();
    assert_eq!(body["error"]["code"], code, "{body}");
    assert!(answer.headers.contains_key("x-request-id"));
    body
}

#[tokio::test]
async fn both_eras_are_served() {
    let server = TestServer::start().await;
    let key = &server.admin;
    let found = server.mcp(key, "server/discover", json!({})).await.ok(200);
    assert_eq!(found["result"]["supportedVersions"][0], NOW);
    assert_eq!(
        found["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
        "mesa"
    );
    assert_eq!(found["result"]["capabilities"], json!({"tools": {}}));
    let listed = server.mcp(key, "tools/list", json!({})).await.ok(200);
    assert_eq!(listed["result"]["cacheScope"], "private");
    assert!(listed["result"]["ttlMs"].as_u64().unwrap() > 0);

    for (wanted, given) in [
        ("2025-06-18", "2025-06-18"),
        ("2024-11-05", "2024-11-05"),
        (NOW, "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ] {
        let params = json!({"protocolVersion": wanted, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let message =
            json!({"jsonrpc": "2.0", "id": "a", "method": "initialize", "params": params});
        let answer = server.mcp_old(key, &message).await;
        assert!(!answer.headers.contains_key("mcp-session-id"));
        let answer = answer.ok(200);
        assert_eq!(
            (&answer["id"], &answer["result"]["protocolVersion"]),
            (&json!("a"), &json!(given))
        );
        assert!(answer["result"].get("resultType").is_none());
    }
    let done = server
        .mcp_old(
            key,
            &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        )
        .await;
    assert_eq!((done.status.as_u16(), done.body.len()), (202, 0));
    let pong = server
        .mcp_old(key, &json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}))
        .await;
    assert_eq!(
        pong.ok(200),
        json!({"jsonrpc": "2.0", "id": 1, "result": {}})
    );
    let old = server
        .mcp_old(
            key,
            &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}),
        )
        .await
        .ok(200);
    assert_eq!(old["result"]["tools"], listed["result"]["tools"]);
}

#[tokio::test]
async fn what_is_no_request_is_told_so() {
    let server = TestServer::start().await;
    let key = &server.admin;
    let request = |method: &str, params: Value| json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let tested = &server;
    let send = |message: Value| async move { tested.mcp_old(&tested.admin, &message).await };
    error(&send(request("nope", json!({}))).await, 200, -32601);
    error(
        &send(request("server/discover", json!({}))).await,
        200,
        -32601,
    );
    error(&send(request("tools/call", json!({}))).await, 200, -32602);
    error(
        &send(request("tools/call", json!({"name": "nope"}))).await,
        200,
        -32602,
    );
    let params = json!({"name": "whoami", "arguments": []});
    error(&send(request("tools/call", params)).await, 200, -32602);
    error(
        &send(request("tools/list", json!({"cursor": "x"}))).await,
        200,
        -32602,
    );
    error(
        &send(json!({"jsonrpc": "2.0", "id": null, "method": "ping"})).await,
        400,
        -32600,
    );
    error(&send(json!({"id": 1, "method": "ping"})).await, 400, -32600);
    error(&send(json!("ping")).await, 400, -32600);
    let broken = server
        .mcp_request(key)
        .header("content-type", "application/json")
        .body("{");
    error(&server.send(broken).await, 400, -32700);
    let deep = server
        .mcp_request(key)
        .header("content-type", "application/json")
        .body("[".repeat(1 << 20));
    error(&server.send(deep).await, 400, -32700);

    // The newest version.
    error(&server.mcp(key, "ping", json!({})).await, 404, -32601);
    error(&server.mcp(key, "initialize", json!({})).await, 404, -32601);
    let message = request("tools/list", json!({"_meta": meta()}));
    error(&server.mcp_old(key, &message).await, 400, -32020);
    let other = server
        .mcp_request(key)
        .header("mcp-protocol-version", "1999-01-01");
    let refused = error(&server.send(other.json(&message)).await, 400, -32020);
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("1999-01-01")
    );
    let other = server
        .mcp_request(key)
        .header("mcp-protocol-version", "1999-01-01");
    let refused = server
        .send(other.json(&request("tools/list", json!({}))))
        .await;
    let refused = error(&refused, 400, -32022);
    assert_eq!(refused["error"]["data"]["supported"][0], NOW);

    // Batches of 2025-03-26.
    let ping = request("ping", json!({}));
    let quiet = json!({"jsonrpc": "2.0", "method": "notifications/x"});
    let both = send(json!([ping, quiet, request("initialize", json!({}))]))
        .await
        .ok(200);
    assert_eq!(
        (both[0]["result"].clone(), both[1]["error"]["code"].as_i64()),
        (json!({}), Some(-32600))
    );
    assert_eq!(both.as_array().unwrap().len(), 2);
    assert_eq!(send(json!([quiet])).await.status, 202);
    error(&send(json!([])).await, 400, -32600);
    error(
        &send(Value::from(vec![ping.clone(); 51])).await,
        400,
        -32600,
    );
    let newer = server
        .mcp_request(key)
        .header("mcp-protocol-version", "2025-06-18");
    error(&server.send(newer.json(&json!([ping]))).await, 400, -32600);
}

#[tokio::test]
async fn the_edge_refuses_as_everywhere() {
    let server = TestServer::start_with(|options| {
        options.public_url = Some("https://mesa.example.com".to_owned());
    })
    .await;
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    server
        .mcp_old("mesa_wrong", &ping)
        .await
        .refused(401, "CREDENTIAL_UNKNOWN");
    let url = server.url("/mcp");
    let bare = server.send(server.http.post(&url).json(&ping)).await;
    bare.refused(401, "CREDENTIAL_MISSING");
    for method in [reqwest::Method::GET, reqwest::Method::DELETE] {
        let other = server.http.request(method, &url).bearer_auth(&server.admin);
        let refused = server.send(other).await;
        refused.refused(405, "METHOD_NOT_ALLOWED");
        assert_eq!(refused.headers["allow"], "POST");
    }
    let from = |origin: &'static str| {
        let request = server.mcp_request(&server.admin).header("origin", origin);
        server.send(request.json(&ping))
    };
    for good in ["https://mesa.example.com", "http://localhost:6274"] {
        from(good).await.ok(200);
    }
    for bad in ["https://evil.example", "null", "http://mesa.example.com"] {
        from(bad).await.refused(403, "ORIGIN_NOT_ALLOWED");
    }
    let text = server.mcp_request(&server.admin).body(ping.to_string());
    server
        .send(text)
        .await
        .refused(415, "UNSUPPORTED_MEDIA_TYPE");
    let stream = server
        .http
        .post(&url)
        .bearer_auth(&server.admin)
        .header("accept", "text/event-stream");
    server
        .send(stream.json(&ping))
        .await
        .refused(406, "NOT_ACCEPTABLE");
    let huge = server
        .mcp_request(&server.admin)
        .header("content-type", "application/json");
    let huge = huge.body(vec![b' '; (32 << 20) + 1]);
    server.send(huge).await.refused(413, "PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn read_only_and_restricted_keys_stay_that() {
    let server = TestServer::start().await;
    let id = server.repo("demo").await;
    server.repo("other").await;
    let (_, reader) = server.key(json!({"scopes": ["read"]})).await;
    let (_, of_demo) = server
        .key(json!({"scopes": ["read", "write"], "repo_ids": [id]}))
        .await;
    let tested = &server;
    let names = |key: String| async move {
        let listed = tested.mcp(&key, "tools/list", json!({})).await.ok(200);
        let tools = listed["result"]["tools"].as_array().unwrap().clone();
        tools
            .iter()
            .map(|t| t["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all = names(server.admin.clone()).await;
    let read = names(reader.clone()).await;
    let restricted = names(of_demo.clone()).await;
    assert!(all.contains(&"repo_create".to_owned()) && all.contains(&"undo".to_owned()));
    assert!(read.len() < all.len() && !read.contains(&"file_write".to_owned()));
    assert_eq!(restricted.len(), all.len() - 1);
    let write = json!({"repo": "demo", "path": "a", "content": "1"});
    server
        .tool_refused(&reader, "file_write", write, "FORBIDDEN")
        .await;
    let write = json!({"repo": "other", "path": "a", "content": "1"});
    server
        .tool_refused(&of_demo, "file_write", write, "REPO_NOT_FOUND")
        .await;
    server
        .tool_refused(
            &of_demo,
            "repo_get",
            json!({"repo": "acme/other"}),
            "REPO_NOT_FOUND",
        )
        .await;
    server
        .tool_refused(
            &of_demo,
            "repo_get",
            json!({"repo": "else/demo"}),
            "ORG_NOT_FOUND",
        )
        .await;
    server
        .tool_refused(&of_demo, "repo_create", json!({"name": "new"}), "FORBIDDEN")
        .await;
    let listed = server.tool_result(&of_demo, "repo_list", json!({})).await;
    assert_eq!(
        listed["structuredContent"]["repos"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

/// Writers that race for one file: each edit is made on what its writer saw, none is lost.
#[tokio::test]
async fn racing_writers_lose_nothing() {
    const WRITERS: usize = 6;
    let server = TestServer::start().await;
    server.repo("demo").await;
    let (server, wins) = (&server, std::cell::Cell::new(0));
    // The first write of a fresh repo is a race as well: one creates the file.
    let create = |n: usize| {
        let wins = &wins;
        async move {
            let file = json!({"repo": "demo", "path": "log", "content": format!("{n}\n")});
            let made = server.tool_result(&server.admin, "file_write", file).await;
            wins.set(wins.get() + usize::from(made["isError"] == false));
        }
    };
    futures::future::join_all((0..WRITERS).map(create)).await;
    assert_eq!(wins.get(), 1);
    let add = |n: usize| async move {
        loop {
            let seen = server
                .tool("file_read", json!({"repo": "demo", "path": "log"}))
                .await;
            let content = format!("{}{n}\n", seen["content"].as_str().unwrap());
            let file = json!({"repo": "demo", "path": "log", "content": content, "expected_version": seen["version"]});
            let result = server.tool_result(&server.admin, "file_write", file).await;
            if result["isError"] == false {
                break;
            }
            let code = &result["_meta"]["mesa/error"]["code"];
            assert!(
                code == "STALE_VERSION" || code == "LOCK_CONFLICT",
                "{result}"
            );
        }
    };
    futures::future::join_all((100..100 + WRITERS).map(add)).await;
    let all = server
        .tool("file_read", json!({"repo": "demo", "path": "log"}))
        .await;
    let mut lines: Vec<_> = all["content"].as_str().unwrap().lines().skip(1).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["100", "101", "102", "103", "104", "105"]);
    // Right after a change was closed its first writers race for the next one.
    server.tool("change_new", json!({"repo": "demo"})).await;
    futures::future::join_all((200..200 + WRITERS).map(add)).await;
    let all = server
        .tool("file_read", json!({"repo": "demo", "path": "log"}))
        .await;
    assert_eq!(all["total_lines"], 1 + 2 * WRITERS);
}

/// The fence of `PATCH changes/{id}` where there is no commit yet, and on top of a closed change.
#[tokio::test]
async fn commits_fence_first_writes_too() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let zeros = "0".repeat(40);
    let write = |path: &str, seen: &str| {
        let files = json!([crate::writes::put(path, "1")]);
        server.amend("main", json!({"files": files, "base_commit_oid": seen}))
    };
    let made = write("a", &zeros).await.ok(200);
    write("b", &zeros).await.refused(409, "STALE_COMMIT");
    let first = made["current_commit_oid"].as_str().unwrap().to_owned();
    let closed = server.tool("change_new", json!({"repo": "demo"})).await["closed"].clone();
    assert_eq!(closed["commit_oid"], first);
    let both = futures::future::join(write("c", &first), write("d", &first)).await;
    let mut statuses = [both.0.status.as_u16(), both.1.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
}

#[tokio::test]
async fn a_stale_fence_says_what_changed() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let made = server
        .tool(
            "file_write",
            json!({"repo": "demo", "path": "a", "content": "1"}),
        )
        .await;
    let first = made["files"][0]["version"].clone();
    let mine = server
        .tool("bookmark_get", json!({"repo": "demo", "name": "main"}))
        .await;
    let read = server
        .tool("file_read", json!({"repo": "demo", "path": "a"}))
        .await;
    assert_eq!(read["version"], first);
    let key = server.admin.clone();
    let amended = json!({"files": [crate::writes::put("a", "2")]});
    server.amend("main", amended).await.ok(200);
    let write = json!({"repo": "demo", "path": "a", "content": "3", "expected_version": first});
    let text = server
        .tool_refused(&key, "file_write", write, "STALE_VERSION")
        .await;
    for part in [
        "'a'",
        "last_action",
        "\"origin\":\"rest\"",
        first.as_str().unwrap(),
        "What to do",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let write = json!({"repo": "demo", "path": "a", "content": "3"});
    server
        .tool_refused(&key, "file_write", write, "VERSION_REQUIRED")
        .await;
    let gone = json!({"repo": "demo", "path": "b", "content": "3", "expected_version": first});
    server
        .tool_refused(&key, "file_write", gone, "STALE_VERSION")
        .await;
    let edits = json!([{"old_text": "1", "new_text": "4"}]);
    let edit = json!({"repo": "demo", "path": "a", "edits": edits});
    server
        .tool_refused(&key, "file_edit", edit, "TEXT_NOT_FOUND")
        .await;

    // Commits: of both sides of a merge, whose target got a write that nobody looked at.
    let now = server
        .tool("bookmark_get", json!({"repo": "demo", "name": "main"}))
        .await;
    let branch = server.tool("change_create", json!({"repo": "demo"})).await;
    server
        .tool(
            "bookmark_create",
            json!({"repo": "demo", "name": "side", "rev": branch["change_id"]}),
        )
        .await;
    server
        .tool(
            "file_write",
            json!({"repo": "demo", "rev": "side", "path": "s", "content": "s"}),
        )
        .await;
    let side = server
        .tool("bookmark_get", json!({"repo": "demo", "name": "side"}))
        .await;
    let merge = |target: &Value, source: &Value| {
        json!({"repo": "demo", "target": "main", "source": "side",
            "expected_target_commit": target["commit_oid"], "expected_source_commit": source["commit_oid"]})
    };
    let text = server
        .tool_refused(&key, "bookmark_merge", merge(&mine, &side), "STALE_COMMIT")
        .await;
    assert!(
        text.contains("'main'") && text.contains(now["commit_oid"].as_str().unwrap()),
        "{text}"
    );
    let text = server
        .tool_refused(&key, "bookmark_merge", merge(&now, &now), "STALE_COMMIT")
        .await;
    assert!(text.contains("'side'"), "{text}");
    let merged = server.tool("bookmark_merge", merge(&now, &side)).await;
    assert_eq!(merged["merge_type"], "merge_commit");
    assert_eq!(server.text_at("main", "s").await, "s");

    // Bookmarks.
    let wanted = json!({"repo": "demo", "name": "side", "expected_change": mine["change_id"]});
    server
        .tool_refused(&key, "bookmark_delete", wanted, "STALE_BOOKMARK")
        .await;
    let wanted =
        json!({"repo": "demo", "name": "side", "to": "main", "expected_change": mine["change_id"]});
    let text = server
        .tool_refused(&key, "bookmark_move", wanted, "STALE_BOOKMARK")
        .await;
    assert!(text.contains(side["change_id"].as_str().unwrap()), "{text}");

    // Descriptions and restored paths.
    let said =
        json!({"repo": "demo", "rev": "main", "message": "x", "expected_message": "not this"});
    let change = server.tool("change_get", json!({"repo": "demo"})).await;
    let code = if change["state"] == "open" {
        "STALE_MESSAGE"
    } else {
        "CHANGE_CLOSED"
    };
    server
        .tool_refused(&key, "change_describe", said, code)
        .await;
    let paths = json!([{"path": "a", "expected_version": first}]);
    let back = json!({"repo": "demo", "paths": paths, "at": {"change": "side"}});
    server
        .tool_refused(&key, "restore", back, "STALE_VERSION")
        .await;
}
