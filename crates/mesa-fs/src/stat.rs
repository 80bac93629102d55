//! Attributes and directory entries as callers see them.

use std::{ffi::OsString, time::SystemTime};

use mesa_types::NodeKind;
use mesa_vfs::fs::FileAttr;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A named pipe; it is kept, and cannot be opened here.
    Fifo,
    /// A unix socket; as a named pipe.
    Socket,
}

impl From<NodeKind> for FileKind {
    fn from(kind: NodeKind) -> Self {
        match kind {
            NodeKind::File => Self::File,
            NodeKind::Dir | NodeKind::Gitlink => Self::Dir,
            NodeKind::Symlink => Self::Symlink,
            NodeKind::Fifo => Self::Fifo,
            NodeKind::Socket => Self::Socket,
        }
    }
}

impl FileKind {
    /// Its bits in `st_mode`.
    pub fn type_bits(self) -> u32 {
        match self {
            Self::File => NodeKind::File,
            Self::Dir => NodeKind::Dir,
            Self::Symlink => NodeKind::Symlink,
            Self::Fifo => NodeKind::Fifo,
            Self::Socket => NodeKind::Socket,
        }
        .type_bits()
    }
}

/// Attributes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// The same for all names of a file, on every machine.
    pub ino: u64,
    /// What it is.
    pub kind: FileKind,
    /// Permission bits, `0o7777`.
    pub mode: u32,
    /// Names it has.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Units of 512 bytes.
    pub blocks: u64,
    /// Last access; the last change of content unless somebody set it.
    pub accessed: SystemTime,
    /// Last change of content.
    pub modified: SystemTime,
    /// Last change of content or attributes.
    pub changed: SystemTime,
}

impl Stat {
    pub(crate) fn of(attr: &FileAttr) -> Self {
        Self {
            ino: attr.ino,
            kind: attr.kind.into(),
            mode: u32::from(attr.mode),
            nlink: attr.nlink,
            uid: attr.uid,
            gid: attr.gid,
            size: attr.size,
            blocks: attr.blocks,
            accessed: attr.atime,
            modified: attr.mtime,
            changed: attr.ctime,
        }
    }

    /// Kind and permission bits as in `st_mode`.
    pub fn st_mode(&self) -> u32 {
        self.kind.type_bits() | self.mode
    }

    /// A regular file.
    pub fn is_file(&self) -> bool {
        self.kind == FileKind::File
    }

    /// A directory.
    pub fn is_dir(&self) -> bool {
        self.kind == FileKind::Dir
    }

    /// A symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.kind == FileKind::Symlink
    }
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name.
    pub name: OsString,
    /// What it is.
    pub kind: FileKind,
    /// See [`Stat::ino`].
    pub ino: u64,
}
