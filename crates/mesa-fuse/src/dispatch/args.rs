//! Reading a request's arguments.

use rustix::io::Errno;
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// The bytes after the header, taken from the front.
pub(super) struct Args<'a>(&'a [u8]);

impl<'a> Args<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next structure.
    pub fn take<T: FromBytes + KnownLayout + Immutable>(&mut self) -> Result<T, Errno> {
        let (value, rest) = T::read_from_prefix(self.0).map_err(|_| Errno::INVAL)?;
        self.0 = rest;
        Ok(value)
    }

    /// The next bytes up to a NUL, which is dropped.
    pub fn name(&mut self) -> Result<&'a [u8], Errno> {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .ok_or(Errno::INVAL)?;
        let name = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Ok(name)
    }

    /// Exactly the next `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], Errno> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Errno::INVAL)?;
        self.0 = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::Args;
    use crate::wire::request::{LinkIn, MkdirIn};

    #[test]
    fn short_and_unterminated_requests_are_refused() {
        assert_eq!(
            Args::new(&[0; 7]).take::<LinkIn>().unwrap_err(),
            Errno::INVAL
        );
        assert_eq!(Args::new(b"abc").name().unwrap_err(), Errno::INVAL);
        assert_eq!(Args::new(b"abc").bytes(4).unwrap_err(), Errno::INVAL);
    }

    #[test]
    fn arguments_follow_each_other() {
        let mut args = Args::new(b"\xed\x01\x00\x00\x12\x00\x00\x00dir\0to\0xyz");
        let MkdirIn { mode, umask } = args.take().unwrap();
        assert_eq!((mode, umask), (0o755, 0o22));
        assert_eq!(args.name().unwrap(), b"dir");
        assert_eq!(args.name().unwrap(), b"to");
        assert_eq!(args.bytes(3).unwrap(), b"xyz");
    }
}
