//! The server key: 32 bytes in a file of its own, outside the database, so that a copy of the
//! database lets nobody in.
//!
//! File: `mesa-server-key-1 <64 hex digits>\n`, mode 0600. Sealed value: `01`, nonce (24 bytes),
//! XChaCha20-Poly1305 ciphertext and tag; associated data: `mesa verifier v1`, NUL, the key id.

use std::{
    fmt, fs, io,
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use mesa_types::{KeyId, Random};
use zeroize::Zeroizing;

use super::verifier::Verifier;
use crate::records::api_key::SealedVerifier;

const MAGIC: &str = "mesa-server-key-1 ";
const VERSION: u8 = 1;
const NONCE_LEN: usize = 24;

/// Why the server key is not usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerKeyError {
    /// The file cannot be read or written.
    #[error("cannot {step} the server key file {}", path.display())]
    Io {
        /// What was tried.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Others than the owner may read the file.
    #[error("the server key file {} is readable by others (mode {mode:o}); chmod 600 it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file holds something else.
    #[error("{} is not a server key file of this version", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// A stored value was sealed with another key or is damaged.
    #[error("a stored verifier cannot be opened with this server key")]
    Mismatch,
}

/// The server key.
#[derive(Clone)]
pub struct ServerKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerKey(..)")
    }
}

impl ServerKey {
    /// A key from its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads the key file, or makes one with a new key when there is none. The file and its name
    /// are on stable storage when this returns.
    pub fn load_or_create(path: &Path, random: &dyn Random) -> Result<Self, ServerKeyError> {
        match fs::metadata(path) {
            Ok(_) => Self::load(path),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let mut bytes = Zeroizing::new([0; 32]);
                random.fill(&mut *bytes);
                write_new(path, &bytes).map_err(|source| ServerKeyError::Io {
                    step: "write",
                    path: path.to_owned(),
                    source,
                })?;
                // Reads what is there: another process may have been first.
                Self::load(path)
            }
            Err(source) => Err(ServerKeyError::Io {
                step: "read",
                path: path.to_owned(),
                source,
            }),
        }
    }

    fn load(path: &Path) -> Result<Self, ServerKeyError> {
        let io = |source| ServerKeyError::Io {
            step: "read",
            path: path.to_owned(),
            source,
        };
        let mode = fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(ServerKeyError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let text = Zeroizing::new(fs::read(path).map_err(io)?);
        let mut key = Zeroizing::new([0; 32]);
        let digits = text
            .strip_prefix(MAGIC.as_bytes())
            .map(|digits| digits.strip_suffix(b"\n").unwrap_or(digits));
        match digits.map(|digits| hex::decode_to_slice(digits, &mut *key)) {
            Some(Ok(())) => Ok(Self(key)),
            _ => Err(ServerKeyError::Format {
                path: path.to_owned(),
            }),
        }
    }

    /// Encrypts a key's verifier.
    pub fn seal(&self, id: &KeyId, verifier: &Verifier, random: &dyn Random) -> SealedVerifier {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce);
        let mut out = vec![VERSION];
        out.extend_from_slice(&nonce);
        let aad = associated(id);
        let payload = Payload {
            msg: verifier.as_bytes(),
            aad: &aad,
        };
        // Encryption in memory fails for messages of many gigabytes only; an empty ciphertext
        // would be refused by `open`.
        if let Ok(sealed) = self.cipher().encrypt(XNonce::from_slice(&nonce), payload) {
            out.extend_from_slice(&sealed);
        }
        SealedVerifier(out)
    }

    /// Decrypts a key's verifier.
    pub fn open(&self, id: &KeyId, sealed: &SealedVerifier) -> Result<Verifier, ServerKeyError> {
        let (nonce, body) = match sealed.0.split_first() {
            Some((&VERSION, rest)) => rest
                .split_at_checked(NONCE_LEN)
                .ok_or(ServerKeyError::Mismatch)?,
            _ => return Err(ServerKeyError::Mismatch),
        };
        let aad = associated(id);
        let text = self
            .cipher()
            .decrypt(
                XNonce::from_slice(nonce),
                Payload {
                    msg: body,
                    aad: &aad,
                },
            )
            .map_err(|_| ServerKeyError::Mismatch)?;
        String::from_utf8(text)
            .ok()
            .and_then(Verifier::from_text)
            .ok_or(ServerKeyError::Mismatch)
    }

    /// Encrypts another secret that the server itself has to use: the layout is that of a verifier,
    /// the associated data `mesa text v1`, NUL, the purpose, NUL, the id of what it belongs to.
    pub(crate) fn seal_text(
        &self,
        purpose: &str,
        id: &str,
        text: &str,
        random: &dyn Random,
    ) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce);
        let mut out = vec![VERSION];
        out.extend_from_slice(&nonce);
        let aad = text_aad(purpose, id);
        let payload = Payload {
            msg: text.as_bytes(),
            aad: &aad,
        };
        // As in `seal`: an empty ciphertext would be refused by `open_text`.
        if let Ok(sealed) = self.cipher().encrypt(XNonce::from_slice(&nonce), payload) {
            out.extend_from_slice(&sealed);
        }
        out
    }

    /// Decrypts what `seal_text` encrypted for the same purpose and id.
    pub(crate) fn open_text(
        &self,
        purpose: &str,
        id: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<String>, ServerKeyError> {
        let (nonce, body) = match sealed.split_first() {
            Some((&VERSION, rest)) => rest
                .split_at_checked(NONCE_LEN)
                .ok_or(ServerKeyError::Mismatch)?,
            _ => return Err(ServerKeyError::Mismatch),
        };
        let aad = text_aad(purpose, id);
        let payload = Payload {
            msg: body,
            aad: &aad,
        };
        let text = self
            .cipher()
            .decrypt(XNonce::from_slice(nonce), payload)
            .map_err(|_| ServerKeyError::Mismatch)?;
        let text = String::from_utf8(text).map_err(|_| ServerKeyError::Mismatch)?;
        Ok(Zeroizing::new(text))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }
}

