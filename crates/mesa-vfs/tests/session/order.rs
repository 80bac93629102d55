//! Who waits for whose upload.

use std::{sync::Arc, time::Duration};

use mesa_proto::v1::{self, op::Kind};
use mesa_types::{FileId, Nanos};
use mesa_vfs::{
    content::WorkFile,
    fs::{FsResult, Step},
    session::{Actor, ClientSeq, Later, LeaseState, Mode, NodeTimes, RecoveredOp},
};

use crate::{
    rig::{self, Mount, create_op, mount, noise, until},
    server::{ROOT, Server},
};

const TIMES: NodeTimes = NodeTimes {
    mtime: Nanos(1),
    ctime: Nanos(1),
};
const BIG: usize = 20 << 20;

fn fsync(m: &Mount, work: &Arc<WorkFile>) -> Later<FsResult<()>> {
    let synced = m
        .session
        .fsync(Some((work, TIMES)), b"b", &Actor::default());
    match synced {
        Step::Later(later) => later,
        Step::Done(done) => Box::pin(std::future::ready(done)),
    }
}

/// A closed large file whose upload waits.
async fn stalled(server: &Arc<Server>, m: &Mount, name: &str, seed: u64) -> Arc<WorkFile> {
    let (work, _) = m.create_work(name).await;
    let bytes = noise(BIG, seed);
    server.stall(&bytes);
    rig::write(&work, 0, &bytes);
    let before = server.calls().stalled;
    close(m, &work, name).unwrap();
    until("the upload waits", || server.calls().stalled > before).await;
    work
}

fn close(m: &Mount, work: &Arc<WorkFile>, path: &str) -> Option<ClientSeq> {
    m.session
        .append_content(work, path.as_bytes(), TIMES, &Actor::default())
        .unwrap()
}

async fn small(m: &Mount, name: &str) -> Arc<WorkFile> {
    let (work, _) = m.create_work(name).await;
    rig::write(&work, 0, b"small");
    work
}

