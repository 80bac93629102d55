//! Counts of calls, so that tests can state what an operation may cost.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts kept by a store.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) gets: AtomicU64,
    pub(crate) get_manys: AtomicU64,
    pub(crate) scans: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) transactions: AtomicU64,
}

/// Counts at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calls {
    /// Calls of `get`.
    pub gets: u64,
    /// Calls of `get_many`.
    pub get_manys: u64,
    /// Calls of `scan`.
    pub scans: u64,
    /// Calls of `commit`.
    pub commits: u64,
    /// Durable transactions that the batches were folded into.
    pub transactions: u64,
}

impl Counters {
    /// The counts now.
    pub fn calls(&self) -> Calls {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Calls {
            gets: read(&self.gets),
            get_manys: read(&self.get_manys),
            scans: read(&self.scans),
            commits: read(&self.commits),
            transactions: read(&self.transactions),
        }
    }
}

impl Calls {
    /// All calls together.
    pub fn total(&self) -> u64 {
        self.gets + self.get_manys + self.scans + self.commits
    }

    /// What was counted between `before` and this.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            gets: self.gets - before.gets,
            get_manys: self.get_manys - before.get_manys,
            scans: self.scans - before.scans,
            commits: self.commits - before.commits,
            transactions: self.transactions - before.transactions,
        }
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
