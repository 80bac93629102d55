//! Attributes and entries as objects.

use std::time::{Duration, SystemTime};

use mesa_fs::{DirEntry, FileKind, Stat};
use napi_derive::napi;

/// Attributes of a path.
#[napi(object)]
pub struct FileStat {
    /// A regular file.
    pub is_file: bool,
    /// A directory.
    pub is_directory: bool,
    /// A symbolic link.
    pub is_symbolic_link: bool,
    /// Kind and permission bits.
    pub mode: u32,
    /// Bytes.
    pub size: f64,
    /// Last change of content in milliseconds since 1970.
    pub mtime: f64,
    /// Last access likewise.
    pub atime: f64,
    /// Last change likewise.
    pub ctime: f64,
    /// File id, in decimal: it does not fit a number.
    pub ino: String,
    /// Names.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Units of 512 bytes.
    pub blocks: f64,
}

impl From<Stat> for FileStat {
    fn from(stat: Stat) -> Self {
        Self {
            is_file: stat.is_file(),
            is_directory: stat.is_dir(),
            is_symbolic_link: stat.is_symlink(),
            mode: stat.st_mode(),
            size: stat.size as f64,
            mtime: millis(stat.modified),
            atime: millis(stat.accessed),
            ctime: millis(stat.changed),
            ino: stat.ino.to_string(),
            nlink: stat.nlink,
            uid: stat.uid,
            gid: stat.gid,
            blocks: stat.blocks as f64,
        }
    }
}

/// An entry of a directory.
#[napi(object)]
pub struct Dirent {
    /// Its name.
    pub name: String,
    /// A regular file.
    pub is_file: bool,
    /// A directory.
    pub is_directory: bool,
    /// A symbolic link.
    pub is_symbolic_link: bool,
}

impl From<DirEntry> for Dirent {
    fn from(entry: DirEntry) -> Self {
        Self {
            name: entry.name.to_string_lossy().into_owned(),
            is_file: entry.kind == FileKind::File,
            is_directory: entry.kind == FileKind::Dir,
            is_symbolic_link: entry.kind == FileKind::Symlink,
        }
    }
}

/// Milliseconds since 1970.
pub fn millis(time: SystemTime) -> f64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64() * 1000.0,
        Err(before) => -before.duration().as_secs_f64() * 1000.0,
    }
}

/// The time so many milliseconds after 1970; `None` for what is no time.
pub fn time(millis: f64) -> Option<SystemTime> {
    let distance = Duration::try_from_secs_f64(millis.abs() / 1000.0).ok()?;
    if millis < 0.0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}
