//! What a call looks at, and whether that is still what its caller saw.

use mesa_api::ErrorCode;
use mesa_head::ActionFilter;
use mesa_object::tree::NodeRecord;
use mesa_repo::{Repo, Scope, Versioned};
use mesa_types::{ChangeId, GitOid, NodeKind, ObjectId};
use serde_json::{Value, json};

use super::call::Context;
use crate::{
    error::ApiError,
    routes::content::{path::RepoPath, sha},
    snapshot::{Found, Snapshot},
};

/// Attempts of a write while others write to the same change.
pub const ATTEMPTS: usize = 12;

/// A change as it is now, everything acknowledged included.
pub struct Opened {
    pub repo: Versioned<Repo>,
    /// What the call named: a bookmark or a change.
    pub named: String,
    pub change: ChangeId,
    pub commit: Option<GitOid>,
    pub root: Option<ObjectId>,
    pub snapshot: Snapshot,
}

/// A file, directory or symlink.
pub struct Node {
    /// Absent: the root of the empty tree.
    pub record: Option<Box<NodeRecord>>,
    pub kind: NodeKind,
    /// git's oid of the content: the same content has the same version.
    pub version: String,
}

impl Context {
    /// Org and repo that `name` or `org/name` means.
    pub fn place<'a>(&'a self, repo: &'a str) -> (&'a str, &'a str) {
        repo.split_once('/')
            .unwrap_or((self.caller.principal.org_slug.as_str(), repo))
    }

    /// The repo, if it exists for the caller, who must hold the scope.
    pub async fn repo(&self, repo: &str, scope: Scope) -> Result<Versioned<Repo>, ApiError> {
        self.caller.repo(&self.app, self.place(repo), scope).await
    }

    /// A change of a repo; of its default bookmark when nothing is named.
    pub async fn open(
        &self,
        repo: &str,
        rev: Option<&str>,
        scope: Scope,
    ) -> Result<Opened, ApiError> {
        let repo = self.repo(repo, scope).await?;
        let named = rev.filter(|rev| !rev.is_empty());
        let named = named.unwrap_or(repo.default_bookmark.as_str()).to_owned();
        let catalog = self.app.catalog();
        let change = catalog.resolve_change(&repo.org, &repo.id, &named).await?;
        let (commit, root) = if change.is_root() {
            (None, None)
        } else {
            let sealed = self.app.heads().seal(&repo.org, &repo.id, &change).await?;
            (sealed.commit, sealed.root)
        };
        let packs = self.app.heads().packs(&repo.org).await?;
        Ok(Opened {
            snapshot: Snapshot::open(packs, root).await?,
            repo,
            named,
            change,
            commit,
            root,
        })
    }
}

impl Opened {
    /// The commit, zeros where there is none.
    pub fn commit_oid(&self) -> String {
        self.commit.unwrap_or(GitOid([0; 20])).to_string()
    }

    /// What is at a path. Symlinks are not followed.
    pub async fn node(&self, path: &RepoPath) -> Result<Option<Node>, ApiError> {
        let found = self.snapshot.find(path.parts()).await?;
        Ok(found.map(|found| match found {
            Found::EmptyRoot => Node {
                record: None,
                kind: NodeKind::Dir,
                version: GitOid::EMPTY_TREE.to_string(),
            },
            Found::Node(record) => Node {
                kind: record.attr.kind,
                version: sha(&record),
                record: Some(record),
            },
        }))
    }

    /// The same where something must be.
    pub async fn existing(&self, path: &RepoPath) -> Result<Node, ApiError> {
        let node = self.node(path).await?;
        node.ok_or_else(|| {
            let path = text(path);
            ApiError::new(
                ErrorCode::NotFound,
                format!(
                    "there is nothing at '{}' in '{}'",
                    path.escape_debug(),
                    self.named
                ),
            )
            .narrowed("PATH_NOT_FOUND")
            .detail("path", path)
        })
    }

    /// Refuses a write to a path that is not as its caller saw it; `None`: not there.
    pub async fn check(
        &self,
        context: &Context,
        path: &RepoPath,
        node: Option<&Node>,
        seen: Option<&str>,
    ) -> Result<(), ApiError> {
        let now = node.map(|node| node.version.as_str());
        if now == seen {
            return Ok(());
        }
        let path_text = text(path);
        let shown = path_text.escape_debug();
        let (code, message) = match (now, seen) {
            (Some(_), None) => (
                "VERSION_REQUIRED",
                format!("there is something at '{shown}' already, and expected_version is missing"),
            ),
            (None, Some(_)) => (
                "STALE_VERSION",
                format!("'{shown}' is not there any more: it was moved or deleted"),
            ),
            _ => (
                "STALE_VERSION",
                format!("'{shown}' is not as you saw it: its content changed"),
            ),
        };
        let mut error = ApiError::new(ErrorCode::Conflict, message)
            .narrowed(code)
            .detail("path", path_text)
            .detail("expected_version", seen)
            .detail("version", now)
            .detail("change_id", self.change.to_string())
            .detail("commit_oid", self.commit_oid());
        if seen.is_some()
            && let Some(last) = self.last_action(context, path).await
        {
            error = error.detail("last_action", last);
        }
        Err(error)
    }

    /// Who touched a path last, where the log of the change knows.
    async fn last_action(&self, context: &Context, path: &RepoPath) -> Option<Value> {
        let filter = ActionFilter {
            path: Some(path.joined()),
            ..ActionFilter::default()
        };
        let heads = context.app.heads();
        let page = heads.actions(&self.repo, &self.change, &filter, None, 1);
        let action = page.await.ok()?.actions.pop()?;
        Some(json!({
            "action": action.first.to_string(),
            "ended_at": mesa_api::Timestamp::from(action.ended),
            "origin": action.origin,
            "key_id": action.key,
            "host": action.host,
        }))
    }
}

/// A path as text.
pub fn text(path: &RepoPath) -> String {
    String::from_utf8_lossy(&path.joined()).into_owned()
}

/// A commit that a caller names.
pub fn commit(text: &str) -> Result<GitOid, ApiError> {
    text.parse()
        .map_err(|_| ApiError::bad_request("a commit_oid must be 40 lower-case hex digits"))
}

/// A change that a caller names as the one it saw.
pub fn change(text: &str) -> Result<ChangeId, ApiError> {
    text.parse()
        .map_err(|_| ApiError::bad_request("a change_id must be 32 letters from k to z"))
}

/// The end of many attempts.
pub fn busy() -> ApiError {
    ApiError::new(
        ErrorCode::LockConflict,
        "others kept writing to the same change",
    )
}
