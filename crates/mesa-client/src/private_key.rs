//! Private keys: Ed25519 keys that sign access tokens on the client and never leave it.
//!
//! Text: `mesa_private_key_<org>_<base64url, no padding, of the PKCS#8 DER>`. The DER is the
//! canonical 48 bytes of RFC 8410 without attributes or public key.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::SigningKey;
use mesa_types::OrgSlug;

/// What every private key's text begins with.
pub const PREFIX: &str = "mesa_private_key_";
/// The canonical PKCS#8 frame of an Ed25519 seed.
const DER_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A private key of an org. Debug shows nothing of it.
pub struct PrivateKey {
    org: OrgSlug,
    key: SigningKey,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

impl PrivateKey {
    /// A key from 32 random bytes.
    pub fn from_seed(org: OrgSlug, seed: &[u8; 32]) -> Self {
        Self {
            org,
            key: SigningKey::from_bytes(seed),
        }
    }

    /// The key with this text; `None` if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let (org, der) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let der = URL_SAFE_NO_PAD.decode(der).ok()?;
        let seed = der.strip_prefix(&DER_HEAD)?.try_into().ok()?;
        Some(Self::from_seed(org.parse().ok()?, &seed))
    }

    /// The text, to be shown once.
    pub fn text(&self) -> String {
        let der = [&DER_HEAD[..], &self.key.to_bytes()].concat();
        format!("{PREFIX}{}_{}", self.org, URL_SAFE_NO_PAD.encode(der))
    }

    /// The org it belongs to.
    pub fn org(&self) -> &OrgSlug {
        &self.org
    }

    /// The public half as it is registered: base64url of its 32 bytes.
    pub fn public_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by another implementation from 32 bytes of 7.
    const TEXT: &str =
        "mesa_private_key_acme_MC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";

    #[test]
    fn the_published_form() {
        let made = PrivateKey::from_seed("acme".parse().unwrap(), &[7; 32]);
        assert_eq!(made.text(), TEXT);
        assert_eq!(
            made.public_text(),
            "6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw"
        );
        let read = PrivateKey::parse(TEXT).unwrap();
        assert_eq!(
            (read.text(), read.org().as_str()),
            (TEXT.to_owned(), "acme")
        );
        assert_eq!(format!("{read:?}"), "PrivateKey(..)");
    }

    #[test]
    fn other_texts_are_no_keys() {
        let longer = format!("{TEXT}AA");
        for bad in [
            "",
            "mesa_private_key_",
            &TEXT[..60],
            &longer,
            &TEXT[5..],
            "mesa_abc",
        ] {
            assert!(PrivateKey::parse(bad).is_none(), "{bad}");
        }
    }
}
