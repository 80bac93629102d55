//! The unencrypted store's only protection: its permissions.

use std::{os::unix::fs::PermissionsExt, path::Path};

/// Takes away access for group and others, if anybody gave it.
pub(super) fn tighten(path: &Path) {
    let Ok(meta) = std::fs::metadata(path) else {
        return;
    };
    if meta.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "the secret store was readable by others");
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600));
    }
}
