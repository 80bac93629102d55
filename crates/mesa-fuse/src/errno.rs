//! The one place that turns [`FsError`] into error numbers.

use mesa_vfs::fs::FsError;
use rustix::io::Errno;

/// The error number a caller sees for `error`.
pub fn errno(error: FsError) -> Errno {
    match error {
        FsError::NotFound => Errno::NOENT,
        FsError::Exists => Errno::EXIST,
        FsError::NotDir => Errno::NOTDIR,
        FsError::IsDir => Errno::ISDIR,
        FsError::NotEmpty => Errno::NOTEMPTY,
        FsError::Access => Errno::ACCESS,
        FsError::NotPermitted => Errno::PERM,
        FsError::ReadOnly => Errno::ROFS,
        FsError::Invalid => Errno::INVAL,
        FsError::NameTooLong => Errno::NAMETOOLONG,
        FsError::TooManyLinks => Errno::MLINK,
        FsError::CrossDevice => Errno::XDEV,
        FsError::NoSpace => Errno::NOSPC,
        FsError::TooBig => Errno::FBIG,
        FsError::NoXattr => Errno::NODATA,
        FsError::Range => Errno::RANGE,
        FsError::XattrTooBig => Errno::TOOBIG,
        FsError::NotSupported => Errno::OPNOTSUPP,
        FsError::NotImplemented => Errno::NOSYS,
        FsError::NoSuchExtent => Errno::NXIO,
        FsError::Io => Errno::IO,
        FsError::Stale => Errno::STALE,
        FsError::TimedOut => Errno::TIMEDOUT,
        FsError::Interrupted => Errno::INTR,
        FsError::BadHandle => Errno::BADF,
        FsError::Busy => Errno::BUSY,
    }
}

/// The closest [`FsError`] to a failed system call on a backing file.
pub(crate) fn from_errno(errno: Errno) -> FsError {
    match errno {
        Errno::NOSPC | Errno::DQUOT => FsError::NoSpace,
        Errno::FBIG => FsError::TooBig,
        Errno::INVAL => FsError::Invalid,
        Errno::BADF => FsError::BadHandle,
        _ => FsError::Io,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use mesa_vfs::fs::FsError;

    use super::errno;

    #[test]
    fn every_error_has_its_own_number_and_the_libc_message() {
        let mut seen = HashSet::new();
        for error in FsError::ALL {
            let number = errno(*error);
            assert!(
                seen.insert(number.raw_os_error()),
                "{error:?} shares {number}"
            );
            let libc = std::io::Error::from(number).to_string().to_lowercase();
            let ours = error.to_string();
            let agree = libc.starts_with(&ours)
                || matches!(
                    error,
                    FsError::NotSupported
                        | FsError::NoXattr
                        | FsError::Range
                        | FsError::TooBig
                        | FsError::TimedOut
                        | FsError::Interrupted
                        | FsError::CrossDevice
                        | FsError::Busy
                );
            assert!(agree, "{error:?}: ours {ours:?}, libc {libc:?}");
        }
    }
}
