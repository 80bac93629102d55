//! Contents that travelled inside operations and are in no pack yet.

use std::collections::HashMap;

use bytes::Bytes;
use mesa_types::ChunkId;

/// Bytes of superseded contents kept for readers that still have them open.
const SUPERSEDED_BYTES_MAX: u64 = 16 << 20;

/// Inline contents of the operations since the last seal (and some from before), by chunk id.
#[derive(Debug, Default)]
pub struct Unsealed {
    chunks: HashMap<ChunkId, (Bytes, u64)>,
    bytes: u64,
}

impl Unsealed {
    /// Keeps a chunk brought by operation `seq`.
    pub fn insert(&mut self, id: ChunkId, bytes: Bytes, seq: u64) {
        let length = bytes.len() as u64;
        if let Some((_, old)) = self.chunks.get_mut(&id) {
            *old = (*old).max(seq);
        } else {
            self.chunks.insert(id, (bytes, seq));
            self.bytes += length;
        }
    }

    /// A chunk's bytes.
    pub fn get(&self, id: &ChunkId) -> Option<&Bytes> {
        self.chunks.get(id).map(|(bytes, _)| bytes)
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Forgets what was sealed: `stored` are in packs now; others of operations up to `seq` were
    /// superseded, the oldest of them go first.
    pub fn sealed(&mut self, seq: u64, stored: &[ChunkId]) {
        for id in stored {
            if let Some((bytes, _)) = self.chunks.remove(id) {
                self.bytes -= bytes.len() as u64;
            }
        }
        let mut old: Vec<_> = self
            .chunks
            .iter()
            .filter(|(_, (_, last))| *last <= seq)
            .map(|(id, (bytes, last))| (*last, *id, bytes.len() as u64))
            .collect();
        old.sort_unstable_by_key(|(last, ..)| *last);
        let mut held: u64 = old.iter().map(|(.., length)| length).sum();
        for (_, id, length) in old {
            if held <= SUPERSEDED_BYTES_MAX {
                break;
            }
            held -= length;
            self.bytes -= length;
            self.chunks.remove(&id);
        }
    }

    /// A copy for a seal that runs beside the head; the bytes are shared.
    pub fn snapshot(&self) -> HashMap<ChunkId, Bytes> {
        self.chunks
            .iter()
            .map(|(id, (bytes, _))| (*id, bytes.clone()))
            .collect()
    }
}
