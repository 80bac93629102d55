//! Failed calls, and the one table of their names and numbers.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use mesa_client::{RestError, RestErrorKind, SyncError, SyncErrorKind};
use mesa_vfs::fs::FsError;
use rustix::io::Errno;

/// Result of a filesystem call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The same call may succeed later.
    Transient,
    /// The call does not fit what is there, or is not allowed.
    BadInput,
    /// The machine or the server failed.
    Fatal,
}

macro_rules! codes {
    ($($name:ident = $text:literal, $errno:ident, $class:ident, $message:literal;)*) => {
        /// Why a call failed, as POSIX names it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[allow(missing_docs)]
        pub enum Code { $($name,)* }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name, e.g. `ENOENT`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Its number on Linux, above zero.
            pub fn errno(self) -> i32 {
                match self { $(Self::$name => Errno::$errno,)* }.raw_os_error()
            }

            /// What to do about it.
            pub const fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)* }
            }

            /// What it says, in libuv's words.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }
        }
    };
}

codes! {
    NotFound = "ENOENT", NOENT, BadInput, "no such file or directory";
    Exists = "EEXIST", EXIST, BadInput, "file already exists";
    NotDir = "ENOTDIR", NOTDIR, BadInput, "not a directory";
    IsDir = "EISDIR", ISDIR, BadInput, "illegal operation on a directory";
    NotEmpty = "ENOTEMPTY", NOTEMPTY, BadInput, "directory not empty";
    Access = "EACCES", ACCESS, BadInput, "permission denied";
    NotPermitted = "EPERM", PERM, BadInput, "operation not permitted";
    ReadOnly = "EROFS", ROFS, BadInput, "read-only file system";
    Invalid = "EINVAL", INVAL, BadInput, "invalid argument";
    NameTooLong = "ENAMETOOLONG", NAMETOOLONG, BadInput, "name too long";
    TooManyLinks = "EMLINK", MLINK, BadInput, "too many links";
    CrossDevice = "EXDEV", XDEV, BadInput, "cross-device link not permitted";
    NoSpace = "ENOSPC", NOSPC, Fatal, "no space left on device";
    TooBig = "EFBIG", FBIG, BadInput, "file too large";
    NoXattr = "ENODATA", NODATA, BadInput, "no data available";
    Range = "ERANGE", RANGE, BadInput, "result too large";
    XattrTooBig = "E2BIG", TOOBIG, BadInput, "argument list too long";
    NotSupported = "ENOTSUP", OPNOTSUPP, BadInput, "operation not supported";
    NotImplemented = "ENOSYS", NOSYS, BadInput, "function not implemented";
    NoSuchExtent = "ENXIO", NXIO, BadInput, "no such device or address";
    Io = "EIO", IO, Fatal, "i/o error";
    Stale = "ESTALE", STALE, Transient, "stale file handle";
    TimedOut = "ETIMEDOUT", TIMEDOUT, Transient, "operation timed out";
    Interrupted = "EINTR", INTR, Transient, "interrupted system call";
    BadHandle = "EBADF", BADF, BadInput, "bad file descriptor";
    Busy = "EBUSY", BUSY, Transient, "resource busy or locked";
    Loop = "ELOOP", LOOP, BadInput, "too many symbolic links encountered";
    Unreachable = "EHOSTUNREACH", HOSTUNREACH, Transient, "host is unreachable";
    Again = "EAGAIN", AGAIN, Transient, "resource temporarily unavailable";
}

impl From<FsError> for Code {
    fn from(error: FsError) -> Self {
        match error {
            FsError::NotFound => Self::NotFound,
            FsError::Exists => Self::Exists,
            FsError::NotDir => Self::NotDir,
            FsError::IsDir => Self::IsDir,
            FsError::NotEmpty => Self::NotEmpty,
            FsError::Access => Self::Access,
            FsError::NotPermitted => Self::NotPermitted,
            FsError::ReadOnly => Self::ReadOnly,
            FsError::Invalid => Self::Invalid,
            FsError::NameTooLong => Self::NameTooLong,
            FsError::TooManyLinks => Self::TooManyLinks,
            FsError::CrossDevice => Self::CrossDevice,
            FsError::NoSpace => Self::NoSpace,
            FsError::TooBig => Self::TooBig,
            FsError::NoXattr => Self::NoXattr,
            FsError::Range => Self::Range,
            FsError::XattrTooBig => Self::XattrTooBig,
            FsError::NotSupported => Self::NotSupported,
            FsError::NotImplemented => Self::NotImplemented,
            FsError::NoSuchExtent => Self::NoSuchExtent,
            FsError::Io => Self::Io,
            FsError::Stale => Self::Stale,
            FsError::TimedOut => Self::TimedOut,
            FsError::Interrupted => Self::Interrupted,
            FsError::BadHandle => Self::BadHandle,
            FsError::Busy => Self::Busy,
        }
    }
}

impl From<SyncErrorKind> for Code {
    fn from(kind: SyncErrorKind) -> Self {
        match kind {
            SyncErrorKind::Unreachable => Self::Unreachable,
            SyncErrorKind::TimedOut => Self::TimedOut,
            SyncErrorKind::Unauthenticated | SyncErrorKind::Forbidden => Self::Access,
            SyncErrorKind::NotFound => Self::NotFound,
            SyncErrorKind::Conflict => Self::Busy,
            SyncErrorKind::Limited => Self::Again,
            SyncErrorKind::Invalid => Self::Invalid,
            _ => Self::Io,
        }
    }
}

