//! Why a credential was refused.

use std::borrow::Cow;

use crate::error::Error;

/// What is wrong with a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthErrorKind {
    /// None was given.
    Missing,
    /// It is not a credential at all, or a token that breaks the rules for tokens.
    Malformed,
    /// No such key, or the token's signature does not fit its key.
    Unknown,
    /// It ended.
    Expired,
    /// It was revoked.
    Revoked,
    /// It is valid and does not permit this.
    Forbidden,
    /// It could not be checked now; try again.
    Unavailable,
}

impl AuthErrorKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Missing,
        Self::Malformed,
        Self::Unknown,
        Self::Expired,
        Self::Revoked,
        Self::Forbidden,
        Self::Unavailable,
    ];

    /// Stable code for the wire.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "CREDENTIAL_MISSING",
            Self::Malformed => "CREDENTIAL_MALFORMED",
            Self::Unknown => "CREDENTIAL_UNKNOWN",
            Self::Expired => "CREDENTIAL_EXPIRED",
            Self::Revoked => "CREDENTIAL_REVOKED",
            Self::Forbidden => "FORBIDDEN",
            Self::Unavailable => "UNAVAILABLE",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Missing => "a credential is needed (Authorization: Bearer <API key or token>)",
            Self::Malformed => "the credential is malformed",
            Self::Unknown => "the credential is not known here",
            Self::Expired => "the credential has expired",
            Self::Revoked => "the credential was revoked",
            Self::Forbidden => "the credential does not permit this",
            Self::Unavailable => "the credential could not be checked",
        }
    }
}

/// A refused credential. Neither message nor cause holds any part of it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct AuthError {
    /// What is wrong.
    pub kind: AuthErrorKind,
    /// One sentence for people.
    pub message: Cow<'static, str>,
    /// The cause, of [`AuthErrorKind::Unavailable`].
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl AuthError {
    pub(crate) fn malformed(message: &'static str) -> Self {
        Self {
            kind: AuthErrorKind::Malformed,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn forbidden(message: String) -> Self {
        Self {
            kind: AuthErrorKind::Forbidden,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: Some(source.into()),
            ..AuthErrorKind::Unavailable.into()
        }
    }

    /// Stable code for the wire.
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }
}

impl From<AuthErrorKind> for AuthError {
    fn from(kind: AuthErrorKind) -> Self {
        Self {
            kind,
            message: kind.message().into(),
            source: None,
        }
    }
}

impl From<Error> for AuthError {
    fn from(error: Error) -> Self {
        Self::internal(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct() {
        let codes: std::collections::BTreeSet<_> =
            AuthErrorKind::ALL.iter().map(|k| k.code()).collect();
        assert_eq!(codes.len(), AuthErrorKind::ALL.len());
    }
}
