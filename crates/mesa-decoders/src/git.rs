//! Names and contents judged for git.

use mesa_object::git::{content_refused, verdict};
use mesa_types::NodeKind;

/// Any name and content gets a verdict.
pub fn check(data: &[u8]) {
    for kind in 0..8 {
        if let Some(kind) = NodeKind::from_u8(kind) {
            let _ = verdict(&data[..data.len().min(255)], kind);
        }
    }
    let _ = content_refused(b".gitmodules", data);
    let _ = content_refused(b".gitattributes", data);
}
