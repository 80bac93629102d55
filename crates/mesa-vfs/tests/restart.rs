//! A daemon that stops without warning and starts again on the same state directory.
#![allow(clippy::unwrap_used)]

mod support;

use mesa_types::NodeKind;
use mesa_vfs::fs::RenameFlags;
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
