//! Requests over io_uring instead of read and write of the device.
//!
//! The kernel hands a request to the queue of the CPU the caller runs on, and the thread pinned
//! there answers and takes the next one with a single system call; the caller never waits for
//! another CPU to wake up. Forgets, interrupts and notifications still use the device.
//!
//! A killed daemon takes its rings along, with the requests in them: such a mount cannot be taken
//! over by another process.

mod queue;
mod slots;

use std::{
    sync::{Arc, mpsc},
    thread,
};

use io_uring::{IoUring, squeue::Entry128};

use crate::{mount::Feature, session::Session};

const PARAMETER: &str = "/sys/module/fuse/parameters/enable_uring";

/// Whether to ask the kernel for it: its parameter is on (or, if the feature is required, can be
/// switched on) and this process may make rings.
pub(crate) fn usable(wanted: Feature) -> bool {
    if wanted == Feature::Off {
        return false;
    }
    if wanted == Feature::Required && !enabled() {
        let _ = std::fs::write(PARAMETER, "Y");
    }
    enabled() && ring(8).is_ok()
}

fn enabled() -> bool {
    std::fs::read_to_string(PARAMETER).is_ok_and(|value| value.trim() == "Y")
}

fn ring(entries: u32) -> std::io::Result<IoUring<Entry128>> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .build(entries)
}

/// Starts one thread for every CPU there can be. The kernel holds all requests back until each
/// has registered; when this returns, all have.
pub(crate) fn start(session: &Arc<Session>) -> std::io::Result<()> {
    let (started, outcomes) = mpsc::channel();
    let queues = possible_cpus();
    for number in 0..queues {
        let session = session.clone();
        let started = started.clone();
        thread::Builder::new()
            .name(format!("fuse-uring-{number}"))
            .spawn(move || queue::run(&session, number, &started))?;
    }
    drop(started);
    for _ in 0..queues {
        outcomes
            .recv()
            .map_err(|_| std::io::Error::other("a queue ended early"))??;
    }
    Ok(())
}

/// The kernel has a queue for each of these numbers, also for CPUs that are not there.
fn possible_cpus() -> u16 {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    last_number(&list) + 1
}

/// The largest number of a list like `0-3,8`.
fn last_number(list: &str) -> u16 {
    list.trim()
        .rsplit([',', '-'])
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::last_number;

    #[test]
    fn cpu_lists_end_with_the_largest_number() {
        assert_eq!(last_number("0-1\n"), 1);
        assert_eq!(last_number("0\n"), 0);
        assert_eq!(last_number("0-3,8-15"), 15);
        assert_eq!(last_number(""), 0);
    }
}
