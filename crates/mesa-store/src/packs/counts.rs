//! What the pack store has done.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Work done so far by one [`super::PackStore`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PackCounts {
    /// Packs written.
    pub packs_written: u64,
    /// Objects written into them.
    pub objects_written: u64,
    /// Objects that were not written because they were there.
    pub objects_present: u64,
    /// Bytes of the objects written.
    pub bytes_written: u64,
    /// Bytes of the packs written.
    pub bytes_stored: u64,
    /// Ranges read from packs.
    pub range_reads: u64,
    /// Bytes of these ranges.
    pub bytes_read: u64,
    /// Objects found in memory.
    pub cache_hits: u64,
    /// Objects not found in memory.
    pub cache_misses: u64,
    /// Calls that read index rows.
    pub index_reads: u64,
    /// Batches of index rows committed here (not those added to a caller's batch).
    pub index_commits: u64,
}

impl PackCounts {
    /// Calls to the two stores together.
    pub fn store_operations(&self) -> u64 {
        self.packs_written + self.range_reads + self.index_reads + self.index_commits
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    packs_written: AtomicU64,
    objects_written: AtomicU64,
    objects_present: AtomicU64,
    bytes_written: AtomicU64,
    bytes_stored: AtomicU64,
    range_reads: AtomicU64,
    bytes_read: AtomicU64,
    cache_hits: AtomicU64,
    cache_misses: AtomicU64,
    index_reads: AtomicU64,
    index_commits: AtomicU64,
}

impl Counters {
    pub(super) fn pack_written(&self, objects: usize, bytes: u64, stored: u64) {
        self.packs_written.fetch_add(1, Relaxed);
        self.objects_written.fetch_add(objects as u64, Relaxed);
        self.bytes_written.fetch_add(bytes, Relaxed);
        self.bytes_stored.fetch_add(stored, Relaxed);
    }

    pub(super) fn present(&self, objects: usize) {
        self.objects_present.fetch_add(objects as u64, Relaxed);
    }

    pub(super) fn range_read(&self, bytes: u64) {
        self.range_reads.fetch_add(1, Relaxed);
        self.bytes_read.fetch_add(bytes, Relaxed);
    }

    pub(super) fn looked_up(&self, hits: usize, misses: usize) {
        self.cache_hits.fetch_add(hits as u64, Relaxed);
        self.cache_misses.fetch_add(misses as u64, Relaxed);
    }

    pub(super) fn index_read(&self) {
        self.index_reads.fetch_add(1, Relaxed);
    }

    pub(super) fn index_commit(&self) {
        self.index_commits.fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self) -> PackCounts {
        PackCounts {
            packs_written: self.packs_written.load(Relaxed),
            objects_written: self.objects_written.load(Relaxed),
            objects_present: self.objects_present.load(Relaxed),
            bytes_written: self.bytes_written.load(Relaxed),
            bytes_stored: self.bytes_stored.load(Relaxed),
            range_reads: self.range_reads.load(Relaxed),
            bytes_read: self.bytes_read.load(Relaxed),
            cache_hits: self.cache_hits.load(Relaxed),
            cache_misses: self.cache_misses.load(Relaxed),
            index_reads: self.index_reads.load(Relaxed),
            index_commits: self.index_commits.load(Relaxed),
        }
    }
}
