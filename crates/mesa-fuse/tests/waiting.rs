//! Operations that wait for something: nobody else waits, and the caller can be killed.

#![allow(clippy::unwrap_used)] // A failed step is a failed test.

mod support;

use std::{
    fs,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use mesa_fuse::wire::Opcode;
use support::{Mounted, eventually, must_mount};

fn waiter(mounted: &Mounted, name: &str) -> std::process::Child {
    let before = mounted.handle.counters().later();
    let child = Command::new("python3")
        .args(["-c", "import os,sys,signal\nsignal.signal(signal.SIGALRM, lambda *a: None)\nsignal.setitimer(signal.ITIMER_REAL, 0.05, 0.05) if sys.argv[2] == 't' else 0\ntry: os.stat(sys.argv[1])\nexcept OSError as e: sys.exit(e.errno)"])
        .arg(mounted.join(name))
        .arg(if name.contains("timer") { "t" } else { "" })
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the lookup waits", || {
        mounted.handle.counters().later() > before
    });
    child
}

#[test]
fn a_waiting_lookup_blocks_nobody_else() {
    must_mount();
    let mounted = Mounted::new();
    // In another directory: a lookup holds its directory's lock, which a create waits for.
    fs::create_dir(mounted.join("dir")).unwrap();
    let mut child = waiter(&mounted, "dir/slow");
    fs::write(mounted.join("fast"), b"x").unwrap();
    assert_eq!(fs::read(mounted.join("fast")).unwrap(), b"x");
    assert!(child.try_wait().unwrap().is_none());
    mounted.fs.gate.add_permits(1);
    assert_eq!(child.wait().unwrap().code(), Some(2), "ENOENT");
}

#[test]
fn a_killed_caller_does_not_hang() {
    must_mount();
    let mounted = Mounted::new();
    let mut child = waiter(&mounted, "slow");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(mounted.count(Opcode::Interrupt), 1);
    // Nothing was let through: the wait was given up, not served.
    assert_eq!(mounted.fs.gate.available_permits(), 0);
}

#[test]
fn a_timer_signal_does_not_fail_the_call_and_a_later_kill_ends_it() {
    must_mount();
    let mounted = Mounted::new();
    let mut child = waiter(&mounted, "slow-timer");
    eventually("the timer interrupts", || {
        mounted.count(Opcode::Interrupt) > 0
    });
    assert!(child.try_wait().unwrap().is_none());
    mounted.fs.gate.add_permits(1);
    assert_eq!(child.wait().unwrap().code(), Some(2), "ENOENT, not EINTR");

    let mut child = waiter(&mounted, "slow-timer-2");
    eventually("the timer interrupts", || {
        mounted.count(Opcode::Interrupt) > 1
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn unmounting_ends_every_wait() {
    must_mount();
    let mounted = Mounted::new();
    let mut child = waiter(&mounted, "slow");
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            child.wait().unwrap();
            ended.store(true, Ordering::Release);
        });
        assert!(mounted.handle.abort());
        eventually("the caller returns", || ended.load(Ordering::Acquire));
    });
}
