//! The authenticated caller of a request.

use axum::extract::FromRequestParts;
use http::{header, request::Parts};
use mesa_api::ErrorCode;
use mesa_repo::{Actor, AuthErrorKind, Principal, Repo, Scope, Versioned};
use mesa_types::{OrgSlug, RepoName};

use super::{Peer, RequestId};
use crate::{error::ApiError, state::App};

/// Who is calling, checked for this request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What the credential permits.
    pub principal: Principal,
    /// Who to name in the logs.
    pub actor: Actor,
}

/// The credential of a request: what follows `Bearer ` in `Authorization`; empty if there is none.
pub fn bearer(parts: &Parts) -> &str {
    parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map_or("", |(_, credential)| credential.trim())
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let now = app.catalog().now();
        let source = parts
            .extensions
            .get::<Peer>()
            .map_or_else(|| "unknown".to_owned(), Peer::to_string);
        let principal = match app.auth().authenticate(bearer(parts), now).await {
            Ok(principal) => principal,
            Err(refused) => {
                // Guessing is bounded by address; a caller without any credential is not guessing.
                let guess = matches!(
                    refused.kind,
                    AuthErrorKind::Unknown | AuthErrorKind::Malformed
                );
                if guess {
                    limited(app.refusals().take(&source, now))?;
                }
                return Err(refused.into());
            }
        };
        limited(app.requests().take(principal.key.as_str(), now))?;
        let request = parts
            .extensions
            .get::<RequestId>()
            .map_or("", RequestId::as_str);
        let actor = principal.actor(source, request);
        Ok(Self { principal, actor })
    }
}

fn limited(taken: Result<(), u64>) -> Result<(), ApiError> {
    taken.map_err(|seconds| {
        ApiError::new(ErrorCode::RateLimited, "too many requests").retry_after(seconds)
    })
}

impl Caller {
    /// Counts one more request of the caller.
    pub fn count(&self, app: &App) -> Result<(), ApiError> {
        let now = app.catalog().now();
        limited(app.requests().take(self.principal.key.as_str(), now))
    }

    /// Checks that the path's org is the caller's (another one does not exist for it) and that
    /// the scope is held.
    pub fn org(&self, slug: &str, scope: Scope) -> Result<(), ApiError> {
        let own = slug
            .parse::<OrgSlug>()
            .is_ok_and(|s| s == self.principal.org_slug);
        if !own {
            return Err(ApiError::not_found("org").narrowed("ORG_NOT_FOUND"));
        }
        Ok(self.principal.require(scope)?)
    }

    /// The repo of a path, if it exists for the caller, who must hold the scope.
    pub async fn repo(
        &self,
        app: &App,
        (org, repo): (&str, &str),
        scope: Scope,
    ) -> Result<Versioned<Repo>, ApiError> {
        self.org(org, Scope::Read)?;
        let name = repo
            .parse::<RepoName>()
            .map_err(|_| ApiError::not_found("repo").narrowed("REPO_NOT_FOUND"))?;
        let repo = app.catalog().visible_repo(&self.principal, &name).await?;
        self.principal.require_in(&repo.id, scope)?;
        Ok(repo)
    }
}
