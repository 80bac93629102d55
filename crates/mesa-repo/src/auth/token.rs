//! Access tokens that clients sign with their API key (form A): a JWT with HS256.
//!
//! Header: exactly `alg` `HS256`, `typ` `mesa-at+jwt`, `kid` `<key id>.v1`. Claims: `iss` = key
//! id, `aud` = `mesa-api`, `scopes`, `repos` (`["org/repo", ...]` or null) and/or `repo_ids`,
//! `iat`, `exp` (seconds), `jti`. Unknown claims are ignored.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use mesa_types::{KeyId, Nanos, RepoId};
use serde::Deserialize;

use super::{
    error::{AuthError, AuthErrorKind},
    verifier::Verifier,
};
use crate::records::{Scope, Scopes};

const TYPE: &str = "mesa-at+jwt";
const AUDIENCE: &str = "mesa-api";
const KEY_SUFFIX: &str = ".v1";
/// Longest life of a token in seconds.
const LIFE_MAX_SECS: i64 = 86_400;
/// How far a signer's clock may be ahead of ours.
const SKEW_MAX_SECS: i64 = 60;
/// Repos one token may name.
const REPOS_MAX: usize = 250;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

#[derive(Deserialize)]
pub(super) struct Claims {
    iss: String,
    aud: String,
    scopes: Vec<Scope>,
    repos: Option<Vec<String>>,
    repo_ids: Option<Vec<RepoId>>,
    iat: i64,
    exp: i64,
    jti: String,
}

/// What a token asks for.
pub(super) struct Grant {
    pub(super) scopes: Scopes,
    /// `org/repo` names; `None` = no restriction by name.
    pub(super) repos: Option<Vec<String>>,
    /// `None` = no restriction by id.
    pub(super) repo_ids: Option<BTreeSet<RepoId>>,
    pub(super) expires: Nanos,
}

/// A token whose signature is not checked yet.
pub(super) struct Token<'a> {
    signed: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
    key: KeyId,
}

impl<'a> Token<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, AuthError> {
        let wrong = || AuthError::malformed("the access token is not a JWT");
        let (signed, signature) = text.rsplit_once('.').ok_or_else(wrong)?;
        let (header, claims) = signed.split_once('.').ok_or_else(wrong)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| wrong())?;
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| wrong())?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| {
            AuthError::malformed("the access token's header must hold alg, typ and kid only")
        })?;
        if header.alg != "HS256" {
            return Err(AuthError::malformed("the access token's alg must be HS256"));
        }
        if header.typ != TYPE {
            return Err(AuthError::malformed(
                "the access token's typ must be mesa-at+jwt",
            ));
        }
        let key = header
            .kid
            .strip_suffix(KEY_SUFFIX)
            .and_then(|id| id.parse().ok());
        let key = key.ok_or_else(|| {
            AuthError::malformed("the access token's kid must be the key's id and .v1")
        })?;
        Ok(Self {
            signed,
            claims,
            signature,
            key,
        })
    }

    /// The key it says it was signed with.
    pub(super) fn key(&self) -> &KeyId {
        &self.key
    }

    /// The claims, if the key behind `verifier` signed them.
    pub(super) fn verified(&self, verifier: &Verifier) -> Result<Claims, AuthError> {
        if !verifier.signed(self.signed, &self.signature) {
            return Err(AuthErrorKind::Unknown.into());
        }
        let wrong = || AuthError::malformed("the access token's claims are incomplete or wrong");
        let json = URL_SAFE_NO_PAD.decode(self.claims).map_err(|_| wrong())?;
        let claims: Claims = serde_json::from_slice(&json).map_err(|_| wrong())?;
        if claims.iss != self.key.as_str() {
            return Err(AuthError::malformed(
                "the access token's iss must be its key's id",
            ));
        }
        Ok(claims)
    }
}

