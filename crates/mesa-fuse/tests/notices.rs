//! Changes made elsewhere become visible through notices, and only through them.

#![allow(clippy::unwrap_used)] // A failed step is a failed test.

mod support;

use std::{fs, os::unix::fs::MetadataExt};

use bytes::Bytes;
use mesa_fuse::{Feature, wire::Opcode};
use mesa_types::NodeKind;
use mesa_vfs::fs::{Caller, NodeId, Notice};
use support::{Mounted, eventually, must_mount};

const ELSEWHERE: Caller = Caller {
    uid: 0,
    gid: 0,
    pid: 0,
    umask: 0,
};

#[test]
fn names_appear_and_vanish() {
    must_mount();
    let mounted = Mounted::new();
    let path = mounted.join("remote");
    assert!(!path.exists());
    let made = mounted
        .fs
        .made(
            ELSEWHERE,
            NodeId::ROOT,
            b"remote",
            NodeKind::File,
            0o644,
            b"",
        )
        .unwrap();
    assert!(!path.exists(), "the kernel remembers that it was absent");
    let name = Bytes::from("remote");
    mounted
        .notices
        .send(Notice::Entry {
            parent: NodeId::ROOT,
            name: name.clone(),
        })
        .unwrap();
    eventually("the name appears", || path.exists());

    mounted.fs.removed(NodeId::ROOT, b"remote", false).unwrap();
    let child = made.node;
    mounted
        .notices
        .send(Notice::Deleted {
            parent: NodeId::ROOT,
            child,
            name,
        })
        .unwrap();
    eventually("the name vanishes", || !path.exists());
    assert!(mounted.handle.counters().notices() >= 2);
}

#[test]
fn attributes_and_pages_are_refreshed() {
    must_mount();
    for passthrough in [Feature::Auto, Feature::Off] {
        let mounted = Mounted::with(|options| options.passthrough = passthrough);
        let path = mounted.join("f");
        fs::write(&path, b"before").unwrap();
        eventually("it is closed", || mounted.fs.open_handles() == 0);
        assert_eq!(fs::read(&path).unwrap(), b"before");
        let node = NodeId(fs::metadata(&path).unwrap().ino() - mounted.fs.ino_offset);
        eventually("it is closed", || mounted.fs.open_handles() == 0);
        fs::write(mounted.fs.backing_path(node.0), b"afterwards").unwrap();
        let change = mesa_vfs::fs::AttrChange {
            size: Some(10),
            ..Default::default()
        };
        mounted.fs.change(node, change).unwrap();
        mounted
            .notices
            .send(Notice::Node { node, data: true })
            .unwrap();
        // Not looked at meanwhile: a node in use is not met anew.
        eventually("the notice is taken", || {
            mounted.handle.counters().notices() == 1
        });
        eventually("the new content shows", || {
            fs::read(&path).unwrap() == b"afterwards"
        });
    }
}

#[test]
fn what_nobody_uses_is_forgotten_and_what_is_open_stays() {
    must_mount();
    for passthrough in [Feature::Auto, Feature::Off] {
        let mounted = Mounted::with(|options| options.passthrough = passthrough);
        let ask = |node: u64, name: &str| {
            let notice = Notice::Unused {
                parent: NodeId::ROOT,
                child: NodeId(node),
                name: Bytes::copy_from_slice(name.as_bytes()),
            };
            mounted.notices.send(notice).unwrap();
        };
        let node = |name: &str| {
            let ino = fs::metadata(mounted.join(name)).unwrap().ino();
            ino - mounted.fs.ino_offset
        };
        let lookups = |node: u64| {
            let state = mounted.fs.state.lock();
            state.nodes.get(&node).map_or(0, |node| node.lookups)
        };
        fs::write(mounted.join("closed"), b"closed").unwrap();
        let open = fs::File::create(mounted.join("open")).unwrap();
        eventually("one is closed", || mounted.fs.open_handles() == 1);
        let (closed, held) = (node("closed"), node("open"));
        ask(closed, "closed");
        ask(held, "open");
        ask(77, "never");
        eventually("it is told that it is not known", || {
            mounted.fs.unknown.lock().contains(&NodeId(77))
        });
        eventually("it is forgotten", || lookups(closed) == 0);
        assert!(lookups(held) > 0, "somebody has it open");
        assert!(!mounted.fs.unknown.lock().contains(&NodeId(held)));
        drop(open);
        assert_eq!(fs::read(mounted.join("closed")).unwrap(), b"closed");
    }
}

#[test]
fn a_notice_about_something_unknown_is_normal() {
    must_mount();
    let mounted = Mounted::new();
    mounted
        .notices
        .send(Notice::Node {
            node: NodeId(999),
            data: true,
        })
        .unwrap();
    let name = Bytes::from("never");
    mounted
        .notices
        .send(Notice::Entry {
            parent: NodeId(999),
            name: name.clone(),
        })
        .unwrap();
    let child = NodeId(998);
    mounted
        .notices
        .send(Notice::Deleted {
            parent: NodeId::ROOT,
            child,
            name,
        })
        .unwrap();
    // A working directory survives being looked up again.
    fs::create_dir(mounted.join("cwd")).unwrap();
    let dir = fs::File::open(mounted.join("cwd")).unwrap();
    let name = Bytes::from("cwd");
    mounted
        .notices
        .send(Notice::Entry {
            parent: NodeId::ROOT,
            name,
        })
        .unwrap();
    eventually("the notice is taken", || {
        mounted.handle.counters().notices() >= 1
    });
    let before = mounted.count(Opcode::Lookup);
    assert!(mounted.join("cwd").is_dir());
    assert!(mounted.count(Opcode::Lookup) > before, "looked up again");
    let real = fs::read_link(format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(&dir)
    ));
    assert_eq!(real.unwrap(), mounted.join("cwd"), "not torn away");
}
