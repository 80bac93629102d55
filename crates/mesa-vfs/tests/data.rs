//! Files' bytes: open, write, truncate, fsync, unlink while open, unnamed files, late stores.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mesa_types::NodeKind;
use mesa_vfs::{
    fs::{AttrChange, Filesystem, FsError, Handle, OpenFlags, OpenMode, RenameFlags, TimeOrNow},
    session::Durability,
};
use support::{
    calls::*,
    rig::{Options, Rig},
    server::FakeServer,
};

#[tokio::test(flavor = "multi_thread")]
async fn clean_content_is_read_and_rewritten() {
    let server = FakeServer::new();
    server.seed("f", NodeKind::File, 0o644, b"from before");
    let rig = Rig::new(&server);
    let m = &rig.mount;
    assert_eq!(get(m, "f").await.unwrap(), "from before");
    let node = find(m, "f").await.unwrap().node;
    // Open for reading first: the writer's bytes show in that descriptor too.
    let reader = done(m.open(USER, node, read_flags())).await.unwrap();
    let writer = done(m.open(USER, node, write_flags())).await.unwrap();
    let (OpenMode::Local(one), OpenMode::Local(other)) = (&reader.mode, &writer.mode) else {
        panic!("not local");
    };
    assert!(Arc::ptr_eq(one, other));
    write_at(m, node, &writer, 5, b"AFTER!").await;
    let seen = done(m.read(node, reader.handle, 0, 100)).await.unwrap();
    assert_eq!(seen, "from AFTER!");
    m.release(node, writer.handle);
    m.release(node, reader.handle);
    m.sync_all().await.unwrap();
    assert_eq!(server.content("f").unwrap(), b"from AFTER!");
    assert_eq!(get(m, "f").await.unwrap(), "from AFTER!");
}

#[tokio::test(flavor = "multi_thread")]
async fn stat_does_not_change_at_close() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    let m = &rig.mount;
    let (entry, opened) = create(m, "f").await.unwrap();
    write_at(m, entry.node, &opened, 0, b"some text").await;
    let open = attr(m, "f").await.unwrap();
    assert_eq!(open.size, 9);
    m.release(entry.node, opened.handle);
    assert_eq!(attr(m, "f").await.unwrap(), open);
    m.sync_all().await.unwrap();
    assert_eq!(attr(m, "f").await.unwrap(), open);
    // And it is the same in a fresh mount.
    let other = Rig::new(&server);
    let mut fresh = attr(&other.mount, "f").await.unwrap();
    fresh.blocks = open.blocks;
    assert_eq!(fresh, open);
}

#[tokio::test(flavor = "multi_thread")]
async fn truncate_and_times() {
    let server = FakeServer::new();
    server.seed("f", NodeKind::File, 0o644, b"0123456789");
    let rig = Rig::new(&server);
    let m = &rig.mount;
    let node = find(m, "f").await.unwrap().node;
    let change = AttrChange {
        size: Some(4),
        ..AttrChange::default()
    };
    let attr = done(m.setattr(USER, node, None, change)).await.unwrap();
    assert_eq!(attr.size, 4);
    let grow = AttrChange {
        size: Some(6),
        ..AttrChange::default()
    };
    done(m.setattr(USER, node, None, grow)).await.unwrap();
    assert_eq!(&get(m, "f").await.unwrap()[..], b"0123\0\0");
    let time = std::time::UNIX_EPOCH + Duration::new(1_000, 500);
    let set = AttrChange {
        mtime: Some(TimeOrNow::Time(time)),
        atime: Some(TimeOrNow::Time(time)),
        ..AttrChange::default()
    };
    let attr = done(m.setattr(USER, node, None, set)).await.unwrap();
    assert_eq!((attr.mtime, attr.atime), (time, time));
    m.sync_all().await.unwrap();
    assert_eq!(server.content("f").unwrap(), b"0123\0\0");
    assert_eq!(server.node("f").unwrap().mtime_ns, 1_000_000_000_500);
}

#[tokio::test(flavor = "multi_thread")]
async fn fsync_waits_for_the_server() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    let m = &rig.mount;
    let (entry, opened) = create(m, "f").await.unwrap();
    write_at(m, entry.node, &opened, 0, b"durable").await;
    done(m.fsync(entry.node, opened.handle, false))
        .await
        .unwrap();
    assert_eq!(server.content("f").unwrap(), b"durable");
    write_at(m, entry.node, &opened, 7, b" more").await;
    done(m.fsync(entry.node, opened.handle, false))
        .await
        .unwrap();
    assert_eq!(server.content("f").unwrap(), b"durable more");
    m.release(entry.node, opened.handle);
}

