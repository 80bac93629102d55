//! The store's files and the lock that keeps a second process out.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};

use super::{SqliteOptions, error::kind};
use crate::store::MetaErrorKind;

/// Bytes of WAL after which a checkpoint is tried, in pages of 4 KiB.
const CHECKPOINT_PAGES: i64 = 4000;
/// What a WAL file is cut to after a checkpoint, in bytes.
const WAL_BYTES_KEPT: i64 = 64 * 1024 * 1024;
/// Page cache of one connection, in KiB (negative: SQLite's convention for KiB).
const CACHE_KIB: i64 = -8192;

/// The database in its directory.
const DATABASE: &str = "meta.db";

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error("the data directory {} is in use by another server", .0.display())]
    InUse(PathBuf),
    /// Written by a version of Mesa with another format.
    #[error(
        "the metadata in {} has format {found}, this version of mesa knows format {known}",
        path.display()
    )]
    Format {
        /// The database file.
        path: PathBuf,
        /// The format found.
        found: i64,
        /// The format of this version.
        known: i64,
    },
    /// A database of another program.
    #[error("{} is not a metadata store of mesa", .0.display())]
    Foreign(PathBuf),
    /// The files cannot be used.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The database is damaged.
    #[error("the metadata database {} is damaged", path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
    /// SQLite refused for another reason.
    #[error("cannot open the metadata database {}", path.display())]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
    /// The writer thread did not start.
    #[error("cannot start the metadata writer thread")]
    Thread(#[source] io::Error),
}

/// An error of opening, before the file is named.
pub(super) enum Refused {
    Named(OpenError),
    Sqlite(rusqlite::Error),
}

impl From<OpenError> for Refused {
    fn from(error: OpenError) -> Self {
        Self::Named(error)
    }
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Refused {
    /// The error for this directory.
    pub(super) fn of(self, directory: &Path) -> OpenError {
        let path = directory.join(DATABASE);
        match self {
            Self::Named(error) => error,
            Self::Sqlite(source) if kind(&source) == MetaErrorKind::Corrupt => {
                OpenError::Damaged { path, source }
            }
            Self::Sqlite(source) => OpenError::Sqlite { path, source },
        }
    }
}

pub(super) struct Files {
    directory: PathBuf,
    database: PathBuf,
    lock: File,
}

impl Files {
    /// Takes the lock and makes sure that there is a database file, readable by its owner only
    /// (SQLite gives its other files the same mode).
    pub(super) fn prepare(directory: &Path) -> Result<Self, OpenError> {
        let lock_path = directory.join("meta.lock");
        let lock = create(&lock_path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(directory.to_owned())),
            Err(TryLockError::Error(source)) => {
                return Err(OpenError::Io {
                    path: lock_path,
                    source,
                });
            }
        }
        let database = directory.join(DATABASE);
        create(&database)?;
        Ok(Self {
            directory: directory.to_owned(),
            database,
            lock,
        })
    }

    pub(super) fn connect(&self, options: &SqliteOptions) -> Result<Connection, Refused> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match &options.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(&self.database, flags, vfs.as_str())?,
            None => Connection::open_with_flags(&self.database, flags)?,
        };
        connection.set_prepared_statement_cache_capacity(256);
        connection
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "cache_size", CACHE_KIB)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection
            .pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT, |_| Ok(()))?;
        Ok(connection)
    }

    /// Makes the names of the files durable.
    pub(super) fn sync_directory(&self) -> Result<(), OpenError> {
        File::open(&self.directory)
            .and_then(|d| d.sync_all())
            .map_err(|source| OpenError::Io {
                path: self.directory.clone(),
                source,
            })
    }

    /// The lock; held until the file is dropped.
    pub(super) fn into_lock(self) -> File {
        self.lock
    }
}

fn create(path: &Path) -> Result<File, OpenError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| OpenError::Io {
            path: path.to_owned(),
            source,
        })
}
