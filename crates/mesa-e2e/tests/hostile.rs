//! What the server refuses of REST, whatever the client is, and that it has no effect. The mount
//! protocol's part is in `mesa-server`, test `rest`, module `protocol`.

use mesa_e2e::Server;
use serde_json::Value;

/// Status, `error.code`.
fn refusal(answer: &(u16, Vec<u8>)) -> (u16, String) {
    let body: Value = serde_json::from_slice(&answer.1).unwrap_or(Value::Null);
    let message = body["error"]["message"].as_str().unwrap_or_default();
    assert!(!message.is_empty(), "{answer:?}");
    let code = body["error"]["code"].as_str().unwrap_or_default();
    (answer.0, code.to_owned())
}

fn get(server: &Server, path: &str) -> (u16, Vec<u8>) {
    let key = server.admin_key();
    let text = format!("GET {path} HTTP/1.0\r\nauthorization: Bearer {key}\r\n\r\n");
    server.exchange(text.as_bytes())
}

fn post(server: &Server, path: &str, body: &[u8], length: usize) -> (u16, Vec<u8>) {
    let key = server.admin_key();
    let mut request = format!(
        "POST {path} HTTP/1.0\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    )
    .into_bytes();
    request.extend(body);
    server.exchange(&request)
}

#[test]
fn hostile_paths_are_refused() {
    let server = Server::start();
    server.create_repo("work");
    let long_path = "a/".repeat(4000) + "f";
    let long_name = "n".repeat(256);
    for path in [
        "..",
        "../admin.key",
        "a/../../b",
        "a/./b",
        "a%00b",
        "%00",
        "a//b",
        "%2e%2e/%2e%2e/etc/passwd",
        &long_name,
        &long_path,
    ] {
        let (status, code) = refusal(&get(
            &server,
            &format!("/v1/my-org/work/content?path={path}"),
        ));
        assert_eq!((status, code.as_str()), (400, "INVALID_PATH"), "{path:.40}");
    }
    // In the address itself there is nothing to climb out of.
    for path in [
        "/v1/../data/admin.key",
        "/v1/my-org/..%2f..%2fdata",
        "/v1/my-org/a%00b",
    ] {
        let (status, _) = refusal(&get(&server, path));
        assert!(matches!(status, 400 | 404), "{path}: {status}");
    }
    let (status, _) = get(&server, &format!("/v1/{}", "x".repeat(100_000)));
    assert!(matches!(status, 400 | 404 | 414 | 431), "{status}");
    assert_eq!(server.get("/healthz", "").0, 200);
}

#[test]
fn hostile_names_and_bodies_make_nothing() {
    let server = Server::start();
    let make = "/v1/my-org/repos";
    let long = "r".repeat(101);
    for name in [
        "",
        ".",
        "..",
        "a/b",
        "../a",
        "a\\u0000b",
        "\\u0000",
        "a b",
        "x.git",
        "repos",
        "api-keys",
        &long,
        "\\ud83d\\ude00",
    ] {
        let body = format!("{{\"name\":\"{name}\"}}");
        let (status, code) = refusal(&post(&server, make, body.as_bytes(), body.len()));
        assert_eq!(
            (status, code.as_str()),
            (400, "INVALID_REPO_NAME"),
            "{name:.20}"
        );
    }
    for body in ["{", "[]", "null", "{\"name\":7}", "{\"nmae\":\"x\"}", "\0"] {
        let (status, code) = refusal(&post(&server, make, body.as_bytes(), body.len()));
        assert_eq!((status, code.as_str()), (400, "BAD_REQUEST"), "{body}");
    }
    // Refused by what it says it is; nothing waits for the rest.
    let (status, code) = refusal(&post(&server, make, b"{\"name\":\"big\"", 1 << 40));
    assert_eq!((status, code.as_str()), (413, "PAYLOAD_TOO_LARGE"));
    let body = format!(
        "{{\"name\":\"big\",\"tags\":{{\"a\":\"{}\"}}}}",
        "x".repeat(20 << 20)
    );
    let (status, code) = refusal(&post(&server, make, body.as_bytes(), body.len()));
    assert_eq!((status, code.as_str()), (413, "PAYLOAD_TOO_LARGE"));
    for header in ["a".repeat(200_000), "a: b\r\n".repeat(5000)] {
        let request = format!("GET /v1/whoami HTTP/1.0\r\n{header}: x\r\n\r\n");
        let (status, _) = server.exchange(request.as_bytes());
        assert!(matches!(status, 0 | 400 | 431), "{status}");
    }
    for request in [&b"\0\0\0\0\r\n\r\n"[..], b"GET\r\n\r\n", &[0xff; 5000]] {
        let (status, _) = server.exchange(request);
        assert!(matches!(status, 0 | 400 | 414 | 431), "{status}");
    }
    let (status, repos) = server.get(make, &server.admin_key());
    assert_eq!((status, &repos["repos"]), (200, &serde_json::json!([])));
}
