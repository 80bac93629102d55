//! Access tokens that clients sign themselves: JWTs of `typ` `mesa-at+jwt` in three forms.
//!
//! - A: HS256 under an API key, header `alg`, `typ`, `kid` (`<key id>.v1`), `iss` = key id,
//!   `scopes`, `repos` (`["org/repo", ...]` or null) and/or `repo_ids`; up to 86400 s.
//! - B: EdDSA under a signing key, header `alg`, `typ`, `jwk` (`kty`, `crv`, `x`), `iss` = org slug,
//!   `scopes`, `repos` or `repo_ids`, `author` as `[[name, email or null], ...]`; up to 14400 s.
//! - C: as B with exactly one of `admin` (true) and `access` (`{repo: "read-repo" or
//!   "write-repo"}`) in place of the scopes, and `authors` as `[{name, email or null}, ...]`.
//!
//! Every form has `aud` = `mesa-api`, `iat`, `exp` (seconds) and `jti`. Headers hold exactly these
//! fields. Unknown claims are ignored; claims of another form are refused, so that no token means
//! more to one reader than to another.

mod claims;

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use mesa_types::{KeyId, Nanos, RepoId};
use serde::{Deserialize, de::DeserializeOwned};

pub(super) use self::claims::Claims;
use self::claims::{PublicClaims, SecretClaims};
use super::{error::AuthError, error::AuthErrorKind, principal::Author, verifier::Verifier};
use crate::records::{Scopes, api_key::PublicKey};

const TYPE: &str = "mesa-at+jwt";
const KEY_SUFFIX: &str = ".v1";

/// What a token asks for.
pub(super) struct Grant {
    pub(super) scopes: Scopes,
    /// `None` = no restriction by name.
    pub(super) repos: Option<Vec<NamedRepo>>,
    /// `None` = no restriction by id.
    pub(super) repo_ids: Option<BTreeSet<RepoId>>,
    pub(super) authors: Vec<Author>,
    pub(super) expires: Nanos,
}

/// A repo that a token names.
pub(super) struct NamedRepo {
    /// `org/repo`.
    pub(super) name: String,
    pub(super) read_only: bool,
}

/// The key a token says it was signed with.
pub(super) enum Signer {
    /// An API key.
    Secret(KeyId),
    /// A signing key, by its public half.
    Public(PublicKey),
}

/// A token whose signature is not checked yet.
pub(super) struct Token<'a> {
    signed: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
    signer: Signer,
}

#[derive(Deserialize)]
struct Algorithm {
    alg: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretHeader {
    #[serde(rename = "alg")]
    _alg: String,
    typ: String,
    kid: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicHeader {
    #[serde(rename = "alg")]
    _alg: String,
    typ: String,
    jwk: Jwk,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
}

impl<'a> Token<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, AuthError> {
        let wrong = || AuthError::malformed("the access token is not a JWT");
        let (signed, signature) = text.rsplit_once('.').ok_or_else(wrong)?;
        let (header, claims) = signed.split_once('.').ok_or_else(wrong)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| wrong())?;
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| wrong())?;
        let algorithm: Algorithm = serde_json::from_slice(&header).map_err(|_| wrong())?;
        let (typ, signer) = match algorithm.alg.as_str() {
            "HS256" => secret_signer(&header)?,
            "EdDSA" => public_signer(&header)?,
            _ => {
                return Err(AuthError::malformed(
                    "the access token's alg must be HS256 or EdDSA",
                ));
            }
        };
        if typ != TYPE {
            return Err(AuthError::malformed(
                "the access token's typ must be mesa-at+jwt",
            ));
        }
        Ok(Self {
            signed,
            claims,
            signature,
            signer,
        })
    }

    /// The key it says it was signed with.
    pub(super) fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The claims of a form A token, if the key behind `verifier` signed them.
    pub(super) fn verified(&self, verifier: &Verifier) -> Result<Claims, AuthError> {
        let Signer::Secret(key) = &self.signer else {
            return Err(AuthErrorKind::Unknown.into());
        };
        if !verifier.signed(self.signed, &self.signature) {
            return Err(AuthErrorKind::Unknown.into());
        }
        let claims: SecretClaims = self.read_claims()?;
        if claims.issuer() != key.as_str() {
            return Err(AuthError::malformed(
                "the access token's iss must be its key's id",
            ));
        }
        Ok(Claims::Secret(claims))
    }

    /// The org and the claims of a form B or C token, if the key in its header signed them. Says
    /// nothing yet about whether that key is anybody's.
    pub(super) fn self_signed(&self, key: &PublicKey) -> Result<(String, Claims), AuthError> {
        if !key.signed(self.signed, &self.signature) {
            return Err(AuthErrorKind::Unknown.into());
        }
        let claims: PublicClaims = self.read_claims()?;
        Ok((claims.issuer().to_owned(), Claims::Public(claims)))
    }

    fn read_claims<T: DeserializeOwned>(&self) -> Result<T, AuthError> {
        let wrong = || AuthError::malformed("the access token's claims are incomplete or wrong");
        let json = URL_SAFE_NO_PAD.decode(self.claims).map_err(|_| wrong())?;
        serde_json::from_slice(&json).map_err(|_| wrong())
    }
}

fn secret_signer(header: &[u8]) -> Result<(String, Signer), AuthError> {
    let header: SecretHeader = serde_json::from_slice(header).map_err(|_| {
        AuthError::malformed("the header of an HS256 access token must hold alg, typ and kid only")
    })?;
    let key = header.kid.strip_suffix(KEY_SUFFIX);
    let key = key.and_then(|id| id.parse().ok()).ok_or_else(|| {
        AuthError::malformed("the access token's kid must be the key's id and .v1")
    })?;
    Ok((header.typ, Signer::Secret(key)))
}

fn public_signer(header: &[u8]) -> Result<(String, Signer), AuthError> {
    let header: PublicHeader = serde_json::from_slice(header).map_err(|_| {
        AuthError::malformed("the header of an EdDSA access token must hold alg, typ and jwk only")
    })?;
    let jwk = header.jwk;
    let key = PublicKey::from_text(&jwk.x);
    match key {
        Some(key) if jwk.kty == "OKP" && jwk.crv == "Ed25519" => {
            Ok((header.typ, Signer::Public(key)))
        }
        _ => Err(AuthError::malformed(
            "the access token's jwk must be an Ed25519 public key",
        )),
    }
}

#[cfg(test)]
mod tests;
