//! `GET /v1/{org}/{repo}/diff`.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, header};
use mesa_api::{
    ConflictHunk, ConflictSide, ConflictedDiffEntry, Diff, DiffEntry, DiffHunk, DiffLine,
    DiffLineKind, DiffStats, DiffStatus, OmittedReason,
};
use mesa_head::{ConflictsShown, Difference, PathConflict};
use mesa_repo::Scope;
use mesa_types::ChangeId;
use mesa_vcs::diff::{self, ContentDiff, LineKind, Omitted, PatchOptions, Status};
use mesa_vcs::tree::ConflictKind;
use serde::Deserialize;

use super::content::{sealed_root, shown};
use crate::{
    edge::{
        Caller, accept,
        extract::{UrlPath, UrlQuery},
    },
    error::ApiError,
    state::App,
};

const JSON: &str = "application/json";
const PATCH: &str = "text/plain";
/// What git says of a last line without a line feed.
const NO_LINE_FEED: &str = "No newline at end of file";

/// The query.
#[derive(Debug, Deserialize)]
pub struct Query {
    base_change_id: String,
    head_change_id: String,
    #[serde(default)]
    conflicts: Conflicts,
}

/// Which paths are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Conflicts {
    /// All.
    #[default]
    Include,
    /// Those in conflict.
    Only,
    /// Those not in conflict.
    Exclude,
}

/// What differs between two changes, as JSON or as one patch in git's form.
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    UrlPath((org, repo)): UrlPath<(String, String)>,
    UrlQuery(query): UrlQuery<Query>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let repo = caller.repo(&app, (&org, &repo), Scope::Read).await?;
    let wanted = accept::negotiate(&headers, &[JSON, PATCH])?;
    let (base, head) = (&query.base_change_id, &query.head_change_id);
    let catalog = app.catalog();
    let base = catalog.resolve_change(&repo.org, &repo.id, base).await?;
    let head = catalog.resolve_change(&repo.org, &repo.id, head).await?;
    let before = sealed_root(&app, &repo, &base).await?;
    let after = sealed_root(&app, &repo, &head).await?;
    let shown = match query.conflicts {
        Conflicts::Include => ConflictsShown::Include,
        Conflicts::Only => ConflictsShown::Only,
        Conflicts::Exclude => ConflictsShown::Exclude,
    };
    let found = app.heads().diff(&repo, before, after, shown).await?;
    if wanted == PATCH {
        return Ok(patch(&found.entries, &found.contents));
    }
    Ok(Json(json(base, head, &found)).into_response())
}

fn patch(entries: &[diff::DiffEntry], contents: &[ContentDiff]) -> Response {
    let mut out = Vec::new();
    for (entry, content) in entries.iter().zip(contents) {
        diff::write_patch(&mut out, entry, content, &PatchOptions::default());
    }
    let media_type = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(header::CONTENT_TYPE, media_type)], out).into_response()
}

pub(crate) fn json(base: ChangeId, head: ChangeId, found: &Difference) -> Diff {
    let (entries, contents) = (&found.entries, &found.contents);
    let sum = |kind| contents.iter().map(|c| c.count(kind)).sum::<usize>();
    let (additions, deletions) = (sum(LineKind::Added), sum(LineKind::Deleted));
    let hidden =
        |c: &ContentDiff| matches!(c.omitted, Some(Omitted::TooLarge | Omitted::FileLimit));
    Diff {
        base_change_id: base.to_string(),
        head_change_id: head.to_string(),
        stats: DiffStats {
            entries: entries.len(),
            additions,
            deletions,
            changes: additions + deletions,
            conflicted_entries: found.conflicts.len(),
            conflicted_hunks: found.conflicts.iter().map(|c| c.hunks.len()).sum(),
        },
        truncated: contents.iter().any(hidden) || found.conflicts.iter().any(is_cut),
        entries: entries.iter().zip(contents).map(entry).collect(),
        conflicted_entries: found.conflicts.iter().map(conflicted).collect(),
    }
}

/// Whether the hunks of a text are not shown.
fn is_cut(conflict: &PathConflict) -> bool {
    conflict.kind == ConflictKind::Text && conflict.hunks.is_empty()
}

fn conflicted(conflict: &PathConflict) -> ConflictedDiffEntry {
    let (path, path_b64) = shown(&conflict.path);
    ConflictedDiffEntry {
        path,
        path_b64,
        hunks: conflict.hunks.iter().map(conflict_hunk).collect(),
        size_bytes: conflict.bytes,
        omitted_reason: match conflict.kind {
            ConflictKind::Binary => Some(OmittedReason::Binary),
            ConflictKind::TooLarge => Some(OmittedReason::TooLarge),
            _ if is_cut(conflict) => Some(OmittedReason::TooLarge),
            _ => None,
        },
    }
}

/// A hunk in conflict on the wire.
pub fn conflict_hunk(hunk: &diff::ConflictHunk) -> ConflictHunk {
    let side = |text: &Option<Vec<u8>>| {
        let content = STANDARD.encode(text.as_ref()?);
        Some(ConflictSide { content })
    };
    ConflictHunk {
        hunk_id: hunk.id.to_string(),
        old_start: hunk.old_start,
        old_lines: hunk.old_lines,
        new_start: hunk.new_start,
        new_lines: hunk.new_lines,
        target: side(&hunk.target),
        base: side(&hunk.base),
        source: side(&hunk.source),
    }
}

fn entry((entry, content): (&diff::DiffEntry, &ContentDiff)) -> DiffEntry {
    let (path, path_b64) = shown(entry.path.as_bytes());
    let (status, old_path) = match &entry.status {
        Status::Added => (DiffStatus::Added, None),
        Status::Modified => (DiffStatus::Modified, None),
        Status::Deleted => (DiffStatus::Deleted, None),
        Status::Renamed { from, .. } => (DiffStatus::Renamed, Some(shown(from.as_bytes()).0)),
    };
    let newer = entry.after.as_ref().or(entry.before.as_ref());
    DiffEntry {
        path,
        path_b64,
        status,
        old_path,
        is_conflicted: false,
        omitted_reason: content.omitted.map(|reason| match reason {
            Omitted::Binary => OmittedReason::Binary,
            Omitted::TooLarge => OmittedReason::TooLarge,
            Omitted::FileLimit => OmittedReason::FileLimit,
        }),
        hunks: match content.omitted {
            Some(_) => None,
            None => Some(content.hunks.iter().map(hunk).collect()),
        },
        conflict_hunks: None,
        size_bytes: newer.map_or(0, |value| value.node.attr.content.size()),
    }
}

fn hunk(hunk: &diff::Hunk) -> DiffHunk {
    let mut lines = Vec::with_capacity(hunk.lines.len());
    for line in &hunk.lines {
        let text = String::from_utf8_lossy(line.text.strip_suffix(b"\n").unwrap_or(&line.text));
        let kind = match line.kind {
            LineKind::Context => DiffLineKind::Context,
            LineKind::Added => DiffLineKind::Added,
            LineKind::Deleted => DiffLineKind::Deleted,
        };
        let text = text.into_owned();
        lines.push(DiffLine { kind, text });
        if line.is_unterminated() {
            lines.push(DiffLine {
                kind: DiffLineKind::Annotation,
                text: NO_LINE_FEED.to_owned(),
            });
        }
    }
    DiffHunk {
        old_start: hunk.old_start,
        old_lines: hunk.old_lines,
        new_start: hunk.new_start,
        new_lines: hunk.new_lines,
        lines,
    }
}
