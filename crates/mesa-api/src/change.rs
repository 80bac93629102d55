//! Changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{FileOp, Resolution, Timestamp};

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

/// Where a change is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeState {
    /// It takes writes.
    Open,
    /// It has a successor.
    Closed,
    /// Its commit is known to others.
    Published,
    /// It was given up.
    Abandoned,
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
    /// Whether it takes writes.
    pub state: ChangeState,
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

/// `POST /{org}/{repo}/changes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeCreate {
    /// The change (or bookmark) to begin with.
    pub base_change_id: String,
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Signature>,
    /// Committer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committer: Option<Signature>,
    /// What it does to the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<FileOp>>,
}

/// `PATCH /{org}/{repo}/changes/{change_id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeUpdate {
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Signature>,
    /// Committer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committer: Option<Signature>,
    /// What to do to the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<FileOp>>,
    /// The commit the caller saw: refused if the change has another one by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_commit_oid: Option<String>,
    /// How paths in conflict are resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolutions: Option<Vec<Resolution>>,
}

/// `POST /{org}/{repo}/changes/{change_id}/new`: closes the change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeClose {
    /// Description of the change that is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The answer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeClosed {
    /// The change, which takes no more writes.
    pub closed: Change,
    /// The change its sessions go on in, which exists from its first write on; `null` if it had
    /// none.
    pub next_change_id: Option<String>,
}

/// `POST /{org}/{repo}/changes/{change_id}/abandon`: gives the change up, or brings it back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeAbandon {
    /// Brings an abandoned change back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<bool>,
}

/// The answer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeAbandoned {
    /// The change as it is now.
    pub change: Change,
    /// The change below it, where its bookmarks and what was on top of it are while it is
    /// abandoned.
    pub parent_change_id: String,
    /// Bookmarks that moved.
    pub bookmarks: Vec<String>,
    /// Changes that were put elsewhere, or lie on top of one that was: they are rebased when they
    /// are next looked at.
    pub descendants: u64,
}
