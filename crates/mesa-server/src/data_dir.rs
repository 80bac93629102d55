//! The data directory of the embedded profile.
//!
//! | name | what | mode |
//! |---|---|---|
//! | `server.key` | seals what verifies API keys | 0600 |
//! | `admin.key` | the operator's key from the first start | 0600 |
//! | `meta.db*`, `meta.lock` | metadata, and the lock a running server holds | 0600 |
//! | `objects/` | packs | 0700 |

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// A data directory.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
}

/// The directory, or a file in it, cannot be made, read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}", path.display())]
pub struct DataDirError {
    /// The directory or file.
    pub path: PathBuf,
    /// The cause.
    #[source]
    pub source: io::Error,
}

impl DataDir {
    /// Makes the directory if needed, readable by its owner only.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700);
        for path in [path, &path.join("objects")] {
            private.create(path).map_err(|source| DataDirError {
                path: path.to_owned(),
                source,
            })?;
        }
        let path = path.to_owned();
        Ok(Self { path })
    }

    /// The directory itself, where the metadata store keeps its files.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The objects' directory.
    pub fn objects(&self) -> PathBuf {
        self.path.join("objects")
    }

    /// The server key's file.
    pub fn server_key(&self) -> PathBuf {
        self.path.join("server.key")
    }

    /// The operator's key file.
    pub fn admin_key(&self) -> PathBuf {
        self.path.join("admin.key")
    }

    /// Puts the operator's key in its file, on stable storage and readable by the owner only. The
    /// file appears whole or not at all.
    pub fn write_admin_key(&self, key: &str) -> Result<(), DataDirError> {
        let path = self.admin_key();
        self.replace(&path, format!("{key}\n").as_bytes())
            .map_err(|source| DataDirError { path, source })
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let temporary = path.with_extension("new");
        match fs::remove_file(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(&self.path)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn everything_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let data = DataDir::open(&path).unwrap();
        fs::write(data.admin_key().with_extension("new"), "left over").unwrap();
        data.write_admin_key("mesa_x").unwrap();
        data.write_admin_key("mesa_y").unwrap();
        assert_eq!(fs::read_to_string(data.admin_key()).unwrap(), "mesa_y\n");
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&data.objects()), 0o700);
        assert_eq!(mode(&data.admin_key()), 0o600);
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "x").unwrap();
        let error = DataDir::open(&path).unwrap_err();
        assert!(error.to_string().contains("file"));
    }
}
