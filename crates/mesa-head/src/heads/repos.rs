//! The repos a credential sees, for the listing of a mount's org directory.

use mesa_proto::v1;
use mesa_repo::{PageRequest, Principal, Repo, Scope};

use super::Heads;
use crate::error::{HeadError, Result};

/// Repos in one answer unless the client asks for another number.
const LIMIT_DEFAULT: u32 = mesa_repo::page::LIMIT_MAX as u32;

impl Heads {
    /// One page of the repos the caller sees.
    pub async fn list_repos(
        &self,
        caller: &Principal,
        request: v1::ListReposRequest,
    ) -> Result<v1::ListReposResponse> {
        caller.require(Scope::Read)?;
        check_org(caller, &request.org)?;
        let limit = match request.limit {
            0 => LIMIT_DEFAULT,
            limit => limit.min(LIMIT_DEFAULT),
        };
        let page = PageRequest {
            limit: Some(limit as usize),
            cursor: (!request.cursor.is_empty()).then_some(request.cursor),
        };
        let page = self.catalog().list_repos(caller, None, &page).await?;
        Ok(v1::ListReposResponse {
            repos: page.items.iter().map(|repo| info(caller, repo)).collect(),
            next_cursor: page.next.unwrap_or_default(),
        })
    }
}

/// What a caller is told about a repo.
pub(super) fn info(caller: &Principal, repo: &Repo) -> v1::RepoInfo {
    v1::RepoInfo {
        name: repo.name.to_string(),
        id: repo.id.to_string(),
        default_bookmark: repo.default_bookmark.to_string(),
        tag: repo.tag,
        writable: caller.allows(&repo.id, Scope::Write),
        created_ns: repo.created.0,
    }
}

/// Another org does not exist for the caller.
pub(super) fn check_org(caller: &Principal, org: &str) -> Result<()> {
    if caller.org_slug.as_str() == org {
        Ok(())
    } else {
        Err(HeadError::not_found(
            "ORG_NOT_FOUND",
            "there is no such org",
        ))
    }
}
