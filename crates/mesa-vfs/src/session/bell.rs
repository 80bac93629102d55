//! Waking a background task for work that may wait a moment for company.
//!
//! A busy program makes thousands of operations a second. A task woken for each of them takes the
//! CPU from the program and from the thread that answers it, and sends as many messages; so the
//! first ring wakes it, and what comes within the next milliseconds goes along. While a call waits
//! for the outcome nothing is held back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

const QUIET: u8 = 0;
/// Within the time the task allows.
const SOON: u8 = 1;
const NOW: u8 = 2;

/// How many calls wait for the server.
#[derive(Debug, Clone, Default)]
pub(super) struct Hurry(Arc<AtomicUsize>);

/// A call that waits.
#[derive(Debug)]
pub(super) struct Waiting(Arc<AtomicUsize>);

impl Hurry {
    /// A call waits while the answer lives.
    pub fn begin(&self) -> Waiting {
        self.0.fetch_add(1, Ordering::AcqRel);
        Waiting(Arc::clone(&self.0))
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Wakes one task.
pub(super) struct Bell {
    state: AtomicU8,
    wake: Notify,
    hurry: Hurry,
}

impl Bell {
    pub fn new(hurry: &Hurry) -> Self {
        Self {
            state: AtomicU8::new(QUIET),
            wake: Notify::new(),
            hurry: hurry.clone(),
        }
    }

    /// There is something to do. Costs nothing when the task knows already.
    pub fn ring(&self) {
        let how = if self.hurry.is_on() { NOW } else { SOON };
        if self.state.fetch_max(how, Ordering::AcqRel) < how {
            self.wake.notify_one();
        }
    }

    /// Waits for a ring, and up to `company` for others unless somebody is in a hurry. Dropping it
    /// loses no ring. For one task.
    pub async fn wait(&self, company: Duration) {
        while self.state.load(Ordering::Acquire) == QUIET {
            self.wake.notified().await;
        }
        let now = async {
            while self.state.load(Ordering::Acquire) != NOW {
                self.wake.notified().await;
            }
        };
        // Either way it is time.
        let _ = tokio::time::timeout(company, now).await;
        self.state.store(QUIET, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;

    /// As good as forever.
    const LONG: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn rings_are_gathered_and_none_is_lost() {
        let bell = Bell::new(&Hurry::default());
        for _ in 0..5 {
            bell.ring();
        }
        bell.wait(Duration::ZERO).await;
        assert!(
            poll!(std::pin::pin!(bell.wait(Duration::ZERO))).is_pending(),
            "five rings were one"
        );
        bell.ring();
        assert!(poll!(std::pin::pin!(bell.wait(LONG))).is_pending());
        // Given up while it gathered: the ring still counts.
        bell.wait(Duration::ZERO).await;
    }

    #[tokio::test]
    async fn a_waiting_call_is_not_held_up() {
        let hurry = Hurry::default();
        let bell = Bell::new(&hurry);
        bell.ring();
        let mut wait = std::pin::pin!(bell.wait(LONG));
        assert!(poll!(&mut wait).is_pending());
        let waiting = hurry.begin();
        bell.ring();
        wait.await;
        bell.ring();
        bell.wait(LONG).await;
        drop(waiting);
        bell.ring();
        assert!(poll!(std::pin::pin!(bell.wait(LONG))).is_pending());
    }
}
