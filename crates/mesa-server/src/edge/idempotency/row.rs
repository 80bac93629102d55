//! The stored form of an answer.
//!
//! A row is `01` and a JSON object. The sealed answer in it is base64 of a nonce (24 bytes) and
//! the XChaCha20-Poly1305 ciphertext of the JSON answer; associated data: the row's key. The
//! cipher's key is the BLAKE3 key derivation of the request's credential in the context
//! `mesa idempotent answer v1`.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use mesa_api::ErrorCode;
use mesa_types::Random;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::ApiError;

const VERSION: u8 = 1;
const NONCE_LEN: usize = 24;

/// What seals one credential's answers.
pub type SealingKey = Zeroizing<[u8; 32]>;

/// The sealing key of a credential.
pub fn sealing_key(bearer: &str) -> SealingKey {
    Zeroizing::new(blake3::derive_key(
        "mesa idempotent answer v1",
        bearer.as_bytes(),
    ))
}

/// What tells one request from another under the same idempotency key.
pub fn digest(method: &str, target: &str, body: &[u8]) -> String {
    let mut hasher = Sha256::new();
    for part in [method.as_bytes(), target.as_bytes(), body] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hex::encode(hasher.finalize())
}

/// A stored request.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    /// When it began or ended, nanoseconds since the epoch.
    pub at: i64,
    /// [`digest`].
    pub digest: String,
    /// How far it got.
    pub state: State,
}

/// How far a request got.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It began.
    Running,
    /// It had an effect and was answered.
    Done(Sealed),
}

/// An encrypted [`Answer`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

/// What the client was told.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON body.
    #[serde(with = "body_text")]
    pub body: Bytes,
}

mod body_text {
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        // Answers are JSON, which is UTF-8.
        serializer.serialize_str(&String::from_utf8_lossy(body))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        String::deserialize(deserializer).map(Bytes::from)
    }
}

impl Row {
    /// The stored bytes.
    pub fn encode(&self) -> Result<Bytes, ApiError> {
        let mut out = vec![VERSION];
        serde_json::to_writer(&mut out, self).map_err(ApiError::internal)?;
        Ok(out.into())
    }

    /// Reads stored bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, ApiError> {
        match bytes.split_first() {
            Some((&VERSION, json)) => serde_json::from_slice(json).map_err(ApiError::internal),
            _ => Err(ApiError::internal("an idempotency row of another version")),
        }
    }
}

impl Answer {
    /// Encrypts.
    pub fn seal(
        &self,
        key: &SealingKey,
        place: &[u8],
        random: &dyn Random,
    ) -> Result<Sealed, ApiError> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce);
        let plain = Zeroizing::new(serde_json::to_vec(self).map_err(ApiError::internal)?);
        let payload = Payload {
            msg: &plain,
            aad: place,
        };
        let sealed = XChaCha20Poly1305::new((&**key).into())
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|_| ApiError::internal("an answer could not be encrypted"))?;
        Ok(Sealed(STANDARD.encode([&nonce[..], &sealed].concat())))
    }
}

impl Sealed {
    /// Decrypts. Another credential of the same key (a fresh token) cannot.
    pub fn open(&self, key: &SealingKey, place: &[u8]) -> Result<Answer, ApiError> {
        let other = || {
            ApiError::new(
                ErrorCode::IdempotencyMismatch,
                "this Idempotency-Key was used with another credential",
            )
        };
        let bytes = STANDARD.decode(&self.0).map_err(ApiError::internal)?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN).ok_or_else(other)?;
        let payload = Payload {
            msg: sealed,
            aad: place,
        };
        let plain = XChaCha20Poly1305::new((&**key).into())
            .decrypt(XNonce::from_slice(nonce), payload)
            .map_err(|_| other())?;
        serde_json::from_slice(&plain).map_err(ApiError::internal)
    }
}

#[cfg(test)]
mod tests {
    use mesa_types::random::SeededRandom;

    use super::*;

    #[test]
    fn answers_open_for_their_credential_and_place_only() {
        let answer = Answer {
            status: 201,
            body: Bytes::from_static(b"{\"key\":\"mesa_secret\"}"),
        };
        let key = sealing_key("mesa_a");
        let sealed = answer.seal(&key, b"place", &SeededRandom::new(1)).unwrap();
        assert!(!sealed.0.contains(&STANDARD.encode("mesa_secret")));
        assert_eq!(sealed.open(&key, b"place").unwrap(), answer);
        for (key, place) in [(sealing_key("mesa_b"), &b"place"[..]), (key, b"other")] {
            let error = sealed.open(&key, place).unwrap_err();
            assert_eq!(error.code(), ErrorCode::IdempotencyMismatch);
        }
    }

    #[test]
    fn golden_row() {
        let row = Row {
            at: 7,
            digest: "d".into(),
            state: State::Running,
        };
        let bytes = row.encode().unwrap();
        assert_eq!(
            &bytes[..],
            b"\x01{\"at\":7,\"digest\":\"d\",\"state\":\"running\"}"
        );
        assert_eq!(Row::decode(&bytes).unwrap().at, 7);
        for bad in [&b""[..], b"\x02{}", b"\x01"] {
            assert!(Row::decode(bad).is_err());
        }
    }

    #[test]
    fn digests_tell_parts_apart() {
        assert_ne!(digest("POST", "/a", b"b"), digest("POST", "/ab", b""));
        assert_eq!(digest("POST", "/a", b"b"), digest("POST", "/a", b"b"));
    }
}
