//! Changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Who and when, as in a git commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signature {
    /// Name.
    pub name: String,
    /// Address; empty when unknown.
    pub email: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Timestamp>,
}

/// One author of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommitIdentity {
    /// Name.
    pub name: String,
    /// Address.
    pub email: Option<String>,
}

/// A change. Carries what client generations 0.38 (`author`) and 0.48 (`authors`, `authored_at`)
/// require.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Stable id.
    pub id: String,
    /// The commit the change is at now.
    pub current_commit_oid: String,
    /// Whether any path is in conflict.
    pub is_conflicted: bool,
    /// Description; empty = none.
    pub message: String,
    /// First author.
    pub author: Signature,
    /// All authors in order.
    pub authors: Vec<CommitIdentity>,
    /// When it was first written, in whole seconds.
    pub authored_at: Timestamp,
    /// Who wrote the current commit.
    pub committer: Signature,
    /// Parent changes.
    pub parents: Vec<String>,
    /// When the change was made.
    pub created_at: Timestamp,
    /// When its current commit was written.
    pub updated_at: Timestamp,
}

/// `GET /{org}/{repo}/changes/{change_id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeDetails {
    /// The change.
    #[serde(flatten)]
    pub change: Change,
    /// Paths that differ from the first parent, sorted.
    pub files: Vec<String>,
    /// Paths in conflict.
    pub conflicts: Vec<String>,
}

/// `GET /{org}/{repo}/changes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeList {
    /// Where the next page begins.
    pub next_cursor: Option<String>,
    /// Whether there is one.
    pub has_more: bool,
    /// Changes, newest first.
    pub changes: Vec<Change>,
}
