//! Who may do what, for callers that are not root.
#![allow(clippy::unwrap_used)]

mod support;

use mesa_vfs::fs::{AttrChange, Caller, Filesystem, FsError, OpenFlags, RenameFlags, TimeOrNow};
use support::{calls::*, rig::Rig, server::FakeServer};

const ALICE: Caller = Caller {
    uid: 1000,
    gid: 1000,
    pid: 0,
    umask: 0o022,
};
const BOB: Caller = Caller {
    uid: 1001,
    gid: 1001,
    pid: 0,
    umask: 0,
};

fn mode(mode: u16) -> AttrChange {
    AttrChange {
        mode: Some(mode),
        ..AttrChange::default()
    }
}

fn owner(uid: Option<u32>, gid: Option<u32>) -> AttrChange {
    AttrChange {
        uid,
        gid,
        ..AttrChange::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_protect_their_entries() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    let m = &rig.mount;
    let dir = mkdir(m, "d").await.unwrap().node;
    let made = done(m.mkdir(BOB, dir, b"x", 0o755)).await;
    assert_eq!(made.unwrap_err(), FsError::Access);
    done(m.setattr(USER, dir, None, mode(0o1777)))
        .await
        .unwrap();
    let alices = done(m.mkdir(ALICE, dir, b"alice", 0o777)).await.unwrap();
    assert_eq!(
        (alices.attr.uid, alices.attr.gid, alices.attr.mode),
        (1000, 1000, 0o755)
    );
    // Sticky: others may not remove or rename it.
    assert_eq!(
        done(m.rmdir(BOB, dir, b"alice")).await,
        Err(FsError::NotPermitted)
    );
    let plain = RenameFlags::default();
    let renamed = done(m.rename(BOB, dir, b"alice", dir, b"bob", plain)).await;
    assert_eq!(renamed, Err(FsError::NotPermitted));
    done(m.rename(ALICE, dir, b"alice", dir, b"a", plain))
        .await
        .unwrap();
    // No search permission above: nothing below can be reached, cached or not.
    let inner = done(m.mkdir(ALICE, alices.node, b"inner", 0o777))
        .await
        .unwrap();
    done(m.setattr(ALICE, alices.node, None, mode(0o700)))
        .await
        .unwrap();
    let found = done(m.lookup(BOB, inner.node, b"any")).await;
    assert_eq!(found.unwrap_err(), FsError::Access);
    assert_eq!(
        done(m.opendir(BOB, inner.node)).await.unwrap_err(),
        FsError::Access
    );
    done(m.opendir(ALICE, inner.node)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_and_groups() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    let m = &rig.mount;
    let dir = mkdir(m, "d").await.unwrap().node;
    done(m.setattr(USER, dir, None, mode(0o2777)))
        .await
        .unwrap();
    done(m.setattr(USER, dir, None, owner(None, Some(50))))
        .await
        .unwrap();
    // The directory's setgid bit hands its group on.
    let sub = done(m.mkdir(ALICE, dir, b"sub", 0o755)).await.unwrap();
    assert_eq!((sub.attr.gid, sub.attr.mode), (50, 0o2755));
    let flags = OpenFlags {
        exclusive: true,
        ..write_flags()
    };
    let (file, opened) = done(m.create(ALICE, dir, b"f", 0o6755, flags))
        .await
        .unwrap();
    assert_eq!((file.attr.uid, file.attr.gid), (1000, 50));
    m.release(file.node, opened.handle);
    let node = file.node;
    assert_eq!(
        done(m.setattr(BOB, node, None, mode(0o777)))
            .await
            .unwrap_err(),
        FsError::NotPermitted
    );
    let refused = done(m.setattr(ALICE, node, None, owner(Some(1001), None))).await;
    assert_eq!(refused.unwrap_err(), FsError::NotPermitted);
    let refused = done(m.setattr(ALICE, node, None, owner(None, Some(77)))).await;
    assert_eq!(refused.unwrap_err(), FsError::NotPermitted);
    // Her own group is hers to give; set-id bits go with any change of owner.
    done(m.setattr(USER, node, None, mode(0o6755)))
        .await
        .unwrap();
    let given = done(m.setattr(ALICE, node, None, owner(None, Some(1000))))
        .await
        .unwrap();
    assert_eq!((given.gid, given.mode), (1000, 0o755));
    // What an unprivileged process writes is not privileged.
    done(m.setattr(USER, node, None, mode(0o4757)))
        .await
        .unwrap();
    let opened = done(m.open(BOB, node, write_flags())).await.unwrap();
    write_at(m, node, &opened, 0, b"evil").await;
    m.release(node, opened.handle);
    let shown = done(m.getattr(USER, node, None)).await.unwrap();
    assert_eq!(shown.mode, 0o757);
    m.sync_all().await.unwrap();
    let stored = server.node("d/f").unwrap();
    assert_eq!(
        (stored.uid, stored.gid, stored.mode),
        (Some(1000), Some(1000), 0o757)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_by_mode() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    let m = &rig.mount;
    put(m, "f", b"secret").await.unwrap();
    let node = find(m, "f").await.unwrap().node;
    done(m.setattr(USER, node, None, mode(0o640)))
        .await
        .unwrap();
    let opened = done(m.open(BOB, node, read_flags())).await;
    assert_eq!(opened.unwrap_err(), FsError::Access);
    assert_eq!(done(m.access(BOB, node, 4)).await, Err(FsError::Access));
    assert_eq!(done(m.access(USER, node, 1)).await, Err(FsError::Access));
    let now = AttrChange {
        mtime: Some(TimeOrNow::Now),
        ..AttrChange::default()
    };
    assert_eq!(
        done(m.setattr(BOB, node, None, now)).await.unwrap_err(),
        FsError::Access
    );
    let then = AttrChange {
        mtime: Some(TimeOrNow::Time(std::time::UNIX_EPOCH)),
        ..AttrChange::default()
    };
    let set = done(m.setattr(BOB, node, None, then)).await;
    assert_eq!(set.unwrap_err(), FsError::NotPermitted);
    done(m.setattr(USER, node, None, mode(0o666)))
        .await
        .unwrap();
    done(m.setattr(BOB, node, None, now)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn extended_attributes() {
    let server = FakeServer::new();
    let rig = Rig::new(&server);
    let m = &rig.mount;
    put(m, "f", b"").await.unwrap();
    symlink(m, "f", "l").await.unwrap();
    let file = find(m, "f").await.unwrap().node;
    let link = find(m, "l").await.unwrap().node;
    let get = |caller, name: &'static [u8]| done(m.getxattr(caller, file, name));
    assert_eq!(get(USER, b"user.a").await, Err(FsError::NoXattr));
    assert_eq!(
        get(USER, b"security.capability").await,
        Err(FsError::NoXattr)
    );
    let set =
        |caller, name: &'static [u8], flags| done(m.setxattr(caller, file, name, b"v", flags));
    assert_eq!(set(USER, b"user.a", 2).await, Err(FsError::NoXattr));
    set(USER, b"user.a", 1).await.unwrap();
    assert_eq!(set(USER, b"user.a", 1).await, Err(FsError::Exists));
    assert_eq!(set(BOB, b"user.a", 0).await, Err(FsError::Access));
    assert_eq!(set(BOB, b"trusted.a", 0).await, Err(FsError::NotPermitted));
    set(USER, b"trusted.a", 0).await.unwrap();
    assert_eq!(
        set(USER, b"system.posix_acl_access", 0).await,
        Err(FsError::NotSupported)
    );
    let on_link = done(m.setxattr(USER, link, b"user.a", b"v", 0)).await;
    assert_eq!(on_link, Err(FsError::NotPermitted));
    assert_eq!(
        done(m.listxattr(USER, file)).await.unwrap(),
        "trusted.a\0user.a\0"
    );
    assert_eq!(done(m.listxattr(BOB, file)).await.unwrap(), "user.a\0");
    assert_eq!(get(BOB, b"user.a").await.unwrap(), "v");
    done(m.removexattr(USER, file, b"user.a")).await.unwrap();
    let again = done(m.removexattr(USER, file, b"user.a")).await;
    assert_eq!(again, Err(FsError::NoXattr));
    let big = vec![0; 64 * 1024 + 1];
    let set = done(m.setxattr(USER, file, b"user.b", &big, 0)).await;
    assert_eq!(set, Err(FsError::XattrTooBig));
    m.sync_all().await.unwrap();
    assert_eq!(server.node("f").unwrap().xattrs.len(), 1);
}
