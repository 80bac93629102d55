//! How long the journal was when it was last written.
//!
//! Records say where they end, and nothing says that there were more: a journal whose end is gone
//! reads as a whole one. So its length is noted beside it with every write. Neither is synced, and
//! the note comes second: until the machine is started again the journal is at least as long as its
//! note says, or something else took from it.
//!
//! `length`: `MSL1`, number of the active segment (u64 LE), its length (u64 LE).

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

const FILE: &str = "length";
const MAGIC: &[u8; 4] = b"MSL1";

/// The note being kept; without a file where the length cannot be noted.
pub(super) struct Length(Option<File>);

/// What was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted {
    /// The segment that was written to.
    pub segment: u64,
    /// Its bytes.
    pub bytes: u64,
}

impl Length {
    /// Keeps the note of the journal in `dir`. What is there stays until [`Length::note`].
    pub fn keep(dir: &Path) -> Self {
        let mut options = File::options();
        let options = options.create(true).truncate(false).write(true);
        let file = options.open(dir.join(FILE));
        Self(
            file.inspect_err(|error| {
                tracing::warn!(%error, "the journal's length cannot be noted");
            })
            .ok(),
        )
    }

    /// Everything up to here was written.
    pub fn note(&self, segment: u64, bytes: u64) {
        if let Some(file) = &self.0 {
            // An older note says less, and nothing wrong.
            let _ = file.write_all_at(&encode(Noted { segment, bytes }), 0);
        }
    }
}

/// The note in `dir`.
pub(super) fn read(dir: &Path) -> Option<Noted> {
    decode(&std::fs::read(dir.join(FILE)).ok()?)
}

/// Removes the note in `dir`: the machine was started since.
pub(super) fn forget(dir: &Path) -> io::Result<()> {
    match std::fs::remove_file(dir.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn encode(noted: Noted) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(MAGIC);
    bytes[4..12].copy_from_slice(&noted.segment.to_le_bytes());
    bytes[12..].copy_from_slice(&noted.bytes.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Noted> {
    let (segment, rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk()?;
    Some(Noted {
        segment: u64::from_le_bytes(*segment),
        bytes: u64::from_le_bytes(*rest.first_chunk()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let noted = Noted {
            segment: 0x0102,
            bytes: 3,
        };
        let bytes = encode(noted);
        assert_eq!(&bytes, b"MSL1\x02\x01\0\0\0\0\0\0\x03\0\0\0\0\0\0\0");
        assert_eq!(decode(&bytes), Some(noted));
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), None, "cut at {cut}");
        }
    }
}
