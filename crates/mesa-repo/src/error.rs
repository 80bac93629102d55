//! The one error of the catalog.

use std::borrow::Cow;

use mesa_meta::{MetaError, MetaErrorKind};

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The named thing does not exist, or the caller may not see it.
    NotFound,
    /// The name is taken.
    Exists,
    /// An argument is wrong; the message names it.
    Invalid,
    /// Another writer was faster; read again, then decide.
    Conflict,
    /// The credential does not allow it.
    Forbidden,
    /// Try again later; the change may or may not have been made.
    Unavailable,
    /// The store has no room.
    Full,
    /// Stored data is damaged or from a newer version; an operator must look.
    Corrupt,
}

/// A failed catalog call.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What the caller can do.
    pub kind: ErrorKind,
    /// Stable code for the wire, e.g. `REPO_NOT_FOUND`.
    pub code: &'static str,
    /// One sentence without secrets, for people.
    pub message: Cow<'static, str>,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(
        kind: ErrorKind,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            kind,
            code,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn not_found(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::NotFound, code, message)
    }

    pub(crate) fn invalid(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Invalid, code, message)
    }

    pub(crate) fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Forbidden, "FORBIDDEN", message)
    }

    pub(crate) fn corrupt(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Corrupt, "STORED_DATA_DAMAGED", message)
    }

    /// Every attempt of a compare-and-swap lost.
    pub(crate) fn contended() -> Self {
        Self::new(
            ErrorKind::Conflict,
            "CONFLICT",
            "others kept changing this at the same time",
        )
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl From<MetaError> for Error {
    fn from(error: MetaError) -> Self {
        let (kind, code, message) = match error.kind {
            MetaErrorKind::Full => (
                ErrorKind::Full,
                "STORAGE_FULL",
                "the server's storage is full",
            ),
            MetaErrorKind::Corrupt => (
                ErrorKind::Corrupt,
                "STORED_DATA_DAMAGED",
                "the server's metadata is damaged",
            ),
            MetaErrorKind::Usage => (
                ErrorKind::Invalid,
                "TOO_LARGE",
                "the request is too large for the metadata store",
            ),
            _ => (
                ErrorKind::Unavailable,
                "UNAVAILABLE",
                "the metadata store does not answer",
            ),
        };
        Self::new(kind, code, message).with_source(error)
    }
}
