//! What a filesystem entry is and the attributes it carries.

use crate::{ContentRef, FileId, Nanos};

/// The type of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum NodeKind {
    /// A regular file.
    File = 1,
    /// A directory.
    Dir = 2,
    /// A symbolic link.
    Symlink = 3,
    /// A named pipe.
    Fifo = 4,
    /// A unix socket.
    Socket = 5,
    /// A git submodule entry that arrived by push; shown as an empty directory.
    Gitlink = 6,
}

impl NodeKind {
    /// Decodes the stored byte.
    pub fn from_u8(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::File,
            2 => Self::Dir,
            3 => Self::Symlink,
            4 => Self::Fifo,
            5 => Self::Socket,
            6 => Self::Gitlink,
            _ => return None,
        })
    }

    /// The file type bits of `st_mode`.
    pub fn type_bits(self) -> u32 {
        match self {
            Self::File => 0o100_000,
            Self::Dir | Self::Gitlink => 0o040_000,
            Self::Symlink => 0o120_000,
            Self::Fifo => 0o010_000,
            Self::Socket => 0o140_000,
        }
    }
}

/// A stored user or group id.
///
/// Entries owned by the identity that mounted are stored as [`Owner::Mounter`] (`self` in the
/// documents) and shown as the mounting identity of whoever reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The mounting identity of the reader.
    Mounter,
    /// A fixed numeric id.
    Id(u32),
}

impl Owner {
    /// The id as seen by a mount whose identity is `mounter`.
    pub fn resolve(self, mounter: u32) -> u32 {
        match self {
            Self::Mounter => mounter,
            Self::Id(id) => id,
        }
    }

    /// The stored form of `id` as seen by a mount whose identity is `mounter`.
    pub fn store(id: u32, mounter: u32) -> Self {
        if id == mounter {
            Self::Mounter
        } else {
            Self::Id(id)
        }
    }
}

/// The attributes of a node as stored and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attr {
    /// Identity; shared by hard links.
    pub id: FileId,
    /// Type.
    pub kind: NodeKind,
    /// Permission bits including setuid, setgid and sticky (`0o7777`).
    pub mode: u16,
    /// Owning user.
    pub uid: Owner,
    /// Owning group.
    pub gid: Owner,
    /// Number of directory entries naming this node; for directories 2 + subdirectories is
    /// computed by the client and this is 1.
    pub nlink: u32,
    /// Last modification of the content.
    pub mtime: Nanos,
    /// Last change of the attributes.
    pub ctime: Nanos,
    /// Content of a file or target of a symlink; [`ContentRef::Empty`] for every other kind.
    pub content: ContentRef,
}
