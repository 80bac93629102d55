//! The one table from reasons to HTTP answers.

use std::{error::Error as StdError, sync::Arc};

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use mesa_api::{ErrorBody, ErrorCode, ErrorEnvelope};
use mesa_head::{HeadError, HeadErrorKind};
use mesa_repo::{AuthError, AuthErrorKind, ErrorKind};
use mesa_store::StoreErrorKind;
use serde_json::{Map, Value};

use crate::snapshot::SnapshotError;

/// The HTTP status of a code.
pub fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadRequest | ErrorCode::NotSupported => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthorized | ErrorCode::CredentialExpired | ErrorCode::CredentialRevoked => {
            StatusCode::UNAUTHORIZED
        }
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        ErrorCode::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        ErrorCode::Conflict
        | ErrorCode::AlreadyExists
        | ErrorCode::MergeConflict
        | ErrorCode::NonForwardMove
        | ErrorCode::StaleCommit
        | ErrorCode::LockConflict
        | ErrorCode::IdempotencyMismatch => StatusCode::CONFLICT,
        ErrorCode::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::UriTooLong => StatusCode::URI_TOO_LONG,
        ErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        // The list of codes is open; one added without a row here is a defect of the server.
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The code of an answer made below the handlers (routing, the HTTP library).
fn code_of(status: StatusCode) -> ErrorCode {
    match status {
        StatusCode::UNAUTHORIZED => ErrorCode::Unauthorized,
        StatusCode::FORBIDDEN => ErrorCode::Forbidden,
        StatusCode::NOT_FOUND => ErrorCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ErrorCode::MethodNotAllowed,
        StatusCode::NOT_ACCEPTABLE => ErrorCode::NotAcceptable,
        StatusCode::REQUEST_TIMEOUT => ErrorCode::RequestTimeout,
        StatusCode::CONFLICT => ErrorCode::Conflict,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::PayloadTooLarge,
        StatusCode::URI_TOO_LONG => ErrorCode::UriTooLong,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMediaType,
        StatusCode::TOO_MANY_REQUESTS => ErrorCode::RateLimited,
        StatusCode::SERVICE_UNAVAILABLE => ErrorCode::Unavailable,
        s if s.is_client_error() => ErrorCode::BadRequest,
        _ => ErrorCode::InternalError,
    }
}

/// The code of a failed catalog call.
fn code_of_catalog(kind: ErrorKind) -> ErrorCode {
    match kind {
        ErrorKind::NotFound => ErrorCode::NotFound,
        ErrorKind::Exists => ErrorCode::AlreadyExists,
        ErrorKind::Invalid => ErrorCode::BadRequest,
        ErrorKind::Conflict => ErrorCode::Conflict,
        ErrorKind::Forbidden => ErrorCode::Forbidden,
        ErrorKind::Unavailable => ErrorCode::Unavailable,
        ErrorKind::Full => ErrorCode::StorageFull,
        _ => ErrorCode::InternalError,
    }
}

/// The code of a refused credential.
fn code_of_auth(kind: AuthErrorKind) -> ErrorCode {
    match kind {
        AuthErrorKind::Expired => ErrorCode::CredentialExpired,
        AuthErrorKind::Revoked => ErrorCode::CredentialRevoked,
        AuthErrorKind::Forbidden => ErrorCode::Forbidden,
        AuthErrorKind::Unavailable => ErrorCode::Unavailable,
        _ => ErrorCode::Unauthorized,
    }
}

impl From<mesa_repo::Error> for ApiError {
    fn from(error: mesa_repo::Error) -> Self {
        let code = code_of_catalog(error.kind);
        let made = Self::new(code, error.message.clone()).narrowed(error.code);
        if status_of(code).is_server_error() {
            made.caused_by(error)
        } else {
            made
        }
    }
}

/// The code of a failed call into the live layer.
fn code_of_head(kind: HeadErrorKind) -> ErrorCode {
    match kind {
        HeadErrorKind::NotFound => ErrorCode::NotFound,
        HeadErrorKind::Unauthenticated => ErrorCode::Unauthorized,
        HeadErrorKind::Forbidden => ErrorCode::Forbidden,
        HeadErrorKind::Conflict => ErrorCode::Conflict,
        HeadErrorKind::Invalid => ErrorCode::BadRequest,
        HeadErrorKind::Limited => ErrorCode::RateLimited,
        HeadErrorKind::Unavailable => ErrorCode::Unavailable,
        HeadErrorKind::Full => ErrorCode::StorageFull,
        _ => ErrorCode::InternalError,
    }
}

