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
    /// Operations behind it, as far as they can be told, and the damaged one.
    pub operations: u64,
}

/// Reads a segment. `tail`: it was the last one, so that it may end in half a record, which is
/// cut off.
pub(super) fn read_segment(path: &Path, tail: bool) -> io::Result<(Vec<Record>, Option<Damage>)> {
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
    if rest.is_empty() {
        return Ok((records, None));
    }
    let file = File::options().write(true).open(path)?;
    if tail && is_torn(rest) {
        file.set_len(at as u64)?;
        return Ok((records, None));
    }
    let aside = path.with_extension("damaged");
    let mut kept = File::create(&aside)?;
    kept.write_all(rest)?;
    kept.sync_all()?;
    file.set_len(at as u64)?;
    let damage = Damage {
        aside,
        offset: at as u64,
        operations: 1 + operations(rest),
    };
    Ok((records, Some(damage)))
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
