//! Keeps the thread that answers requests on the CPU its callers run on.
//!
//! A caller sleeps while its request is answered. On the same CPU that is two local switches; on
//! another one it takes two interrupts between CPUs, which on a busy virtual machine cost several
//! times as much as the answer itself. The scheduler does not know that the two never run at the
//! same time, so the thread looks where its callers are from time to time and follows.

use std::{fs::File, io::Read};

use rustix::thread::CpuSet;

/// Requests between two looks.
const EVERY: u32 = 64;
/// Looks in a row that must agree before the thread moves, and that let it run anywhere when they
/// do not.
const AGREE: u32 = 2;

/// Where the callers of one thread are.
pub(super) struct Near {
    requests: u32,
    /// CPU seen last, and how often in a row.
    seen: Option<(usize, u32)>,
    /// Bound to this CPU.
    bound: Option<usize>,
    /// CPUs allowed at first.
    all: Option<CpuSet>,
}

impl Near {
    /// For the calling thread.
    pub fn new() -> Self {
        let all = rustix::thread::sched_getaffinity(None).ok();
        Self {
            requests: 0,
            seen: None,
            bound: None,
            // With one CPU there is nothing to choose.
            all: all.filter(|cpus| cpus.count() > 1),
        }
    }

    /// A request came from thread `pid` (0 = unknown).
    pub fn request_of(&mut self, pid: u32) {
        self.requests += 1;
        if self.requests < EVERY || pid == 0 {
            return;
        }
        self.requests = 0;
        let Some(all) = &self.all else { return };
        let Some(cpu) = cpu_of(pid).filter(|&cpu| all.is_set(cpu)) else {
            return;
        };
        let times = match self.seen {
            Some((last, times)) if last == cpu => times.saturating_add(1),
            _ => 1,
        };
        self.seen = Some((cpu, times));
        let wanted = if times >= AGREE {
            Some(cpu)
        } else {
            self.bound
        };
        // Callers on several CPUs are followed nowhere.
        let wanted = wanted.filter(|&bound| bound == cpu);
        if wanted == self.bound {
            return;
        }
        let cpus = wanted.map_or_else(
            || *all,
            |cpu| {
                let mut one = CpuSet::new();
                one.set(cpu);
                one
            },
        );
        if rustix::thread::sched_setaffinity(None, &cpus).is_ok() {
            self.bound = wanted;
        }
    }
}

/// The CPU a thread runs on or slept on.
fn cpu_of(pid: u32) -> Option<usize> {
    let mut text = [0; 1024];
    let mut file = File::open(format!("/proc/{pid}/stat")).ok()?;
    let len = file.read(&mut text).ok()?;
    field_39(&text[..len])
}

/// The field `processor`, counted behind the name, which may contain anything.
fn field_39(stat: &[u8]) -> Option<usize> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(36)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_of_a_thread_is_found_behind_any_name() {
        let own = cpu_of(std::process::id()).unwrap();
        assert!(own < CpuSet::MAX_CPU);
        let mut stat = b"12 (a) 1 (b) S".to_vec();
        for field in 4..=52 {
            stat.extend_from_slice(format!(" {field}").as_bytes());
        }
        assert_eq!(field_39(&stat), Some(39));
        assert_eq!(field_39(b"12 (x"), None);
        assert_eq!(cpu_of(u32::MAX), None);
    }

    #[test]
    fn the_thread_follows_and_lets_go() {
        std::thread::spawn(|| {
            let all = rustix::thread::sched_getaffinity(None).unwrap();
            let cpus: Vec<_> = (0..CpuSet::MAX_CPU).filter(|&c| all.is_set(c)).collect();
            assert!(cpus.len() > 1, "needs two CPUs");
            let pin = |cpu| {
                let mut one = CpuSet::new();
                one.set(cpu);
                one
            };
            let (sender, receiver) = std::sync::mpsc::channel();
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            let caller = std::thread::spawn(move || {
                let me = rustix::thread::gettid()
                    .as_raw_nonzero()
                    .get()
                    .cast_unsigned();
                rustix::thread::sched_setaffinity(None, &pin(cpus[1])).unwrap();
                sender.send(me).unwrap();
                let _ = stopped.recv();
            });
            let pid = receiver.recv().unwrap();
            let mut near = Near::new();
            for _ in 0..EVERY * AGREE {
                near.request_of(pid);
            }
            let now = rustix::thread::sched_getaffinity(None).unwrap();
            assert_eq!(now.count(), 1);
            assert_eq!(near.bound, cpu_of(pid));
            near.seen = None;
            near.bound = near.bound.map(|cpu| cpu + 1);
            for _ in 0..EVERY {
                near.request_of(pid);
            }
            assert_eq!(near.bound, None, "seen elsewhere once");
            assert_eq!(rustix::thread::sched_getaffinity(None).unwrap(), all);
            drop(stop);
            caller.join().unwrap();
        })
        .join()
        .unwrap();
    }
}
