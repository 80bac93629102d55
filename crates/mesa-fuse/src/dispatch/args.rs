//! Reading a request's arguments.

use rustix::io::Errno;
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// The bytes after the header, taken from the front. The operation's own header may lie apart
/// from the rest; no single argument straddles the two.
pub(crate) struct Args<'a> {
    bytes: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Args<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, rest: &[] }
    }

    pub fn in_parts(operation: &'a [u8], payload: &'a [u8]) -> Self {
        Self {
            bytes: operation,
            rest: payload,
        }
    }

    /// Leaves out the last `len` bytes.
    pub fn without_last(mut self, len: usize) -> Self {
        let last = if self.rest.is_empty() {
            &mut self.bytes
        } else {
            &mut self.rest
        };
        *last = &last[..last.len().saturating_sub(len)];
        self
    }

    fn front(&mut self) -> &mut &'a [u8] {
        if self.bytes.is_empty() {
            self.bytes = std::mem::take(&mut self.rest);
        }
        &mut self.bytes
    }

    /// The next structure.
    pub fn take<T: FromBytes + KnownLayout + Immutable>(&mut self) -> Result<T, Errno> {
        let front = self.front();
        let (value, rest) = T::read_from_prefix(front).map_err(|_| Errno::INVAL)?;
        *front = rest;
        Ok(value)
    }

    /// The next bytes up to a NUL, which is dropped.
    pub fn name(&mut self) -> Result<&'a [u8], Errno> {
        let front = self.front();
        let end = front
            .iter()
            .position(|byte| *byte == 0)
            .ok_or(Errno::INVAL)?;
        let name = &front[..end];
        *front = &front[end + 1..];
        Ok(name)
    }

    /// Exactly the next `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], Errno> {
        let front = self.front();
        let (bytes, rest) = front.split_at_checked(len).ok_or(Errno::INVAL)?;
        *front = rest;
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
    fn an_operation_header_may_lie_apart() {
        let mut args =
            Args::in_parts(&[7, 0, 0, 0, 0, 0, 0, 0], b"name\0extension").without_last(9);
        assert_eq!(args.take::<LinkIn>().unwrap().oldnodeid, 7);
        assert_eq!(args.name().unwrap(), b"name");
        assert!(args.bytes(0).unwrap().is_empty());
        assert_eq!(args.name().unwrap_err(), Errno::INVAL);
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
