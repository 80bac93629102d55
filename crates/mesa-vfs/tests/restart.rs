//! A daemon that stops without warning and starts again on the same state directory.
#![allow(clippy::unwrap_used)]

mod support;

use std::{sync::Arc, time::Duration};

use mesa_types::NodeKind;
use mesa_vfs::fs::{
    AttrChange, Backing, Filesystem, FsError, Handle, NodeId, Notice, OpenMode, RenameFlags,
};
use support::{
    calls::*,
    rig::{Options, Rig},
    server::FakeServer,
};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_a_call_returned_is_lost() {
    let server = FakeServer::new();
    server.seed("old", NodeKind::Dir, 0o755, b"");
    server.seed("old/f", NodeKind::File, 0o644, b"before");
    let rig = Rig::new(&server);
    mkdir(&rig.mount, "warm").await.unwrap();
    rig.mount.sync_all().await.unwrap();
    server.pause();
    {
        let m = &rig.mount;
        mkdir(m, "d").await.unwrap();
        put(m, "d/new", b"made while the server was away")
            .await
            .unwrap();
        rename(m, "old", "d/moved", RenameFlags::default())
            .await
            .unwrap();
        put(m, "d/moved/f", b"changed").await.unwrap();
        let (entry, opened) = create(m, "open").await.unwrap();
        write_at(m, entry.node, &opened, 0, b"still open").await;
    }
    let shown = attr(&rig.mount, "d/new").await.unwrap();
    let dir = rig.stop().await;
    server.disconnect();
    server.resume();
    let rig = Rig::at(&server, dir, Options::default());
    let m = &rig.mount;
    assert_eq!(
        get(m, "d/new").await.unwrap(),
        "made while the server was away"
    );
    assert_eq!(get(m, "d/moved/f").await.unwrap(), "changed");
    assert_eq!(get(m, "open").await.unwrap(), "still open");
    let again = attr(m, "d/new").await.unwrap();
    assert_eq!(
        (again.ino, again.mtime, again.ctime),
        (shown.ino, shown.mtime, shown.ctime)
    );
    m.sync_all().await.unwrap();
    assert_eq!(server.content("d/moved/f").unwrap(), b"changed");
    assert_eq!(server.content("open").unwrap(), b"still open");
    assert!(server.node("old").is_none());
    m.unmount().await.unwrap();
}

/// A mount with descriptors a former process handed out: the file's node and handle.
async fn taken_over(server: &FakeServer) -> (Rig, NodeId, Handle, Arc<Backing>) {
    taken_over_with(server, Options::default()).await
}

async fn taken_over_with(
    server: &FakeServer,
    options: Options,
) -> (Rig, NodeId, Handle, Arc<Backing>) {
    let rig = Rig::new(server);
    let m = &rig.mount;
    let (entry, opened) = create(m, "f").await.unwrap();
    write_at(m, entry.node, &opened, 0, b"before").await;
    m.sync_all().await.unwrap();
    let OpenMode::Local(backing) = &opened.mode else {
        panic!("not local");
    };
    // The kernel's description of the file outlives the process.
    let backing = Arc::new(Backing {
        file: backing.file.try_clone().unwrap(),
    });
    let (node, handle) = (entry.node, opened.handle);
    drop(opened);
    let dir = rig.stop().await;
    server.disconnect();
    let rig = Rig::at(server, dir, options);
    rig.mount.restore(Duration::from_secs(20)).await;
    (rig, node, handle, backing)
}

/// As in write-back mode: the kernel's count never tells, and no private file is kept longer than
/// it has to be.
fn short_of_room(former_unseen: bool) -> Options {
    Options {
        quiet: Some(Arc::new(|_| true)),
        tune: if former_unseen {
            |config| (config.tuning.works_kept, config.former_unseen) = (0, true)
        } else {
            |config| config.tuning.works_kept = 0
        },
        ..Options::default()
    }
}

fn works(rig: &Rig) -> usize {
    rig.mount.status().orgs[0].repos[0].work_files
}