fn rename_op(id: FileId, from: &str, to: &str) -> v1::Op {
    v1::Op {
        time_ns: 1,
        path: from.to_owned().into(),
        kind: Some(Kind::Rename(v1::Rename {
            parent: ROOT,
            name: from.to_owned().into(),
            id: id.0,
            new_parent: ROOT,
            new_name: to.to_owned().into(),
            new_path: to.to_owned().into(),
            ..v1::Rename::default()
        })),
        ..v1::Op::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_fsync_does_not_wait_for_the_upload_of_another_file() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let _a = stalled(&server, &m, "a", 1).await;
    let b = small(&m, "b").await;
    fsync(&m, &b).await.unwrap();
    assert_eq!(
        server.log("ses_1"),
        ["create a", "attributes", "create b", "content 5"]
    );
    assert!(m.sink.has("moved 2 5"));
    server.unstall();
    m.acked(m.session.last_seq()).await;
    assert_eq!(server.log("ses_1")[4..], [format!("content {BIG}")]);
    let calls = server.calls();
    let once = BIG + (64 << 10);
    assert!(calls.uploaded_bytes <= once, "nothing twice: {calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_fsynced_file_is_uploaded_beside_others() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let mut others = Vec::new();
    for (name, seed) in [("a1", 1), ("a2", 2)] {
        others.push(stalled(&server, &m, name, seed).await);
    }
    let (b, _) = m.create_work("b").await;
    rig::write(&b, 0, &noise(BIG + 1, 3));
    fsync(&m, &b).await.unwrap();
    let log = server.log("ses_1");
    assert_eq!(log.last().unwrap(), &format!("content {}", BIG + 1));
    assert!(!log.contains(&format!("content {BIG}")), "{log:?}");
    server.unstall();
    m.acked(m.session.last_seq()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moved_content_is_sent_after_a_restart() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let a = stalled(&server, &m, "a", 1).await;
    let b = small(&m, "b").await;
    fsync(&m, &b).await.unwrap();
    let file = a.file();
    drop((a, b));
    m.session.stop();
    server.unstall();
    m.kill().await;
    server.cut();

    let m = mount(&server, state.path()).await;
    assert_eq!(m.opened.ops, [RecoveredOp::Content(ClientSeq(5), file)]);
    m.acked(ClientSeq(5)).await;
    assert_eq!(server.log("ses_1")[4..], [format!("content {BIG}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_place_that_was_not_acknowledged_stays_empty_after_a_restart() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let a = stalled(&server, &m, "a", 1).await;
    server.inner.lock().faults.hold = true;
    let b = small(&m, "b").await;
    let waits = tokio::spawn(fsync(&m, &b));
    until("it moved", || m.sink.has("moved 2 5")).await;
    waits.abort();
    drop(waits.await);
    drop((a, b));
    m.session.stop();
    server.unstall();
    m.kill().await;
    server.cut();
    server.inner.lock().faults.hold = false;

    let m = mount(&server, state.path()).await;
    m.acked(ClientSeq(5)).await;
    assert_eq!(
        server.log("ses_1"),
        [
            "create a",
            "attributes",
            "create b",
            "content 5",
            &format!("content {BIG}")
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_a_rename_publishes_comes_before_it() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let dir = m.session.next_id().unwrap();
    m.decide().await;
    let mut op = create_op(dir, "d");
    if let Some(Kind::Create(create)) = &mut op.kind {
        create.kind = 2;
    }
    m.session.append(op, &Actor::default(), None).unwrap();
    let _inside = stalled(&server, &m, "d/f", 1).await;
    let publish = rename_op(dir, "d", "public");
    m.session.append(publish, &Actor::default(), None).unwrap();
    let a = stalled_behind(&server, &m, "a").await;
    let publish = rename_op(a.file(), "a", "b");
    m.session.append(publish, &Actor::default(), None).unwrap();
    let c = small(&m, "c").await;
    let waits = tokio::spawn(fsync(&m, &c));
    until("the rest of it is queued", || {
        m.session.last_seq() == ClientSeq(9)
    })
    .await;
    assert!(!waits.is_finished());
    server.unstall();
    waits.await.unwrap().unwrap();
    let big = format!("content {BIG}");
    assert_eq!(
        server.log("ses_1"),
        [
            "create d",
            "create d/f",
            &big,
            "rename public",
            "create a",
            &big,
            "rename b",
            "create c",
            "content 5"
        ]
    );
    assert!(!m.sink.has("moved"));
}

/// The same when the operations before it are not on the server yet.
async fn stalled_behind(server: &Arc<Server>, m: &Mount, name: &str) -> Arc<WorkFile> {
    let (work, _) = m.create_work(name).await;
    let bytes = noise(BIG, 9);
    server.stall(&bytes);
    rig::write(&work, 0, &bytes);
    close(m, &work, name).unwrap();
    work
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_everything_gets_everything() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let _a = stalled(&server, &m, "a", 1).await;
    let everything = tokio::spawn(m.session.wait_acked(m.session.last_seq()));
    let b = small(&m, "b").await;
    let waits = tokio::spawn(fsync(&m, &b));
    until("b is queued", || m.session.last_seq() == ClientSeq(4)).await;
    server.unstall();
    everything.await.unwrap().unwrap();
    assert_eq!(server.log("ses_1")[1], format!("content {BIG}"));
    waits.await.unwrap().unwrap();
    assert!(!m.sink.has("moved"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recalled_lease_goes_back_before_uploads_end() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let _a = stalled(&server, &m, "a", 1).await;
    server.recall("ses_2");
    until("shared", || m.session.status().lease == LeaseState::Shared).await;
    // And a create, which waits for the server's verdict, passes too.
    assert!(matches!(m.session.mode(), Mode::Shared));
    let id = m.session.next_id().unwrap();
    let created = m.session.submit(create_op(id, "b"), &Actor::default());
    tokio::time::timeout(Duration::from_secs(10), created)
        .await
        .expect("it does not wait")
        .unwrap();
    assert!(!server.log("ses_1").contains(&format!("content {BIG}")));
    server.unstall();
    m.acked(m.session.last_seq()).await;
    assert_eq!(
        server.log("ses_1").last().unwrap(),
        &format!("content {BIG}")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_began_to_read_is_one_operation() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let _a1 = stalled(&server, &m, "a1", 1).await;
    let _a2 = stalled(&server, &m, "a2", 2).await;
    let (c, _) = m.create_work("c").await;
    let mut places = Vec::new();
    for round in 0..5u64 {
        rig::write(&c, 0, &noise(BIG + 1, 10 + round));
        places.push(close(&m, &c, "c").unwrap());
    }
    assert!(places.iter().all(|place| *place == places[0]), "{places:?}");
    server.unstall();
    m.acked(m.session.last_seq()).await;
    let log = server.log("ses_1");
    let contents = log
        .iter()
        .filter(|op| **op == format!("content {}", BIG + 1));
    assert_eq!(contents.count(), 1, "{log:?}");
    assert_eq!(c.base(), {
        let bytes = noise(BIG + 1, 14);
        mesa_object::content::of_slice(&Server::key(), &bytes).content
    });
}
