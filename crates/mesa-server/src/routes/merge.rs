//! `POST /v1/{org}/{repo}/bookmarks/merge`: of bookmarks, and of changes by their ids.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use mesa_api::{BookmarkMerge, ErrorCode, MergeResult, MergeType, Resolution};
use mesa_head::{
    HunkResolve, MergeInto, MergeOutcome, MergeSeen, PathConflict, Resolve, ViewTarget,
};
use mesa_repo::{Repo, Scope};
use mesa_types::{BookmarkName, ChangeId};
use mesa_vcs::text::HunkId;
use serde_json::{Value, json};

use super::{
    bookmarks::existing,
    changes::{files::decoded, write::describe},
    diff::conflict_hunk,
};
use crate::{
    edge::{
        Caller,
        extract::{FilesBody, UrlPath},
    },
    error::ApiError,
    state::App,
};

/// Merges one bookmark into another.
pub async fn merge(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo)): UrlPath<(String, String)>,
    FilesBody(body): FilesBody<BookmarkMerge>,
) -> Result<Json<MergeResult>, ApiError> {
    merged(&app, &caller, (&org, &repo), body, MergeSeen::default())
        .await
        .map(Json)
}

/// Merges one bookmark into another, if both are at the commits that the caller saw.
pub(crate) async fn merged(
    app: &App,
    caller: &Caller,
    place: (&str, &str),
    body: BookmarkMerge,
    seen: MergeSeen,
) -> Result<MergeResult, ApiError> {
    let repo = caller.repo(app, place, Scope::Write).await?;
    let target = side(app, &repo, &body.target).await?;
    let source = side(app, &repo, &body.source).await?;
    let bookmark = match &source {
        ViewTarget::Bookmark(name) => Some(name.clone()),
        ViewTarget::Change(_) => None,
    };
    if body.delete_source && bookmark.is_none() {
        return Err(ApiError::bad_request(
            "delete_source is for a source that is a bookmark",
        ));
    }
    if body.delete_source && bookmark.as_ref() == Some(&repo.default_bookmark) {
        return Err(ApiError::new(
            ErrorCode::Conflict,
            "the default bookmark cannot be deleted",
        )
        .narrowed("DEFAULT_BOOKMARK"));
    }
    let delete = bookmark.filter(|_| body.delete_source && source != target);
    let wanted = MergeInto {
        target: target.clone(),
        source: source.clone(),
        describe: describe(caller, body.message, None, None),
        resolutions: resolutions(body.resolutions.unwrap_or_default())?,
        allow_conflicted: body.allow_conflicted,
    };
    let outcome = app
        .heads()
        .merge_seen(&caller.actor, &repo, wanted, seen)
        .await?;
    let (merge_type, change, commit, is_conflicted) = match outcome {
        MergeOutcome::Merged {
            change,
            commit,
            conflicted,
        } => (MergeType::MergeCommit, change, Some(commit), conflicted),
        MergeOutcome::Nothing { change, commit } => {
            let found = app.catalog().change(&repo.org, &repo.id, &change).await?;
            let conflicted = found.is_some_and(|found| found.conflicted);
            (MergeType::NoOp, change, commit, conflicted)
        }
        MergeOutcome::Conflicts(conflicts) => return Err(conflicted(&conflicts)),
    };
    let source_deleted = match &delete {
        Some(name) => delete_merged(app, caller, &repo, name, &change).await?,
        None => false,
    };
    Ok(MergeResult {
        merge_type,
        is_conflicted,
        commit_oid: commit.map_or_else(|| "0".repeat(40), |oid| oid.to_string()),
        change_id: change.to_string(),
        target: body.target,
        source: body.source,
        source_deleted,
    })
}

/// What a side names: an exact change id first, else a bookmark.
async fn side(app: &App, repo: &Repo, named: &str) -> Result<ViewTarget, ApiError> {
    if let Ok(id) = named.parse::<ChangeId>() {
        let catalog = app.catalog();
        let is_there = id.is_root() || catalog.change(&repo.org, &repo.id, &id).await?.is_some();
        if is_there {
            return Ok(ViewTarget::Change(id));
        }
    }
    Ok(ViewTarget::Bookmark(existing(named)?))
}

/// Deletes the bookmark that was merged, unless somebody has written to it since.
async fn delete_merged(
    app: &App,
    caller: &Caller,
    repo: &Repo,
    source: &BookmarkName,
    merge: &ChangeId,
) -> Result<bool, ApiError> {
    let catalog = app.catalog();
    let Some(read) = catalog.bookmark(&repo.org, &repo.id, source).await? else {
        return Ok(false);
    };
    let change = read.change;
    if !app.heads().contains(repo, merge, &change).await? {
        return Ok(false);
    }
    let deleted = catalog
        .delete_bookmark_at(&repo.org, &repo.id, source, Some(change), &caller.actor)
        .await;
    match deleted {
        Ok(()) => Ok(true),
        // The merge is made; the bookmark is somebody else's by now.
        Err(error) if error.code == "STALE_BOOKMARK" => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Resolutions as they arrive.
pub fn resolutions(given: Vec<Resolution>) -> Result<BTreeMap<Vec<u8>, Resolve>, ApiError> {
    let mut found = BTreeMap::new();
    for resolution in given {
        let path = resolution.path.clone();
        let resolve = match (&resolution.hunks, &resolution.content, &resolution.take) {
            (Some(hunks), None, None) => {
                let mut named = BTreeMap::new();
                for hunk in hunks {
                    let id = hunk.hunk_id.parse::<HunkId>().map_err(|_| {
                        ApiError::bad_request("a hunk_id is not one").narrowed("UNKNOWN_HUNK")
                    })?;
                    let by = match (&hunk.content, hunk.take.as_deref()) {
                        (Some(content), None) => HunkResolve::Content(
                            decoded(content, hunk.encoding.as_deref())?.to_vec(),
                        ),
                        (None, Some("target")) => HunkResolve::Target,
                        (None, Some("source")) => HunkResolve::Source,
                        _ => return Err(unclear(&path)),
                    };
                    if named.insert(id, by).is_some() {
                        return Err(unclear(&path));
                    }
                }
                Resolve::Hunks(named)
            }
            (None, Some(content), None) => {
                Resolve::Content(decoded(content, resolution.encoding.as_deref())?)
            }
            (None, None, Some(take)) if take == "target" => Resolve::Target,
            (None, None, Some(take)) if take == "source" => Resolve::Source,
            _ => return Err(unclear(&path)),
        };
        if found.insert(path.clone().into_bytes(), resolve).is_some() {
            return Err(unclear(&path));
        }
    }
    Ok(found)
}

fn unclear(path: &str) -> ApiError {
    ApiError::bad_request(format!(
        "the resolution of '{}' must be one of content, take (target or source) and hunks",
        path.escape_debug()
    ))
}

/// The refusal for conflicts: what to resolve.
pub fn conflicted(conflicts: &[PathConflict]) -> ApiError {
    let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    let paths: Vec<Value> = conflicts.iter().map(|c| text(&c.path).into()).collect();
    let shown: Vec<Value> = conflicts
        .iter()
        .map(|conflict| {
            let hunks: Vec<_> = conflict.hunks.iter().map(conflict_hunk).collect();
            json!({"path": text(&conflict.path), "hunks": hunks})
        })
        .collect();
    ApiError::new(
        ErrorCode::MergeConflict,
        format!("{} paths are in conflict", conflicts.len()),
    )
    .detail("conflict_paths", paths)
    .detail("conflicts", shown)
}
