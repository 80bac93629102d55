//! Reading segments after a crash.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{
    record::{PAYLOAD_MAX, Record},
    segment::MAGIC,
};

/// Part of the journal could not be read; its bytes were kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    /// File with the bytes from the damage on.
    pub aside: PathBuf,
    /// Where in the segment it begins.
    pub offset: u64,
    /// What is not known any more.
    pub loss: Loss,
}

/// What damage took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Operations behind it, as far as they can be told, and the damaged one.
    Operations(u64),
    /// Bytes that are not there any more.
    Bytes(u64),
}

impl Damage {
    /// So many operations stand in segments behind it.
    pub(super) fn note_more(&mut self, operations: u64) {
        if let Loss::Operations(count) = &mut self.loss {
            *count += operations;
        }
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.loss {
            Loss::Operations(count) => write!(
                f,
                "the journal is damaged at byte {}: {count} operations could not be read",
                self.offset
            ),
            Loss::Bytes(count) => write!(
                f,
                "the journal is cut off at byte {}: {count} bytes are missing, and what was done \
                 last with them",
                self.offset
            ),
        }
    }
}

/// Reads a segment, which had at least `length` bytes. `tail`: it was the last one, so that it may
/// end in half a record, which is cut off.
pub(super) fn read_segment(
    path: &Path,
    tail: bool,
    length: u64,
) -> io::Result<(Vec<Record>, Option<Damage>)> {
    let bytes = std::fs::read(path)?;
    let mut records = Vec::new();
    let mut at = 0;
    if bytes.starts_with(MAGIC) {
        at = MAGIC.len();
        while let Some((record, length)) = Record::decode(&bytes[at..]) {
            records.push(record);
            at += length;
        }
    }
    let rest = &bytes[at..];
    let missing = length.saturating_sub(bytes.len() as u64);
    if rest.is_empty() && missing == 0 {
        return Ok((records, None));
    }
    let file = File::options().write(true).open(path)?;
    let torn = rest.is_empty() || is_torn(rest);
    if tail && torn && missing == 0 {
        file.set_len(at as u64)?;
        return Ok((records, None));
    }
    let damage = Damage {
        aside: set_bytes_aside(path, rest)?,
        offset: at as u64,
        loss: match missing {
            1.. if torn => Loss::Bytes(missing),
            _ => Loss::Operations(1 + operations(rest)),
        },
    };
    file.set_len(at as u64)?;
    Ok((records, Some(damage)))
}

/// A segment of `length` bytes is gone.
pub(super) fn note_missing(path: &Path, length: u64) -> io::Result<Damage> {
    Ok(Damage {
        aside: set_bytes_aside(path, &[])?,
        offset: 0,
        loss: Loss::Bytes(length),
    })
}

/// Keeps what cannot be read of a segment. The file is there also when that is nothing: it tells
/// the next start of the damage if this one does not come to it.
fn set_bytes_aside(path: &Path, rest: &[u8]) -> io::Result<PathBuf> {
    let aside = path.with_extension("damaged");
    let mut kept = File::create(&aside)?;
    kept.write_all(rest)?;
    kept.sync_all()?;
    Ok(aside)
}

/// Whole operations in bytes that begin anywhere.
fn operations(bytes: &[u8]) -> u64 {
    let (mut at, mut count) = (0, 0);
    while at < bytes.len() {
        match Record::decode(&bytes[at..]) {
            Some((record, length)) => {
                count += u64::from(matches!(record, Record::Op(_) | Record::Content { .. }));
                at += length;
            }
            None => at += 1,
        }
    }
    count
}

/// Keeps a segment out of later reads; returns how many operations are in it.
pub(super) fn set_aside(path: &Path) -> io::Result<u64> {
    let count = operations(&std::fs::read(path)?);
    std::fs::rename(path, path.with_extension("damaged"))?;
    Ok(count)
}

/// Whether bytes that are no record can be what a crash left of the last write: short, and
/// nothing readable behind them.
fn is_torn(rest: &[u8]) -> bool {
    if rest.iter().all(|&b| b == 0) || MAGIC.starts_with(rest) {
        return true;
    }
    rest.len() <= 2 * PAYLOAD_MAX && (1..rest.len()).all(|at| Record::decode(&rest[at..]).is_none())
}
