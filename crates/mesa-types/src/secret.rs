//! Credentials as values that do not show themselves.

use std::{fmt, sync::Arc};

use zeroize::Zeroizing;

/// A key or token. Its text is wiped on drop and never shown by `Debug`.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes the text, without surrounding white space.
    pub fn new(text: &str) -> Self {
        Self(Arc::new(Zeroizing::new(text.trim().to_owned())))
    }

    /// The text itself, for the wire and the secret store only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a server could accept this at all: not empty, visible ASCII only.
    pub fn is_plausible(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|b| b.is_ascii_graphic())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plausible() {
        assert!(Secret::new("mesa_x").is_plausible());
        assert!(!Secret::new(" ").is_plausible());
        assert!(!Secret::new("a b").is_plausible());
        assert!(!Secret::new("a\r\nX: y").is_plausible());
    }

    #[test]
    fn debug_hides_the_text() {
        assert_eq!(format!("{:?}", Secret::new("mesa_secret")), "Secret(..)");
    }
}
