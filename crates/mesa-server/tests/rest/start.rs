//! The data directory and the first start.

use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use mesa_meta::{SqliteOptions, SqliteStore};
use mesa_repo::{Catalog, ServerKey, bootstrap};
use mesa_server::{Server, StartError};
use mesa_types::{random::SystemRandom, time::SystemClock};

use crate::harness::{TestServer, options, provider};

async fn whoami(addr: std::net::SocketAddr, key: &str) -> u16 {
    let request = reqwest::Client::new().get(format!("http://{addr}/v1/whoami"));
    let response = request.bearer_auth(key).send().await.unwrap();
    response.status().as_u16()
}

#[tokio::test]
async fn the_second_start_changes_nothing() {
    let server = TestServer::start().await;
    let data = server.dir.path().join("data");
    let file = std::fs::read_to_string(server.running.admin_key_path()).unwrap();
    assert_eq!(file, format!("{}\n", server.admin));
    for name in ["server.key", "admin.key", "meta.db"] {
        let mode = std::fs::metadata(data.join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let again = options(server.dir.path());
    let refused = Server::start(again.clone()).await.unwrap_err();
    assert!(matches!(refused, StartError::Meta(_)), "{refused:?}");
    server.running.shutdown().await;

    let second = Server::start(again).await.unwrap();
    assert!(second.new_admin_key().is_none());
    assert_eq!(
        std::fs::read_to_string(second.admin_key_path()).unwrap(),
        file
    );
    assert_eq!(whoami(second.addr(), &server.admin).await, 200);
    second.shutdown().await;
}

fn catalog(data: &Path) -> Catalog {
    std::fs::create_dir_all(data).unwrap();
    let key = ServerKey::load_or_create(&data.join("server.key"), &SystemRandom).unwrap();
    let meta = SqliteStore::open(data, &SqliteOptions::default()).unwrap();
    Catalog::new(
        Arc::new(meta),
        Arc::new(SystemClock),
        Arc::new(SystemRandom),
        key,
    )
}

#[tokio::test]
async fn a_first_start_cut_off_at_any_step_leaves_one_working_key() {
    provider();
    for steps in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let mut lost = None;
        if steps > 0 {
            let catalog = catalog(&data);
            let made = bootstrap::first_start(&catalog, &"acme".parse().unwrap(), None).await;
            let secret = made.unwrap().unwrap().admin.secret;
            if steps > 1 {
                std::fs::write(data.join("admin.key"), secret.expose()).unwrap();
            }
            catalog.meta().close().await.unwrap();
            lost = Some(secret);
        }
        let server = Server::start(options(dir.path())).await.unwrap();
        let key = server.new_admin_key().unwrap().expose().to_owned();
        assert_eq!(whoami(server.addr(), &key).await, 200);
        let file = std::fs::read_to_string(server.admin_key_path()).unwrap();
        assert_eq!(file.trim_end(), key);
        if let Some(lost) = lost {
            assert_eq!(whoami(server.addr(), lost.expose()).await, 401);
        }
        server.shutdown().await;
    }
}

#[tokio::test]
async fn another_server_key_is_refused() {
    let server = TestServer::start().await;
    let dir = server.dir.path().to_owned();
    server.running.shutdown().await;
    let path = dir.join("data/server.key");
    std::fs::remove_file(&path).unwrap();
    let cause = async || {
        let error = Server::start(options(&dir)).await.unwrap_err();
        std::error::Error::source(&error).unwrap().to_string()
    };
    assert!(cause().await.contains("server.key is missing"));
    assert!(!path.exists(), "none is made in its place");
    ServerKey::load_or_create(&path, &SystemRandom).unwrap();
    let source = cause().await;
    assert!(source.contains("server key"), "{source}");
}

#[tokio::test]
async fn an_address_in_use_leaves_the_first_start_undone() {
    provider();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut wanted = options(dir.path());
    wanted.listen = taken.local_addr().unwrap();
    let error = Server::start(wanted).await.unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }), "{error:?}");
    let server = Server::start(options(dir.path())).await.unwrap();
    assert!(server.new_admin_key().is_some());
    server.shutdown().await;
}
