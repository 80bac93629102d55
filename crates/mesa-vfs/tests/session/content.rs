//! Content on its way out and in.

use std::{os::unix::fs::FileExt, sync::Arc};

use mesa_proto::{convert, v1::op::Kind};
use mesa_types::{ContentRef, FileId, Nanos};
use mesa_vfs::{
    content::{ContentConfig, ContentStore},
    fs::Step,
    session::{Actor, RecoveredOp, Session},
};

use crate::{
    rig::{self, Mount, config, mount, mount_with, noise, until},
    server::Server,
};

async fn later<T>(step: Step<T>) -> mesa_vfs::fs::FsResult<T> {
    match step {
        Step::Done(done) => done,
        Step::Later(later) => later.await,
    }
}

fn contents(server: &Server, session: &str) -> Vec<(ContentRef, bool)> {
    let inner = server.inner.lock();
    let ops = inner.sessions[session].ops.iter();
    ops.filter_map(|op| match op.kind.as_ref() {
        Some(Kind::SetContent(set)) => {
            let content = convert::content_from_wire(set.content.as_ref()).unwrap();
            Some((content, !set.inline.is_empty()))
        }
        _ => None,
    })
    .collect()
}

fn expected(bytes: &[u8]) -> ContentRef {
    mesa_object::content::of_slice(&Server::key(), bytes).content
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_file_travels_inside_its_operation() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let (work, _) = m.create_work("a").await;
    assert_eq!(m.close(&work), None, "nothing was written");
    rig::write(&work, 0, b"hello");
    let seq = m.close(&work).unwrap();
    assert_eq!(m.close(&work), None, "nothing new");
    m.acked(seq).await;
    assert_eq!(contents(&server, "ses_1"), [(expected(b"hello"), true)]);
    assert_eq!(server.calls().uploads, 0);
    assert_eq!(work.base(), expected(b"hello"));
    assert!(m.sink.has("picked 2 5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_fsync_is_one_message() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let (work, seq) = m.create_work("a").await;
    m.acked(seq).await;
    for round in 0..5 {
        let before = server.calls().appends;
        rig::write(&work, 0, format!("round {round}").as_bytes());
        let times = mesa_vfs::session::NodeTimes {
            mtime: Nanos(1),
            ctime: Nanos(1),
        };
        let synced = m
            .session
            .fsync(Some((&work, times)), b"a", &Actor::default());
        later(synced).await.unwrap();
        assert_eq!(server.calls().appends - before, 1);
        let last = contents(&server, "ses_1").last().unwrap().0;
        assert_eq!(last, expected(format!("round {round}").as_bytes()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_keeps_its_place_before_a_later_rename() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let (work, _) = m.create_work("tmp").await;
    rig::write(&work, 0, &noise(3 << 20, 1));
    m.close(&work).unwrap();
    let seq = m.create("after").await;
    m.acked(seq).await;
    assert_eq!(
        server.log("ses_1"),
        ["create tmp", "content 3145728", "create after"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn appending_to_a_large_file_uploads_only_the_end() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let (work, _) = m.create_work("big").await;
    let mut bytes = noise(48 << 20, 2);
    rig::write(&work, 0, &bytes);
    m.acked(m.close(&work).unwrap()).await;
    let before = server.calls();
    let more = noise(1 << 20, 3);
    rig::write(&work, bytes.len() as u64, &more);
    bytes.extend(more);
    m.acked(m.close(&work).unwrap()).await;
    let after = server.calls();
    assert!(after.uploaded_bytes - before.uploaded_bytes <= 4 << 20);
    assert_eq!(after.has_chunks - before.has_chunks, 1);
    assert_eq!(contents(&server, "ses_1")[1].0, expected(&bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_the_server_lost_are_sent_again() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let (work, _) = m.create_work("a").await;
    let bytes = noise(1 << 20, 4);
    rig::write(&work, 0, &bytes);
    server.inner.lock().faults.hold = true;
    let seq = m.close(&work).unwrap();
    let last = m.create("b").await;
    until("it was uploaded", || server.calls().uploads >= 2).await;
    until("it was sent", || server.held() > 0).await;
    server.inner.lock().objects.clear();
    server.release();
    m.acked(seq).await;
    m.acked(last).await;
    assert_eq!(
        server.log("ses_1"),
        ["create a", "content 1048576", "create b"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_client_reads_its_work_files_again() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let (work, seq) = m.create_work("a").await;
    m.acked(seq).await;
    server.inner.lock().faults.hold = true;
    rig::write(&work, 0, b"closed");
    m.close(&work).unwrap();
    let (open, _) = m.create_work("b").await;
    rig::write(&open, 0, b"still open");
    let (a, b) = (work.file(), open.file());
    drop((work, open));
    m.kill().await;
    server.cut();
    server.inner.lock().faults = crate::server::Faults::default();

    let m = mount(&server, state.path()).await;
    let kinds = m.opened.ops.iter().map(|op| match op {
        RecoveredOp::Content(_, file) => format!("content {}", file.0),
        RecoveredOp::Decided(_, op) => crate::server::label(op),
        RecoveredOp::Undecided(_, op) => panic!("{op:?}"),
    });
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        [format!("content {}", a.0), "create b".to_owned()]
    );
    let find = |file: FileId| {
        let found = m.opened.works.iter().find(|w| w.file == file);
        Arc::clone(&found.unwrap().work)
    };
    assert_eq!(find(a).stat().unwrap().size, 6);
    let open = find(b);
    m.acked(m.close(&open).unwrap()).await;
    assert_eq!(
        contents(&server, "ses_1"),
        [(expected(b"closed"), true), (expected(b"still open"), true)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_power_cut_synced_content_is_not_replaced_by_local_remains() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let (work, _) = m.create_work("a").await;
    rig::write(&work, 0, b"synced");
    m.acked(m.close(&work).unwrap()).await;
    server.inner.lock().faults.hold = true;
    rig::write(&work, 0, b"unsafe");
    m.close(&work).unwrap();
    m.create("b").await;
    drop(work);
    m.kill().await;
    server.cut();
    server.inner.lock().faults = crate::server::Faults::default();
    std::fs::write(state.path().join("boot"), "another start of the machine").unwrap();

    let m = mount(&server, state.path()).await;
    assert!(m.opened.works.is_empty());
    m.acked(m.session.last_seq()).await;
    assert_eq!(
        contents(&server, "ses_1"),
        [(expected(b"synced"), true), (ContentRef::Empty, false)],
        "the second one says nothing"
    );
    assert_eq!(server.log("ses_1").last().unwrap(), "create b");
    assert!(state.path().join("work.untrusted").is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_work_file_is_deleted_after_its_last_operation() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let (work, _) = m.create_work("a").await;
    rig::write(&work, 0, b"short lived");
    server.inner.lock().faults.hold = true;
    m.close(&work).unwrap();
    m.session.drop_work(&work);
    let name = format!("{:02x}/{:x}", work.id().0 % 256, work.id().0);
    let path = state.path().join("work").join(name);
    drop(work);
    assert!(path.exists());
    server.release();
    m.acked(m.session.last_seq()).await;
    until("it is deleted", || !path.exists()).await;
    assert_eq!(
        contents(&server, "ses_1"),
        [(expected(b"short lived"), true)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_file_opened_for_writing_starts_with_its_bytes() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let m = mount(&server, state.path()).await;
    let bytes = noise(700_000, 5);
    let content = server.put_content(&bytes);
    let file = FileId(crate::server::ROOT + 7);
    let work = m.session.open_work(file, content, Nanos(5), u64::MAX, None);
    let work = later(work).await.unwrap();
    assert_eq!(m.close(&work), None, "unchanged");
    m.decide().await;
    rig::write(&work, 10, b"changed");
    m.acked(m.close(&work).unwrap()).await;
    let mut want = bytes.clone();
    want[10..17].copy_from_slice(b"changed");
    assert_eq!(contents(&server, "ses_1"), [(expected(&want), false)]);
    // The cached original is as it was.
    let clean = later(m.session.content().open(FileId(9), content))
        .await
        .unwrap();
    assert_eq!(read_all(&clean), bytes);

    let cut = m.session.open_work(FileId(8), content, Nanos(5), 100, None);
    let cut = later(cut).await.unwrap();
    assert_eq!(cut.stat().unwrap().size, 100);
    m.acked(m.close(&cut).unwrap()).await;
    assert_eq!(contents(&server, "ses_1")[1].0, expected(&bytes[..100]));
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_what_a_later_writer_writes() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir_in(state.path()).unwrap();
    let m = mount_with(config(&server, &state.path().join("s"), cache.path())).await;
    let content = server.put_content(b"one two three");
    let (a, b) = (FileId(1), FileId(2));
    let mine = later(m.session.content().open(a, content)).await.unwrap();
    let other = later(m.session.content().open(b, content)).await.unwrap();
    let same = later(m.session.content().open(a, content)).await.unwrap();
    assert!(Arc::ptr_eq(mine.backing(), same.backing()));
    assert!(!Arc::ptr_eq(mine.backing(), other.backing()));
    let work = m
        .session
        .open_work(a, content, Nanos(1), u64::MAX, Some(Arc::clone(&mine)));
    let work = later(work).await.unwrap();
    assert!(Arc::ptr_eq(mine.backing(), &work.backing().unwrap()));
    rig::write(&work, 0, b"ONE");
    assert_eq!(read_all(&mine), b"ONE two three");
    assert_eq!(read_all(&other), b"one two three");
    drop((mine, same, other));
    let again = later(m.session.content().open(b, content)).await.unwrap();
    assert_eq!(read_all(&again), b"one two three");
    assert_eq!(work.stat().unwrap().size, 13);
}

fn read_all(clean: &mesa_vfs::content::CleanFile) -> Vec<u8> {
    let file = std::fs::File::from(clean.backing().file.try_clone().unwrap());
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

async fn reader(server: &Arc<Server>) -> (Mount, tempfile::TempDir) {
    let state = tempfile::tempdir().unwrap();
    (mount(server, state.path()).await, state)
}

/// One thread: everything is asked for before the first answer.
#[tokio::test]
async fn many_small_contents_come_in_few_calls_and_each_once() {
    let server = Server::new();
    let contents: Vec<_> = (0..200)
        .map(|n| server.put_content(format!("content {n}").as_bytes()))
        .collect();
    let (m, _state) = reader(&server).await;
    let reads = contents.iter().chain(&contents).map(|&content| {
        let content_of = m.session.content().clone();
        tokio::spawn(async move { later(content_of.read(content, 0, 100)).await.unwrap() })
    });
    let all = futures::future::join_all(reads).await;
    for (n, bytes) in all.into_iter().enumerate() {
        assert_eq!(bytes.unwrap(), format!("content {}", n % 200));
    }
    assert!(server.calls().chunk_reads < 100, "{:?}", server.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_of_a_large_file_do_not_fetch_all_of_it() {
    let server = Server::new();
    let bytes = noise(24 << 20, 6);
    let content = server.put_content(&bytes);
    let (m, _state) = reader(&server).await;
    let got = later(m.session.content().read(content, 10_000_000, 5000)).await;
    assert_eq!(got.unwrap(), bytes[10_000_000..10_005_000]);
    let end = later(
        m.session
            .content()
            .read(content, bytes.len() as u64 - 10, 5000),
    )
    .await;
    assert_eq!(end.unwrap(), bytes[bytes.len() - 10..]);
    assert!(!m.session.content().has(&content));
    let past = later(m.session.content().read(content, 1 << 40, 1)).await;
    assert!(past.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_of_the_server_are_an_error() {
    let server = Server::new();
    let content = server.put_content(b"right");
    for bytes in server.inner.lock().objects.values_mut() {
        *bytes = bytes::Bytes::from_static(b"wrong");
    }
    let (m, _state) = reader(&server).await;
    let read = later(m.session.content().read(content, 0, 5)).await;
    assert_eq!(read, Err(mesa_vfs::fs::FsError::Io));
    let absent = expected(b"never uploaded");
    let read = later(m.session.content().read(absent, 0, 5)).await;
    assert_eq!(read, Err(mesa_vfs::fs::FsError::Stale));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_on_disk_is_bounded_and_survives_a_restart() {
    let server = Server::new();
    let cache = tempfile::tempdir().unwrap();
    let state = tempfile::tempdir().unwrap();
    let contents: Vec<_> = (0..6)
        .map(|n| server.put_content(&noise(300_000, 100 + n)))
        .collect();
    let small = ContentConfig {
        disk_bytes_max: 1_000_000,
        ..ContentConfig::new(cache.path().to_owned())
    };
    let store = ContentStore::open(small.clone()).unwrap();
    let mut settings = config(&server, state.path(), &tempfile::tempdir().unwrap().keep());
    settings.content = Arc::clone(&store);
    let m = mount_with(settings).await;
    let held = later(m.session.content().open(FileId(1), contents[0]))
        .await
        .unwrap();
    for (n, &content) in contents.iter().enumerate() {
        drop(
            later(m.session.content().open(FileId(10 + n as u64), content))
                .await
                .unwrap(),
        );
    }
    assert!(store.stats().disk_bytes <= 1_000_000);
    assert!(m.session.content().has(&contents[0]), "it is open");
    assert!(m.session.content().has(&contents[5]));
    assert!(!m.session.content().has(&contents[1]));
    drop(held);
    m.kill().await;
    drop(store);
    let fetched = server.calls().chunk_reads;
    let store = ContentStore::open(small).unwrap();
    let mut settings = config(&server, state.path(), &tempfile::tempdir().unwrap().keep());
    settings.content = store;
    let m = mount_with(settings).await;
    let clean = later(m.session.content().open(FileId(1), contents[5]))
        .await
        .unwrap();
    assert_eq!(read_all(&clean), noise(300_000, 105));
    assert_eq!(server.calls().chunk_reads, fetched);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_file_that_changes_is_reported() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let mut settings = config(&server, state.path(), cache.path());
    settings.tuning.pickup_interval = std::time::Duration::from_millis(10);
    let m = mount_with(settings).await;
    let (work, _) = m.create_work("a").await;
    work.begin_write();
    rig::write(&work, 0, b"by a mapping");
    until("it is noticed", || {
        m.sink.has(&format!("changed {}", work.file().0))
    })
    .await;
    m.acked(m.close(&work).unwrap()).await;
    Session::sync(&m.session).await.unwrap();
}

/// A clock that can be moved forward.
#[derive(Default)]
struct Skipping(std::sync::atomic::AtomicI64);

impl mesa_types::time::Clock for Skipping {
    fn now(&self) -> Nanos {
        let skipped = self.0.load(std::sync::atomic::Ordering::SeqCst);
        Nanos(mesa_types::time::SystemClock.now().0 + skipped)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_work_files_beyond_the_bound_are_offered_for_dropping() {
    let server = Server::new();
    let state = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let clock = Arc::new(Skipping::default());
    let mapped = Arc::new(parking_lot::Mutex::new(None));
    let mut settings = config(&server, state.path(), cache.path());
    settings.clock = clock.clone();
    settings.tuning.works_kept = 1;
    let probe = Arc::clone(&mapped);
    settings.quiet = Some(Arc::new(move |file| {
        let inode = rustix::fs::fstat(file).unwrap().st_ino;
        *probe.lock() != Some(inode)
    }));
    let store = Arc::clone(&settings.content);
    let m = mount_with(settings).await;
    let mut works = Vec::new();
    for name in ["a", "b", "c"] {
        let (work, _) = m.create_work(name).await;
        work.begin_write();
        rig::write(&work, 0, &noise(100_000, 1));
        m.acked(m.close(&work).unwrap()).await;
        work.end_write();
        works.push(work);
    }
    assert!(store.stats().private_bytes >= 300_000);
    // One of them is still mapped.
    let inode = rustix::fs::fstat(&works[1].backing().unwrap().file).unwrap();
    *mapped.lock() = Some(inode.st_ino);
    let settled = |n: usize| m.sink.has(&format!("settled {}", works[n].file().0));
    until("quiet files are offered", || {
        let second = 1_000_000_000;
        clock
            .0
            .fetch_add(second, std::sync::atomic::Ordering::SeqCst);
        settled(0) && settled(2)
    })
    .await;
    assert!(!settled(1));
    assert!(m.session.is_settled(&works[0]));
    assert!(!m.session.is_settled(&works[1]));
    *mapped.lock() = None;
    assert!(m.session.is_settled(&works[1]));
    works[0].begin_write();
    rig::write(&works[0], 5, b"changed");
    assert!(!m.session.is_settled(&works[0]), "open for writing");
    works[0].end_write();
    assert!(!m.session.is_settled(&works[0]), "not on the server");
    m.session.drop_work(&works[2]);
    works.pop();
    until("it is not counted any more", || {
        store.stats().private_bytes < 300_000
    })
    .await;
}