async fn until(what: &str, mut check: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !check() {
        assert!(start.elapsed().as_secs() < 30, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_descriptor_from_before_whose_file_went_gets_another() {
    let server = FakeServer::new();
    let (rig, node, handle, backing) = taken_over_with(&server, short_of_room(false)).await;
    drop(backing);
    let m = &rig.mount;
    attr(m, "f").await.unwrap();
    let written = |text: &'static [u8]| {
        let (server, rig) = (server.clone(), &rig);
        async move {
            done(rig.mount.fsync(node, handle, true)).await.unwrap();
            assert_eq!(server.content("f").unwrap(), text);
            until("it goes again", || works(rig) == 0).await;
        }
    };
    until("the private file goes", || works(&rig) == 0).await;
    done(m.write(node, handle, 0, b"LATE")).await.unwrap();
    written(b"LATEre").await;
    done(m.fallocate(node, handle, 0, 0, 8)).await.unwrap();
    written(b"LATEre\0\0").await;
    let change = AttrChange {
        size: Some(3),
        ..AttrChange::default()
    };
    done(m.setattr(USER, node, Some(handle), change))
        .await
        .unwrap();
    written(b"LAT").await;
    let from = (node, handle);
    done(m.copy_file_range(from, 0, from, 3, 3)).await.unwrap();
    written(b"LATLAT").await;
    m.release(node, handle);
    m.unmount().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_counts_descriptors_from_before_only_forgetting_ends_them() {
    let server = FakeServer::new();
    let (rig, node, handle, backing) = taken_over_with(&server, short_of_room(true)).await;
    drop(backing);
    let m = &rig.mount;
    attr(m, "f").await.unwrap();
    let asked = |notice: &Notice| matches!(notice, Notice::Unused { child, .. } if *child == node);
    until("the kernel is asked", || {
        rig.notices.try_iter().any(|n| asked(&n))
    })
    .await;
    // Others come and go.
    put(m, "other", b"other").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    until("others go", || works(&rig) == 1).await;
    done(m.write(node, handle, 0, b"LATE")).await.unwrap();
    done(m.fsync(node, handle, true)).await.unwrap();
    assert_eq!(server.content("f").unwrap(), b"LATEre");
    assert_eq!(works(&rig), 1);
    m.release(node, handle);
    m.unknown(node);
    until("the private file goes", || works(&rig) == 0).await;
    assert_eq!(get(m, "f").await.unwrap(), "LATEre");
    m.unmount().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_descriptor_from_before_is_good_for_everything() {
    let server = FakeServer::new();
    let (rig, node, handle, _backing) = taken_over(&server).await;
    let m = &rig.mount;
    // Asked for by number alone, as the kernel does with what it holds.
    done(m.fsync(node, handle, false)).await.unwrap();
    done(m.write(node, handle, 0, b"BEFORE and after"))
        .await
        .unwrap();
    done(m.fsync(node, handle, true)).await.unwrap();
    assert_eq!(server.content("f").unwrap(), b"BEFORE and after");
    let change = AttrChange {
        size: Some(6),
        ..AttrChange::default()
    };
    done(m.setattr(USER, node, Some(handle), change))
        .await
        .unwrap();
    done(m.flush(node, handle)).await.unwrap();
    let read = done(m.read(node, handle, 0, 100)).await.unwrap();
    assert_eq!(read, "BEFORE");
    done(m.fsync(node, handle, true)).await.unwrap();
    assert_eq!(server.content("f").unwrap(), b"BEFORE");
    m.release(node, handle);
    m.unmount().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_through_a_descriptor_from_before_is_sent_without_being_asked() {
    let server = FakeServer::new();
    let (rig, node, handle, backing) = taken_over(&server).await;
    let m = &rig.mount;
    attr(m, "f").await.unwrap();
    let shown = |text: &'static [u8]| {
        let server = server.clone();
        async move {
            let start = std::time::Instant::now();
            while server.content("f").as_deref() != Some(text) {
                assert!(start.elapsed().as_secs() < 30, "never: {text:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    // Longer than a closed file is looked at.
    tokio::time::sleep(Duration::from_secs(13)).await;
    rustix::io::pwrite(&backing.file, b"silent", 0).unwrap();
    shown(b"silent").await;
    rustix::io::pwrite(&backing.file, b"at end", 0).unwrap();
    m.release(node, handle);
    shown(b"at end").await;
    m.unmount().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sent_stays_in_sight_when_all_is_to_be_read_again() {
    let server = FakeServer::new();
    server.seed("theirs", NodeKind::File, 0o644, b"theirs");
    let rig = Rig::with(
        &server,
        Options {
            tune: |config| config.tuning.deadline = Duration::from_millis(300),
            ..Options::default()
        },
    );
    let m = &rig.mount;
    put(m, "before", b"before").await.unwrap();
    m.sync_all().await.unwrap();
    server.pause();
    put(m, "mine", b"mine").await.unwrap();
    server.move_head(&["theirs"]);
    // Longer than anybody waits.
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        assert_eq!(get(m, "mine").await.unwrap(), "mine");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.resume();
    while find(m, "theirs").await.is_ok() {
        assert!(start.elapsed().as_secs() < 30, "never read again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(get(m, "mine").await.unwrap(), "mine");
    put(m, "more", b"more").await.unwrap();
    m.sync_all().await.unwrap();
    assert_eq!(server.content("mine").unwrap(), b"mine");
    m.unmount().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_identity_is_named_as_the_reason() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    put(&rig.mount, "f", b"x").await.unwrap();
    rig.mount.sync_all().await.unwrap();
    let dir = rig.stop().await;
    let mut dirs = vec![dir.path().join("state")];
    let damaged = loop {
        let at = dirs.pop().unwrap();
        if at.join("session.json").exists() {
            break at.join("session.json");
        }
        let entries = std::fs::read_dir(at).unwrap().map(|e| e.unwrap().path());
        dirs.extend(entries.filter(|path| path.is_dir()));
    };
    std::fs::write(&damaged, b"{").unwrap();
    let rig = Rig::at(&server, dir, Options::default());
    let root = work(&rig.mount).await;
    let listed = done(rig.mount.lookup(USER, root, b"f")).await;
    assert_eq!(listed.unwrap_err(), FsError::Io);
    let reason = rig.mount.status().orgs[0].repos[0].failure.clone().unwrap();
    let path = damaged.parent().unwrap().display().to_string();
    assert!(reason.contains(&path), "{reason}");
    assert!(reason.contains("session.json is damaged"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_goes_on_to_be_read_by_the_next_process() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    mkdir(&rig.mount, "d").await.unwrap();
    let all: Vec<_> = (0..40).map(|n| format!("name-{n:02}")).collect();
    for name in &all {
        put(&rig.mount, &format!("d/{name}"), b"x").await.unwrap();
    }
    let names = |entries: &[mesa_vfs::fs::DirEntry]| -> Vec<String> {
        let name = |e: &mesa_vfs::fs::DirEntry| String::from_utf8_lossy(&e.name).into_owned();
        entries
            .iter()
            .map(name)
            .filter(|n| !n.starts_with('.'))
            .collect()
    };
    let node = find(&rig.mount, "d").await.unwrap().node;
    let handle = done(rig.mount.opendir(USER, node)).await.unwrap();
    let first = done(rig.mount.readdir(USER, node, handle, 0, 600, false)).await;
    let first = first.unwrap();
    let mut seen = names(&first);
    assert!(!seen.is_empty() && seen.len() < all.len());
    let mut from = first.last().unwrap().next;
    let dir = rig.stop().await;
    let rig = Rig::at(&server, dir, Options::default());
    let m = &rig.mount;
    // The numbers of nodes stay good in a mount; here one has to be looked up.
    let node = find(m, "d").await.unwrap().node;
    // What was read is removed, as rm -r does it; all but the last.
    for name in &seen[..seen.len() - 1] {
        unlink(m, &format!("d/{name}")).await.unwrap();
    }
    loop {
        let entries = done(m.readdir(USER, node, handle, from, 600, false)).await;
        let entries = entries.unwrap();
        let Some(last) = entries.last() else { break };
        from = last.next;
        seen.extend(names(&entries));
    }
    assert_eq!(seen, all);
}
