//! The error envelope and its codes.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A stable, machine-readable reason for a refusal. Clients may branch on it; a code's
        /// meaning never changes. An answer may carry a narrower code in place of one of these
        /// (`REPO_NOT_FOUND` for `NOT_FOUND`): the HTTP status tells the class.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The text on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The code with this text, if it is a known one.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// The request is malformed: a wrong name, number, body or query value.
    BadRequest = "BAD_REQUEST",
    /// The request is right, and this server version does not offer what it asks for.
    NotSupported = "NOT_SUPPORTED",
    /// There is no credential, or it is not a valid one.
    Unauthorized = "UNAUTHORIZED",
    /// The key or token was valid until it expired.
    CredentialExpired = "CREDENTIAL_EXPIRED",
    /// The key was revoked.
    CredentialRevoked = "CREDENTIAL_REVOKED",
    /// The credential does not carry the scope this needs.
    Forbidden = "FORBIDDEN",
    /// There is no such thing, or the credential cannot see it.
    NotFound = "NOT_FOUND",
    /// The path exists with other methods.
    MethodNotAllowed = "METHOD_NOT_ALLOWED",
    /// The wanted representation is not available; the message names one that is.
    NotAcceptable = "NOT_ACCEPTABLE",
    /// The body did not arrive in time.
    RequestTimeout = "REQUEST_TIMEOUT",
    /// The state does not allow this; nothing was changed.
    Conflict = "CONFLICT",
    /// The name is in use.
    AlreadyExists = "ALREADY_EXISTS",
    /// Paths did not merge; the details name them.
    MergeConflict = "MERGE_CONFLICT",
    /// The bookmark's new place does not descend from its present one.
    NonForwardMove = "NON_FORWARD_MOVE",
    /// `base_commit_oid` is not the change's commit any more.
    StaleCommit = "STALE_COMMIT",
    /// Somebody else wrote the same thing at the same time; ask again.
    LockConflict = "LOCK_CONFLICT",
    /// An `Idempotency-Key` was used before with another request.
    IdempotencyMismatch = "IDEMPOTENCY_MISMATCH",
    /// The body is larger than the server takes.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE",
    /// The request line is longer than the server takes.
    UriTooLong = "URI_TOO_LONG",
    /// The body is not of a type this route reads.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE",
    /// The `Range` lies outside the content.
    RangeNotSatisfiable = "RANGE_NOT_SATISFIABLE",
    /// Too many requests; `Retry-After` says when to come back.
    RateLimited = "RATE_LIMITED",
    /// The server failed; the trace id finds the log entry.
    InternalError = "INTERNAL_ERROR",
    /// The server cannot answer now; `Retry-After` says when to come back.
    Unavailable = "UNAVAILABLE",
    /// The server has no room left.
    StorageFull = "STORAGE_FULL",
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `{"error": {...}, "trace_id": "..."}`: the body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorEnvelope {
    /// What went wrong.
    pub error: ErrorBody,
    /// The request's id, as in the header `x-request-id`.
    #[serde(default)]
    pub trace_id: String,
}

/// The inner part of the envelope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// An [`ErrorCode`] or a narrower one.
    pub code: String,
    /// A sentence for people. Never holds a secret.
    pub message: String,
    /// Facts for programs, by code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Map<String, Value>>,
    /// The request's id again, on server failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_upper_snake_and_distinct() {
        let mut seen = std::collections::HashSet::new();
        for &code in ErrorCode::ALL {
            let text = code.as_str();
            assert!(text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
            assert!(seen.insert(text), "{text} twice");
            assert_eq!(ErrorCode::parse(text), Some(code));
        }
        assert_eq!(ErrorCode::parse("not_found"), None);
    }

    #[test]
    fn envelope_on_the_wire() {
        let envelope = ErrorEnvelope {
            error: ErrorBody {
                code: ErrorCode::NotFound.to_string(),
                message: "no such repo".into(),
                details: None,
                trace_id: None,
            },
            trace_id: "t1".into(),
        };
        let text = serde_json::to_string(&envelope).unwrap();
        assert_eq!(
            text,
            r#"{"error":{"code":"NOT_FOUND","message":"no such repo"},"trace_id":"t1"}"#
        );
    }
}
