//! How often the kernel asked for what. Tests assert these numbers instead of times.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::wire::Opcode;

const SLOTS: usize = 64;

/// Requests received since the mount, by kind.
#[derive(Debug)]
pub struct Counters {
    requests: [AtomicU64; SLOTS],
    unknown: AtomicU64,
    later: AtomicU64,
    notices: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            requests: [const { AtomicU64::new(0) }; SLOTS],
            unknown: AtomicU64::new(0),
            later: AtomicU64::new(0),
            notices: AtomicU64::new(0),
        }
    }
}

impl Counters {
    /// Requests of kind `opcode`.
    pub fn of(&self, opcode: Opcode) -> u64 {
        self.requests[opcode as usize].load(Ordering::Relaxed)
    }

    /// Requests whose answer had to wait for something outside memory.
    pub fn later(&self) -> u64 {
        self.later.load(Ordering::Relaxed)
    }

    /// Notifications the kernel took.
    pub fn notices(&self) -> u64 {
        self.notices.load(Ordering::Relaxed)
    }

    /// All kinds seen so far by name, for statistics and tests.
    pub fn snapshot(&self) -> BTreeMap<&'static str, u64> {
        let mut all: BTreeMap<_, _> = Opcode::ALL
            .iter()
            .map(|opcode| (opcode.name(), self.of(*opcode)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let unknown = self.unknown.load(Ordering::Relaxed);
        if unknown > 0 {
            all.insert("Unknown", unknown);
        }
        all
    }

    pub(crate) fn request(&self, opcode: Option<Opcode>) {
        let counter = opcode.map_or(&self.unknown, |opcode| &self.requests[opcode as usize]);
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn waits(&self) {
        self.later.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn noticed(&self) {
        self.notices.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Counters, SLOTS};
    use crate::wire::Opcode;

    #[test]
    fn counts_every_kind_apart() {
        assert!(Opcode::ALL.iter().all(|opcode| (*opcode as usize) < SLOTS));
        let counters = Counters::default();
        counters.request(Some(Opcode::Lookup));
        counters.request(Some(Opcode::Lookup));
        counters.request(None);
        assert_eq!(counters.of(Opcode::Lookup), 2);
        assert_eq!(counters.of(Opcode::Open), 0);
        assert_eq!(counters.snapshot().len(), 2);
    }
}
