//! The claims of each form, and the rules they keep.

use std::collections::{BTreeMap, BTreeSet};

use mesa_types::{Nanos, RepoId, RepoName};
use serde::Deserialize;

use super::{Grant, NamedRepo};
use crate::{
    auth::{
        error::{AuthError, AuthErrorKind},
        principal::Author,
    },
    records::{Scope, Scopes},
};

const AUDIENCE: &str = "mesa-api";
/// Longest life of a token in seconds, by what signs it.
const SECRET_LIFE_MAX_SECS: i64 = 86_400;
const PUBLIC_LIFE_MAX_SECS: i64 = 14_400;
/// How far a signer's clock may be ahead of ours.
const SKEW_MAX_SECS: i64 = 60;
/// Repos one token may name.
const REPOS_MAX: usize = 250;
const AUTHORS_MAX: usize = 100;
const AUTHOR_BYTES_MAX: usize = 320;

/// Claims whose signature was checked.
pub(in crate::auth) enum Claims {
    /// Of form A.
    Secret(SecretClaims),
    /// Of form B or C.
    Public(PublicClaims),
}

/// What every form has.
#[derive(Deserialize)]
pub(super) struct Common {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    jti: String,
}

#[derive(Deserialize)]
pub(in crate::auth) struct SecretClaims {
    #[serde(flatten)]
    common: Common,
    scopes: Vec<Scope>,
    repos: Option<Vec<String>>,
    repo_ids: Option<Vec<RepoId>>,
}

