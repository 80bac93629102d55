//! The encrypted store: the age format (age-encryption.org/v1) with one scrypt recipient.

use std::path::Path;

use age::{DecryptError, scrypt, secrecy::SecretString};
use mesa_types::Secret;
use zeroize::Zeroizing;

use super::SecretError;

/// scrypt's log2 N: 64 MiB and about a fifth of a second, paid by every command that needs a
/// token.
const WORK_FACTOR: u8 = 16;
/// Largest factor accepted when opening: 1 GiB of memory.
const WORK_FACTOR_MAX: u8 = 20;

/// Decrypts a vault.
pub(super) fn open(
    path: &Path,
    bytes: &[u8],
    passphrase: &Secret,
) -> Result<Zeroizing<String>, SecretError> {
    let damaged = |reason| SecretError::Damaged {
        path: path.to_owned(),
        reason,
    };
    let mut identity = scrypt::Identity::new(SecretString::from(passphrase.expose()));
    identity.set_max_work_factor(WORK_FACTOR_MAX);
    let plain = age::decrypt(&identity, bytes).map_err(|error| match error {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            SecretError::PassphraseWrong(path.to_owned())
        }
        DecryptError::ExcessiveWork { .. } => damaged("its work factor is too high"),
        _ => damaged("it is not an age file with a passphrase"),
    })?;
    String::from_utf8(plain)
        .map(Zeroizing::new)
        .map_err(|_| damaged("it is not text"))
}

/// Encrypts a vault.
pub(super) fn seal(path: &Path, plain: &[u8], passphrase: &Secret) -> Result<Vec<u8>, SecretError> {
    let mut recipient = scrypt::Recipient::new(SecretString::from(passphrase.expose()));
    recipient.set_work_factor(WORK_FACTOR);
    age::encrypt(&recipient, plain).map_err(|error| SecretError::Io {
        action: "write",
        path: path.to_owned(),
        source: std::io::Error::other(error),
    })
}
