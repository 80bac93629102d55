//! Names and contents judged for git.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesa_object::git::{content_refused, verdict};
use mesa_types::NodeKind;

fuzz_target!(|data: &[u8]| {
    for kind in 0..8 {
        if let Some(kind) = NodeKind::from_u8(kind) {
            let _ = verdict(&data[..data.len().min(255)], kind);
        }
    }
    let _ = content_refused(b".gitmodules", data);
    let _ = content_refused(b".gitattributes", data);
});
