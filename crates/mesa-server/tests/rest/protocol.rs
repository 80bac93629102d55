//! What the mount protocol refuses on the wire, how it says so, and that nothing of it has an
//! effect.

use mesa_proto::{
    status::{CODE, MESSAGE_BYTES_MAX, TRACE_ID},
    v1::{self, client_message, op::Kind, sync_client::SyncClient},
};
use tonic::{Code, Status};

use crate::{
    harness::TestServer,
    mount::{Mount, authorized},
};

/// The refusal's code; every refusal names its request.
#[track_caller]
fn code(status: &Status) -> String {
    let text = |key: &str| {
        let value = status.metadata().get(key);
        let value = value.unwrap_or_else(|| panic!("no {key} in {status:?}"));
        value.to_str().unwrap().to_owned()
    };
    assert!(!text(TRACE_ID).is_empty());
    assert!(!status.message().is_empty());
    text(CODE)
}

async fn nothing_is_there(server: &TestServer) {
    let root = server.get(&server.admin, "/acme/demo/content?path=").await;
    assert_eq!(root.ok(200)["child_count"], 0);
}

fn create(mount: &Mount, name: &[u8], kind: u32, target: &[u8]) -> v1::Op {
    let create = v1::Create {
        parent: mount.root(),
        name: name.to_vec().into(),
        id: mount.opened.ids.unwrap_or_default().first,
        kind,
        mode: 0o644,
        target: target.to_vec().into(),
        ..v1::Create::default()
    };
    op(Kind::Create(create))
}

fn op(kind: Kind) -> v1::Op {
    v1::Op {
        time_ns: 1_700_000_000_000_000_000,
        kind: Some(kind),
        ..v1::Op::default()
    }
}

#[tokio::test]
async fn refused_calls_say_why_and_which() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let mut client = SyncClient::connect(server.url("")).await.unwrap();
    let open = |repo: &str| v1::OpenHeadRequest {
        org: "acme".to_owned(),
        repo: repo.to_owned(),
        ..v1::OpenHeadRequest::default()
    };
    let mut request = authorized("mesa_wrong", open("demo"));
    let id = "my-request-7".parse().unwrap();
    request.metadata_mut().insert(TRACE_ID, id);
    let status = client.open_head(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(code(&status), "CREDENTIAL_UNKNOWN");
    assert_eq!(status.metadata().get(TRACE_ID).unwrap(), "my-request-7");

    for repo in ["other", "..", "a/b", "a\0b", &"x".repeat(5000)] {
        let request = authorized(&server.admin, open(repo));
        let status = client.open_head(request).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "{repo:?}");
        assert_eq!(code(&status), "REPO_NOT_FOUND", "{repo:?}");
    }
    let (_, elsewhere) = {
        let id = server.repo("elsewhere").await;
        server.key(serde_json::json!({"repo_ids": [id]})).await
    };
    let request = authorized(&elsewhere, open("demo"));
    let status = client.open_head(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "out of scope");
    assert_eq!(code(&status), "REPO_NOT_FOUND");
}

#[tokio::test]
async fn a_read_only_key_changes_nothing() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let (_, key) = server.key(serde_json::json!({"scopes": ["read"]})).await;
    let mut mount = Mount::attached(&server, &key, "demo").await;
    let made = create(&mount, b"f", 1, b"");
    mount.append(vec![made]).await;
    let status = mount.end().await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    assert!(!code(&status).is_empty());
    nothing_is_there(&server).await;
}

type Hostile = Box<dyn Fn(&Mount) -> v1::Op>;

#[tokio::test]
async fn hostile_operations_end_the_stream_without_effect() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let long_name = vec![b'x'; 256];
    let no_path = b"a/../b".to_vec();
    let names: [&[u8]; 8] = [b"", b".", b"..", b"a/b", b"/", b"a\0b", b"\0", &long_name];
    let mut hostile: Vec<Hostile> = Vec::new();
    for name in names {
        let name = name.to_vec();
        hostile.push(Box::new(move |m| create(m, &name, 1, b"")));
    }
    for target in [Vec::new(), b"a\0b".to_vec(), vec![b't'; 5000]] {
        hostile.push(Box::new(move |m| create(m, b"link", 3, &target)));
    }
    for kind in [0, 9, 77, u32::MAX] {
        hostile.push(Box::new(move |m| create(m, b"odd", kind, b"")));
    }
    hostile.push(Box::new(|_| v1::Op::default()));
    hostile.push(Box::new(move |m| v1::Op {
        path: no_path.clone().into(),
        ..create(m, b"far", 1, b"")
    }));
    for bad in hostile {
        let mut mount = Mount::attached(&server, &server.admin, "demo").await;
        // A good operation before it in the same message does not happen either.
        let (good, bad) = (create(&mount, b"good", 1, b""), bad(&mount));
        let shown = format!("{bad:?}");
        mount.append(vec![good, bad]).await;
        let status = mount.end().await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{shown}: {status:?}");
        assert_eq!(code(&status), "MALFORMED", "{shown}");
    }
    nothing_is_there(&server).await;
}

#[tokio::test]
async fn a_stream_must_begin_with_hello() {
    let server = TestServer::start().await;
    let mut client = SyncClient::connect(server.url("")).await.unwrap();
    let beat = client_message::Kind::Heartbeat(v1::Heartbeat { head_seq: 0 });
    let message = v1::ClientMessage { kind: Some(beat) };
    let stream = authorized(&server.admin, tokio_stream::once(message));
    let status = client.attach(stream).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(code(&status), "MALFORMED");
}

#[tokio::test]
async fn frames_that_cannot_be_read_are_refused() {
    let server = TestServer::start().await;
    server.repo("demo").await;
    let http = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let call = |method: &str, body: Vec<u8>| {
        http.post(server.url(&format!("/mesa.sync.v1.Sync/{method}")))
            .bearer_auth(&server.admin)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(body)
            .send()
    };
    let framed = |message: &[u8]| {
        let mut frame = vec![0];
        frame.extend((message.len() as u32).to_be_bytes());
        frame.extend(message);
        frame
    };
    let too_large = (MESSAGE_BYTES_MAX as u32 + 1).to_be_bytes();
    let cases = [
        ("OpenHead", framed(&[0xff; 40]), "3", "MALFORMED"),
        ("OpenHead", b"\x07\0\0\0\x01x".to_vec(), "3", "MALFORMED"),
        ("Attach", framed(&[0xff; 40]), "3", "MALFORMED"),
        (
            "UploadChunks",
            framed(&[0x0a, 0xff, 0xff]),
            "3",
            "MALFORMED",
        ),
        (
            "OpenHead",
            [&[0][..], &too_large].concat(),
            "11",
            "PAYLOAD_TOO_LARGE",
        ),
        ("NoSuchCall", framed(b""), "12", "NOT_OFFERED"),
    ];
    for (method, body, status, code) in cases {
        let answer = call(method, body).await.unwrap();
        assert_eq!(answer.status(), 200);
        let header = |name: &str| answer.headers().get(name).map(|v| v.to_str().unwrap());
        assert_eq!(header("grpc-status"), Some(status), "{method} {code}");
        assert_eq!(header(CODE), Some(code), "{method}");
        assert!(header(TRACE_ID).is_some_and(|id| !id.is_empty()));
    }
    nothing_is_there(&server).await;
    let page = server.send(server.http.get(server.url("/metrics"))).await;
    let page = String::from_utf8(page.body).unwrap();
    assert!(page.contains("panics_total 0"), "{page}");
}