fn associated(id: &KeyId) -> Vec<u8> {
    [b"mesa verifier v1\0", id.as_str().as_bytes()].concat()
}

fn text_aad(purpose: &str, id: &str) -> Vec<u8> {
    format!("mesa text v1\0{purpose}\0{id}").into_bytes()
}

/// Writes the file beside and links it in, so that a half-written key never has the name.
fn write_new(path: &Path, key: &[u8; 32]) -> io::Result<()> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let temporary = directory.join(format!(".server-key.{}", std::process::id()));
    let _ = fs::remove_file(&temporary);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    let text = Zeroizing::new(format!("{MAGIC}{}\n", &*Zeroizing::new(hex::encode(key))));
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = match fs::hard_link(&temporary, path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    };
    fs::remove_file(&temporary)?;
    linked?;
    fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use mesa_types::random::{SeededRandom, SystemRandom};

    use super::*;

    #[test]
    fn sealed_verifiers_open_only_for_their_key_and_server() {
        let random = SeededRandom::new(1);
        let server = ServerKey::from_bytes([1; 32]);
        let id: KeyId = "key_1".parse().unwrap();
        let verifier = Verifier::of("mesa_testkey");
        let sealed = server.seal(&id, &verifier, &random);
        assert!(server.open(&id, &sealed).unwrap().accepts("mesa_testkey"));
        assert!(!sealed.0.windows(43).any(|w| w == verifier.as_bytes()));
        assert!(server.open(&"key_2".parse().unwrap(), &sealed).is_err());
        assert!(ServerKey::from_bytes([2; 32]).open(&id, &sealed).is_err());
        for i in 0..sealed.0.len() {
            let mut bad = sealed.clone();
            bad.0[i] ^= 1;
            assert!(server.open(&id, &bad).is_err(), "byte {i}");
            assert!(
                server
                    .open(&id, &SealedVerifier(sealed.0[..i].to_vec()))
                    .is_err()
            );
        }
    }

    #[test]
    fn golden_sealed_value() {
        let server = ServerKey::from_bytes([7; 32]);
        let id: KeyId = "key_1".parse().unwrap();
        let sealed = server.seal(&id, &Verifier::of("mesa_testkey"), &SeededRandom::new(7));
        assert_eq!(hex::encode(&sealed.0), GOLDEN);
    }

    const GOLDEN: &str = "01d70d3259e4e1cb631c663cf4d73c4c04022ab1ba804098e62f92c9b29a03ab7880793831464c64aafe\
        404974f28b9a2be5c86b3e34917573903cafdeaf2ee443caec2055650e4c2ca8390879615aa9417746a9";

    #[test]
    fn sealed_texts_open_only_where_they_belong() {
        let random = SeededRandom::new(1);
        let server = ServerKey::from_bytes([1; 32]);
        let sealed = server.seal_text("webhook", "wt_1", "whsec_x", &random);
        let open = |purpose, id| server.open_text(purpose, id, &sealed).ok();
        assert_eq!(open("webhook", "wt_1").unwrap().as_str(), "whsec_x");
        assert!(open("webhook", "wt_2").is_none() && open("other", "wt_1").is_none());
        let other = ServerKey::from_bytes([2; 32]);
        assert!(other.open_text("webhook", "wt_1", &sealed).is_err());
    }

    #[test]
    fn the_file_is_private_and_stable() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.key");
        let made = ServerKey::load_or_create(&path, &SystemRandom).unwrap();
        let again = ServerKey::load_or_create(&path, &SystemRandom).unwrap();
        assert_eq!(*made.0, *again.0);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = ServerKey::load_or_create(&path, &SystemRandom).unwrap_err();
        assert!(matches!(error, ServerKeyError::Exposed { mode: 0o640, .. }));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "mesa-server-key-2 00\n").unwrap();
        let error = ServerKey::load_or_create(&path, &SystemRandom).unwrap_err();
        assert!(matches!(error, ServerKeyError::Format { .. }));
    }
}
