//! A killed daemon is replaced without anybody noticing: the mount's owner keeps the device.

#![allow(clippy::unwrap_used)] // A failed step is a failed test.

mod support;

use std::{
    fs,
    io::{Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use mesa_fuse::{MountOptions, MountState, Parts, SavedState, fdpass, state};
use support::{eventually, memfs::MemFs, must_mount};

const DIR: &str = "MESA_FUSE_TEST_TAKEOVER_DIR";
const ROLE: &str = "MESA_FUSE_TEST_TAKEOVER_ROLE";

fn spawn(dir: &Path, role: &str) -> (Child, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_daemon_is_replaced", "--nocapture"])
        .env(DIR, dir)
        .env(ROLE, role)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    (child, ours)
}

/// A daemon: mounts (or takes over) and serves until it is killed or unmounted.
fn worker(dir: &Path, role: &str) {
    let socket = std::io::stdin();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let filesystem = Arc::new(MemFs::new(&dir.join("state")));
    filesystem.adopt("file", 2);
    let options = MountOptions::new(
        dir.join("mount"),
        dir.join("state"),
        runtime.handle().clone(),
    );
    let (_notices, receiver) = tokio::sync::mpsc::unbounded_channel();
    let handle = if role == "first" {
        let handle = mesa_fuse::mount(options, filesystem, receiver).unwrap();
        let parts = handle.parts().unwrap();
        fdpass::send(
            socket.as_fd(),
            &parts.state.to_bytes(),
            parts.device.as_fd(),
        )
        .unwrap();
        handle
    } else {
        let (state, device) = fdpass::receive(socket.as_fd()).unwrap();
        let state = SavedState::from_bytes(&state).unwrap();
        filesystem.gate.add_permits(100);
        let parts = Parts {
            device: device.unwrap(),
            state,
        };
        mesa_fuse::resume(options, parts, filesystem, receiver).unwrap()
    };
    runtime.block_on(handle.ended());
}

#[test]
fn a_killed_daemon_is_replaced() {
    if let (Some(dir), Ok(role)) = (std::env::var_os(DIR), std::env::var(ROLE)) {
        worker(Path::new(&dir), &role);
        return;
    }
    must_mount();
    let dir = tempfile::tempdir().unwrap();
    let mount = dir.path().join("mount");
    fs::create_dir(&mount).unwrap();
    fs::create_dir(dir.path().join("state")).unwrap();
    fs::write(dir.path().join("state/2"), b"old\n").unwrap();

    let (mut first, socket) = spawn(dir.path(), "first");
    let (saved, device) = fdpass::receive(&socket).unwrap();
    let device = device.expect("the worker mounted");
    let mut open = fs::File::options()
        .append(true)
        .open(mount.join("file"))
        .unwrap();
    open.write_all(b"before\n").unwrap();
    let mut waiting = Command::new("python3")
        .args([
            "-c",
            "import os,sys\ntry: os.stat(sys.argv[1])\nexcept OSError as e: sys.exit(e.errno)",
        ])
        .arg(mount.join("slow"))
        .spawn()
        .unwrap();
    let wchan = format!("/proc/{}/wchan", waiting.id());
    eventually("the client waits for the daemon", || {
        fs::read_to_string(&wchan).is_ok_and(|at| at.contains("request_wait"))
    });

    first.kill().unwrap();
    first.wait().unwrap();
    assert!(waiting.try_wait().unwrap().is_none(), "the client waits on");
    open.write_all(b"between\n").unwrap();

    let (mut second, socket) = spawn(dir.path(), "second");
    fdpass::send(&socket, &saved, device.as_fd()).unwrap();
    assert_eq!(
        waiting.wait().unwrap().code(),
        Some(2),
        "answered by the second daemon"
    );
    assert_eq!(state(&mount), MountState::Live { ours: true });
    open.write_all(b"after\n").unwrap();
    // A second descriptor while the first one is served by the kernel from before the crash.
    let mut text = String::new();
    fs::File::open(mount.join("file"))
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "old\nbefore\nbetween\nafter\n");
    drop(open);
    fs::write(mount.join("file"), b"new").unwrap();
    assert_eq!(fs::read(mount.join("file")).unwrap(), b"new");
    fs::write(mount.join("another"), b"made by the second").unwrap();

    drop(device);
    mesa_fuse::unmount(&mount, false).unwrap();
    assert!(second.wait().unwrap().success());
}
