//! File operations as they arrive.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use mesa_api::{ErrorCode, FileOp};
use mesa_head::{FileEdit, FileMode, FilePath};

use crate::error::ApiError;

/// Operations in one call.
const OPS_MAX: usize = 10_000;
/// Bytes of one content.
const FILE_BYTES_MAX: usize = 16 << 20;
/// Bytes of all contents of one call.
const CALL_BYTES_MAX: usize = 64 << 20;

/// Checks and decodes the operations of a call.
pub fn edits(ops: Vec<FileOp>) -> Result<Vec<FileEdit>, ApiError> {
    if ops.len() > OPS_MAX {
        return Err(too_large("operations", OPS_MAX));
    }
    let mut bytes = 0;
    let mut edits = Vec::with_capacity(ops.len());
    for op in ops {
        let path = path(&op.path)?;
        edits.push(match op.action.as_deref() {
            None | Some("upsert") => {
                let content = op.content.as_deref().ok_or_else(|| {
                    ApiError::bad_request(format!("'{}' is to be written without content", op.path))
                })?;
                let content = decoded(content, op.encoding.as_deref())?;
                if content.len() > FILE_BYTES_MAX {
                    return Err(too_large("bytes in one file", FILE_BYTES_MAX));
                }
                bytes += content.len();
                if bytes > CALL_BYTES_MAX {
                    return Err(too_large("bytes in one call", CALL_BYTES_MAX));
                }
                FileEdit::Put {
                    path,
                    content,
                    mode: mode(op.mode.as_deref())?,
                }
            }
            Some("delete") => FileEdit::Delete { path },
            Some("move") => {
                let from = op.from.as_deref().ok_or_else(|| {
                    ApiError::bad_request(format!("the move to '{}' lacks `from`", op.path))
                })?;
                FileEdit::Move {
                    from: self::path(from)?,
                    to: path,
                }
            }
            Some(other) => {
                return Err(ApiError::bad_request(format!(
                    "there is no action '{}'",
                    other.escape_debug()
                )));
            }
        });
    }
    Ok(edits)
}

fn path(text: &str) -> Result<FilePath, ApiError> {
    let wrong = |e| {
        ApiError::bad_request(format!("'{}': {e}", text.escape_debug())).narrowed("INVALID_PATH")
    };
    FilePath::parse(text.as_bytes()).map_err(wrong)
}

fn mode(text: Option<&str>) -> Result<FileMode, ApiError> {
    match text {
        None => Ok(FileMode::Keep),
        Some("100644") => Ok(FileMode::Regular),
        Some("100755") => Ok(FileMode::Executable),
        Some("120000") => Ok(FileMode::Symlink),
        Some(_) => Err(ApiError::bad_request(
            "the mode must be 100644, 100755 or 120000",
        )),
    }
}

/// Content in base64.
pub fn decoded(content: &str, encoding: Option<&str>) -> Result<Bytes, ApiError> {
    if encoding.is_some_and(|encoding| encoding != "base64") {
        return Err(ApiError::bad_request("the encoding must be base64"));
    }
    let bytes = STANDARD.decode(content);
    bytes
        .map(Bytes::from)
        .map_err(|_| ApiError::bad_request("the content is not base64"))
}

fn too_large(what: &str, max: usize) -> ApiError {
    ApiError::new(
        ErrorCode::PayloadTooLarge,
        format!("more than {max} {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(json: serde_json::Value) -> Result<Vec<FileEdit>, ApiError> {
        edits(vec![serde_json::from_value(json).unwrap()])
    }

    #[test]
    fn operations_are_checked() {
        use serde_json::json;
        assert!(op(json!({"path": "a", "content": "YQ=="})).is_ok());
        assert!(op(json!({"path": "a", "content": "", "action": "upsert"})).is_ok());
        assert!(op(json!({"path": "a", "action": "delete"})).is_ok());
        assert!(op(json!({"path": "b", "action": "move", "from": "a"})).is_ok());
        for bad in [
            json!({"path": "", "content": ""}),
            json!({"path": "/a", "content": ""}),
            json!({"path": "a/../b", "content": ""}),
            json!({"path": "a"}),
            json!({"path": "a", "content": "?"}),
            json!({"path": "a", "content": "", "encoding": "utf-8"}),
            json!({"path": "a", "content": "", "mode": "040000"}),
            json!({"path": "a", "action": "rename"}),
            json!({"path": "a", "action": "move"}),
        ] {
            assert_eq!(op(bad).unwrap_err().code(), ErrorCode::BadRequest);
        }
        let many = vec![
            serde_json::from_value::<FileOp>(json!({"path": "a", "action": "delete"}))
                .unwrap();
            OPS_MAX + 1
        ];
        assert_eq!(edits(many).unwrap_err().code(), ErrorCode::PayloadTooLarge);
    }
}