impl From<RestErrorKind> for Code {
    fn from(kind: RestErrorKind) -> Self {
        match kind {
            RestErrorKind::Unreachable => Self::Unreachable,
            RestErrorKind::Unauthenticated | RestErrorKind::Forbidden => Self::Access,
            RestErrorKind::NotFound => Self::NotFound,
            RestErrorKind::Conflict => Self::Busy,
            RestErrorKind::Limited => Self::Again,
            RestErrorKind::Invalid => Self::Invalid,
            _ => Self::Io,
        }
    }
}

/// A failed call. Its text is Node's: `ENOENT: no such file or directory, open '/acme/demo/x'`.
#[derive(Debug, Clone)]
pub struct Error(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    code: Code,
    syscall: &'static str,
    path: Option<PathBuf>,
    dest: Option<PathBuf>,
    /// Says more than the code.
    message: Option<String>,
    server_code: Option<String>,
}

impl Error {
    pub(crate) fn new(code: Code, syscall: &'static str) -> Self {
        Self(Arc::new(Inner {
            code,
            syscall,
            path: None,
            dest: None,
            message: None,
            server_code: None,
        }))
    }

    fn with(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::try_unwrap(self.0).unwrap_or_else(|shared| Inner {
            code: shared.code,
            syscall: shared.syscall,
            path: shared.path.clone(),
            dest: shared.dest.clone(),
            message: shared.message.clone(),
            server_code: shared.server_code.clone(),
        });
        change(&mut inner);
        Self(Arc::new(inner))
    }

    pub(crate) fn at(self, path: &Path) -> Self {
        self.with(|inner| inner.path = Some(path.to_owned()))
    }

    pub(crate) fn to(self, dest: &Path) -> Self {
        self.with(|inner| inner.dest = Some(dest.to_owned()))
    }

    pub(crate) fn saying(self, message: impl Into<String>) -> Self {
        self.with(|inner| inner.message = Some(message.into()))
    }

    pub(crate) fn coded(self, server_code: &str) -> Self {
        self.with(|inner| inner.server_code = Some(server_code.to_owned()))
    }

    pub(crate) fn of_sync(error: &SyncError, syscall: &'static str) -> Self {
        let code = server_code(&error.code, error.kind == SyncErrorKind::Unreachable);
        Self::new(error.kind.into(), syscall)
            .saying(&error.message)
            .coded(code)
    }

    pub(crate) fn of_rest(error: &RestError, syscall: &'static str) -> Self {
        let code = server_code(&error.code, error.kind == RestErrorKind::Unreachable);
        Self::new(error.kind.into(), syscall)
            .saying(&error.message)
            .coded(code)
    }

    /// What went wrong.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The code's name, e.g. `ENOENT`.
    pub fn name(&self) -> &'static str {
        self.0.code.name()
    }

    /// The code's number on Linux, above zero.
    pub fn errno(&self) -> i32 {
        self.0.code.errno()
    }

    /// What a caller can do about it.
    pub fn class(&self) -> Class {
        self.0.code.class()
    }

    /// The call that failed, in Node's words: `open`, `scandir`, `mkdir`.
    pub fn syscall(&self) -> &'static str {
        self.0.syscall
    }

    /// What it was called with.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The other path, of calls that have two.
    pub fn dest(&self) -> Option<&Path> {
        self.0.dest.as_deref()
    }

    /// What happened, without the code and the paths.
    pub fn message(&self) -> &str {
        self.0
            .message
            .as_deref()
            .unwrap_or_else(|| self.0.code.message())
    }

    /// The server's stable code, e.g. `KEY_EXPIRED`, where a server's answer is the reason;
    /// `UNREACHABLE` if none answered.
    pub fn server_code(&self) -> Option<&str> {
        self.0.server_code.as_deref()
    }
}

fn server_code(code: &str, unreachable: bool) -> &str {
    match code {
        "" if unreachable => "UNREACHABLE",
        "" => "UNKNOWN",
        code => code,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, {}", self.name(), self.message(), self.syscall())?;
        if let Some(path) = self.path() {
            write!(f, " '{}'", path.display())?;
        }
        if let Some(dest) = self.dest() {
            write!(f, " -> '{}'", dest.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_has_its_own_name_and_number() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        let numbers: HashSet<_> = Code::ALL.iter().map(|code| code.errno()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert_eq!(numbers.len(), Code::ALL.len());
        assert!(numbers.iter().all(|number| *number > 0));
    }

    #[test]
    fn every_error_of_the_core_has_its_own_code() {
        let codes: HashSet<_> = FsError::ALL
            .iter()
            .map(|error| Code::from(*error))
            .collect();
        assert_eq!(codes.len(), FsError::ALL.len());
    }

    #[test]
    fn the_text_is_nodes() {
        let error = Error::new(Code::NotFound, "open").at(Path::new("/acme/demo/x"));
        assert_eq!(
            error.to_string(),
            "ENOENT: no such file or directory, open '/acme/demo/x'"
        );
        let error = Error::new(Code::CrossDevice, "rename")
            .at(Path::new("/a"))
            .to(Path::new("/b"));
        assert_eq!(
            error.to_string(),
            "EXDEV: cross-device link not permitted, rename '/a' -> '/b'"
        );
    }
}
