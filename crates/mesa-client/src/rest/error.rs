//! Failed REST calls, and the one table from HTTP statuses to what to do about them.

use std::error::Error as _;

use serde::Deserialize;
use serde_json::Value;

use crate::{origin::Origin, transport::roots::local_code};

/// What a caller can do about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RestErrorKind {
    /// No answer, or the server is restarting: try again.
    Unreachable,
    /// The credential is missing, wrong, expired or revoked.
    Unauthenticated,
    /// The credential is good but does not allow this.
    Forbidden,
    /// Does not exist for this credential.
    NotFound,
    /// Exists already, or moved meanwhile.
    Conflict,
    /// Over a rate or size limit.
    Limited,
    /// The request is wrong.
    Invalid,
    /// The server failed.
    Server,
}

/// A failed call.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct RestError {
    /// What to do.
    pub kind: RestErrorKind,
    /// The server's stable code, e.g. `KEY_EXPIRED`; empty when no server answered.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// To find the request in the server's log.
    pub trace_id: Option<String>,
    /// Seconds to wait, when the server said.
    pub retry_after_s: Option<u64>,
    /// What the server adds for this code, e.g. the paths in conflict.
    pub details: Option<Box<Value>>,
    /// What happened below.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

#[derive(Deserialize)]
struct Envelope {
    error: Inner,
    trace_id: Option<String>,
}

#[derive(Deserialize)]
struct Inner {
    code: String,
    message: String,
    details: Option<Box<Value>>,
}

/// What the client can do about an HTTP status.
fn kind(status: u16) -> RestErrorKind {
    match status {
        401 => RestErrorKind::Unauthenticated,
        403 => RestErrorKind::Forbidden,
        404 | 410 => RestErrorKind::NotFound,
        409 | 412 => RestErrorKind::Conflict,
        413 | 429 => RestErrorKind::Limited,
        502..=504 => RestErrorKind::Unreachable,
        400..=499 => RestErrorKind::Invalid,
        _ => RestErrorKind::Server,
    }
}

impl RestError {
    pub(super) fn answered(
        origin: &Origin,
        status: u16,
        trace_id: Option<String>,
        retry_after_s: Option<u64>,
        body: &[u8],
    ) -> Self {
        let kind = kind(status);
        match serde_json::from_slice::<Envelope>(body) {
            Ok(envelope) => Self {
                kind,
                code: envelope.error.code,
                message: envelope.error.message,
                trace_id: envelope.trace_id.or(trace_id),
                retry_after_s,
                details: envelope.error.details,
                source: None,
            },
            Err(_) => Self {
                kind,
                code: String::new(),
                message: format!(
                    "{origin} answered with HTTP status {status} and is perhaps not a Mesa server"
                ),
                trace_id,
                retry_after_s,
                details: None,
                source: None,
            },
        }
    }

    pub(super) fn transport(origin: &Origin, error: &reqwest::Error) -> Self {
        // The outer layers only repeat the URL; the innermost cause says what happened.
        let mut cause = error.to_string();
        let mut next = error.source();
        while let Some(e) = next {
            cause = e.to_string();
            next = e.source();
        }
        let what = if error.is_timeout() {
            "did not answer in time"
        } else {
            "cannot be reached"
        };
        Self {
            kind: RestErrorKind::Unreachable,
            code: local_code(error).to_owned(),
            message: format!("the server {origin} {what}"),
            trace_id: None,
            retry_after_s: None,
            details: None,
            source: Some(cause.into()),
        }
    }

    pub(super) fn malformed(origin: &Origin, error: serde_json::Error) -> Self {
        Self {
            kind: RestErrorKind::Server,
            code: String::new(),
            message: format!("{origin} gave an answer that is not Mesa's; is the address right?"),
            trace_id: None,
            retry_after_s: None,
            details: None,
            source: Some(error.into()),
        }
    }

    pub(super) fn too_long(origin: &Origin) -> Self {
        Self {
            kind: RestErrorKind::Server,
            code: String::new(),
            message: format!("{origin} gave an answer over the size limit"),
            trace_id: None,
            retry_after_s: None,
            details: None,
            source: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        use RestErrorKind as K;
        let table = [
            (400, K::Invalid),
            (401, K::Unauthenticated),
            (403, K::Forbidden),
            (404, K::NotFound),
            (405, K::Invalid),
            (406, K::Invalid),
            (409, K::Conflict),
            (413, K::Limited),
            (415, K::Invalid),
            (429, K::Limited),
            (500, K::Server),
            (502, K::Unreachable),
            (503, K::Unreachable),
            (302, K::Server),
        ];
        for (status, expected) in table {
            assert_eq!(kind(status), expected, "{status}");
        }
    }

    #[test]
    fn envelope_and_foreign_answers() {
        let origin: Origin = "http://127.0.0.1:1".parse().unwrap();
        let body =
            br#"{"error":{"code":"KEY_EXPIRED","message":"this key expired"},"trace_id":"t1"}"#;
        let error = RestError::answered(&origin, 401, None, None, body);
        assert_eq!(error.kind, RestErrorKind::Unauthenticated);
        assert_eq!(
            (error.code.as_str(), error.to_string().as_str()),
            ("KEY_EXPIRED", "this key expired")
        );
        assert_eq!(error.trace_id.as_deref(), Some("t1"));
        let error = RestError::answered(&origin, 404, None, None, b"<html>");
        assert!(error.to_string().contains("HTTP status 404"), "{error}");
    }
}
