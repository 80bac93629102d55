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
