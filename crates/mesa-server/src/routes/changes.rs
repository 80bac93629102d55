//! `/v1/{org}/{repo}/changes`.

pub mod abandon;
pub mod files;
mod walk;
pub mod write;

use axum::{Json, extract::State};
use mesa_api::{
    Change, ChangeDetails, ChangeList, ChangeState, CommitIdentity, Signature, Timestamp,
};
use mesa_repo::{Commit, Scope};
use mesa_types::{ChangeId, Nanos};
use serde::Deserialize;

use super::content::sealed_root;
use crate::{
    edge::{
        Caller,
        extract::{Paging, UrlPath, UrlQuery},
    },
    error::ApiError,
    snapshot::{Snapshot, diff},
    state::App,
};

/// Most paths in one answer.
const FILES_MAX: usize = 100_000;

/// The filter of the list.
#[derive(Debug, Deserialize)]
pub struct Query {
    pub(crate) bookmark: Option<String>,
    pub(crate) state: Option<String>,
}

/// Lists the changes reachable from a bookmark (or change), newest first, without the root.
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo)): UrlPath<(String, String)>,
    UrlQuery(query): UrlQuery<Query>,
    Paging(page): Paging,
) -> Result<Json<ChangeList>, ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Read).await?;
    match query.state.as_deref() {
        None | Some("") => {}
        Some("abandoned") => return abandon::list(&app, &repo, &page).await.map(Json),
        Some(_) => return Err(ApiError::bad_request("state must be 'abandoned'")),
    }
    let start = if let Some(cursor) = page.cursor.as_deref() {
        walk::Walk::resume(cursor)?
    } else {
        let named = query.bookmark.as_deref().filter(|name| !name.is_empty());
        let named = named.unwrap_or(repo.default_bookmark.as_str());
        let tip = app
            .catalog()
            .resolve_change(&repo.org, &repo.id, named)
            .await?;
        // What is below it is rebased first, so that the list is of one history.
        app.heads().settled(&repo.org, &repo.id, &tip).await?;
        walk::Walk::from(tip)
    };
    let limit = page.limit.unwrap_or(mesa_api::PAGE_LIMIT_DEFAULT);
    let (found, next) = start.take(app.catalog(), &repo, limit).await?;
    let mut changes = Vec::with_capacity(found.len());
    for change in &found {
        changes.push(shown(&app, change).await?);
    }
    Ok(Json(ChangeList {
        has_more: next.is_some(),
        next_cursor: next,
        changes,
    }))
}

/// Reads a change with the paths it changed.
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo, id)): UrlPath<(String, String, String)>,
) -> Result<Json<ChangeDetails>, ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Read).await?;
    let id = app
        .catalog()
        .resolve_change(&repo.org, &repo.id, &id)
        .await?;
    if id.is_root() {
        return Ok(Json(ChangeDetails {
            change: virtual_root(),
            files: Vec::new(),
            conflicts: Vec::new(),
        }));
    }
    let root = sealed_root(&app, &repo, &id).await?;
    let missing = || ApiError::not_found("change").narrowed("CHANGE_NOT_FOUND");
    let change = app
        .catalog()
        .change(&repo.org, &repo.id, &id)
        .await?
        .ok_or_else(missing)?;
    let parent_root = match change.parents.first() {
        Some(parent) => sealed_root(&app, &repo, parent).await?,
        None => None,
    };
    let packs = app.heads().packs(&repo.org).await?;
    let old = Snapshot::open(packs.clone(), parent_root).await?;
    let new = Snapshot::open(packs, root).await?;
    let (files, more) = diff::changed_paths(&old, &new, FILES_MAX).await?;
    if more {
        tracing::warn!(change = %id, "a change has more than {FILES_MAX} paths; the answer is cut");
    }
    let conflicts = app.heads().conflict_paths(&repo, root).await?;
    let text = |path: Vec<u8>| String::from_utf8_lossy(&path).into_owned();
    let files = files.into_iter();
    let files = files.filter(|path| !conflicts.side_files.contains(path));
    Ok(Json(ChangeDetails {
        change: shown(&app, &change).await?,
        files: files.map(text).collect(),
        conflicts: conflicts.paths.into_iter().map(text).collect(),
    }))
}

/// A change on the wire.
pub(crate) async fn shown(app: &App, change: &mesa_repo::Change) -> Result<Change, ApiError> {
    // A change made by its first operation has no commit before it is sealed.
    let oid = if change.commit.is_some() {
        change.commit
    } else {
        let sealed = app.heads().seal(&change.org, &change.repo, &change.id);
        sealed.await?.commit
    };
    let commit = match oid {
        Some(oid) => {
            app.catalog()
                .commit_by_oid(&change.org, &change.repo, &oid)
                .await?
        }
        None => None,
    };
    let authored = change.author.at.unwrap_or(change.created);
    let authored = commit.as_ref().map_or(authored, |c| c.authored);
    let committed = commit.as_ref().map_or(change.updated, |c| c.committed);
    let author = signature(&change.author, authored);
    let committer = change.committer.as_ref().unwrap_or(&change.author);
    Ok(Change {
        id: change.id.to_string(),
        current_commit_oid: oid.map_or_else(no_commit, |oid| oid.to_string()),
        is_conflicted: change.conflicted,
        state: match change.state {
            mesa_repo::ChangeState::Open => ChangeState::Open,
            mesa_repo::ChangeState::Closed => ChangeState::Closed,
            mesa_repo::ChangeState::Abandoned => ChangeState::Abandoned,
            // Nobody may write to one whose state this version does not know.
            _ => ChangeState::Published,
        },
        message: change.message.clone(),
        authors: std::iter::once(&change.author)
            .chain(&change.coauthors)
            .map(|author| CommitIdentity {
                name: author.name.clone(),
                email: Some(author.email.clone()).filter(|email| !email.is_empty()),
            })
            .collect(),
        author,
        authored_at: Timestamp(authored).whole_seconds(),
        committer: signature(committer, committed),
        parents: change.parents.iter().map(ChangeId::to_string).collect(),
        created_at: change.created.into(),
        updated_at: updated(change, commit.as_ref()),
    })
}

fn updated(change: &mesa_repo::Change, commit: Option<&Commit>) -> Timestamp {
    commit
        .map_or(change.updated, |c| c.committed.max(change.created))
        .into()
}

fn signature(who: &mesa_repo::Signature, at: Nanos) -> Signature {
    Signature {
        name: who.name.clone(),
        email: who.email.clone(),
        date: Some(at.into()),
    }
}

/// What stands for the commit of a change without one.
fn no_commit() -> String {
    "0".repeat(40)
}

/// The change every first change has as its parent.
pub(crate) fn virtual_root() -> Change {
    let epoch = Timestamp(Nanos(0));
    let nobody = Signature {
        name: String::new(),
        email: String::new(),
        date: Some(epoch),
    };
    Change {
        id: ChangeId::ROOT.to_string(),
        current_commit_oid: no_commit(),
        is_conflicted: false,
        state: ChangeState::Published,
        message: String::new(),
        author: nobody.clone(),
        authors: Vec::new(),
        authored_at: epoch,
        committer: nobody,
        parents: Vec::new(),
        created_at: epoch,
        updated_at: epoch,
    }
}
