//! The data directory of the embedded profile.
//!
//! | name | what | mode |
//! |---|---|---|
//! | `server.key` | seals what verifies API keys | 0600 |
//! | `admin.key` | the operator's key from the first start | 0600 |
//! | `meta.db*`, `meta.lock` | metadata, and the lock a running server holds | 0600 |
//! | `objects/` | packs | 0700 |
//! | `format` | `mesa data 1`: the first start was completed | 0600 |
//!
//! Once `format` is there, everything else but `admin.key` has to be: a server that finds a part
//! of it missing would begin again from nothing over the objects of the lost part.

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

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataDirError {
    /// The directory, or a file in it, cannot be made, read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The directory was used, and something of it is gone.
    #[error("{} is missing or empty, though the data directory was in use", .0.display())]
    Incomplete(PathBuf),
    /// The directory was used, and its metadata hold nothing.
    #[error("{} has lost its records", .0.display())]
    NoRecords(PathBuf),
    /// Made by another version.
    #[error("{} names a format this version of mesa does not know", .0.display())]
    Format(PathBuf),
}

const FORMAT: &str = "mesa data 1\n";

impl DataDir {
    /// Makes the directory if needed, readable by its owner only. One that was used before has to
    /// be complete.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let data = Self {
            path: path.to_owned(),
        };
        if data.is_used()? {
            data.check_complete()?;
        }
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700);
        for path in [path, &data.objects()] {
            private.create(path).map_err(|source| match source.kind() {
                // Something else has the name.
                io::ErrorKind::AlreadyExists => not_a_directory(path),
                _ => io_error(path, source),
            })?;
        }
        Ok(data)
    }

    /// Whether a first start was completed here.
    pub fn is_used(&self) -> Result<bool, DataDirError> {
        let path = self.format();
        match fs::read(&path) {
            Ok(text) if text == FORMAT.as_bytes() => Ok(true),
            Ok(_) => Err(DataDirError::Format(path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(io_error(&path, source)),
        }
    }

    /// Notes that the first start is complete.
    pub fn set_used(&self) -> Result<(), DataDirError> {
        let path = self.format();
        self.replace(&path, FORMAT.as_bytes())
            .map_err(|source| io_error(&path, source))
    }

    fn check_complete(&self) -> Result<(), DataDirError> {
        for (path, is_there) in [
            (self.metadata(), is_filled as fn(&fs::Metadata) -> bool),
            (self.server_key(), is_filled),
            (self.objects(), fs::Metadata::is_dir),
        ] {
            match fs::metadata(&path) {
                Ok(found) if is_there(&found) => {}
                Ok(found) if found.is_file() && found.len() > 0 => {
                    return Err(not_a_directory(&path));
                }
                Ok(_) => return Err(DataDirError::Incomplete(path)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    return Err(DataDirError::Incomplete(path));
                }
                Err(source) => return Err(io_error(&path, source)),
            }
        }
        Ok(())
    }

    fn format(&self) -> PathBuf {
        self.path.join("format")
    }

    /// The database of the metadata store.
    pub fn metadata(&self) -> PathBuf {
        self.path.join("meta.db")
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
            .map_err(|source| io_error(&path, source))
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

fn is_filled(found: &fs::Metadata) -> bool {
    found.is_file() && found.len() > 0
}

fn not_a_directory(path: &Path) -> DataDirError {
    io_error(path, io::ErrorKind::NotADirectory.into())
}

fn io_error(path: &Path, source: io::Error) -> DataDirError {
    DataDirError::Io {
        path: path.to_owned(),
        source,
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
    fn a_used_directory_has_to_be_complete() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        fs::write(data.metadata(), "x").unwrap();
        fs::write(data.server_key(), "x").unwrap();
        data.set_used().unwrap();
        DataDir::open(dir.path()).unwrap();
        let incomplete = || match DataDir::open(dir.path()).unwrap_err() {
            DataDirError::Incomplete(path) => path,
            other => panic!("{other}"),
        };
        fs::write(data.metadata(), "").unwrap();
        assert_eq!(incomplete(), data.metadata());
        fs::remove_file(data.metadata()).unwrap();
        assert_eq!(incomplete(), data.metadata());
        fs::write(data.metadata(), "x").unwrap();
        fs::remove_dir(data.objects()).unwrap();
        assert_eq!(incomplete(), data.objects());
        assert!(!data.objects().exists(), "nothing is made in its place");
        fs::write(data.objects(), "in the way").unwrap();
        let in_the_way = DataDir::open(dir.path()).unwrap_err();
        assert!(
            matches!(&in_the_way, DataDirError::Io { path, source }
                if *path == data.objects() && source.kind() == io::ErrorKind::NotADirectory),
            "{in_the_way:?}"
        );
        fs::write(dir.path().join("format"), "mesa data 9\n").unwrap();
        let other = DataDir::open(dir.path()).unwrap_err();
        assert!(matches!(other, DataDirError::Format(_)));
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
