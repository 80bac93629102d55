//! Where a machine keeps its files.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A directory.
#[derive(Debug)]
pub enum Place {
    /// Removed when dropped.
    Fresh(TempDir),
    /// Stays.
    Given(PathBuf),
}

impl Place {
    /// A new temporary directory.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn fresh() -> Self {
        let dir = tempfile::Builder::new().prefix("mesa-e2e-").tempdir();
        Self::Fresh(dir.expect("a temporary directory"))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Fresh(dir) => dir.path(),
            Self::Given(path) => path,
        }
    }
}