#[derive(Deserialize)]
pub(in crate::auth) struct PublicClaims {
    #[serde(flatten)]
    common: Common,
    scopes: Option<Vec<Scope>>,
    repos: Option<Vec<String>>,
    repo_ids: Option<Vec<RepoId>>,
    author: Option<Vec<(String, Option<String>)>>,
    admin: Option<bool>,
    access: Option<BTreeMap<String, Level>>,
    authors: Option<Vec<NamedAuthor>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
enum Level {
    #[serde(rename = "read-repo")]
    Read,
    #[serde(rename = "write-repo")]
    Write,
}

#[derive(Deserialize)]
struct NamedAuthor {
    name: String,
    email: Option<String>,
}

impl SecretClaims {
    pub(super) fn issuer(&self) -> &str {
        &self.common.iss
    }
}

impl PublicClaims {
    pub(super) fn issuer(&self) -> &str {
        &self.common.iss
    }
}

impl Claims {
    /// What is asked for, if the claims keep the rules at this time.
    pub(in crate::auth) fn grant(self, now: Nanos) -> Result<Grant, AuthError> {
        match self {
            Self::Secret(claims) => {
                let expires = claims.common.checked(now, SECRET_LIFE_MAX_SECS)?;
                by_scopes(
                    claims.scopes,
                    claims.repos,
                    claims.repo_ids,
                    Vec::new(),
                    expires,
                )
            }
            Self::Public(claims) => claims.grant(now),
        }
    }
}

impl PublicClaims {
    fn grant(self, now: Nanos) -> Result<Grant, AuthError> {
        let expires = self.common.checked(now, PUBLIC_LIFE_MAX_SECS)?;
        if let Some(scopes) = self.scopes {
            if self.admin.is_some() || self.access.is_some() || self.authors.is_some() {
                return Err(AuthError::malformed(
                    "the access token mixes the claims of two forms",
                ));
            }
            let authors = self.author.unwrap_or_default();
            return by_scopes(
                scopes,
                self.repos,
                self.repo_ids,
                checked(authors)?,
                expires,
            );
        }
        if self.repos.is_some() || self.repo_ids.is_some() || self.author.is_some() {
            return Err(AuthError::malformed(
                "the access token mixes the claims of two forms",
            ));
        }
        let authors = self.authors.unwrap_or_default();
        let authors = authors.into_iter().map(|a| (a.name, a.email)).collect();
        let authors = checked(authors)?;
        match (self.admin, self.access) {
            (Some(true), None) => Ok(Grant {
                scopes: Scopes::new([Scope::Admin]),
                repos: None,
                repo_ids: None,
                authors,
                expires,
            }),
            (None, Some(access)) => by_access(&self.common.iss, access, authors, expires),
            _ => Err(AuthError::malformed(
                "the access token must hold exactly one of admin: true and access",
            )),
        }
    }
}

impl Common {
    /// When the token ends, if it is for us and in its time.
    fn checked(&self, now: Nanos, life_max: i64) -> Result<Nanos, AuthError> {
        let malformed = AuthError::malformed;
        if self.aud != AUDIENCE {
            return Err(malformed("the access token's aud must be mesa-api"));
        }
        if self.jti.is_empty() || self.jti.len() > 128 {
            return Err(malformed(
                "the access token's jti must have 1 to 128 characters",
            ));
        }
        let life = self.exp.checked_sub(self.iat);
        if !life.is_some_and(|life| (1..=life_max).contains(&life)) {
            return Err(malformed(if life_max == SECRET_LIFE_MAX_SECS {
                "the access token must live for 1 to 86400 seconds"
            } else {
                "the access token must live for 1 to 14400 seconds"
            }));
        }
        let (now, _) = now.parts();
        if self.iat > now + SKEW_MAX_SECS {
            return Err(malformed("the access token was issued in the future"));
        }
        if self.exp <= now {
            return Err(AuthErrorKind::Expired.into());
        }
        Ok(Nanos::from_parts(self.exp, 0))
    }
}

fn by_scopes(
    scopes: Vec<Scope>,
    repos: Option<Vec<String>>,
    repo_ids: Option<Vec<RepoId>>,
    authors: Vec<Author>,
    expires: Nanos,
) -> Result<Grant, AuthError> {
    if scopes.is_empty() {
        return Err(AuthError::malformed("the access token's scopes are empty"));
    }
    let named = repos.as_ref().map_or(0, Vec::len) + repo_ids.as_ref().map_or(0, Vec::len);
    if named > REPOS_MAX {
        return Err(too_many());
    }
    let repos = repos.map(|names| {
        let named = |name| NamedRepo {
            name,
            read_only: false,
        };
        names.into_iter().map(named).collect()
    });
    Ok(Grant {
        scopes: Scopes::new(scopes),
        repos,
        repo_ids: repo_ids.map(BTreeSet::from_iter),
        authors,
        expires,
    })
}

fn by_access(
    org: &str,
    access: BTreeMap<String, Level>,
    authors: Vec<Author>,
    expires: Nanos,
) -> Result<Grant, AuthError> {
    if access.len() > REPOS_MAX {
        return Err(too_many());
    }
    let writes = access.values().any(|level| *level == Level::Write);
    let named = |(name, level): (String, Level)| {
        let name = name.parse::<RepoName>().map_err(|_| {
            AuthError::malformed("the access token's access must name repos without their org")
        })?;
        Ok(NamedRepo {
            name: format!("{org}/{name}"),
            read_only: level == Level::Read,
        })
    };
    Ok(Grant {
        scopes: Scopes::new([if writes { Scope::Write } else { Scope::Read }]),
        repos: Some(
            access
                .into_iter()
                .map(named)
                .collect::<Result<_, AuthError>>()?,
        ),
        repo_ids: None,
        authors,
        expires,
    })
}

fn too_many() -> AuthError {
    AuthError::malformed("the access token names more than 250 repos")
}

/// Authors that can stand in a commit.
fn checked(authors: Vec<(String, Option<String>)>) -> Result<Vec<Author>, AuthError> {
    let wrong = || {
        AuthError::malformed(
            "the access token's authors must be 1 to 100 names with or without an address, \
             free of <, > and line ends",
        )
    };
    if authors.len() > AUTHORS_MAX {
        return Err(wrong());
    }
    let harmless = |text: &str| {
        text.len() <= AUTHOR_BYTES_MAX
            && !text.contains(|c: char| matches!(c, '<' | '>') || c.is_control())
    };
    let one = |(name, email): (String, Option<String>)| {
        let email = email.filter(|email| !email.trim().is_empty());
        let clean = harmless(&name) && email.as_deref().is_none_or(harmless);
        (clean && !name.trim().is_empty()).then_some(Author { name, email })
    };
    authors
        .into_iter()
        .map(|author| one(author).ok_or_else(wrong))
        .collect()
}
