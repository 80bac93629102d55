//! The newest log entries in memory: for subscribers that come back, and to tell a resent
//! operation from another one with the same number.

use std::{collections::VecDeque, sync::Arc};

use mesa_proto::{op_digest, v1};
use prost::Message;

/// Entries in order.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    entries: VecDeque<(Arc<v1::LogEntry>, usize)>,
    bytes: usize,
    /// Events after this sequence can be replayed.
    from_seq: u64,
}

impl Recent {
    /// Nothing before `seq` is known.
    pub fn starting_at(seq: u64) -> Self {
        Self {
            from_seq: seq,
            ..Self::default()
        }
    }

    /// Adds the next entry.
    pub fn push(&mut self, entry: Arc<v1::LogEntry>) {
        let bytes = entry.encoded_len();
        self.bytes += bytes;
        self.entries.push_back((entry, bytes));
    }

    /// What the entries take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Drops the oldest entries over the bounds, of those up to `sealed`.
    pub fn trim(&mut self, sealed: u64, entries_max: usize, bytes_max: usize) {
        while self.entries.len() > entries_max || self.bytes > bytes_max {
            let Some((entry, bytes)) = self.entries.front() else {
                return;
            };
            let last = last_seq(entry);
            if last > sealed {
                return;
            }
            self.bytes -= bytes;
            self.from_seq = last;
            self.entries.pop_front();
        }
    }

    /// Entries with operations after `seq`, if all of them are known.
    pub fn after(&self, seq: u64) -> Option<Vec<Arc<v1::LogEntry>>> {
        if seq < self.from_seq {
            return None;
        }
        let first = self.entries.partition_point(|(e, _)| last_seq(e) <= seq);
        Some(
            self.entries
                .range(first..)
                .map(|(entry, _)| Arc::clone(entry))
                .collect(),
        )
    }

    /// The newest entry.
    pub fn last(&self) -> Option<Arc<v1::LogEntry>> {
        self.entries.back().map(|(entry, _)| Arc::clone(entry))
    }

    /// The newest entry of a session or writer of the server's.
    pub fn written_by(&self, writer: &str) -> Option<&v1::LogEntry> {
        let mut entries = self.entries.iter().rev().map(|(entry, _)| &**entry);
        entries.find(|entry| entry.session == writer)
    }

    /// Digest of the operation with this client sequence, if known.
    pub fn digest(&self, session: &str, client_seq: u64) -> Option<[u8; 32]> {
        self.entries.iter().rev().find_map(|(entry, _)| {
            if entry.session != session || client_seq < entry.first_client_seq {
                return None;
            }
            let index = usize::try_from(client_seq - entry.first_client_seq).ok()?;
            entry.ops.get(index).map(op_digest)
        })
    }
}

/// Sequence of the last operation of an entry.
pub(crate) fn last_seq(entry: &v1::LogEntry) -> u64 {
    entry.first_seq + entry.ops.len() as u64 - 1
}
