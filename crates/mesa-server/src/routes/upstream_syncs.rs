//! `/v1/{org}/{repo}/upstream/syncs`, and upstreams as repos show them.

use axum::{Json, extract::State};
use http::StatusCode;
use mesa_api::{
    ErrorCode, Sync, SyncCreate, SyncDirection, SyncList, SyncRef, SyncRefGlobs, SyncStats,
    SyncStatus, Upstream, UpstreamAuth, UpstreamAuthKind, UpstreamInput,
};
use mesa_repo::{
    PageRequest, Scope,
    catalog::{NewUpstream, NewUpstreamAuth},
    records::sync as records,
};
use mesa_types::{Nanos, OrgId, RepoId, SyncId};
use reqwest::Url;

use crate::{
    edge::{
        Caller,
        extract::{JsonBody, Paging, UrlPath},
    },
    error::ApiError,
    state::App,
};

/// A sync on the wire.
pub fn shown(sync: &records::Sync) -> Sync {
    let stats = sync.refs.as_ref().map(|refs| {
        let one = |r: &records::SyncedRef| SyncRef {
            name: r.name.clone(),
            before: r.before.clone(),
            after: r.after.clone(),
            outcome: r.outcome.clone(),
        };
        SyncStats {
            refs: refs.iter().map(one).collect(),
        }
    });
    Sync {
        id: sync.id.to_string(),
        repo_id: sync.repo.to_string(),
        direction: match sync.direction {
            records::SyncDirection::Pull => SyncDirection::Pull,
            records::SyncDirection::Push => SyncDirection::Push,
        },
        status: match sync.status {
            records::SyncStatus::Queued => SyncStatus::Queued,
            records::SyncStatus::InProgress => SyncStatus::InProgress,
            records::SyncStatus::Completed => SyncStatus::Completed,
            records::SyncStatus::Failed => SyncStatus::Failed,
        },
        attempt: sync.attempt,
        ref_globs: SyncRefGlobs {
            branches: sync.branches.clone(),
            tags: sync.tags.clone(),
        },
        stats,
        error: sync.error.clone(),
        created_at: sync.created.into(),
        started_at: sync.started.map(Nanos::into),
        finished_at: sync.finished.map(Nanos::into),
    }
}

/// The upstreams of some repos of an org, in their order.
pub(super) async fn upstreams(
    app: &App,
    org: &OrgId,
    repos: &[&RepoId],
) -> Result<Vec<Option<Upstream>>, ApiError> {
    let mut out = Vec::with_capacity(repos.len());
    for upstream in app.catalog().upstreams(org, repos).await? {
        let Some(upstream) = upstream else {
            out.push(None);
            continue;
        };
        let newest = PageRequest {
            cursor: None,
            limit: Some(1),
        };
        let newest = app.catalog().list_syncs(org, &upstream.repo, &newest);
        let kind = |auth: records::UpstreamAuth| match auth.kind {
            records::UpstreamAuthKind::Token => UpstreamAuthKind::Token,
            records::UpstreamAuthKind::UsernamePassword => UpstreamAuthKind::UsernamePassword,
        };
        out.push(Some(Upstream {
            latest_sync: newest.await?.items.first().map(shown),
            url: upstream.url,
            auth_kind: upstream.auth.map(kind),
        }));
    }
    Ok(out)
}

/// An upstream of a body.
pub(super) fn upstream_of(wanted: UpstreamInput) -> Result<NewUpstream, ApiError> {
    let wrong = |message: &str| ApiError::bad_request(message).narrowed("INVALID_UPSTREAM_URL");
    let url: Url = wanted
        .url
        .parse()
        .map_err(|_| wrong("an upstream's URL must be an absolute one"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("an upstream's URL must be http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "an upstream's URL must not hold a user name or password; give them as auth",
        ));
    }
    let auth = wanted.auth.map(|auth| {
        auth.map(|auth| match auth {
            UpstreamAuth::Token {
                token,
                token_username,
            } => NewUpstreamAuth {
                kind: records::UpstreamAuthKind::Token,
                username: token_username,
                secret: token,
            },
            UpstreamAuth::UsernamePassword { username, password } => NewUpstreamAuth {
                kind: records::UpstreamAuthKind::UsernamePassword,
                username: Some(username),
                secret: password,
            },
        })
    });
    Ok(NewUpstream {
        url: wanted.url,
        auth,
    })
}

/// Lists a repo's syncs, newest first.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo)): UrlPath<(String, String)>,
    Paging(page): Paging,
) -> Result<Json<SyncList>, ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Read).await?;
    let page = app.catalog().list_syncs(&repo.org, &repo.id, &page).await?;
    Ok(Json(SyncList {
        has_more: page.next.is_some(),
        next_cursor: page.next,
        syncs: page.items.iter().map(shown).collect(),
    }))
}

/// Reads a sync.
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo, id)): UrlPath<(String, String, String)>,
) -> Result<Json<Sync>, ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Read).await?;
    let missing = || ApiError::not_found("sync").narrowed("SYNC_NOT_FOUND");
    let id = id.parse::<SyncId>().map_err(|_| missing())?;
    let sync = app.catalog().sync(&repo.org, &repo.id, &id).await?;
    Ok(Json(shown(&sync)))
}

/// Refuses a sync: this server version cannot exchange with a git remote, and says so rather than
/// queue what nobody will do.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo)): UrlPath<(String, String)>,
    body: JsonBody<SyncCreate>,
) -> Result<(StatusCode, Json<Sync>), ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Write).await?;
    let globs = body.value.ref_globs;
    if globs.is_some_and(|globs| globs.branches.is_none() && globs.tags.is_none()) {
        return Err(
            ApiError::bad_request("ref_globs must hold branches or tags")
                .narrowed("INVALID_REF_GLOBS"),
        );
    }
    if app.catalog().upstream(&repo.org, &repo.id).await?.is_none() {
        return Err(
            ApiError::new(ErrorCode::Conflict, "the repo has no upstream").narrowed("NO_UPSTREAM"),
        );
    }
    Err(ApiError::new(
        ErrorCode::NotSupported,
        "this server version cannot sync with upstreams; nothing was queued",
    ))
}
