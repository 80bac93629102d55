//! What is derived from an API key's text.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::records::api_key::{LookupHash, PublicKey};

/// base64url(SHA-256(key)) in ASCII, 43 bytes: verifies the key, and is the HMAC key of the
/// tokens its holder signs. As good as the key itself for making tokens, so stored encrypted only.
#[derive(Clone)]
pub struct Verifier(Zeroizing<String>);

impl Verifier {
    /// Length in bytes.
    pub const LEN: usize = 43;

    /// The verifier of a key.
    pub fn of(key: &str) -> Self {
        Self(Zeroizing::new(
            URL_SAFE_NO_PAD.encode(Sha256::digest(key.as_bytes())),
        ))
    }

    pub(super) fn from_text(text: String) -> Option<Self> {
        (text.len() == Self::LEN).then(|| Self(Zeroizing::new(text)))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether this is the verifier of `key`, in time that does not depend on where they differ.
    pub fn accepts(&self, key: &str) -> bool {
        Self::of(key).as_bytes().ct_eq(self.as_bytes()).into()
    }

    /// Whether `signature` is HMAC-SHA256 of `text` under this verifier, in constant time.
    pub(super) fn signed(&self, text: &str, signature: &[u8]) -> bool {
        Hmac::<Sha256>::new_from_slice(self.as_bytes()).is_ok_and(|mut mac| {
            mac.update(text.as_bytes());
            mac.verify_slice(signature).is_ok()
        })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}

/// The hash a key is found by. Says nothing about its verifier.
pub(crate) fn lookup_hash(key: &str) -> LookupHash {
    let mut hash = Sha256::new();
    hash.update(b"mesa key lookup v1\0");
    hash.update(key.as_bytes());
    LookupHash(hash.finalize().into())
}

/// The hash a signing key is found by.
pub(crate) fn signing_lookup_hash(org: &str, key: &PublicKey) -> LookupHash {
    let mut hash = Sha256::new();
    hash.update(b"mesa signing key lookup v1\0");
    hash.update(org.as_bytes());
    hash.update(b"\0");
    hash.update(key.0);
    LookupHash(hash.finalize().into())
}

impl PublicKey {
    /// The key with this base64url text (no padding), if it is one that signatures can be trusted
    /// under: a point of the curve, and not one of the few that fit any message.
    pub fn from_text(text: &str) -> Option<Self> {
        let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes).ok()?;
        (!key.is_weak()).then_some(Self(bytes))
    }

    /// Its base64url text.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Whether `signature` is this key's over `text`.
    pub(super) fn signed(&self, text: &str, signature: &[u8]) -> bool {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.0);
        let signature = ed25519_dalek::Signature::from_slice(signature);
        match (key, signature) {
            (Ok(key), Ok(signature)) => key.verify_strict(text.as_bytes(), &signature).is_ok(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vector() {
        let verifier = Verifier::of("mesa_testkey");
        assert_eq!(
            verifier.as_bytes(),
            b"YWODnAI5JKJ0KolN_wnpIEXayRS1NOD7hb0s0hDbvFU"
        );
        assert!(verifier.accepts("mesa_testkey"));
        assert!(!verifier.accepts("mesa_testkey2"));
        assert_eq!(format!("{verifier:?}"), "Verifier(..)");
    }
}
