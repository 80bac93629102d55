//! Protocols on the one port.

use std::time::Duration;

use reqwest::Version;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{TestServer, provider};

#[tokio::test]
async fn http1_and_http2_with_prior_knowledge() {
    let server = TestServer::start().await;
    let old = server
        .http
        .get(server.url("/healthz"))
        .send()
        .await
        .unwrap();
    assert_eq!(old.version(), Version::HTTP_11);
    let new = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let answer = new.get(server.url("/v1/whoami")).send().await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    assert_eq!(answer.status(), 401);
}

#[tokio::test]
async fn garbage_does_not_hurt_others() {
    let server = TestServer::start().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot frames at all, more than nine bytes",
        &[0xff; 4096],
    ] {
        let mut stream = tokio::net::TcpStream::connect(server.running.addr())
            .await
            .unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
        let _reset = ended.await.unwrap();
    }
    server
        .send(server.http.get(server.url("/healthz")))
        .await
        .ok(200);
}

#[tokio::test]
async fn what_is_no_request_is_refused_like_everything_else() {
    let server = TestServer::start().await;
    let many = "x-a: b\r\n".repeat(300);
    let ask = "GET /healthz HTTP/1.1\r\nhost: a\r\n";
    for (bytes, status, code) in [
        ("nothing like HTTP\r\n\r\n".to_owned(), 400, "BAD_REQUEST"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400, "BAD_REQUEST"),
        (
            format!("{ask}content-length: many\r\n\r\n"),
            400,
            "BAD_REQUEST",
        ),
        (format!("{ask}{many}\r\n"), 400, "BAD_REQUEST"),
        (
            format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(70_000)),
            414,
            "URI_TOO_LONG",
        ),
        // After a request that was answered, on the same connection.
        (format!("{ask}\r\n\0\0\0\0\r\n\r\n"), 400, "BAD_REQUEST"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(server.running.addr())
            .await
            .unwrap();
        let good = format!("{ask}\r\n");
        let rest = if let Some(rest) = bytes.strip_prefix(&good) {
            stream.write_all(good.as_bytes()).await.unwrap();
            let mut answer = [0; 4096];
            let count = stream.read(&mut answer).await.unwrap();
            assert!(answer[..count].starts_with(b"HTTP/1.1 200"));
            rest.to_owned()
        } else {
            bytes.clone()
        };
        stream.write_all(rest.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
        // What was not read of the request may end it with a reset after the answer.
        let _reset = ended.await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let begin: String = bytes.chars().take(60).collect();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{begin}: {answer}"
        );
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"]["code"], code, "{begin}");
        let id = body["trace_id"].as_str().unwrap();
        assert!(head.contains(&format!("x-request-id: {id}")), "{head}");
    }
}

#[tokio::test]
async fn shutdown_lets_the_port_go_and_ends_idle_connections() {
    let server = TestServer::start().await;
    let url = server.url("/healthz");
    server.send(server.http.get(&url)).await.ok(200);
    let addr = server.running.addr();
    tokio::time::timeout(Duration::from_secs(5), server.running.shutdown())
        .await
        .unwrap();
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn shutdown_ends_the_streams_of_mounts_and_loses_nothing() {
    use crate::mount::{Mount, What};
    let server = TestServer::start().await;
    server.repo("demo").await;
    let mut mount = Mount::open(&server, &server.admin, "demo").await;
    let root = mount.root();
    mount.create(root, b"a", What::File(b"1", 0o644)).await;
    let page = server.send(server.http.get(server.url("/metrics"))).await;
    let page = String::from_utf8(page.body).unwrap();
    for line in [
        "mesa_sessions_open 1",
        "mesa_appends_total 1",
        "mesa_ops_acked_total 1",
    ] {
        assert!(page.lines().any(|l| l == line), "{line} not in\n{page}");
    }
    let stop = server.running.shutdown();
    let (ended, ()) = tokio::time::timeout(Duration::from_secs(9), async {
        tokio::join!(mount.end(), stop)
    })
    .await
    .unwrap();
    // However it ends, it ends; the client connects again to whoever serves next.
    let _status = ended;
    let running = mesa_server::Server::start(crate::harness::options(server.dir.path()))
        .await
        .unwrap();
    let url = format!("http://{}/v1/acme/demo/content?path=a", running.addr());
    let answer = server
        .http
        .get(url)
        .bearer_auth(&server.admin)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    running.shutdown().await;
}

#[tokio::test]
async fn wrong_certificates_are_named() {
    provider();
    let dir = tempfile::tempdir().unwrap();
    let mut options = crate::harness::options(dir.path());
    let cert = dir.path().join("cert.pem");
    options.tls = Some(mesa_server::TlsOptions {
        cert: cert.clone(),
        key: dir.path().join("key.pem"),
    });
    let error = mesa_server::Server::start(options.clone())
        .await
        .unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("cert.pem"), "{source}");
    std::fs::write(&cert, "not a certificate").unwrap();
    let error = mesa_server::Server::start(options).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("holds no certificate"), "{source}");
}
