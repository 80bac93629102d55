//! What a server may say and a client must not believe.

use std::time::Duration;

use mesa_proto::v1::{self, server_message as sm};
use mesa_vfs::session::{OpenError, Session};

use crate::{
    rig::{config, mount, until},
    server::{Faults, Server},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_id_is_no_path() {
    let server = Server::new();
    let dir = tempfile::tempdir().unwrap();
    let (state, outside) = (dir.path().join("a/state"), dir.path().join("a/outside.new"));
    std::fs::create_dir_all(&outside).unwrap();
    for name in ["../../outside", "/", "", "ses_", "ses_1/..", "ses_x"] {
        server.inner.lock().faults.session_name = Some(name);
        let cache = tempfile::tempdir().unwrap();
        let opened = Session::open(config(&server, &state, cache.path())).await;
        let error = opened.err().unwrap();
        assert!(matches!(error, OpenError::Answer(_)), "{name}: {error}");
    }
    // Nor one that an earlier client stored.
    server.inner.lock().faults.session_name = None;
    let m = mount(&server, &state).await;
    m.acked(m.create("a").await).await;
    server.inner.lock().faults.hold = true;
    m.create("b").await;
    m.kill().await;
    let path = state.join("session.json");
    let stored = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, stored.replace("ses_", "../../outside")).unwrap();
    server.cut();
    server.inner.lock().faults = Faults::default();
    let cache = tempfile::tempdir().unwrap();
    let opened = Session::open(config(&server, &state, cache.path())).await;
    assert!(matches!(opened.err().unwrap(), OpenError::State { .. }));
    assert!(outside.is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_at_their_end_do_no_harm() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    for last in [u64::MAX, u64::MAX - 1] {
        server.inner.lock().faults.acknowledge = Some(last);
        let cache = tempfile::tempdir().unwrap();
        let opened = Session::open(config(&server, state.path(), cache.path())).await;
        assert!(matches!(opened.err().unwrap(), OpenError::Answer(_)));
    }
    let server = Server::new();
    let m = mount(&server, state.path()).await;
    m.acked(m.create("a").await).await;
    server.inner.lock().faults.acknowledge = Some(u64::MAX);
    let before = server.calls().attaches;
    server.cut();
    until("two more attempts", || {
        server.calls().attaches >= before + 2
    })
    .await;
    server.inner.lock().faults.acknowledge = None;
    m.acked(m.create("b").await).await;
    // An event that ends behind the last number there is: the stream is given up.
    let before = server.calls().attaches;
    let entry = v1::LogEntry {
        first_seq: u64::MAX,
        ops: vec![v1::Op::default(); 2],
        ..v1::LogEntry::default()
    };
    let event = v1::Event { entry: Some(entry) };
    server.send("ses_1", sm::Kind::Event(event));
    until("another stream", || server.calls().attaches > before).await;
    let created = tokio::time::timeout(Duration::from_secs(10), m.create("c"));
    m.acked(created.await.unwrap()).await;
    assert_eq!(server.log("ses_1"), ["create a", "create b", "create c"]);
    assert!(!m.sink.has("event"));
}
