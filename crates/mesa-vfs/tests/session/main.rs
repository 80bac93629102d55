//! Sessions against a server that fails in every way the protocol allows.

#![allow(clippy::unwrap_used, missing_docs)]

mod content;
mod hostile;
mod kept;
mod order;
mod rig;
mod server;
mod waits;

use std::{sync::Arc, time::Duration};

use mesa_client::SyncErrorKind;
use mesa_proto::v1;
use mesa_types::Nanos;
use mesa_vfs::{
    fs::FsError,
    session::{
        Actor, ClientSeq, Connection, LeaseState, Mode, NodeTimes, RecoveredOp, Refused, Session,
    },
};
use rig::{Sink, config, create_op, mount, mount_with, until};
use server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn operations_arrive_in_order_and_are_acknowledged() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let mut last = ClientSeq(0);
    for n in 0..250 {
        last = m.create(&format!("f{n}")).await;
    }
    m.acked(last).await;
    let log = server.log("ses_1");
    assert_eq!(log.len(), 250);
    assert_eq!(log[249], "create f249");
    assert!(server.calls().appends < 250, "several in one message");
    let status = m.session.status();
    assert_eq!((status.lag_ops, status.acked), (0, ClientSeq(250)));
    assert_eq!(status.connection, Connection::Attached);
    m.session.close().await.unwrap();
    assert_eq!(server.calls().closed, 1);
    assert!(!state.path().join("session.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_before_a_cut_is_not_sent_again() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    m.acked(m.create("a").await).await;
    for round in 0..5 {
        server.inner.lock().faults.cut_before_ack = 1;
        let seq = m.create(&format!("b{round}")).await;
        m.acked(seq).await;
    }
    assert_eq!(
        server.log("ses_1"),
        [
            "create a",
            "create b0",
            "create b1",
            "create b2",
            "create b3",
            "create b4"
        ]
    );
    assert_eq!(server.sessions().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_gets_everything_later() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    m.acked(m.create("before").await).await;
    server.inner.lock().faults.refuse = Some(SyncErrorKind::Unreachable);
    server.cut();
    let mut last = ClientSeq(0);
    for n in 0..20 {
        last = m.create(&format!("n{n}")).await;
    }
    until("the cut is noticed", || {
        matches!(m.session.status().connection, Connection::Waiting(_))
    })
    .await;
    assert_eq!(m.session.status().lag_ops, 20);
    server.inner.lock().faults.refuse = None;
    m.acked(last).await;
    assert_eq!(server.log("ses_1").len(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_hello_ack_does_not_lock_the_client_out() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    server.inner.lock().faults.lose_hello_ack = 3;
    let m = mount(&server, state.path()).await;
    m.acked(m.create("a").await).await;
    server.inner.lock().faults.lose_hello_ack = 2;
    server.cut();
    m.acked(m.create("b").await).await;
    assert_eq!(server.sessions(), ["ses_1"]);
    assert_eq!(server.log("ses_1"), ["create a", "create b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_client_goes_on_in_place_exactly_once() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    m.acked(m.create("a").await).await;
    server.inner.lock().faults.hold = true;
    m.create("b").await;
    m.create("c").await;
    m.kill().await;
    server.cut();
    {
        let mut inner = server.inner.lock();
        inner.faults = server::Faults::default();
    }
    let m = mount(&server, state.path()).await;
    let names: Vec<_> = m
        .opened
        .ops
        .iter()
        .map(|op| match op {
            RecoveredOp::Decided(seq, op) => format!("{seq} {}", server::label(op)),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["2 create b", "3 create c"]);
    m.acked(m.session.last_seq()).await;
    m.acked(m.create("d").await).await;
    assert_eq!(
        server.log("ses_1"),
        ["create a", "create b", "create c", "create d"]
    );
    assert_eq!(server.sessions().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_killed_over_and_over_loses_and_repeats_nothing() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let mut want = Vec::new();
    for round in 0..12 {
        {
            let mut inner = server.inner.lock();
            inner.faults.cut_before_ack = round % 3;
            inner.faults.lose_hello_ack = usize::from(round % 4 == 1);
        }
        let m = mount(&server, state.path()).await;
        for n in 0..=round {
            let name = format!("r{round}n{n}");
            m.create(&name).await;
            want.push(format!("create {name}"));
        }
        if round % 2 == 0 {
            m.acked(m.session.last_seq()).await;
        }
        m.kill().await;
    }
    let m = mount(&server, state.path()).await;
    m.acked(m.session.last_seq()).await;
    assert_eq!(server.log("ses_1"), want);
    assert_eq!(server.sessions().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_session_keeps_its_work_in_a_recovery_change() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    m.acked(m.create("a").await).await;
    server.inner.lock().faults.hold = true;
    m.create("b").await;
    let (work, _) = m.create_work("c").await;
    rig::write(&work, 0, b"hello");
    let late = m.close(&work).unwrap();
    server.inner.lock().faults.hold = false;
    server.fence("ses_1", "unresponsive");
    assert_eq!(m.session.wait_acked(late).await, Err(FsError::Io));
    until("the session is replaced", || m.sink.has("Replaced")).await;
    until("the work is recovered", || {
        m.session.status().recovered == ["recovered/ses_1-1"]
    })
    .await;
    let recovered = server
        .sessions()
        .into_iter()
        .find(|s| {
            server.inner.lock().sessions[s].change == mesa_types::ChangeId([9; 16]).to_string()
        })
        .unwrap();
    assert_eq!(
        server.log(&recovered),
        ["create b", "create c", "content 5"]
    );
    let seq = m.create("d").await;
    assert_eq!(seq, ClientSeq(1));
    m.acked(seq).await;
    let now = m.session.info().session.clone();
    assert_eq!(server.log(&now), ["create d"]);
    assert_eq!(server.log("ses_1"), ["create a"]);
    let left: Vec<_> = std::fs::read_dir(state.path().join("recovery"))
        .unwrap()
        .collect();
    assert!(left.is_empty());
    // It is told by the next process too.
    m.kill().await;
    let m = mount(&server, state.path()).await;
    assert_eq!(m.session.status().recovered, ["recovered/ses_1-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_sync_of_everything_returns_the_work_of_a_lost_session_is_recovered() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    m.acked(m.create("a").await).await;
    server.inner.lock().faults.hold = true;
    let (work, _) = m.create_work("b").await;
    rig::write(&work, 0, b"hello");
    m.close(&work).unwrap();
    let one = tokio::spawn(m.session.sync());
    let all = tokio::spawn(m.session.sync_all());
    tokio::task::yield_now().await;
    server.inner.lock().faults.hold = false;
    server.fence("ses_1", "unresponsive");
    assert_eq!(all.await.unwrap(), Ok(()));
    let status = m.session.status();
    assert_eq!(status.recovered, ["recovered/ses_1-1"]);
    assert!(status.recovering.is_empty());
    // Whoever asks for the head is told that it is not there.
    assert_eq!(one.await.unwrap(), Err(FsError::Io));
    assert_eq!(m.session.sync_all().await, Ok(()));
}

/// A file of the server's that a session changed and that never got there.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_an_existing_file_is_whole_in_the_recovery_change() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let (work, _) = m.create_work("a").await;
    rig::write(&work, 0, b"base");
    m.acked(m.close(&work).unwrap()).await;
    server.inner.lock().faults.hold = true;
    rig::write(&work, 4, b" and more");
    m.close(&work).unwrap();
    server.inner.lock().faults.hold = false;
    server.fence("ses_1", "unresponsive");
    until("the work is recovered", || {
        m.session.status().recovered == ["recovered/ses_1-1"]
    })
    .await;
    let inner = server.inner.lock();
    let recovered = mesa_types::ChangeId([9; 16]).to_string();
    let session = inner.sessions.values().find(|s| s.change == recovered);
    let sets = session.unwrap().ops.iter().filter_map(|op| match &op.kind {
        Some(v1::op::Kind::SetContent(set)) => Some(set),
        _ => None,
    });
    let sets: Vec<_> = sets.collect();
    assert_eq!(sets.len(), 1);
    // What it was made from is not known there: all of it is new, whatever the server has.
    assert_eq!(sets[0].inline, b"base and more"[..]);
    assert!(sets[0].extents.is_empty() && !sets[0].resized);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_copies_of_a_state_directory_one_goes_on_and_both_keep_their_work() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    m.acked(m.create("a").await).await;
    server.inner.lock().faults.hold = true;
    m.create("mine").await;
    m.kill().await;
    server.cut();
    server.inner.lock().faults = server::Faults::default();
    let copy = tempfile::tempdir().unwrap();
    copy_dir(state.path(), copy.path());

    let first = mount(&server, state.path()).await;
    first.acked(first.session.last_seq()).await;
    first.acked(first.create("more").await).await;
    let second = mount(&server, copy.path()).await;
    assert!(second.opened.ops.is_empty(), "it starts over");
    until("the copy's work is recovered", || {
        second.session.status().recovered == ["recovered/ses_1-1"]
    })
    .await;
    assert_eq!(
        server.log("ses_1"),
        ["create a", "create mine", "create more"]
    );
    let logs: Vec<_> = server.sessions().iter().map(|s| server.log(s)).collect();
    // Its work files were copied with other times, so their contents may follow.
    let mine = |log: &Vec<String>| log.first().is_some_and(|op| op == "create mine");
    assert!(logs.iter().any(mine), "{logs:?}");
    first.acked(first.create("again").await).await;
    assert_eq!(first.session.info().session, "ses_1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_numbered_operations_itself_does_not_take_the_others_for_them() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let first = mount(&server, state.path()).await;
    first.acked(first.create("a").await).await;
    let copy = tempfile::tempdir().unwrap();
    copy_dir(state.path(), copy.path());

    let cache = tempfile::tempdir().unwrap();
    let opened = Session::open(config(&server, copy.path(), cache.path()))
        .await
        .unwrap();
    let session = Arc::clone(&opened.session);
    // Contents are numbered before anybody answered.
    let id = session.next_id().unwrap();
    let work = session.create_work(id, Nanos(1)).unwrap();
    let times = NodeTimes {
        mtime: Nanos(1),
        ctime: Nanos(1),
    };
    let file = work.backing().unwrap().file.try_clone().unwrap();
    let mut file = std::fs::File::from(file);
    std::io::Write::write_all(&mut file, b"own").unwrap();
    let own = session.append_content(&work, b"own", times, &Actor::default());
    let theirs = first.create("theirs").await;
    first.acked(theirs).await;
    assert_eq!(own.unwrap(), Some(theirs), "two operations have one number");
    let sink = Arc::new(Sink::default());
    let weak: std::sync::Weak<Sink> = Arc::downgrade(&sink);
    session.start(weak);
    until("the copy's work is recovered", || {
        session.status().recovered == ["recovered/ses_1-1"]
    })
    .await;
    assert_eq!(server.log("ses_1"), ["create a", "create theirs"]);
    let is_own = |op: &String| op == "content 3";
    let own = server.sessions().into_iter().map(|s| server.log(&s));
    assert_eq!(own.flatten().filter(is_own).count(), 1);
    first.acked(first.create("again").await).await;
    assert_eq!(first.session.info().session, "ses_1");
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recall_drains_and_the_server_decides_from_then_on() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    m.acked(m.create("a").await).await;
    server.inner.lock().faults.hold = true;
    m.create("b").await;
    server.recall("other");
    until("the recall arrives", || {
        !matches!(m.session.mode(), Mode::Local)
    })
    .await;
    let id = m.session.next_id().unwrap();
    let refused = m
        .session
        .append(create_op(id, "late"), &Actor::default(), None);
    assert_eq!(refused, Err(Refused::Retry));
    server.release();
    until("shared mode", || {
        m.session.status().lease == LeaseState::Shared
    })
    .await;
    assert_eq!(server.log("ses_1"), ["create a", "create b"]);

    server
        .inner
        .lock()
        .faults
        .reject
        .insert(b"taken".to_vec(), "EEXIST");
    let id = m.session.next_id().unwrap();
    let refused = m.session.submit(create_op(id, "taken"), &Actor::default());
    assert_eq!(refused.await, Err(FsError::Exists));
    let id = m.session.next_id().unwrap();
    let applied = m.session.submit(create_op(id, "free"), &Actor::default());
    let applied = applied.await.unwrap();
    assert!(m.sink.has("applied 4 create free"));
    assert_eq!(applied.seq, ClientSeq(4));
    assert_eq!(server.log("ses_1").last().unwrap(), "create free");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_credential_keeps_the_journal_until_a_good_one_comes() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    m.acked(m.create("a").await).await;
    server.inner.lock().faults.hold = true;
    m.create("b").await;
    server.inner.lock().faults.refuse = Some(SyncErrorKind::Unauthenticated);
    server.cut();
    until("new operations are refused", || {
        matches!(m.session.mode(), Mode::Refused(FsError::Access))
    })
    .await;
    assert_eq!(m.session.status().connection, Connection::Refused);
    assert_eq!(m.session.status().lag_ops, 1);
    server.inner.lock().faults = server::Faults::default();
    m.session.credential_changed();
    until("it goes on", || server.log("ses_1").len() == 2).await;
    m.acked(m.create("c").await).await;
    assert!(m.sink.has("key false") && m.sink.has("key true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_end_at_the_deadline_and_the_operation_stays() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let mut config = config(&server, state.path(), cache.path());
    config.tuning.deadline = Duration::from_millis(100);
    let m = mount_with(config).await;
    m.acked(m.create("a").await).await;
    server.inner.lock().faults.hold = true;
    let seq = m.create("b").await;
    assert_eq!(m.session.wait_acked(seq).await, Err(FsError::Io));
    let status = m.session.status();
    assert_eq!(status.lag_ops, 1);
    assert!(status.last_error.unwrap().1.contains("not synced"));
    server.release();
    m.acked(seq).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unacknowledged_operations_are_bounded() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let mut config = config(&server, state.path(), cache.path());
    config.tuning.unacked_ops_max = 3;
    let m = mount_with(config).await;
    m.decide().await;
    server.inner.lock().faults.hold = true;
    for name in ["a", "b", "c"] {
        m.create(name).await;
    }
    assert!(matches!(m.session.mode(), Mode::Wait(_)));
    let id = m.session.next_id().unwrap();
    let over = m
        .session
        .append(create_op(id, "d"), &Actor::default(), None);
    assert_eq!(over, Err(Refused::Retry));
    server.release();
    m.acked(m.create("d").await).await;
    assert_eq!(server.log("ses_1").len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_session_gives_up_when_idle_and_asks_again() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let mut config = config(&server, state.path(), cache.path());
    config.tuning.idle_return = Duration::from_millis(50);
    let m = mount_with(config).await;
    m.decide().await;
    server.recall("other");
    until("shared mode", || m.sink.has("lease Shared")).await;
    until("given up", || m.session.status().lease == LeaseState::None).await;
    assert!(!server.inner.lock().sessions["ses_1"].sharing);
    server.inner.lock().exclusive = None;
    m.acked(m.create("alone").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_told_once_and_in_order() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    m.acked(m.create("a").await).await;
    let entry = |first_seq| v1::LogEntry {
        first_seq,
        ops: vec![create_op(mesa_types::FileId(3), "x")],
        ..v1::LogEntry::default()
    };
    for seq in [2, 3, 3, 4] {
        let event = v1::Event {
            entry: Some(entry(seq)),
        };
        server.send("ses_1", v1::server_message::Kind::Event(event));
    }
    until("the last", || m.sink.has("event 4")).await;
    let events: Vec<_> = m
        .sink
        .told
        .lock()
        .iter()
        .filter(|t| t.starts_with("event"))
        .cloned()
        .collect();
    assert_eq!(events, ["event 2", "event 3", "event 4"]);
    assert_eq!(m.session.head_seq().0, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_belongs_to_one_process() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let _m = mount(&server, state.path()).await;
    let second = Session::open(config(&server, state.path(), cache.path()));
    let refused = second.await.err().unwrap();
    assert!(matches!(refused, mesa_vfs::session::OpenError::InUse(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recalled_lease_of_a_former_process_is_given_back_at_once() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    m.acked(m.create("a").await).await;
    let holds = |session: &str| {
        let inner = server.inner.lock();
        inner.exclusive.as_ref().is_some_and(|e| e.0 == session)
    };
    assert!(holds("ses_1"));
    m.kill().await;
    server.cut();
    let m = mount(&server, state.path()).await;
    until("attached", || {
        m.session.status().connection == Connection::Attached
    })
    .await;
    assert!(holds("ses_1"), "the server counts it as the holder still");
    server.recall("other");
    until("the return", || holds("somebody else")).await;
    assert_eq!(server.sessions(), ["ses_1"]);
}
