//! The caller of a request.

use std::collections::BTreeSet;

use mesa_types::{KeyId, Nanos, OrgId, OrgSlug, RepoId};

use super::error::AuthError;
use crate::{
    catalog::Actor,
    records::{Scope, Scopes},
};

/// One author that a token names for the commits made with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Name.
    pub name: String,
    /// Address, if it is given.
    pub email: Option<String>,
}

/// Who is calling, and what they may do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The org.
    pub org: OrgId,
    /// The org's slug.
    pub org_slug: OrgSlug,
    /// The key, or the key behind the token.
    pub key: KeyId,
    /// The key's name.
    pub key_name: Option<String>,
    /// What it permits.
    pub scopes: Scopes,
    /// The repos it sees; `None` = all of the org.
    pub repos: Option<BTreeSet<RepoId>>,
    /// Repos in which it may only read, whatever its scopes.
    pub read_only: BTreeSet<RepoId>,
    /// Who its commits are by, in order, if its token says so.
    pub authors: Vec<Author>,
    /// When it ends.
    pub expires: Option<Nanos>,
    /// Came with an access token instead of the key itself.
    pub token: bool,
    /// May also manage orgs.
    pub operator: bool,
}

impl Principal {
    /// `Forbidden` unless what needs `scope` is permitted.
    pub fn require(&self, scope: Scope) -> Result<(), AuthError> {
        if self.scopes.allow(scope) {
            Ok(())
        } else {
            Err(AuthError::forbidden(format!(
                "this needs the scope '{scope}'"
            )))
        }
    }

    /// Whether what needs `scope` is permitted in this repo.
    pub fn allows(&self, repo: &RepoId, scope: Scope) -> bool {
        let held = self.scopes.allow(scope) && self.sees(repo);
        held && (scope == Scope::Read || !self.read_only.contains(repo))
    }

    /// `Forbidden` unless what needs `scope` is permitted in this repo.
    pub fn require_in(&self, repo: &RepoId, scope: Scope) -> Result<(), AuthError> {
        self.require(scope)?;
        if self.allows(repo, scope) {
            Ok(())
        } else {
            Err(AuthError::forbidden(
                "the access token permits only reading in this repo".to_owned(),
            ))
        }
    }

    /// Whether the repo exists for this caller.
    pub fn sees(&self, repo: &RepoId) -> bool {
        self.repos.as_ref().is_none_or(|repos| repos.contains(repo))
    }

    /// `Forbidden` for callers restricted to some repos.
    pub fn require_whole_org(&self) -> Result<(), AuthError> {
        if self.repos.is_none() {
            Ok(())
        } else {
            Err(AuthError::forbidden(
                "a credential restricted to some repos does not permit this".to_owned(),
            ))
        }
    }

    /// The caller, for the logs.
    pub fn actor(&self, source: impl Into<String>, request: impl Into<String>) -> Actor {
        Actor {
            key: Some(self.key.clone()),
            source: source.into(),
            request: request.into(),
        }
    }
}
