//! What differs between changes.

use std::fmt::Write as _;

use mesa_api::{DiffStatus, OmittedReason};
use mesa_head::{ConflictsShown, PathConflict};
use mesa_repo::Scope;
use mesa_types::ChangeId;
use mesa_vcs::diff;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RepoArg, Rev, bounded, rev};
use crate::{
    error::ApiError,
    mcp::call::{About, Answer, Context, Effect, Tool},
    routes::{content::path::RepoPath, diff::json},
};

const PATCH_DEFAULT: usize = 100_000;
const PATCH_MAX: usize = 1_000_000;
/// Paths in one answer.
const ENTRIES_MAX: usize = 3_000;

pub fn tools() -> Vec<Tool> {
    vec![Tool::new(
        About {
            name: "diff",
            title: "Compare changes",
            description: "Shows what differs between two changes: the paths, and a patch in git's \
                          form. Without base it shows what head did to its first parent. path \
                          narrows it to a file or directory. A patch that is longer than max_bytes \
                          is cut at the end of a file's part: patch_truncated is true then. Paths \
                          in conflict come with their hunks instead.",
            effect: Effect::Reads,
        },
        compare,
    )]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Compare {
    repo: RepoArg,
    /// The older side, a bookmark or change; the first parent of head when absent.
    base: Option<Rev>,
    /// The newer side, a bookmark or change; the default bookmark when absent.
    head: Option<Rev>,
    /// Only this file, or what is below this directory.
    path: Option<String>,
    /// Longest patch in bytes, 1 to 1,000,000; 100,000 when absent.
    max_bytes: Option<u64>,
}

/// A path that differs.
#[derive(Serialize, JsonSchema)]
struct Entry {
    path: String,
    status: DiffStatus,
    /// Where a rename came from.
    old_path: Option<String>,
    /// Why its text is not shown.
    omitted_reason: Option<OmittedReason>,
}

/// A path in conflict.
#[derive(Serialize, JsonSchema)]
struct Conflict {
    path: String,
    /// Empty if it is no text, or too much.
    hunks: Vec<Hunk>,
}

/// A part of a text in conflict.
#[derive(Serialize, JsonSchema)]
#[allow(clippy::struct_field_names, reason = "names of the wire")]
struct Hunk {
    /// Names it in the resolutions of change_resolve.
    hunk_id: String,
    /// The lines of what was merged into; null if it lacks the file.
    target: Option<String>,
    /// The lines that both sides changed.
    base: Option<String>,
    /// The lines of what was merged.
    source: Option<String>,
}

impl Conflict {
    /// With its hunks as long as `left` bytes suffice.
    fn of(conflict: &PathConflict, left: &mut usize) -> Self {
        let side = |text: &Option<Vec<u8>>| {
            let text = text.as_deref()?;
            Some(String::from_utf8_lossy(text).into_owned())
        };
        let mut hunks = Vec::with_capacity(conflict.hunks.len());
        for hunk in &conflict.hunks {
            let sides = [&hunk.target, &hunk.base, &hunk.source];
            let bytes: usize = sides
                .iter()
                .map(|side| side.as_ref().map_or(0, Vec::len))
                .sum();
            if bytes > *left {
                // Half of the hunks would resolve nothing.
                hunks.clear();
                break;
            }
            *left -= bytes;
            hunks.push(Hunk {
                hunk_id: hunk.id.to_string(),
                target: side(&hunk.target),
                base: side(&hunk.base),
                source: side(&hunk.source),
            });
        }
        Self {
            path: String::from_utf8_lossy(&conflict.path).into_owned(),
            hunks,
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct Difference {
    base_change_id: String,
    base_commit_oid: String,
    head_change_id: String,
    head_commit_oid: String,
    additions: u64,
    deletions: u64,
    entries: Vec<Entry>,
    entry_count: u64,
    conflicts: Vec<Conflict>,
    patch: String,
    patch_truncated: bool,
}

async fn compare(context: Context, wanted: Compare) -> Result<Answer<Difference>, ApiError> {
    let below = RepoPath::parse(wanted.path.as_deref().unwrap_or("").as_bytes())?.joined();
    let max = bounded("max_bytes", wanted.max_bytes, PATCH_DEFAULT, PATCH_MAX)?;
    let repo = &wanted.repo.0;
    let head = context
        .open(repo, rev(wanted.head.as_ref()), Scope::Read)
        .await?;
    let parent = if let Some(base) = &wanted.base {
        base.0.clone()
    } else {
        let (org, id) = (&head.repo.org, &head.repo.id);
        let change = context.app.catalog().change(org, id, &head.change).await?;
        let parent = change.and_then(|change| change.parents.first().copied());
        parent.unwrap_or(ChangeId::ROOT).to_string()
    };
    let base = context.open(repo, Some(&parent), Scope::Read).await?;
    let heads = context.app.heads();
    let mut found = heads
        .diff(&head.repo, base.root, head.root, ConflictsShown::Include)
        .await?;
    let fits = |path: &[u8]| {
        let rest = path.strip_prefix(below.as_slice());
        below.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    let kept: Vec<bool> = found
        .entries
        .iter()
        .map(|entry| fits(entry.path.as_bytes()))
        .collect();
    let mut keep = kept.iter();
    found.entries.retain(|_| keep.next() == Some(&true));
    let mut keep = kept.iter();
    found.contents.retain(|_| keep.next() == Some(&true));
    found.conflicts.retain(|conflict| fits(&conflict.path));

    let (mut patch, mut cut) = (Vec::new(), false);
    for (entry, content) in found.entries.iter().zip(&found.contents) {
        let before = patch.len();
        let options = diff::PatchOptions::default();
        diff::write_patch(&mut patch, entry, content, &options);
        if patch.len() > max {
            patch.truncate(before);
            cut = true;
            break;
        }
    }
    let mut left = max;
    let conflicts = found.conflicts.iter();
    let conflicts = conflicts
        .map(|conflict| Conflict::of(conflict, &mut left))
        .collect();
    let shown = json(base.change, head.change, &found);
    let entry_count = shown.entries.len() as u64;
    let entries = shown.entries.into_iter().take(ENTRIES_MAX);
    let difference = Difference {
        base_change_id: base.change.to_string(),
        base_commit_oid: base.commit_oid(),
        head_change_id: head.change.to_string(),
        head_commit_oid: head.commit_oid(),
        additions: shown.stats.additions as u64,
        deletions: shown.stats.deletions as u64,
        entries: entries
            .map(|entry| Entry {
                path: entry.path,
                status: entry.status,
                old_path: entry.old_path,
                omitted_reason: entry.omitted_reason,
            })
            .collect(),
        entry_count,
        conflicts,
        patch: String::from_utf8_lossy(&patch).into_owned(),
        patch_truncated: cut,
    };
    let text = as_text(&difference);
    Ok(Answer::with_text(difference, text))
}

fn as_text(found: &Difference) -> String {
    let mut text = format!(
        "[{} {} .. {} {}: {} paths, +{} -{}]\n",
        found.base_change_id,
        found.base_commit_oid,
        found.head_change_id,
        found.head_commit_oid,
        found.entry_count,
        found.additions,
        found.deletions
    );
    for conflict in &found.conflicts {
        let _ = writeln!(text, "in conflict: {}", conflict.path.escape_debug());
        for hunk in &conflict.hunks {
            let _ = writeln!(text, "hunk {}", hunk.hunk_id);
            for (name, side) in [
                ("target", &hunk.target),
                ("base", &hunk.base),
                ("source", &hunk.source),
            ] {
                let _ = writeln!(text, "--- {name}\n{}", side.as_deref().unwrap_or("(none)"));
            }
        }
    }
    if found.patch_truncated {
        text.push_str("[the patch is cut; these paths differ:]\n");
        for entry in &found.entries {
            let _ = writeln!(text, "{}", entry.path.escape_debug());
        }
    }
    text.push_str(&found.patch);
    text
}
