//! Why the tree refuses an operation.

/// A refused operation. It had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The directory, node or name does not exist.
    #[error("no such file or directory")]
    NotFound,
    /// The name exists.
    #[error("the name exists")]
    Exists,
    /// The parent is not a directory, or a directory is wanted.
    #[error("not a directory")]
    NotDir,
    /// Something other than a directory is wanted.
    #[error("is a directory")]
    IsDir,
    /// The directory has entries.
    #[error("directory not empty")]
    NotEmpty,
    /// A directory into itself, or the root.
    #[error("invalid move")]
    Invalid,
    /// The name stands for another node than the client saw: read the events, then try again.
    #[error("the name stands for another node meanwhile")]
    Stale,
    /// Directories cannot have several names.
    #[error("a directory cannot be linked")]
    NotPermitted,
    /// Too many names for one node.
    #[error("too many links")]
    TooManyLinks,
    /// The path would be longer than allowed.
    #[error("the path is too long")]
    NameTooLong,
    /// There is no such extended attribute.
    #[error("no such attribute")]
    NoXattr,
    /// All extended attributes together would be larger than allowed.
    #[error("too many attributes")]
    XattrsTooBig,
    /// The file id was used before, or is not the session's.
    #[error("the file id is not free")]
    IdTaken,
}

impl Refusal {
    /// The stable code on the wire: an errno name.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotFound => "ENOENT",
            Self::Exists => "EEXIST",
            Self::NotDir => "ENOTDIR",
            Self::IsDir => "EISDIR",
            Self::NotEmpty => "ENOTEMPTY",
            Self::Invalid => "EINVAL",
            Self::Stale => "ESTALE",
            Self::NotPermitted => "EPERM",
            Self::TooManyLinks => "EMLINK",
            Self::NameTooLong => "ENAMETOOLONG",
            Self::NoXattr => "ENODATA",
            Self::XattrsTooBig => "ENOSPC",
            Self::IdTaken => "EBADSLT",
        }
    }
}
