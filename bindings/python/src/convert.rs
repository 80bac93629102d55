//! Values as Python sees them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesa_fs::{At, ChangeAt, FileKind, Stat};
use pyo3::{exceptions::PyValueError, prelude::*};

/// `mesa_sdk.fs.FsStat`, in the order of its fields.
pub(crate) type StatFields = (u32, u64, i128, i128, i128, u64, u32, u32, u32);

/// The fields of a stat.
pub(crate) fn stat(stat: &Stat) -> StatFields {
    (
        stat.st_mode(),
        stat.size,
        nanoseconds(stat.modified),
        nanoseconds(stat.accessed),
        nanoseconds(stat.changed),
        stat.ino,
        stat.nlink,
        stat.uid,
        stat.gid,
    )
}

/// Since 1970; before it, less than nothing.
fn nanoseconds(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i128::try_from(after.as_nanos()).unwrap_or(i128::MAX),
        Err(before) => -i128::try_from(before.duration().as_nanos()).unwrap_or(i128::MAX),
    }
}

/// The other way round.
pub(crate) fn time(nanoseconds: i128) -> PyResult<SystemTime> {
    let beyond = || PyValueError::new_err("a time beyond what a file can have");
    let length = u64::try_from(nanoseconds.unsigned_abs()).map_err(|_| beyond())?;
    let length = Duration::from_nanos(length);
    let time = if nanoseconds < 0 {
        UNIX_EPOCH.checked_sub(length)
    } else {
        UNIX_EPOCH.checked_add(length)
    };
    time.ok_or_else(beyond)
}

/// The kind bits of a mode.
pub(crate) fn kind(kind: FileKind) -> u32 {
    match kind {
        FileKind::File => 0o100_000,
        FileKind::Dir => 0o040_000,
        FileKind::Symlink => 0o120_000,
        FileKind::Fifo => 0o010_000,
        FileKind::Socket => 0o140_000,
    }
}

/// A bookmark, a change, or neither.
pub(crate) fn at(bookmark: Option<String>, change_id: Option<String>) -> PyResult<At> {
    match (bookmark, change_id) {
        (None, None) => Ok(At::DefaultBookmark),
        (Some(bookmark), None) => Ok(At::Bookmark(bookmark)),
        (None, Some(change)) => Ok(At::Change(change)),
        (Some(_), Some(_)) => Err(PyValueError::new_err(
            "pass a bookmark or a change, not both",
        )),
    }
}

/// Change, commit, bookmark, message.
pub(crate) type ChangeFields = (String, String, Option<String>, String);

/// The fields of a change.
pub(crate) fn change(change: ChangeAt) -> ChangeFields {
    (
        change.change_id,
        change.commit_oid,
        change.bookmark,
        change.message,
    )
}
