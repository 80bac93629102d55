//! The interface between the client core and whatever presents it (FUSE daemon, SDK bindings).

use std::{future::Future, os::fd::OwnedFd, pin::Pin, sync::Arc, time::SystemTime};

use bytes::Bytes;
use mesa_types::NodeKind;

/// Names a node within one mounted filesystem. 1 is the mount's root. Repo nodes use their file
/// id; a node whose content changed remotely while it was open gets another number under the same
/// [`FileAttr::ino`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The mount's root directory.
    pub const ROOT: Self = Self(1);
}

/// An open file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle(pub u64);

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Numeric user.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Process (thread) id in the daemon's pid namespace; 0 = unknown.
    pub pid: u32,
    /// File creation mask of the caller.
    pub umask: u32,
}

/// Why an operation failed. One variant per errno a caller can meet; the mapping to numbers is
/// the presenter's (`mesa-fuse` has the table).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[allow(missing_docs)]
pub enum FsError {
    #[error("no such file or directory")]
    NotFound,
    #[error("file exists")]
    Exists,
    #[error("not a directory")]
    NotDir,
    #[error("is a directory")]
    IsDir,
    #[error("directory not empty")]
    NotEmpty,
    #[error("permission denied")]
    Access,
    #[error("operation not permitted")]
    NotPermitted,
    #[error("read-only file system")]
    ReadOnly,
    #[error("invalid argument")]
    Invalid,
    #[error("file name too long")]
    NameTooLong,
    #[error("too many links")]
    TooManyLinks,
    #[error("cross-device link")]
    CrossDevice,
    #[error("no space left on device")]
    NoSpace,
    #[error("file too large")]
    TooBig,
    #[error("no such attribute")]
    NoXattr,
    #[error("result buffer too small")]
    Range,
    #[error("argument list too long")]
    XattrTooBig,
    #[error("not supported")]
    NotSupported,
    #[error("function not implemented")]
    NotImplemented,
    #[error("no such device or address")]
    NoSuchExtent,
    #[error("input/output error")]
    Io,
    #[error("stale file handle")]
    Stale,
    #[error("timed out")]
    TimedOut,
    #[error("interrupted")]
    Interrupted,
    #[error("bad file descriptor")]
    BadHandle,
    #[error("resource busy")]
    Busy,
}

impl FsError {
    /// Every error, for tests of tables made from it.
    pub const ALL: &[Self] = &[
        Self::NotFound,
        Self::Exists,
        Self::NotDir,
        Self::IsDir,
        Self::NotEmpty,
        Self::Access,
        Self::NotPermitted,
        Self::ReadOnly,
        Self::Invalid,
        Self::NameTooLong,
        Self::TooManyLinks,
        Self::CrossDevice,
        Self::NoSpace,
        Self::TooBig,
        Self::NoXattr,
        Self::Range,
        Self::XattrTooBig,
        Self::NotSupported,
        Self::NotImplemented,
        Self::NoSuchExtent,
        Self::Io,
        Self::Stale,
        Self::TimedOut,
        Self::Interrupted,
        Self::BadHandle,
        Self::Busy,
    ];
}

/// Result of a filesystem operation.
pub type FsResult<T> = Result<T, FsError>;

/// An operation either finished from memory, or goes on in a future. The future has its own
/// deadline ([`FsError::TimedOut`] is already mapped to [`FsError::Io`] by the core where the
/// semantics say so); dropping it abandons the wait, never an operation already journalled.
pub enum Step<T> {
    /// Answer now.
    Done(FsResult<T>),
    /// Await this off the dispatch thread.
    Later(Pin<Box<dyn Future<Output = FsResult<T>> + Send>>),
}

impl<T> From<FsResult<T>> for Step<T> {
    fn from(result: FsResult<T>) -> Self {
        Self::Done(result)
    }
}

/// Attributes as `stat` shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct FileAttr {
    pub ino: u64,
    pub kind: NodeKind,
    /// Permission bits, `0o7777`.
    pub mode: u16,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// 512-byte units.
    pub blocks: u64,
    pub atime: SystemTime,
    pub mtime: SystemTime,
    pub ctime: SystemTime,
}

/// A node found or made. Every [`Entry`] given to the kernel counts as one lookup, undone by
/// [`Filesystem::forget`].
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Entry {
    pub node: NodeId,
    pub attr: FileAttr,
}

/// What `lookup` found. `Absent` may be cached by the kernel until an
/// [`Notice::Entry`] names it.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub enum Found {
    Entry(Entry),
    Absent,
}