impl Claims {
    /// What is asked for, if the claims keep the rules at this time.
    pub(super) fn grant(self, now: Nanos) -> Result<Grant, AuthError> {
        let malformed = AuthError::malformed;
        if self.aud != AUDIENCE {
            return Err(malformed("the access token's aud must be mesa-api"));
        }
        if self.scopes.is_empty() {
            return Err(malformed("the access token's scopes are empty"));
        }
        if self.jti.is_empty() || self.jti.len() > 128 {
            return Err(malformed(
                "the access token's jti must have 1 to 128 characters",
            ));
        }
        let named =
            self.repos.as_ref().map_or(0, Vec::len) + self.repo_ids.as_ref().map_or(0, Vec::len);
        if named > REPOS_MAX {
            return Err(malformed("the access token names more than 250 repos"));
        }
        let life = self.exp.checked_sub(self.iat);
        if !life.is_some_and(|life| (1..=LIFE_MAX_SECS).contains(&life)) {
            return Err(malformed(
                "the access token must live for 1 to 86400 seconds",
            ));
        }
        let (now, _) = now.parts();
        if self.iat > now + SKEW_MAX_SECS {
            return Err(malformed("the access token was issued in the future"));
        }
        if self.exp <= now {
            return Err(AuthErrorKind::Expired.into());
        }
        Ok(Grant {
            scopes: Scopes::new(self.scopes),
            repos: self.repos,
            repo_ids: self.repo_ids.map(BTreeSet::from_iter),
            expires: Nanos::from_parts(self.exp, 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"alg":"HS256","typ":"mesa-at+jwt","kid":"key_1.v1"}"#;
    const CLAIMS: &str = r#"{"iss":"key_1","aud":"mesa-api","scopes":["read","write"],"repos":["acme/demo"],"iat":1700000000,"exp":1700003600,"jti":"00000000-0000-4000-8000-000000000000"}"#;
    const SIGNATURE: &str = "5EjZWL-W5N0UT-mJwv2hcVLrhDUvmCATVS_T1CBwZP0";

    fn join(header: &str, claims: &str, signature: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{signature}", encode(header), encode(claims))
    }

    #[test]
    fn published_vector() {
        let text = join(HEADER, CLAIMS, SIGNATURE);
        let token = Token::parse(&text).unwrap();
        assert_eq!(token.key().as_str(), "key_1");
        let claims = token.verified(&Verifier::of("mesa_testkey")).unwrap();
        let grant = claims.grant(Nanos::from_parts(1_700_000_000, 0)).unwrap();
        assert_eq!(grant.scopes, Scopes::standard());
        assert_eq!(grant.repos.unwrap(), ["acme/demo"]);
        assert_eq!(grant.expires, Nanos::from_parts(1_700_003_600, 0));
    }

    #[test]
    fn other_keys_and_changed_bytes_do_not_verify() {
        let text = join(HEADER, CLAIMS, SIGNATURE);
        let verify = |text: &str, key: &str| {
            Token::parse(text)
                .and_then(|t| t.verified(&Verifier::of(key)).map(|_| ()))
                .map_err(|e| e.kind)
        };
        assert_eq!(verify(&text, "mesa_testkey"), Ok(()));
        assert_eq!(verify(&text, "mesa_other"), Err(AuthErrorKind::Unknown));
        let forged = join(HEADER, &CLAIMS.replace("read", "admin"), SIGNATURE);
        assert_eq!(verify(&forged, "mesa_testkey"), Err(AuthErrorKind::Unknown));
        let cut = join(HEADER, CLAIMS, &SIGNATURE[..40]);
        assert_eq!(verify(&cut, "mesa_testkey"), Err(AuthErrorKind::Unknown));
        let none = join(HEADER, CLAIMS, "");
        assert_eq!(verify(&none, "mesa_testkey"), Err(AuthErrorKind::Unknown));
    }

    #[test]
    fn headers_are_strict() {
        for header in [
            r#"{"alg":"none","typ":"mesa-at+jwt","kid":"key_1.v1"}"#,
            r#"{"alg":"HS512","typ":"mesa-at+jwt","kid":"key_1.v1"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"key_1.v1"}"#,
            r#"{"alg":"HS256","typ":"mesa-at+jwt","kid":"key_1.v2"}"#,
            r#"{"alg":"HS256","typ":"mesa-at+jwt","kid":"org_1.v1"}"#,
            r#"{"alg":"HS256","typ":"mesa-at+jwt"}"#,
            r#"{"alg":"HS256","typ":"mesa-at+jwt","kid":"key_1.v1","crit":["x"]}"#,
            r#"{"alg":"HS256","alg":"HS256","typ":"mesa-at+jwt","kid":"key_1.v1"}"#,
            "[]",
            "",
        ] {
            let text = join(header, CLAIMS, SIGNATURE);
            let kind = Token::parse(&text).err().map(|e| e.kind);
            assert_eq!(kind, Some(AuthErrorKind::Malformed), "{header}");
        }
        for text in ["a.b", "..", "a.b.c", "é.é.é", "e30=.e30=.AA=="] {
            assert!(Token::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn claims_are_strict() {
        let base: serde_json::Value = serde_json::from_str(CLAIMS).unwrap();
        let kind = |name: &str, value: serde_json::Value| {
            let mut claims = base.clone();
            claims[name] = value;
            serde_json::from_value::<Claims>(claims)
                .map_err(|_| AuthErrorKind::Malformed)
                .and_then(|c| {
                    c.grant(Nanos::from_parts(1_700_000_000, 0))
                        .map_err(|e| e.kind)
                })
                .map(|_| ())
        };
        let malformed = Err(AuthErrorKind::Malformed);
        assert_eq!(kind("aud", "other".into()), malformed);
        assert_eq!(kind("aud", serde_json::json!(["mesa-api"])), malformed);
        assert_eq!(kind("scopes", serde_json::json!([])), malformed);
        assert_eq!(kind("scopes", serde_json::json!(["root"])), malformed);
        assert_eq!(kind("jti", "".into()), malformed);
        assert_eq!(kind("iat", 1_700_000_061.into()), malformed);
        assert_eq!(kind("iat", 1_700_000_060.into()), Ok(()));
        assert_eq!(kind("exp", 1_700_086_401.into()), malformed);
        assert_eq!(kind("exp", 1_700_086_400.into()), Ok(()));
        assert_eq!(kind("exp", i64::MAX.into()), malformed);
        assert_eq!(kind("exp", serde_json::json!(1.5)), malformed);
        assert_eq!(kind("repos", serde_json::Value::Null), Ok(()));
        assert_eq!(
            kind("repos", serde_json::json!(vec!["a/b"; 251])),
            malformed
        );
        assert_eq!(kind("repo_ids", serde_json::json!(["x"])), malformed);
        let mut old = base.clone();
        old["iat"] = 1_699_990_000.into();
        old["exp"] = 1_700_000_000.into();
        let old: Claims = serde_json::from_value(old).unwrap();
        let expired = old
            .grant(Nanos::from_parts(1_700_000_000, 0))
            .err()
            .map(|e| e.kind);
        assert_eq!(expired, Some(AuthErrorKind::Expired));
    }
}
