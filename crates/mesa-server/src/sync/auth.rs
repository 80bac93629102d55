//! Credentials of calls and of streams that outlive a call.

use mesa_head::{Access, HeadError};
use mesa_repo::{AuthErrorKind, Authenticator, Catalog, Principal, Scope};
use mesa_types::{Nanos, RepoId};
use tonic::{Request, Status, metadata::MetadataMap};

use super::status::to_status;

/// Checks credentials now and again.
#[derive(Clone)]
pub(super) struct Auth {
    catalog: Catalog,
    authenticator: Authenticator,
}

impl Auth {
    pub fn new(catalog: Catalog, authenticator: Authenticator) -> Self {
        Self {
            catalog,
            authenticator,
        }
    }

    pub fn now(&self) -> Nanos {
        self.catalog.now()
    }

    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The caller of a request.
    pub async fn caller<T>(&self, request: &Request<T>) -> Result<Principal, Status> {
        self.authenticator
            .authenticate(bearer(request.metadata()), self.now())
            .await
            .map_err(|error| to_status(error.into()))
    }

    /// The same caller later: what it may do now.
    pub async fn recheck(&self, held: &Principal) -> Result<Principal, HeadError> {
        Ok(self.authenticator.recheck(held, self.now()).await?)
    }

    /// What a message on a stream may do. For `grace` after its expiry a credential still covers
    /// what was journalled before.
    pub async fn access(
        &self,
        held: &Principal,
        repo: &RepoId,
        grace: Nanos,
    ) -> Result<Access, HeadError> {
        let now = self.now();
        match self.authenticator.recheck(held, now).await {
            Ok(fresh) => Ok(Access::Good {
                key: fresh.key.clone(),
                write: fresh.allows(repo, Scope::Write),
            }),
            Err(error) => match (error.kind, held.expires) {
                (AuthErrorKind::Expired, Some(at)) if now.0 - at.0 < grace.0 => {
                    Ok(Access::Expired {
                        key: held.key.clone(),
                        at,
                    })
                }
                _ => Err(error.into()),
            },
        }
    }
}

/// What follows `Bearer ` in the `authorization` metadata; empty if there is none.
fn bearer(metadata: &MetadataMap) -> &str {
    metadata
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map_or("", |(_, credential)| credential.trim())
}
