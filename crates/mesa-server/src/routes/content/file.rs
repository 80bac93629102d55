//! Files and symlinks.

use ::bytes::Bytes;
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, header};
use mesa_api::{Content, ContentFile, ErrorCode, FileMode};
use mesa_object::tree::NodeRecord;
use mesa_types::NodeKind;

use super::{
    BYTES, RepoPath, name_of,
    range::{answer, value, wanted},
    sha, shown,
};
use crate::{
    error::ApiError,
    snapshot::{
        Snapshot,
        bytes::{stream, whole},
    },
};

/// Larger files are not put into JSON.
const JSON_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The git mode of a file or symlink.
pub(crate) fn mode(record: &NodeRecord) -> FileMode {
    match record.attr.kind {
        NodeKind::Symlink => FileMode::Symlink,
        _ if record.attr.mode & 0o100 != 0 => FileMode::Executable,
        _ => FileMode::Regular,
    }
}

/// A file or symlink with its bytes in base64.
pub(super) async fn json(
    snapshot: &Snapshot,
    record: &NodeRecord,
    path: &RepoPath,
) -> Result<Content, ApiError> {
    let size = record.attr.content.size();
    if size > JSON_BYTES_MAX {
        return Err(ApiError::new(
            ErrorCode::NotAcceptable,
            format!(
                "the file has {size} bytes, more than JSON answers hold ({JSON_BYTES_MAX}); ask \
                 for application/octet-stream, with Range if you like"
            ),
        ));
    }
    let symlink = record.attr.kind == NodeKind::Symlink;
    let content = if symlink {
        STANDARD.encode(&record.target)
    } else {
        let bytes = whole(snapshot.packs().clone(), &record.attr.content).await?;
        STANDARD.encode(bytes)
    };
    let (text, path_b64) = shown(&path.joined());
    let file = ContentFile {
        name: name_of(path.parts()),
        path: text,
        path_b64,
        sha: sha(record),
        size,
        encoding: "base64".to_owned(),
        content,
        mode: mode(record),
        is_conflicted: snapshot.is_conflicted(&path.joined()).await?,
    };
    Ok(if symlink {
        Content::Symlink(file)
    } else {
        Content::File(file)
    })
}

/// The raw bytes of a file or of a symlink's target, or a part of them.
pub(super) async fn bytes(
    snapshot: &Snapshot,
    record: &NodeRecord,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let size = record.attr.content.size();
    let (status, range, span) = answer(wanted(headers, size), size)?;
    let common = [
        (header::CONTENT_TYPE, HeaderValue::from_static(BYTES)),
        (header::ETAG, value(&format!("\"{}\"", sha(record)))),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    let body = if record.attr.kind == NodeKind::Symlink {
        let span = range.start as usize..(range.end as usize).min(record.target.len());
        Body::from(record.target.slice(span))
    } else {
        let pieces = stream(snapshot.packs().clone(), &record.attr.content, range).await?;
        // The head of the answer is gone by then: the connection breaks off, and the client sees
        // fewer bytes than promised.
        let logged = pieces.inspect(|piece: &Result<Bytes, _>| {
            if let Err(error) = piece {
                tracing::error!("a content stream broke off: {error}");
            }
        });
        Body::from_stream(logged)
    };
    Ok((status, common, span, body).into_response())
}
