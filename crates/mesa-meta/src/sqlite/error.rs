//! SQLite's errors in the store's terms.

use rusqlite::ErrorCode;

use crate::store::{MetaError, MetaErrorKind};

/// What a caller can do about an error of SQLite.
pub(super) fn kind(error: &rusqlite::Error) -> MetaErrorKind {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => MetaErrorKind::Full,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => MetaErrorKind::Corrupt,
        Some(ErrorCode::TooBig) => MetaErrorKind::Usage,
        // A column of another type than we write: not our bytes.
        None if matches!(error, rusqlite::Error::InvalidColumnType(..)) => MetaErrorKind::Corrupt,
        _ => MetaErrorKind::Unavailable,
    }
}

pub(super) fn meta_error(step: &'static str, error: rusqlite::Error) -> MetaError {
    MetaError::new(kind(&error), step).with_source(error)
}
