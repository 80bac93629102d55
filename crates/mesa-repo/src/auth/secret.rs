//! The text of an API key.

use std::fmt;

use mesa_types::Random;
use zeroize::Zeroizing;

use super::error::AuthError;

/// An API key's text. Debug shows nothing of it; it is wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// What every API key begins with.
    pub const PREFIX: &str = "mesa_";

    /// Letters and digits after the prefix of a generated key: 262 bits.
    const RANDOM_LEN: usize = 44;
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    /// A new key.
    pub fn generate(random: &dyn Random) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(Self::PREFIX.len() + Self::RANDOM_LEN));
        text.push_str(Self::PREFIX);
        let mut bytes = Zeroizing::new([0; 64]);
        while text.len() < Self::PREFIX.len() + Self::RANDOM_LEN {
            random.fill(&mut *bytes);
            for &byte in bytes.iter() {
                // 248 = 4 * 62: bytes above would favour some letters.
                if byte < 248 && text.len() < Self::PREFIX.len() + Self::RANDOM_LEN {
                    text.push(char::from(Self::ALPHABET[usize::from(byte) % 62]));
                }
            }
        }
        Self(text)
    }

    /// A key chosen by somebody: the prefix and at least 32 characters of `A-Za-z0-9_-`.
    pub fn from_text(text: &str) -> Result<Self, AuthError> {
        let tail = text.strip_prefix(Self::PREFIX).unwrap_or_default();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if !(32..=200).contains(&tail.len()) || !tail.bytes().all(allowed) {
            return Err(AuthError::malformed(
                "an API key is mesa_ and 32 to 200 letters, digits, '_' or '-'",
            ));
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The text, to be shown once or written to a private file.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use mesa_types::random::SeededRandom;

    use super::*;

    #[test]
    fn generated_keys_have_the_documented_form() {
        let random = SeededRandom::new(1);
        let (a, b) = (Secret::generate(&random), Secret::generate(&random));
        assert_eq!(a.expose().len(), 49);
        assert!(Secret::from_text(a.expose()).is_ok());
        assert_ne!(a.expose(), b.expose());
        assert!(!format!("{a:?}").contains(&a.expose()[5..]));
        for bad in [
            "",
            "mesa_short",
            "key_0123456789012345678901234567890123456789",
            "mesa_ ",
        ] {
            assert!(Secret::from_text(bad).is_err());
        }
    }
}