impl From<HeadError> for ApiError {
    fn from(error: HeadError) -> Self {
        let code = code_of_head(error.kind);
        let made = Self::new(code, error.message.clone()).narrowed(error.code);
        if status_of(code).is_server_error() {
            made.caused_by(error)
        } else {
            made
        }
    }
}

impl From<SnapshotError> for ApiError {
    fn from(error: SnapshotError) -> Self {
        let code = match &error {
            SnapshotError::Store(e) => match e.kind {
                StoreErrorKind::Unavailable => ErrorCode::Unavailable,
                StoreErrorKind::Full => ErrorCode::StorageFull,
                _ => ErrorCode::InternalError,
            },
            _ => ErrorCode::InternalError,
        };
        Self::new(code, "stored content cannot be read").caused_by(error)
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let code = code_of_auth(error.kind);
        let made = Self::new(code, error.message.clone()).narrowed(error.code());
        if status_of(code).is_server_error() {
            made.caused_by(error)
        } else {
            made
        }
    }
}

/// A refusal on its way to the client.
///
/// As a [`Response`] it has no body yet: [`crate::edge`] writes the envelope, since only it knows
/// the request's id, and logs the cause of a server failure once.
#[derive(Debug, Clone)]
pub struct ApiError(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    code: ErrorCode,
    /// A narrower code for the wire.
    wire: Option<&'static str>,
    message: String,
    details: Option<Map<String, Value>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

impl ApiError {
    /// A refusal with a sentence for people.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            wire: None,
            message: message.into(),
            details: None,
            headers: Vec::new(),
            cause: None,
        }))
    }

    /// The request is malformed.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }

    /// There is no such thing, or it cannot be seen: both read the same.
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("no such {what}"))
    }

    /// A failure of the server; the cause goes to the log, not to the client.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorCode::InternalError, "the server failed").caused_by(cause)
    }

    /// Adds the cause for the log.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.cause = Some(Arc::from(cause.into()));
        self
    }

    /// Replaces the code on the wire by a narrower one; the status stays.
    #[must_use]
    pub fn narrowed(mut self, code: &'static str) -> Self {
        self.0.wire = Some(code);
        self
    }

    /// Adds a fact for programs.
    #[must_use]
    pub fn detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        let details = self.0.details.get_or_insert_with(Map::new);
        details.insert(key.to_owned(), value.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Whether the same request may be answered well later.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self.0.code,
            ErrorCode::Unavailable | ErrorCode::StorageFull | ErrorCode::RateLimited
        )
    }

    /// The code on the wire.
    pub fn wire_code(&self) -> &'static str {
        self.0.wire.unwrap_or(self.0.code.as_str())
    }

    /// The code that decides the status.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// Facts for programs.
    pub fn details(&self) -> Option<&Map<String, Value>> {
        self.0.details.as_ref()
    }

    /// Logs a failure of the server with its causes.
    pub fn log(&self) {
        let mut causes = String::new();
        let mut next = self.cause().map(|c| c as &dyn StdError);
        while let Some(error) = next {
            causes.push_str(": ");
            causes.push_str(&error.to_string());
            next = error.source();
        }
        tracing::error!(code = self.wire_code(), "{}{causes}", self.message());
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The cause for the log.
    pub fn cause(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        self.0.cause.as_deref()
    }

    /// The refusal behind an answer with an error status that no handler made.
    pub fn of_status(status: StatusCode) -> Self {
        let code = code_of(status);
        let message = match code {
            ErrorCode::NotFound => "no such route".to_owned(),
            ErrorCode::MethodNotAllowed => "this path does not take that method".to_owned(),
            _ => status
                .canonical_reason()
                .unwrap_or("the request failed")
                .to_ascii_lowercase(),
        };
        Self::new(code, message)
    }

    /// The envelope under a request id.
    pub fn envelope(&self, trace_id: &str) -> ErrorEnvelope {
        let failure = status_of(self.0.code).is_server_error();
        ErrorEnvelope {
            error: ErrorBody {
                code: self.wire_code().to_owned(),
                message: self.0.message.clone(),
                details: self.0.details.clone(),
                trace_id: failure.then(|| trace_id.to_owned()),
            },
            trace_id: trace_id.to_owned(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = status_of(self.0.code).into_response();
        let headers = response.headers_mut();
        for (name, value) in &self.0.headers {
            headers.insert(name, value.clone());
        }
        if status_of(self.0.code) == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let busy = matches!(self.0.code, ErrorCode::Unavailable | ErrorCode::RateLimited);
        if busy && !headers.contains_key(header::RETRY_AFTER) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_status() {
        for &code in ErrorCode::ALL {
            let status = status_of(code);
            assert!(status.is_client_error() || status.is_server_error());
            let internal = status == StatusCode::INTERNAL_SERVER_ERROR;
            assert_eq!(internal, code == ErrorCode::InternalError, "{code}");
        }
    }

    #[test]
    fn every_code_is_documented_with_its_status() {
        let page = include_str!("../../../docs/rest.md");
        for &code in ErrorCode::ALL {
            let row = format!("| {} | `{code}` |", status_of(code).as_u16());
            assert!(page.contains(&row), "{row}");
        }
        let rows = page
            .lines()
            .filter(|l| l.starts_with("| 4") || l.starts_with("| 5"));
        assert_eq!(rows.count(), ErrorCode::ALL.len());
    }

    #[test]
    fn statuses_made_below_the_handlers_come_back_as_themselves() {
        for status in [
            400, 401, 403, 404, 405, 406, 408, 409, 413, 414, 415, 429, 500, 503,
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(status_of(ApiError::of_status(status).code()), status);
        }
    }

    #[test]
    fn every_catalog_kind_has_its_answer() {
        let expected = [
            (ErrorKind::NotFound, 404),
            (ErrorKind::Exists, 409),
            (ErrorKind::Invalid, 400),
            (ErrorKind::Conflict, 409),
            (ErrorKind::Forbidden, 403),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::Full, 507),
            (ErrorKind::Corrupt, 500),
        ];
        for (kind, status) in expected {
            assert_eq!(status_of(code_of_catalog(kind)), status, "{kind:?}");
        }
    }

    #[test]
    fn every_kind_of_the_live_layer_has_its_answer() {
        for kind in HeadErrorKind::ALL {
            let expected = match kind {
                HeadErrorKind::NotFound => 404,
                HeadErrorKind::Unauthenticated => 401,
                HeadErrorKind::Forbidden => 403,
                HeadErrorKind::Conflict => 409,
                HeadErrorKind::Invalid => 400,
                HeadErrorKind::Limited => 429,
                HeadErrorKind::Unavailable => 503,
                HeadErrorKind::Full => 507,
                _ => 500,
            };
            assert_eq!(status_of(code_of_head(kind)), expected, "{kind:?}");
        }
    }

    #[test]
    fn every_refused_credential_has_its_answer() {
        for kind in AuthErrorKind::ALL {
            let error = ApiError::from(AuthError::from(kind));
            assert_eq!(error.wire_code(), kind.code());
            let status = match kind {
                AuthErrorKind::Forbidden => 403,
                AuthErrorKind::Unavailable => 503,
                _ => 401,
            };
            assert_eq!(status_of(error.code()), status, "{kind:?}");
        }
    }

    #[test]
    fn challenge_and_retry_headers() {
        let response = ApiError::new(ErrorCode::CredentialExpired, "x").into_response();
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
        let response = ApiError::new(ErrorCode::Unavailable, "x").into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        let response = ApiError::new(ErrorCode::RateLimited, "x")
            .retry_after(7)
            .into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "7");
    }

    #[test]
    fn causes_stay_in_the_log() {
        let error = ApiError::internal("disk path /secret");
        let text = serde_json::to_string(&error.envelope("t")).unwrap();
        assert!(!text.contains("secret"));
        assert!(text.contains(r#""trace_id":"t"},"trace_id":"t""#));
        assert!(error.cause().is_some());
    }
}