/// Attributes to change; `None` = keep.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs)]
pub struct AttrChange {
    pub mode: Option<u16>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size: Option<u64>,
    pub atime: Option<TimeOrNow>,
    pub mtime: Option<TimeOrNow>,
    pub ctime: Option<SystemTime>,
    /// Clear setuid/setgid as a write by an unprivileged caller does.
    pub kill_suid_gid: bool,
}

/// A time given by the caller, or the present.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub enum TimeOrNow {
    Time(SystemTime),
    Now,
}

/// How to open.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs)]
pub struct OpenFlags {
    pub read: bool,
    pub write: bool,
    pub append: bool,
    pub truncate: bool,
    pub exclusive: bool,
    pub direct: bool,
    pub sync: bool,
}

/// A local file behind an open node. All opens of a node that overlap in time share one
/// `Backing` (pointer-equal), as kernel passthrough demands.
#[derive(Debug)]
pub struct Backing {
    /// Open for reading and writing (reading only for clean cached content).
    pub file: OwnedFd,
}

/// How the data of an open file is to be served.
#[derive(Debug, Clone)]
pub enum OpenMode {
    /// The local file has everything: hand it to the kernel if it can (passthrough), else serve
    /// `read`/`write` through [`Filesystem`].
    Local(Arc<Backing>),
    /// Serve `read`/`write` through [`Filesystem`]; the page cache may be kept when `keep_cache`.
    Served {
        /// Content is unchanged since the kernel last cached it.
        keep_cache: bool,
    },
}

/// An opened file.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Opened {
    pub handle: Handle,
    pub mode: OpenMode,
}

/// One directory entry of a listing.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct DirEntry {
    pub name: Bytes,
    pub ino: u64,
    pub kind: NodeKind,
    /// Position to continue after this entry.
    pub next: u64,
    /// Present when asked for with `plus`; counts as a lookup if the presenter keeps it (it calls
    /// [`Filesystem::forget`] for entries it could not hand out). `.` and `..` have none.
    pub entry: Option<Entry>,
}

/// Sizes of the filesystem that holds the local state.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs)]
pub struct StatFs {
    pub blocks: u64,
    pub blocks_free: u64,
    pub blocks_available: u64,
    pub files: u64,
    pub files_free: u64,
    pub block_size: u32,
    pub name_max: u32,
}

/// Whence of `lseek`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SeekKind {
    Data,
    Hole,
}

/// Flags of `rename`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct RenameFlags {
    pub no_replace: bool,
    pub exchange: bool,
}

/// Something that changed without the presenter asking: its caches must forget it. Sent from the
/// core over an unbounded-consumer channel that the presenter drains on a thread of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The entry `name` of `parent` changed or appeared.
    Entry {
        /// Directory.
        parent: NodeId,
        /// Raw name.
        name: Bytes,
    },
    /// The entry was removed; `child` was the node.
    Deleted {
        /// Directory.
        parent: NodeId,
        /// The removed node.
        child: NodeId,
        /// Raw name.
        name: Bytes,
    },
    /// Nobody may be using the node, which is called so: it is to be let go of then
    /// ([`Filesystem::forget`]), or said to be not known ([`Filesystem::unknown`]).
    Unused {
        /// Directory.
        parent: NodeId,
        /// The node.
        child: NodeId,
        /// Raw name.
        name: Bytes,
    },
    /// Attributes (and content when `data`) changed.
    Node {
        /// The node.
        node: NodeId,
        /// Cached pages are stale too.
        data: bool,
    },
}

