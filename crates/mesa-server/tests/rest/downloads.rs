//! `/install.sh` and `/download`.

use std::path::Path;

use mesa_package::Entry;
use mesa_server::DownloadOptions;
use reqwest::{Method, header};
use sha2::{Digest, Sha256};

use crate::harness::{Answer, TestServer};

const PROGRAM: &str = "mesa_1.2.3_linux_x86_64";

/// The smallest file that counts as a static program, with something to tell parts by.
fn program(machine: u8) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(120, 0);
    bytes[18] = machine;
    bytes[32] = 64;
    bytes[54] = 56;
    bytes[56] = 1;
    bytes[64] = 1;
    bytes.extend((0..700_000_u32).flat_map(u32::to_be_bytes));
    bytes
}

fn options(dir: &Path) -> DownloadOptions {
    let mut options = DownloadOptions::default();
    "1.2.3".clone_into(&mut options.version);
    let own = dir.join("own");
    std::fs::write(&own, program(62)).unwrap();
    options.program = Some(own);
    options.support = vec![Entry::new(
        "/usr/share/doc/mesa/copyright",
        0o644,
        &b"free\n"[..],
    )];
    options
}

async fn start(
    adjust: impl FnOnce(&mut mesa_server::ServerOptions),
) -> (TestServer, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let downloads = options(dir.path());
    let server = TestServer::start_with(|options| {
        options.downloads = downloads;
        adjust(options);
    });
    (server.await, dir)
}

async fn get(server: &TestServer, path: &str, headers: &[(header::HeaderName, &str)]) -> Answer {
    let mut request = server.http.get(server.url(path));
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    server.send(request).await
}

