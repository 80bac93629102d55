//! Two mounts of one head.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use mesa_vfs::fs::{Filesystem, FsError, Notice, OpenMode, RenameFlags};
use support::{calls::*, rig::Rig, server::FakeServer};

/// Waits for a condition, asking again until a deadline.
async fn until<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let start = Instant::now();
    while !check().await {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_see_what_either_does() {
    let server = FakeServer::new();
    let (one, two) = (Rig::new(&server), Rig::new(&server));
    let (a, b) = (&one.mount, &two.mount);
    mkdir(a, "d").await.unwrap();
    put(a, "d/f", b"from a").await.unwrap();
    // The second writer recalls the lease; everything of the first is there then.
    list(b, "").await.unwrap();
    put(b, "g", b"from b").await.unwrap();
    assert_eq!(get(b, "d/f").await.unwrap(), "from a");
    until("a sees g", || async {
        get(a, "g").await.is_ok_and(|data| data == "from b")
    })
    .await;
    // Both write now; the server decides.
    put(a, "d/h", b"shared").await.unwrap();
    rename(b, "d/f", "moved", RenameFlags::default())
        .await
        .unwrap();
    until("a sees the move", || async {
        find(a, "moved").await.is_ok() && find(a, "d/f").await.is_err()
    })
    .await;
    until("b sees h", || async {
        get(b, "d/h").await.is_ok_and(|data| data == "shared")
    })
    .await;
    assert_eq!(mkdir(b, "d").await.unwrap_err(), FsError::Exists);
    a.sync_all().await.unwrap();
    b.sync_all().await.unwrap();
    assert_eq!(server.content("moved").unwrap(), b"from a");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_file_keeps_its_content_when_another_replaces_it() {
    let server = FakeServer::new();
    let (one, two) = (Rig::new(&server), Rig::new(&server));
    let (a, b) = (&one.mount, &two.mount);
    put(a, "f", b"version 1").await.unwrap();
    a.sync_all().await.unwrap();
    let before = find(b, "f").await.unwrap();
    let opened = done(b.open(USER, before.node, read_flags())).await.unwrap();
    assert!(matches!(opened.mode, OpenMode::Local(_)));
    put(a, "f", b"version 2!").await.unwrap();
    a.sync_all().await.unwrap();
    until("b sees version 2", || async {
        get(b, "f").await.unwrap() == "version 2!"
    })
    .await;
    let after = find(b, "f").await.unwrap();
    assert_ne!(after.node, before.node);
    assert_eq!(after.attr.ino, before.attr.ino);
    let old = done(b.read(before.node, opened.handle, 0, 100))
        .await
        .unwrap();
    assert_eq!(old, "version 1");
    let root = work(b).await;
    let notices: Vec<Notice> = two.notices.try_iter().collect();
    let expected = Notice::Entry {
        parent: root,
        name: "f".into(),
    };
    assert!(notices.contains(&expected), "{notices:?}");
    b.release(before.node, opened.handle);
    b.forget(before.node, 2);
    assert_eq!(get(b, "f").await.unwrap(), "version 2!");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_that_the_presenter_cannot_forget_gets_another_number() {
    let server = FakeServer::new();
    let (one, two) = (Rig::new(&server), Rig::new(&server));
    let (a, b) = (&one.mount, &two.mount);
    put(a, "f", b"").await.unwrap();
    a.sync_all().await.unwrap();
    let before = find(b, "f").await.unwrap();
    put(a, "f", b"more").await.unwrap();
    until("b sees more", || async {
        get(b, "f").await.unwrap() == "more"
    })
    .await;
    let changed = Notice::Node {
        node: before.node,
        data: true,
    };
    assert!(two.notices.try_iter().any(|notice| notice == changed));
    b.unforgotten(before.node);
    let expected = Notice::Entry {
        parent: work(b).await,
        name: "f".into(),
    };
    assert!(two.notices.try_iter().any(|notice| notice == expected));
    let after = find(b, "f").await.unwrap();
    assert_ne!(after.node, before.node);
    assert_eq!((after.attr.ino, after.attr.size), (before.attr.ino, 4));
    // One that is forgotten already keeps its number.
    b.forget(after.node, 2);
    b.unforgotten(after.node);
    assert_eq!(find(b, "f").await.unwrap().node, after.node);
}

#[tokio::test(flavor = "multi_thread")]
async fn removals_and_attributes_are_noticed() {
    let server = FakeServer::new();
    let (one, two) = (Rig::new(&server), Rig::new(&server));
    let (a, b) = (&one.mount, &two.mount);
    put(a, "f", b"x").await.unwrap();
    put(a, "g", b"x").await.unwrap();
    a.sync_all().await.unwrap();
    let f = find(b, "f").await.unwrap().node;
    let g = find(b, "g").await.unwrap().node;
    two.notices.try_iter().for_each(drop);
    unlink(a, "f").await.unwrap();
    let change = mesa_vfs::fs::AttrChange {
        mode: Some(0o600),
        ..Default::default()
    };
    let node = find(a, "g").await.unwrap().node;
    done(a.setattr(USER, node, None, change)).await.unwrap();
    a.sync_all().await.unwrap();
    until("b sees the mode", || async {
        attr(b, "g").await.unwrap().mode == 0o600
    })
    .await;
    assert_eq!(find(b, "f").await.unwrap_err(), FsError::NotFound);
    let root = work(b).await;
    let notices: Vec<Notice> = two.notices.try_iter().collect();
    assert!(notices.contains(&Notice::Deleted {
        parent: root,
        child: f,
        name: "f".into()
    }));
    assert!(notices.contains(&Notice::Node {
        node: g,
        data: false
    }));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_races_end_in_one_state() {
    let server = FakeServer::new();
    let (one, two) = (Rig::new(&server), Rig::new(&server));
    mkdir(&one.mount, "d").await.unwrap();
    one.mount.sync_all().await.unwrap();
    until("the directory", || async {
        find(&two.mount, "d").await.is_ok()
    })
    .await;
    let run = |mount: mesa_vfs::mount::Mount, own: &'static str| async move {
        for round in 0..30 {
            let name = format!("d/{}", round % 5);
            let mine = format!("d/{own}{round}");
            match create(&mount, &name).await {
                Ok((entry, opened)) => {
                    write_at(&mount, entry.node, &opened, 0, own.as_bytes()).await;
                    mount.release(entry.node, opened.handle);
                    let _ = rename(&mount, &name, &mine, RenameFlags::default()).await;
                }
                Err(_) => {
                    let _ = unlink(&mount, &name).await;
                }
            }
            let _ = link(&mount, &mine, &format!("{mine}l")).await;
        }
    };
    let both = (
        tokio::spawn(run(one.mount.clone(), "a")),
        tokio::spawn(run(two.mount.clone(), "b")),
    );
    both.0.await.unwrap();
    both.1.await.unwrap();
    one.mount.sync_all().await.unwrap();
    two.mount.sync_all().await.unwrap();
    let shown = |tree: Vec<(String, mesa_types::NodeKind)>| -> Vec<String> {
        tree.into_iter().map(|(name, _)| name).collect()
    };
    let expected: Vec<String> = server
        .tree()
        .into_keys()
        .filter_map(|p| p.strip_prefix("/d/").map(str::to_owned))
        .collect();
    for mount in [&one.mount, &two.mount] {
        until("all events arrived", || async {
            shown(list(mount, "d").await.unwrap()) == expected
        })
        .await;
        for name in &expected {
            let path = format!("d/{name}");
            let shown = attr(mount, &path).await.unwrap();
            let stored = server.node(&path).unwrap();
            assert_eq!(
                (shown.nlink, shown.ino),
                (stored.nlink, stored.id),
                "{path}"
            );
            let data = get(mount, &path).await.unwrap();
            assert_eq!(&data[..], &server.content(&path).unwrap()[..], "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_head_is_read_again_and_loses_nothing() {
    let server = FakeServer::new();
    server.seed("old", mesa_types::NodeKind::File, 0o644, b"old");
    server.seed("stays", mesa_types::NodeKind::File, 0o644, b"same");
    let rig = Rig::new(&server);
    let m = &rig.mount;
    find(m, "old").await.unwrap();
    mkdir(m, "d").await.unwrap();
    m.sync_all().await.unwrap();
    // Decided here, not in the head yet, when the head moves.
    server.pause();
    put(m, "d/mine", b"mine").await.unwrap();
    server.move_head(&["old"]);
    server.seed("new", mesa_types::NodeKind::File, 0o644, b"new");
    server.resume();
    until("the new tree", || async {
        find(m, "old").await.is_err() && find(m, "new").await.is_ok()
    })
    .await;
    assert_eq!(get(m, "new").await.unwrap(), "new");
    assert_eq!(get(m, "stays").await.unwrap(), "same");
    assert_eq!(get(m, "d/mine").await.unwrap(), "mine");
    put(m, "after", b"after").await.unwrap();
    m.sync_all().await.unwrap();
    assert_eq!(server.content("d/mine").unwrap(), b"mine");
    assert_eq!(server.content("after").unwrap(), b"after");
}
