//! Bookmarks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Resolution;

/// A bookmark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bookmark {
    /// Its name.
    pub name: String,
    /// The change it points at.
    pub change_id: String,
    /// Whether it is the repo's default bookmark.
    pub is_default: bool,
}

/// `GET /{org}/{repo}/bookmarks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BookmarkList {
    /// Where the next page begins.
    pub next_cursor: Option<String>,
    /// Whether there is one.
    pub has_more: bool,
    /// Bookmarks by name.
    pub bookmarks: Vec<Bookmark>,
}

/// `PATCH /{org}/{repo}/bookmarks/{bookmark}`: the bookmark as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BookmarkMoved {
    /// The bookmark.
    #[serde(flatten)]
    pub bookmark: Bookmark,
    /// What it pointed at before.
    pub from_change_id: Option<String>,
}

/// `POST /{org}/{repo}/bookmarks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BookmarkCreate {
    /// Its name.
    pub name: String,
    /// The change (or bookmark) it is to point at.
    pub change_id: String,
}

/// `PATCH /{org}/{repo}/bookmarks/{bookmark}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BookmarkMove {
    /// The change (or bookmark) it is to point at.
    pub change_id: String,
    /// Also to a change that does not descend from what it points at.
    #[serde(default)]
    pub allow_backwards: bool,
}

/// `POST /{org}/{repo}/bookmarks/merge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BookmarkMerge {
    /// The bookmark merged into; or a change's id, which becomes the first parent of a merge that no
    /// bookmark moves to.
    pub target: String,
    /// What is merged: a bookmark, or a change's id.
    pub source: String,
    /// Delete the source afterwards, if it is a bookmark.
    #[serde(default)]
    pub delete_source: bool,
    /// Make the merge with conflicts in it.
    #[serde(default)]
    pub allow_conflicted: bool,
    /// Description of the merge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How paths in conflict are resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolutions: Option<Vec<Resolution>>,
}

/// What became of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MergeType {
    /// A merge was made.
    MergeCommit,
    /// The target had everything.
    NoOp,
}

/// The answer to a merge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MergeResult {
    /// What happened.
    pub merge_type: MergeType,
    /// Whether the merge has conflicts.
    pub is_conflicted: bool,
    /// The target's commit now.
    pub commit_oid: String,
    /// The target's change now.
    pub change_id: String,
    /// The bookmark merged into.
    pub target: String,
    /// The bookmark merged.
    pub source: String,
    /// Whether the source was deleted.
    pub source_deleted: bool,
}
