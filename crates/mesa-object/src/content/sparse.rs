//! Chunking of what knows its holes: a hole is neither read nor hashed.

use std::io;

use mesa_types::limits;

use super::{BuiltContent, ChunkRef, chunk_ref, cut, of_chunks};
use crate::OrgKey;

/// Bytes that can be read at any place, and some of which are known to be zero.
pub trait Sparse {
    /// Reads some bytes at `offset`; 0 at the end.
    ///
    /// # Errors
    /// What the source says.
    fn read_at(&mut self, into: &mut [u8], offset: u64) -> io::Result<usize>;

    /// How many bytes from `offset` on are known to be zero (not beyond the end).
    ///
    /// # Errors
    /// What the source says.
    fn zeros_at(&mut self, offset: u64) -> io::Result<u64>;
}

/// The same chunks as [`super::of_reader`] makes of the same bytes. Holds at most 4 MiB.
///
/// # Errors
/// What the source says.
pub fn of_sparse(key: &OrgKey, source: &mut impl Sparse) -> io::Result<BuiltContent> {
    const WINDOW: usize = 4 << 20;
    let chunk_max = limits::CHUNK_MAX as usize;
    let mut chunks = Vec::new();
    let mut window = vec![0; WINDOW];
    // window[start..end] are the bytes at `at`.
    let (mut at, mut start, mut end) = (0, 0, 0);
    let mut at_end = false;
    let mut of_zeros: Option<ChunkRef> = None;
    loop {
        // A cut depends on no more than the largest chunk.
        if source.zeros_at(at)? >= u64::from(limits::CHUNK_MAX) {
            let chunk = *of_zeros.get_or_insert_with(|| {
                let zeros = vec![0; chunk_max];
                chunk_ref(key, &zeros[..cut(&zeros)])
            });
            chunks.push(chunk);
            at += u64::from(chunk.len);
            start = end.min(start + chunk.len as usize);
            // What is in the window behind the hole's part is read again only if it is too little.
            if start == end {
                (start, end, at_end) = (0, 0, false);
            }
            continue;
        }
        if !at_end && end - start < chunk_max {
            window.copy_within(start..end, 0);
            (start, end) = (0, end - start);
            while end < WINDOW {
                match source.read_at(&mut window[end..], at + end as u64)? {
                    0 => {
                        at_end = true;
                        break;
                    }
                    got => end += got,
                }
            }
        }
        let rest = &window[start..end];
        if rest.is_empty() {
            return Ok(of_chunks(key, chunks));
        }
        let single = chunks.is_empty() && rest.len() as u64 <= limits::SINGLE_CHUNK_MAX;
        let len = if single { rest.len() } else { cut(rest) };
        chunks.push(chunk_ref(key, &rest[..len]));
        start += len;
        at += len as u64;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::content::of_slice;

    struct Bytes {
        bytes: Vec<u8>,
        read: u64,
    }

    impl Sparse for Bytes {
        fn read_at(&mut self, into: &mut [u8], offset: u64) -> io::Result<usize> {
            let from = self.bytes.get(offset as usize..).unwrap_or_default();
            let got = from.len().min(into.len()).min(700_001);
            into[..got].copy_from_slice(&from[..got]);
            self.read += got as u64;
            Ok(got)
        }

        fn zeros_at(&mut self, offset: u64) -> io::Result<u64> {
            // As a filesystem knows it: by blocks.
            let mut at = offset as usize;
            while at < self.bytes.len() {
                let block = at / 4096 * 4096..(at / 4096 * 4096 + 4096).min(self.bytes.len());
                if self.bytes[block.clone()].iter().any(|&byte| byte != 0) {
                    break;
                }
                at = block.end;
            }
            Ok(at as u64 - offset.min(at as u64))
        }
    }

    fn noise(len: usize, seed: u64) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        hasher.finalize_xof().fill(&mut bytes);
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn holes_make_no_difference(
            parts in prop::collection::vec((any::<bool>(), 0usize..5_000_000, any::<u64>()), 0..5),
        ) {
            let key = OrgKey::new([3; 32]);
            let mut bytes = Vec::new();
            for (hole, len, seed) in parts {
                bytes.extend(if hole { vec![0; len] } else { noise(len, seed) });
            }
            let want = of_slice(&key, &bytes);
            let mut source = Bytes { bytes, read: 0 };
            prop_assert_eq!(of_sparse(&key, &mut source).unwrap(), want);
        }
    }

    #[test]
    fn a_hole_is_not_read() {
        let key = OrgKey::new([3; 32]);
        let mut bytes = vec![0; 64 << 20];
        let tail = noise(100_000, 1);
        bytes.extend(&tail);
        let want = of_slice(&key, &bytes);
        let mut source = Bytes { bytes, read: 0 };
        assert_eq!(of_sparse(&key, &mut source).unwrap(), want);
        assert!(source.read <= 4 << 20, "{}", source.read);
    }
}
