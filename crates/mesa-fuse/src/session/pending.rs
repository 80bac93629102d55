//! Requests whose answer waits for something, and their interruption.
//!
//! The kernel sends `INTERRUPT` for any signal, also for those a program expects to survive a
//! file system call (timers, child exits, the preemption signal of language runtimes): failing
//! with `EINTR` there breaks programs that a local filesystem never interrupts. So a wait is
//! abandoned only when the caller is about to die or was asked to stop.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Session;

/// How often the caller of an interrupted request is looked at again.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);
/// HUP, INT, QUIT, KILL, TERM as bits of a signal mask.
const STOP_SIGNALS: u64 = (1 << 0) | (1 << 1) | (1 << 2) | (1 << 8) | (1 << 14);

struct Wait {
    cancel: Option<oneshot::Sender<()>>,
    pid: u32,
    watched: bool,
}

/// The waiting requests by `unique`.
#[derive(Default)]
pub(crate) struct Pending {
    waits: Mutex<HashMap<u64, Wait>>,
}

impl Pending {
    /// Registers a wait; the receiver fires when it is to be abandoned.
    pub fn begin(&self, unique: u64, pid: u32) -> oneshot::Receiver<()> {
        let (cancel, cancelled) = oneshot::channel();
        let wait = Wait {
            cancel: Some(cancel),
            pid,
            watched: false,
        };
        self.waits.lock().insert(unique, wait);
        cancelled
    }

    /// The wait is over, however.
    pub fn finish(&self, unique: u64) {
        self.waits.lock().remove(&unique);
    }

    /// Abandons every wait.
    pub fn cancel_all(&self) {
        for wait in self.waits.lock().values_mut() {
            if let Some(cancel) = wait.cancel.take() {
                let _ = cancel.send(());
            }
        }
    }

    /// Abandons the wait if its caller is to stop; says whether it goes on.
    fn cancel_if_stopping(&self, unique: u64) -> bool {
        let mut waits = self.waits.lock();
        let Some(wait) = waits.get_mut(&unique) else {
            return false;
        };
        if !stopping(wait.pid) {
            return true;
        }
        if let Some(cancel) = wait.cancel.take() {
            let _ = cancel.send(());
        }
        false
    }

    fn start_watching(&self, unique: u64) -> bool {
        self.waits
            .lock()
            .get_mut(&unique)
            .is_some_and(|wait| !std::mem::replace(&mut wait.watched, true))
    }
}

/// Handles `INTERRUPT` for request `unique`. The kernel sends it once per request, for the first
/// signal; a later fatal one is noticed by looking again until the request is answered.
pub(crate) fn interrupt(session: &Arc<Session>, unique: u64) {
    if !session.pending.cancel_if_stopping(unique) || !session.pending.start_watching(unique) {
        return;
    }
    let session = session.clone();
    session.runtime.clone().spawn(async move {
        while session.pending.cancel_if_stopping(unique) {
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    });
}

/// Whether thread `tid` has a pending signal that ends it or asks it to stop. A caller that
/// cannot be seen (another pid namespace) counts as stopping.
fn stopping(tid: u32) -> bool {
    if tid == 0 {
        return true;
    }
    std::fs::read_to_string(format!("/proc/{tid}/status"))
        .map_or(true, |status| pending_signals(&status) & STOP_SIGNALS != 0)
}

fn pending_signals(status: &str) -> u64 {
    status
        .lines()
        .filter_map(|line| {
            line.strip_prefix("SigPnd:")
                .or_else(|| line.strip_prefix("ShdPnd:"))
        })
        .filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .fold(0, |all, mask| all | mask)
}

#[cfg(test)]
mod tests {
    use super::{Pending, STOP_SIGNALS, pending_signals, stopping};

    #[test]
    fn signal_masks_are_read_from_proc() {
        let status = "Name:\tgit\nSigPnd:\t0000000000000100\nShdPnd:\t0000000000002000\n";
        assert_eq!(pending_signals(status), 0x2100);
        assert_ne!(
            pending_signals(status) & STOP_SIGNALS,
            0,
            "SIGKILL is pending"
        );
        assert_eq!(0x2000 & STOP_SIGNALS, 0, "SIGALRM does not stop");
        assert!(!stopping(std::process::id()));
        assert!(stopping(0));
    }

    #[test]
    fn an_unknown_request_is_not_an_error() {
        let pending = Pending::default();
        assert!(!pending.cancel_if_stopping(7));
        let mut cancelled = pending.begin(7, 0);
        assert!(!pending.cancel_if_stopping(7));
        assert!(cancelled.try_recv().is_ok());
        pending.finish(7);
        assert!(!pending.start_watching(7));
    }
}
