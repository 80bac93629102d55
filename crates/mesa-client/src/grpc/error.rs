//! The one table from gRPC statuses to [`SyncErrorKind`].

use std::error::Error as _;

use mesa_proto::status;
use tonic::{Code, Status};

use crate::{
    origin::Origin,
    sync::{SyncError, SyncErrorKind},
    transport::roots::local_code,
};

/// What the client can do about a status. `local` = made on this side, no server answered.
pub(crate) fn kind(code: Code, local: bool) -> SyncErrorKind {
    match code {
        Code::Unavailable | Code::Cancelled => SyncErrorKind::Unreachable,
        Code::DeadlineExceeded => SyncErrorKind::TimedOut,
        Code::Unauthenticated => SyncErrorKind::Unauthenticated,
        Code::PermissionDenied => SyncErrorKind::Forbidden,
        Code::NotFound => SyncErrorKind::NotFound,
        Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => SyncErrorKind::Conflict,
        Code::ResourceExhausted => SyncErrorKind::Limited,
        // A message over the size limit is out of range on whichever side noticed.
        Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented => SyncErrorKind::Invalid,
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss if local => {
            SyncErrorKind::Unreachable
        }
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => SyncErrorKind::Server,
    }
}

/// A failed call as the rest of the client sees it.
pub(crate) fn from_status(origin: &Origin, status: &Status) -> SyncError {
    let meta = |key: &str| status.metadata().get(key).and_then(|v| v.to_str().ok());
    let code = meta(status::CODE).unwrap_or_default();
    let local = code.is_empty() && status.source().is_some();
    let code = if local { local_code(status) } else { code };
    let kind = kind(status.code(), local);
    let message = if local {
        format!("cannot reach {origin}: {}", innermost(status))
    } else {
        let text = match status.message() {
            "" => status.code().description(),
            text => text,
        };
        match meta(status::TRACE_ID) {
            Some(id) if kind == SyncErrorKind::Server => format!("{text} (trace id {id})"),
            _ => text.to_owned(),
        }
    };
    SyncError {
        kind,
        code: code.to_owned(),
        message,
        retry_after_ms: meta(status::RETRY_AFTER_MS).and_then(|v| v.parse().ok()),
    }
}

/// The last cause names what really happened ("Connection refused").
fn innermost(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut next = status.source();
    while let Some(error) = next {
        text = error.to_string();
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_kind() {
        use SyncErrorKind as K;
        let table = [
            (Code::Ok, K::Server),
            (Code::Cancelled, K::Unreachable),
            (Code::Unknown, K::Server),
            (Code::InvalidArgument, K::Invalid),
            (Code::DeadlineExceeded, K::TimedOut),
            (Code::NotFound, K::NotFound),
            (Code::AlreadyExists, K::Conflict),
            (Code::PermissionDenied, K::Forbidden),
            (Code::ResourceExhausted, K::Limited),
            (Code::FailedPrecondition, K::Conflict),
            (Code::Aborted, K::Conflict),
            (Code::OutOfRange, K::Invalid),
            (Code::Unimplemented, K::Invalid),
            (Code::Internal, K::Server),
            (Code::Unavailable, K::Unreachable),
            (Code::DataLoss, K::Server),
            (Code::Unauthenticated, K::Unauthenticated),
        ];
        assert_eq!(table.len(), 17);
        for (code, expected) in table {
            assert_eq!(kind(code, false), expected, "{code:?}");
        }
        assert_eq!(kind(Code::Internal, true), K::Unreachable);
        assert_eq!(kind(Code::Unknown, true), K::Unreachable);
    }

    #[test]
    fn carries_the_servers_code_and_retry() {
        let origin: Origin = "http://127.0.0.1:1".parse().unwrap();
        let mut answer = Status::unauthenticated("this key expired");
        answer
            .metadata_mut()
            .insert(status::CODE, "KEY_EXPIRED".parse().unwrap());
        answer
            .metadata_mut()
            .insert(status::RETRY_AFTER_MS, "250".parse().unwrap());
        let error = from_status(&origin, &answer);
        assert_eq!(error.kind, SyncErrorKind::Unauthenticated);
        assert_eq!(error.code, "KEY_EXPIRED");
        assert_eq!(error.message, "this key expired");
        assert_eq!(error.retry_after_ms, Some(250));
    }
}
