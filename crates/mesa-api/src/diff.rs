//! What differs between two changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiffStatus {
    /// There was nothing.
    Added,
    /// It changed.
    Modified,
    /// There is nothing any more.
    Deleted,
    /// It was elsewhere.
    Renamed,
}

/// Why a file's differences are not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OmittedReason {
    /// A side is no text.
    Binary,
    /// A side, or the whole answer, is too large.
    TooLarge,
    /// Too many files differ.
    FileLimit,
}

/// What a line of a hunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiffLineKind {
    /// On both sides.
    Context,
    /// In the head only.
    Added,
    /// In the base only.
    Deleted,
    /// A remark: the line before does not end in a line feed.
    Annotation,
}

/// A line of a hunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffLine {
    /// What it is.
    pub kind: DiffLineKind,
    /// Its text without the line feed; U+FFFD stands for what is not UTF-8.
    pub text: String,
}

/// A run of changes with context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffHunk {
    /// First line in the base, from 1.
    pub old_start: usize,
    /// Lines of the base.
    pub old_lines: usize,
    /// First line in the head, from 1.
    pub new_start: usize,
    /// Lines of the head.
    pub new_lines: usize,
    /// The lines in order.
    pub lines: Vec<DiffLine>,
}

/// One side of a conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConflictSide {
    /// Base64 of the side's bytes.
    pub content: String,
}

/// A place where the sides of a conflict differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConflictHunk {
    /// Names it in a resolution.
    pub hunk_id: String,
    /// First line of the base, from 1.
    pub old_start: usize,
    /// Lines of the base.
    pub old_lines: usize,
    /// First line of the target, from 1.
    pub new_start: usize,
    /// Lines of the target.
    pub new_lines: usize,
    /// The side merged into; null = it has no such file.
    pub target: Option<ConflictSide>,
    /// What both come from; null = there was no such file.
    pub base: Option<ConflictSide>,
    /// The side merged; null = it has no such file.
    pub source: Option<ConflictSide>,
}

/// A path that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffEntry {
    /// The path; U+FFFD stands for what is not UTF-8.
    pub path: String,
    /// Base64 of the raw path, only when it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// What happened.
    pub status: DiffStatus,
    /// Where a renamed file was.
    pub old_path: Option<String>,
    /// Whether the path is in conflict.
    pub is_conflicted: bool,
    /// Why there are no hunks though the contents differ.
    pub omitted_reason: Option<OmittedReason>,
    /// The differences; null when they are omitted.
    pub hunks: Option<Vec<DiffHunk>>,
    /// The conflict, if the path is in one.
    pub conflict_hunks: Option<Vec<ConflictHunk>>,
    /// Length of the newer side in bytes.
    pub size_bytes: u64,
}

/// A path in conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConflictedDiffEntry {
    /// The path; U+FFFD stands for what is not UTF-8.
    pub path: String,
    /// Base64 of the raw path, only when it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// Where its sides differ.
    pub hunks: Vec<ConflictHunk>,
    /// Length of the largest side in bytes.
    pub size_bytes: u64,
    /// Why there are none.
    pub omitted_reason: Option<OmittedReason>,
}

/// Counts over a whole diff.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffStats {
    /// Paths that differ.
    pub entries: usize,
    /// Lines added.
    pub additions: usize,
    /// Lines deleted.
    pub deletions: usize,
    /// Both together.
    pub changes: usize,
    /// Paths in conflict.
    pub conflicted_entries: usize,
    /// Places in conflict.
    pub conflicted_hunks: usize,
}

/// `GET /{org}/{repo}/diff`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diff {
    /// The change compared with.
    pub base_change_id: String,
    /// The change looked at.
    pub head_change_id: String,
    /// Counts.
    pub stats: DiffStats,
    /// Whether something is not shown.
    pub truncated: bool,
    /// Paths that differ, sorted; those in conflict are in `conflicted_entries` only.
    pub entries: Vec<DiffEntry>,
    /// Paths in conflict, sorted.
    pub conflicted_entries: Vec<ConflictedDiffEntry>,
}
