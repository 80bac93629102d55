//! Keys: tuples of components encoded so that byte order is tuple order.

use std::fmt;

use bytes::Bytes;

/// An encoded key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub Bytes);

impl Key {
    /// The shard: the first component's encoded bytes.
    pub fn shard(&self) -> &[u8] {
        let end = self.0.iter().position(|&b| b == 0).unwrap_or(self.0.len());
        &self.0[..end]
    }

    /// The first key that does not begin with this one; `None` when there is no such key.
    pub fn successor_of_prefix(&self) -> Option<Self> {
        let mut bytes = self.0.to_vec();
        while let Some(last) = bytes.last_mut() {
            if *last < 0xff {
                *last += 1;
                return Some(Self(bytes.into()));
            }
            bytes.pop();
        }
        None
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// Builds keys component by component.
///
/// Texts and byte strings are written with 0x00 escaped as `00 ff` and closed by `00 01`; numbers
/// are big-endian. Components of one position in a table always have one type.
#[derive(Debug, Clone)]
pub struct KeyBuf(Vec<u8>);

impl KeyBuf {
    /// A key in the shard of an org (its id text), or `g` for global rows.
    pub fn new(shard: &str) -> Self {
        Self(Vec::with_capacity(64)).bytes(shard.as_bytes())
    }

    /// Appends a byte string.
    #[must_use]
    pub fn bytes(mut self, component: &[u8]) -> Self {
        for &byte in component {
            self.0.push(byte);
            if byte == 0 {
                self.0.push(0xff);
            }
        }
        self.0.extend_from_slice(&[0, 1]);
        self
    }

    /// Appends a text.
    #[must_use]
    pub fn text(self, component: &str) -> Self {
        self.bytes(component.as_bytes())
    }

    /// Appends a number (8 bytes).
    #[must_use]
    pub fn u64(mut self, component: u64) -> Self {
        self.0.extend_from_slice(&component.to_be_bytes());
        self
    }

    /// Appends a byte string of a length fixed for this position (ids), unescaped.
    #[must_use]
    pub fn fixed(mut self, component: &[u8]) -> Self {
        self.0.extend_from_slice(component);
        self
    }
}

impl From<KeyBuf> for Key {
    fn from(buf: KeyBuf) -> Self {
        Self(buf.0.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_order_is_tuple_order() {
        let key = |a: &str, b: &[u8]| Key::from(KeyBuf::new(a).bytes(b));
        let mut keys = vec![
            key("a", b"b"),
            key("a", b""),
            key("a", b"a\0"),
            key("a", b"a"),
            key("ab", b""),
        ];
        keys.sort();
        let expected = vec![
            key("a", b""),
            key("a", b"a"),
            key("a", b"a\0"),
            key("a", b"b"),
            key("ab", b""),
        ];
        assert_eq!(keys, expected);
        assert_eq!(key("ab", b"x").shard(), b"ab");
    }

    #[test]
    fn prefix_end() {
        assert_eq!(
            Key(Bytes::from_static(b"a\xff")).successor_of_prefix(),
            Some(Key(Bytes::from_static(b"b")))
        );
        assert_eq!(Key(Bytes::from_static(b"\xff")).successor_of_prefix(), None);
    }
}