#[tokio::test(flavor = "multi_thread")]
async fn rename_publishes_content() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    let m = &rig.mount;
    put(m, "f", b"old").await.unwrap();
    let (entry, opened) = create(m, "f.tmp").await.unwrap();
    write_at(m, entry.node, &opened, 0, b"new").await;
    // The editor closed it, but RELEASE comes later than the rename.
    rename(m, "f.tmp", "f", RenameFlags::default())
        .await
        .unwrap();
    m.release(entry.node, opened.handle);
    m.sync_all().await.unwrap();
    assert_eq!(server.content("f").unwrap(), b"new");
    assert!(server.node("f.tmp").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn unlinked_files_live_on_and_are_never_uploaded() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    let m = &rig.mount;
    let (entry, opened) = create(m, "f").await.unwrap();
    write_at(m, entry.node, &opened, 0, b"only here").await;
    unlink(m, "f").await.unwrap();
    let shown = done(m.getattr(USER, entry.node, Some(opened.handle)))
        .await
        .unwrap();
    assert_eq!((shown.nlink, shown.size), (0, 9));
    write_at(m, entry.node, &opened, 4, b"xxxx").await;
    let data = done(m.read(entry.node, opened.handle, 0, 100))
        .await
        .unwrap();
    assert_eq!(data, "onlyxxxxe");
    done(m.fsync(entry.node, opened.handle, false))
        .await
        .unwrap();
    m.release(entry.node, opened.handle);
    m.forget(entry.node, 2);
    m.sync_all().await.unwrap();
    assert!(server.tree().is_empty());
    let gone = done(m.getattr(USER, entry.node, None)).await;
    assert_eq!(gone.unwrap_err(), FsError::Stale);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unnamed_file_gets_a_name() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    let m = &rig.mount;
    let root = work(m).await;
    let (entry, opened) = done(m.tmpfile(USER, root, 0o600, write_flags()))
        .await
        .unwrap();
    write_at(m, entry.node, &opened, 0, b"linked in").await;
    m.sync_all().await.unwrap();
    assert!(server.tree().is_empty());
    done(m.link(USER, entry.node, root, b"f")).await.unwrap();
    m.release(entry.node, opened.handle);
    m.sync_all().await.unwrap();
    assert_eq!(server.content("f").unwrap(), b"linked in");
    assert_eq!(attr(m, "f").await.unwrap().nlink, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_after_close_is_found() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    let m = &rig.mount;
    let (entry, opened) = create(m, "f").await.unwrap();
    let OpenMode::Local(backing) = opened.mode.clone() else {
        panic!("not local");
    };
    write_at(m, entry.node, &opened, 0, b"first").await;
    m.release(entry.node, opened.handle);
    m.sync_all().await.unwrap();
    // As through a mapping that outlived the descriptor.
    assert_eq!(rustix::io::pwrite(&backing.file, b"later", 0), Ok(5));
    m.sync_all().await.unwrap();
    assert_eq!(server.content("f").unwrap(), b"later");
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_can_come_from_memory() {
    let server = FakeServer::new();
    server.seed("f", NodeKind::File, 0o644, b"0123456789");
    server.seed("empty", NodeKind::File, 0o644, b"");
    let options = Options {
        served_max: 1000,
        ..Options::default()
    };
    let rig = Rig::with(&server, options);
    let m = &rig.mount;
    assert_eq!(get(m, "empty").await.unwrap(), "");
    let node = find(m, "f").await.unwrap().node;
    let reader = done(m.open(USER, node, read_flags())).await.unwrap();
    assert!(matches!(reader.mode, OpenMode::Served { .. }));
    let data = done(m.read(node, reader.handle, 2, 3)).await.unwrap();
    assert_eq!(data, "234");
    // One way of being served for all descriptors that are open together.
    let writer = done(m.open(USER, node, write_flags())).await.unwrap();
    assert!(matches!(writer.mode, OpenMode::Served { .. }));
    done(m.write(node, writer.handle, 0, b"ab")).await.unwrap();
    let data = done(m.read(node, reader.handle, 0, 3)).await.unwrap();
    assert_eq!(data, "ab2");
    m.release(node, writer.handle);
    m.release(node, reader.handle);
    m.sync_all().await.unwrap();
    assert_eq!(server.content("f").unwrap(), b"ab23456789");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_again_and_cannot_change_comes_from_the_page_cache() {
    let server = FakeServer::new();
    let writers = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&writers);
    let options = Options {
        served_max: 1000,
        quiet: Some(Arc::new(move |_| !seen.load(Ordering::SeqCst))),
        ..Options::default()
    };
    let rig = Rig::with(&server, options);
    let m = &rig.mount;
    let reads = async |name: &str| {
        let node = find(m, name).await.unwrap().node;
        let reader = done(m.open(USER, node, read_flags())).await.unwrap();
        let data = done(m.read(node, reader.handle, 0, 100)).await.unwrap();
        m.release(node, reader.handle);
        let kept = match reader.mode {
            OpenMode::Local(_) => None,
            OpenMode::Served { keep_cache } => Some(keep_cache),
        };
        (kept, data)
    };
    // A mapping may still write to it.
    put(m, "f", b"one").await.unwrap();
    m.sync_all().await.unwrap();
    assert_eq!(reads("f").await.0, None);
    assert_eq!(reads("f").await.0, None);
    writers.store(false, Ordering::SeqCst);
    for text in ["two", "three"] {
        put(m, "f", text.as_bytes()).await.unwrap();
        m.sync_all().await.unwrap();
        assert_eq!(reads("f").await, (None, text.into()), "read once");
        assert_eq!(reads("f").await, (Some(false), text.into()));
        assert_eq!(reads("f").await, (Some(true), text.into()), "no request");
    }
    // Written to while it is read: through the same pages, by one way for all.
    let node = find(m, "f").await.unwrap().node;
    let reader = done(m.open(USER, node, read_flags())).await.unwrap();
    let writer = done(m.open(USER, node, write_flags())).await.unwrap();
    assert!(matches!(writer.mode, OpenMode::Served { keep_cache: true }));
    done(m.write(node, writer.handle, 0, b"T")).await.unwrap();
    m.release(node, writer.handle);
    // Of a descriptor given out by a process that is gone only the node is known.
    let data = done(m.read(node, Handle(1 << 40), 0, 100)).await.unwrap();
    assert_eq!(data, "Three");
    done(m.write(node, Handle(1 << 40), 1, b"H")).await.unwrap();
    done(m.fsync(node, Handle(1 << 40), false)).await.unwrap();
    assert_eq!(server.content("f").unwrap(), b"THree");
    m.release(node, reader.handle);
    m.sync_all().await.unwrap();
    assert_eq!(reads("f").await, (None, "THree".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_go_to_the_end() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    let m = &rig.mount;
    put(m, "log", b"one\n").await.unwrap();
    let node = find(m, "log").await.unwrap().node;
    let flags = OpenFlags {
        append: true,
        ..write_flags()
    };
    let opened = done(m.open(USER, node, flags)).await.unwrap();
    done(m.write(node, opened.handle, 0, b"two\n"))
        .await
        .unwrap();
    done(m.write(node, opened.handle, 0, b"three\n"))
        .await
        .unwrap();
    m.release(node, opened.handle);
    assert_eq!(get(m, "log").await.unwrap(), "one\ntwo\nthree\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn class_close_is_durable_at_close() {
    let server = FakeServer::new();
    let options = Options {
        durability: Durability::Close,
        ..Options::default()
    };
    let rig = Rig::with(&server, options);
    let m = &rig.mount;
    put(m, "f", b"closed").await.unwrap();
    assert_eq!(server.content("f").unwrap(), b"closed");
    rename(m, "f", "g", RenameFlags::default()).await.unwrap();
    assert!(server.node("g").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn private_files_beyond_the_bound_go_and_come_from_the_server_again() {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use mesa_types::time::{Clock, SystemClock};

    static SKIPPED: AtomicI64 = AtomicI64::new(0);
    struct Skipping;
    impl Clock for Skipping {
        fn now(&self) -> mesa_types::Nanos {
            mesa_types::Nanos(SystemClock.now().0 + SKIPPED.load(Ordering::SeqCst))
        }
    }

    let server = FakeServer::new();
    let options = Options {
        tune: |config| {
            config.tuning.works_kept = 2;
            config.clock = Arc::new(Skipping);
            config.quiet = Some(Arc::new(|_| true));
        },
        ..Options::default()
    };
    let rig = Rig::with(&server, options);
    let m = &rig.mount;
    let bytes = |n: u8| vec![n; 70_000];
    for n in 0..6 {
        put(m, &format!("f{n}"), &bytes(n)).await.unwrap();
    }
    let (open, opened) = create(m, "open").await.unwrap();
    m.sync_all().await.unwrap();
    let before = attr(m, "f0").await.unwrap();
    let works = || m.status().orgs[0].repos[0].work_files;
    assert_eq!(works(), 7);
    let start = std::time::Instant::now();
    while works() > 2 {
        assert!(start.elapsed().as_secs() < 20, "{} are left", works());
        SKIPPED.fetch_add(1_000_000_000, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let after = attr(m, "f0").await.unwrap();
    let shown = |a: &mesa_vfs::fs::FileAttr| (a.ino, a.size, a.mtime, a.ctime, a.mode);
    assert_eq!(shown(&after), shown(&before));
    for n in 0..6 {
        assert_eq!(get(m, &format!("f{n}")).await.unwrap(), bytes(n));
    }
    write_at(m, open.node, &opened, 0, b"it was open").await;
    m.release(open.node, opened.handle);
    m.sync_all().await.unwrap();
    assert_eq!(server.content("open").unwrap(), b"it was open");
    put(m, "f0", b"again").await.unwrap();
    m.sync_all().await.unwrap();
    assert_eq!(server.content("f0").unwrap(), b"again");
}