fn hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[tokio::test]
async fn the_program_and_its_checksum() {
    let (server, _dir) = start(|_| {}).await;
    let path = format!("/download/{PROGRAM}");
    let whole = get(&server, &path, &[]).await;
    assert_eq!((whole.status.as_u16(), &whole.body), (200, &program(62)));
    assert_eq!(whole.headers["content-type"], "application/octet-stream");
    let sums = get(&server, "/download/SHA256SUMS", &[]).await;
    let line = format!("{}  {PROGRAM}\n", hex(&whole.body));
    assert_eq!(String::from_utf8(sums.body).unwrap(), line);
    let one = get(&server, &format!("{path}.sha256"), &[]).await;
    assert_eq!(String::from_utf8(one.body).unwrap(), line);

    let etag = whole.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(etag, format!("\"{}\"", hex(&whole.body)));
    let same = get(&server, &path, &[(header::IF_NONE_MATCH, &etag)]).await;
    assert_eq!((same.status.as_u16(), same.body.len()), (304, 0));
    let part = get(&server, &path, &[(header::RANGE, "bytes=299990-300009")]).await;
    assert_eq!(part.status, 206);
    assert_eq!(
        part.headers["content-range"],
        format!("bytes 299990-300009/{}", whole.body.len())
    );
    assert_eq!(part.body, whole.body[299_990..300_010]);
    let ranges = [(header::RANGE, "bytes=5-"), (header::IF_RANGE, "\"other\"")];
    assert_eq!(get(&server, &path, &ranges).await.status, 200);
    let ranges = [(header::RANGE, "bytes=5-"), (header::IF_RANGE, &etag)];
    assert_eq!(get(&server, &path, &ranges).await.body, whole.body[5..]);
    let outside = get(&server, &path, &[(header::RANGE, "bytes=99999999-")]).await;
    outside.refused(416, "RANGE_NOT_SATISFIABLE");
    assert_eq!(
        outside.headers["content-range"],
        format!("bytes */{}", whole.body.len())
    );

    let head = server.http.request(Method::HEAD, server.url(&path));
    let head = server.send(head).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.headers["content-length"], whole.body.len().to_string());
    let post = server.send(server.http.post(server.url(&path))).await;
    post.refused(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn nothing_else_can_be_had() {
    let (server, _dir) = start(|_| {}).await;
    for path in [
        "/download/mesa_1.2.4_linux_x86_64",
        "/download/mesa_1.2.3_linux_aarch64",
        "/download/own",
        "/download/..%2Fown",
        "/download/%2Fetc%2Fpasswd",
        "/download/generic/..%2F..%2Fetc%2Fpasswd",
        "/download/mesa_1.2.3_arm64.deb",
        "/download/nothing.sha256",
    ] {
        let refused = get(&server, path, &[]).await.refused(404, "NOT_FOUND");
        assert!(
            refused.to_string().contains("mesa 1.2.3"),
            "{path}: {refused}"
        );
    }
    let none = TestServer::start().await;
    assert_eq!(get(&none, "/download/SHA256SUMS", &[]).await.body, b"");
}

#[tokio::test]
async fn the_script_names_the_server_it_came_from() {
    let (server, _dir) = start(|_| {}).await;
    let here = format!("server='http://{}'", server.running.addr());
    let script = get(&server, "/install.sh", &[]).await;
    assert_eq!(
        script.headers["content-type"],
        "text/x-shellscript; charset=utf-8"
    );
    let text = String::from_utf8(script.body).unwrap();
    assert!(
        text.starts_with("#!/bin/sh\n") && text.contains(&here),
        "{text}"
    );
    assert!(text.contains("version='1.2.3'"));
    let other = get(
        &server,
        "/install.sh",
        &[(header::HOST, "mesa.example.com:7117")],
    )
    .await;
    let text = String::from_utf8(other.body).unwrap();
    assert!(text.contains("server='http://mesa.example.com:7117'"));
    for host in ["a'b", "$(id)", "a b", "a/b", "a:99999"] {
        let refused = get(&server, "/install.sh", &[(header::HOST, host)]).await;
        assert_eq!(refused.status, 400, "{host}");
    }

    let (server, _dir) =
        start(|options| options.public_url = Some("https://mesa.example.com".into())).await;
    let named = get(&server, "/install.sh", &[(header::HOST, "evil.example")]).await;
    let text = String::from_utf8(named.body).unwrap();
    assert!(text.contains("server='https://mesa.example.com'") && !text.contains("evil"));
}

#[tokio::test]
async fn packages_name_the_server_unless_generic() {
    let (server, dir) = start(|_| {}).await;
    let unpack = |body: &[u8]| {
        let _ = std::fs::remove_dir_all(dir.path().join("x"));
        std::fs::write(dir.path().join("p.deb"), body).unwrap();
        let mut dpkg = std::process::Command::new("dpkg-deb");
        dpkg.args(["-x", "p.deb", "x"]).current_dir(dir.path());
        assert!(dpkg.status().unwrap().success());
        assert_eq!(
            std::fs::read(dir.path().join("x/usr/bin/mesa")).unwrap(),
            program(62)
        );
        std::fs::read_to_string(dir.path().join("x/etc/mesa/install.toml")).ok()
    };
    let package = get(&server, "/download/mesa_1.2.3_amd64.deb", &[]).await;
    let address = format!("api-url = \"http://{}\"", server.running.addr());
    assert!(unpack(&package.body).unwrap().contains(&address));
    let sum = get(&server, "/download/mesa_1.2.3_amd64.deb.sha256", &[]).await;
    assert!(
        String::from_utf8(sum.body)
            .unwrap()
            .starts_with(&hex(&package.body))
    );
    let part = get(
        &server,
        "/download/mesa_1.2.3_amd64.deb",
        &[(header::RANGE, "bytes=-1000")],
    )
    .await;
    assert_eq!(part.body, package.body[package.body.len() - 1000..]);

    let generic = get(&server, "/download/generic/mesa_1.2.3_amd64.deb", &[]).await;
    assert_eq!(unpack(&generic.body), None);
    for name in ["mesa_1.2.3_x86_64.apk", "mesa_1.2.3_x86_64.rpm"] {
        for way in ["/download/", "/download/generic/"] {
            let package = get(&server, &format!("{way}{name}"), &[]).await;
            assert_eq!(package.status, 200, "{name}");
            assert!(package.body.len() > 10_000);
        }
    }
}

#[tokio::test]
async fn a_directory_brings_other_architectures_and_versions() {
    let dist = tempfile::tempdir().unwrap();
    for (name, machine) in [
        ("mesa_1.2.3_linux_aarch64", 183),
        ("mesa_1.2.2_linux_x86_64", 62),
    ] {
        std::fs::write(dist.path().join(name), program(machine)).unwrap();
    }
    std::fs::write(dist.path().join("sdk.tgz"), "s").unwrap();
    let (server, _dir) =
        start(|options| options.downloads.dir = Some(dist.path().to_owned())).await;
    let sums = get(&server, "/download/SHA256SUMS", &[]).await;
    let sums = String::from_utf8(sums.body).unwrap();
    let names: Vec<&str> = sums.lines().map(|line| &line[66..]).collect();
    let wanted = [
        "mesa_1.2.2_linux_x86_64",
        "mesa_1.2.3_linux_aarch64",
        PROGRAM,
        "sdk.tgz",
    ];
    assert_eq!(names, wanted);
    assert_eq!(get(&server, "/download/sdk.tgz", &[]).await.body, b"s");
    let package = get(&server, "/download/mesa_1.2.3_arm64.deb", &[]).await;
    assert_eq!(package.status, 200);
    // What the server opened stays what it promised.
    std::fs::write(dist.path().join("new"), "n").unwrap();
    get(&server, "/download/new", &[])
        .await
        .refused(404, "NOT_FOUND");
}
