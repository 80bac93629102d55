//! The one table from errors of the live layer to gRPC statuses.

use mesa_head::{HeadError, HeadErrorKind};
use mesa_proto::status::{CODE, RETRY_AFTER_MS};
use tonic::{Code, Status, metadata::MetadataValue};

/// When a caller that met a limit or a busy store may come back.
const RETRY_MS: &str = "250";

/// The gRPC code of a kind.
pub(super) fn code(kind: HeadErrorKind) -> Code {
    match kind {
        HeadErrorKind::NotFound => Code::NotFound,
        HeadErrorKind::Unauthenticated => Code::Unauthenticated,
        HeadErrorKind::Forbidden => Code::PermissionDenied,
        HeadErrorKind::Conflict => Code::FailedPrecondition,
        HeadErrorKind::Invalid => Code::InvalidArgument,
        HeadErrorKind::Limited | HeadErrorKind::Full => Code::ResourceExhausted,
        HeadErrorKind::Unavailable => Code::Unavailable,
        HeadErrorKind::Corrupt => Code::DataLoss,
        _ => Code::Internal,
    }
}

/// The status of an error. Its cause goes to the log, never to the client.
pub(super) fn to_status(error: HeadError) -> Status {
    if matches!(error.kind, HeadErrorKind::Corrupt | HeadErrorKind::Full) {
        tracing::error!(code = error.code, cause = ?error.source, "{error}");
    }
    let mut status = Status::new(code(error.kind), error.message.into_owned());
    let metadata = status.metadata_mut();
    metadata.insert(CODE, MetadataValue::from_static(error.code));
    if matches!(
        error.kind,
        HeadErrorKind::Limited | HeadErrorKind::Unavailable | HeadErrorKind::Full
    ) {
        metadata.insert(RETRY_AFTER_MS, MetadataValue::from_static(RETRY_MS));
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_code_and_keeps_its_word() {
        for kind in HeadErrorKind::ALL {
            let status = to_status(HeadError::new(kind, "SOME_CODE", "a sentence"));
            assert_ne!(status.code(), Code::Internal, "{kind:?}");
            assert_eq!(status.metadata().get(CODE).unwrap(), "SOME_CODE");
            assert_eq!(status.message(), "a sentence");
        }
    }
}