/// A mounted filesystem. All methods are called from dispatch threads and must not block: they
/// answer from memory or return [`Step::Later`].
///
/// Permission checks against mode bits are done here (the kernel is mounted without
/// `default_permissions`), except exec permission, which the kernel checks.
#[allow(missing_docs)]
pub trait Filesystem: Send + Sync + 'static {
    fn lookup(&self, caller: Caller, parent: NodeId, name: &[u8]) -> Step<Found>;
    /// The kernel dropped `count` lookups of `node`.
    fn forget(&self, node: NodeId, count: u64);
    /// The presenter does not know the node of a [`Notice::Unused`].
    fn unknown(&self, _node: NodeId) {}
    /// The presenter was asked to meet a file anew, whose content changed, and may know it still: it
    /// needs another number.
    fn unforgotten(&self, _node: NodeId) {}
    fn getattr(&self, caller: Caller, node: NodeId, handle: Option<Handle>) -> Step<FileAttr>;
    fn setattr(
        &self,
        caller: Caller,
        node: NodeId,
        handle: Option<Handle>,
        change: AttrChange,
    ) -> Step<FileAttr>;
    /// access(2); `mask` is the `R_OK|W_OK|X_OK` bits.
    fn access(&self, caller: Caller, node: NodeId, mask: u32) -> Step<()>;
    fn readlink(&self, caller: Caller, node: NodeId) -> Step<Bytes>;

    fn create(
        &self,
        caller: Caller,
        parent: NodeId,
        name: &[u8],
        mode: u32,
        flags: OpenFlags,
    ) -> Step<(Entry, Opened)>;
    /// A regular file (without opening it), fifo or socket. Device nodes are refused.
    fn mknod(
        &self,
        caller: Caller,
        parent: NodeId,
        name: &[u8],
        kind: NodeKind,
        mode: u32,
    ) -> Step<Entry>;
    fn mkdir(&self, caller: Caller, parent: NodeId, name: &[u8], mode: u32) -> Step<Entry>;
    fn symlink(&self, caller: Caller, parent: NodeId, name: &[u8], target: &[u8]) -> Step<Entry>;
    fn link(&self, caller: Caller, node: NodeId, parent: NodeId, name: &[u8]) -> Step<Entry>;
    fn unlink(&self, caller: Caller, parent: NodeId, name: &[u8]) -> Step<()>;
    fn rmdir(&self, caller: Caller, parent: NodeId, name: &[u8]) -> Step<()>;
    fn rename(
        &self,
        caller: Caller,
        parent: NodeId,
        name: &[u8],
        new_parent: NodeId,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Step<()>;
    /// An unnamed file (`O_TMPFILE`), later linked in by [`Filesystem::link`] or dropped.
    fn tmpfile(
        &self,
        caller: Caller,
        parent: NodeId,
        mode: u32,
        flags: OpenFlags,
    ) -> Step<(Entry, Opened)>;

    fn open(&self, caller: Caller, node: NodeId, flags: OpenFlags) -> Step<Opened>;
    fn read(&self, node: NodeId, handle: Handle, offset: u64, size: u32) -> Step<Bytes>;
    /// Returns the number of bytes written (all of them, or an error).
    fn write(&self, node: NodeId, handle: Handle, offset: u64, data: &[u8]) -> Step<u32>;
    /// close(2) of one descriptor (classes `close` and `write` wait here).
    fn flush(&self, node: NodeId, handle: Handle) -> Step<()>;
    /// The last descriptor of `handle` is gone. After a takeover `handle` may be one that a
    /// former process of the daemon gave out.
    fn release(&self, node: NodeId, handle: Handle);
    fn fsync(&self, node: NodeId, handle: Handle, data_only: bool) -> Step<()>;
    fn fallocate(
        &self,
        node: NodeId,
        handle: Handle,
        mode: i32,
        offset: u64,
        length: u64,
    ) -> Step<()>;
    fn seek(&self, node: NodeId, handle: Handle, offset: u64, kind: SeekKind) -> Step<u64>;
    #[allow(clippy::too_many_arguments)]
    fn copy_file_range(
        &self,
        from: (NodeId, Handle),
        from_offset: u64,
        to: (NodeId, Handle),
        to_offset: u64,
        length: u64,
    ) -> Step<u64>;

    fn opendir(&self, caller: Caller, node: NodeId) -> Step<Handle>;
    /// Entries after position `from` (0 = start), at least one if any is left, about as many as
    /// fit `bytes`. The listing is the one at `opendir` (or at `from == 0`).
    fn readdir(
        &self,
        caller: Caller,
        node: NodeId,
        handle: Handle,
        from: u64,
        bytes: usize,
        plus: bool,
    ) -> Step<Vec<DirEntry>>;
    fn releasedir(&self, node: NodeId, handle: Handle);
    fn fsyncdir(&self, node: NodeId, handle: Handle) -> Step<()>;

    fn getxattr(&self, caller: Caller, node: NodeId, name: &[u8]) -> Step<Bytes>;
    /// `flags`: 0, `XATTR_CREATE` or `XATTR_REPLACE`.
    fn setxattr(
        &self,
        caller: Caller,
        node: NodeId,
        name: &[u8],
        value: &[u8],
        flags: u32,
    ) -> Step<()>;
    /// Names, each followed by a NUL.
    fn listxattr(&self, caller: Caller, node: NodeId) -> Step<Bytes>;
    fn removexattr(&self, caller: Caller, node: NodeId, name: &[u8]) -> Step<()>;

    fn statfs(&self, node: NodeId) -> Step<StatFs>;
}
