//! The one error of the live layer.

use std::borrow::Cow;

use mesa_meta::{MetaError, MetaErrorKind};
use mesa_store::{StoreError, StoreErrorKind};

/// What a caller can do about a [`HeadError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadErrorKind {
    /// The repo, bookmark, change, session or path does not exist for this caller.
    NotFound,
    /// The credential is missing, wrong, expired or revoked.
    Unauthenticated,
    /// The credential does not allow it.
    Forbidden,
    /// The request contradicts the head's state: a stale token, a fenced session.
    Conflict,
    /// The request is malformed.
    Invalid,
    /// Over a limit; come back later.
    Limited,
    /// Try again later; the change may or may not have been made.
    Unavailable,
    /// The server's storage is full.
    Full,
    /// Stored data is damaged; an operator must look.
    Corrupt,
}

impl HeadErrorKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::NotFound,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::Conflict,
        Self::Invalid,
        Self::Limited,
        Self::Unavailable,
        Self::Full,
        Self::Corrupt,
    ];
}

/// A failed call.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct HeadError {
    /// What the caller can do.
    pub kind: HeadErrorKind,
    /// Stable code for the wire.
    pub code: &'static str,
    /// One sentence without secrets, for people.
    pub message: Cow<'static, str>,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Result of a call into the live layer.
pub type Result<T, E = HeadError> = std::result::Result<T, E>;

impl HeadError {
    /// An error without a cause.
    pub fn new(
        kind: HeadErrorKind,
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
        Self::new(HeadErrorKind::NotFound, code, message)
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(HeadErrorKind::Invalid, "MALFORMED", message)
    }

    pub(crate) fn conflict(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(HeadErrorKind::Conflict, code, message)
    }

    pub(crate) fn corrupt(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(HeadErrorKind::Corrupt, "STORED_DATA_DAMAGED", message)
    }

    /// The head left this process; the next call loads it again.
    pub(crate) fn gone() -> Self {
        Self::new(
            HeadErrorKind::Unavailable,
            "HEAD_RELOADED",
            "the head was reloaded: connect again",
        )
    }

    pub(crate) fn no_session() -> Self {
        Self::not_found("SESSION_NOT_FOUND", "there is no such session")
    }

    /// The same error for another caller, without the cause.
    pub(crate) fn again(&self) -> Self {
        Self::new(self.kind, self.code, self.message.clone())
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl From<MetaError> for HeadError {
    fn from(error: MetaError) -> Self {
        let (kind, code, message) = match error.kind {
            MetaErrorKind::Full => (
                HeadErrorKind::Full,
                "STORAGE_FULL",
                "the server's storage is full",
            ),
            MetaErrorKind::Corrupt => (
                HeadErrorKind::Corrupt,
                "STORED_DATA_DAMAGED",
                "the server's metadata is damaged",
            ),
            MetaErrorKind::Usage => (
                HeadErrorKind::Invalid,
                "TOO_LARGE",
                "the request is too large for the metadata store",
            ),
            _ => (
                HeadErrorKind::Unavailable,
                "UNAVAILABLE",
                "the metadata store does not answer",
            ),
        };
        Self::new(kind, code, message).with_source(error)
    }
}

impl From<StoreError> for HeadError {
    fn from(error: StoreError) -> Self {
        let (kind, code, message) = match error.kind {
            StoreErrorKind::Full => (
                HeadErrorKind::Full,
                "STORAGE_FULL",
                "the server's storage is full",
            ),
            StoreErrorKind::NotFound | StoreErrorKind::Corrupt | StoreErrorKind::Exists => (
                HeadErrorKind::Corrupt,
                "STORED_DATA_DAMAGED",
                "stored content is missing or damaged",
            ),
            _ => (
                HeadErrorKind::Unavailable,
                "UNAVAILABLE",
                "the object store does not answer",
            ),
        };
        Self::new(kind, code, message).with_source(error)
    }
}

impl From<mesa_repo::Error> for HeadError {
    fn from(error: mesa_repo::Error) -> Self {
        use mesa_repo::ErrorKind;
        let kind = match error.kind {
            ErrorKind::NotFound => HeadErrorKind::NotFound,
            ErrorKind::Exists | ErrorKind::Conflict => HeadErrorKind::Conflict,
            ErrorKind::Invalid => HeadErrorKind::Invalid,
            ErrorKind::Forbidden => HeadErrorKind::Forbidden,
            ErrorKind::Full => HeadErrorKind::Full,
            ErrorKind::Corrupt => HeadErrorKind::Corrupt,
            _ => HeadErrorKind::Unavailable,
        };
        Self::new(kind, error.code, error.message.clone()).with_source(error)
    }
}

impl From<mesa_repo::AuthError> for HeadError {
    fn from(error: mesa_repo::AuthError) -> Self {
        use mesa_repo::AuthErrorKind;
        let kind = match error.kind {
            AuthErrorKind::Forbidden => HeadErrorKind::Forbidden,
            AuthErrorKind::Unavailable => HeadErrorKind::Unavailable,
            _ => HeadErrorKind::Unauthenticated,
        };
        Self::new(kind, error.code(), error.message.clone()).with_source(error)
    }
}

impl From<mesa_object::tree::TreeError> for HeadError {
    fn from(error: mesa_object::tree::TreeError) -> Self {
        Self::corrupt("a stored directory is damaged").with_source(error)
    }
}

impl From<mesa_object::manifest::ManifestError> for HeadError {
    fn from(error: mesa_object::manifest::ManifestError) -> Self {
        Self::corrupt("a stored manifest is damaged").with_source(error)
    }
}

impl From<crate::tree::DamagedTree> for HeadError {
    fn from(error: crate::tree::DamagedTree) -> Self {
        Self::corrupt("the stored tree is damaged").with_source(error)
    }
}

impl From<mesa_proto::Malformed> for HeadError {
    fn from(error: mesa_proto::Malformed) -> Self {
        Self::invalid(error.to_string())
    }
}
