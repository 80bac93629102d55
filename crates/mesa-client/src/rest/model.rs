//! What the server answers, as far as this client uses it. Keys not named here are kept in
//! `more`, so that printing an answer loses nothing.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `GET /whoami`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Whoami {
    /// The credential's org.
    pub org: Org,
    /// Public id of the key behind the credential.
    pub key_id: Option<String>,
    /// Granted scopes.
    pub scopes: Vec<String>,
    /// RFC 3339; absent or null = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// An org.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Org {
    /// `org_...`.
    pub id: String,
    /// Name in addresses.
    pub slug: String,
    /// Display name.
    pub name: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A repo.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Repo {
    /// `repo_...`.
    pub id: String,
    /// Org slug.
    pub org: String,
    /// Name.
    pub name: String,
    /// What mounts show unless told otherwise.
    pub default_bookmark: String,
    /// The default bookmark's change.
    pub head_change_id: String,
    /// RFC 3339.
    pub created_at: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// An API key without its secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApiKey {
    /// `key_...`.
    pub id: String,
    /// Given name.
    pub name: Option<String>,
    /// Granted scopes.
    pub scopes: Vec<String>,
    /// Repos it is restricted to; null = whole org.
    pub repo_ids: Option<Vec<String>>,
    /// RFC 3339.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// RFC 3339.
    #[serde(default)]
    pub revoked_at: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A new API key, the only answer with the secret. Not `Debug`: it must not reach a log.
#[derive(Clone, Serialize, Deserialize)]
pub struct CreatedKey {
    /// `key_...`.
    pub id: String,
    /// The secret.
    pub key: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// The public half of a signing key: an [`ApiKey`] with a public key in place of the secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SigningKey {
    /// base64url of its 32 bytes.
    pub public_key: String,
    /// Everything that keys have.
    #[serde(flatten)]
    pub key: ApiKey,
}

/// A bookmark.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bookmark {
    /// Name.
    pub name: String,
    /// Where it points.
    pub change_id: String,
    /// Whether it is the repo's default.
    pub is_default: bool,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Who, as in a git commit.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Signature {
    /// Name.
    pub name: String,
    /// Address; may be empty.
    pub email: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A change.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Change {
    /// 32 letters.
    pub id: String,
    /// Its commit now.
    pub current_commit_oid: String,
    /// Description.
    pub message: String,
    /// Whether any path is in conflict.
    #[serde(default)]
    pub is_conflicted: bool,
    /// Who wrote it.
    #[serde(default)]
    pub author: Signature,
    /// Ids of the changes it is made on.
    #[serde(default)]
    pub parents: Vec<String>,
    /// RFC 3339: when its commit was written.
    #[serde(default)]
    pub updated_at: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A change with what it does.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ChangeDetails {
    /// The change.
    #[serde(flatten)]
    pub change: Change,
    /// Paths that differ from the first parent.
    pub files: Vec<String>,
    /// Paths in conflict.
    pub conflicts: Vec<String>,
}

/// A change that was closed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChangeClosed {
    /// It.
    pub closed: Change,
    /// Where its writers go on; the change exists from its first write on.
    pub next_change_id: Option<String>,
}

/// A change that was abandoned or brought back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChangeAbandoned {
    /// It.
    pub change: Change,
    /// The change below it.
    pub parent_change_id: String,
    /// Bookmarks that moved.
    pub bookmarks: Vec<String>,
    /// Changes on top of it that are rebased when they are next looked at.
    pub descendants: u64,
}

/// What became of a merge.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MergeResult {
    /// `merge_commit` or `no_op`.
    pub merge_type: String,
    /// Whether the merge has conflicts.
    pub is_conflicted: bool,
    /// The target's commit now.
    pub commit_oid: String,
    /// The target's change now.
    pub change_id: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// What differs between two changes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Diff {
    /// The change compared with.
    pub base_change_id: String,
    /// The change looked at.
    pub head_change_id: String,
    /// Whether something is not shown.
    pub truncated: bool,
    /// Paths that differ, without those in conflict.
    pub entries: Vec<DiffEntry>,
    /// Paths in conflict.
    pub conflicted_entries: Vec<ConflictedEntry>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A path that differs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DiffEntry {
    /// The path.
    pub path: String,
    /// `added`, `modified`, `deleted` or `renamed`.
    pub status: String,
    /// Where a renamed file was.
    pub old_path: Option<String>,
    /// Why there are no hunks: `binary`, `too_large` or `file_limit`.
    pub omitted_reason: Option<String>,
    /// The differences.
    pub hunks: Option<Vec<DiffHunk>>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A run of differences.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DiffHunk {
    /// The lines in order.
    pub lines: Vec<DiffLine>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A line of a hunk.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DiffLine {
    /// `context`, `added`, `deleted` or `annotation`.
    pub kind: String,
    /// Without line feed.
    pub text: String,
}

/// A path in conflict.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ConflictedEntry {
    /// The path.
    pub path: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Operations that one program made in one go.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Action {
    /// Id of its first operation.
    pub id: String,
    /// The change written to.
    pub change_id: String,
    /// RFC 3339: when the first operation was taken.
    pub started_at: String,
    /// RFC 3339: when the last one was.
    pub ended_at: String,
    /// `mount`, `rest`, `merge`, `undo`, `restore`, ...
    pub origin: String,
    /// The action that this undo undid.
    pub undoes: Option<String>,
    /// The undo in effect for this action.
    pub undone_by: Option<String>,
    /// The key.
    pub key_id: Option<String>,
    /// The mount's machine.
    pub host: Option<String>,
    /// Where the caller's connection came from.
    pub address: Option<String>,
    /// What wrote, when a mount knows.
    pub program: Option<Program>,
    /// Operations.
    pub operation_count: u64,
    /// Operations by kind.
    pub counts: Map<String, Value>,
    /// Paths by name, not all of many.
    pub paths: Vec<ActionPath>,
    /// Paths.
    pub path_count: u64,
    /// Operations that replaced what another session wrote meanwhile.
    #[serde(default)]
    pub overwrote: u64,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A program on a mount's machine.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Program {
    /// Its file.
    #[serde(default)]
    pub exe: String,
    /// Its process.
    #[serde(default)]
    pub pid: u64,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A path that an action touched.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ActionPath {
    /// The path.
    pub path: String,
    /// Where it was moved from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// An action with its operations.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ActionDetails {
    /// It.
    pub action: Action,
    /// Oldest first.
    pub operations: Vec<LoggedOperation>,
    /// Where the next page begins; absent on the last one.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// One operation of the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoggedOperation {
    /// Ascends with time.
    pub id: String,
    /// RFC 3339.
    pub at: String,
    /// `create`, `write`, ...
    pub kind: String,
    /// The path.
    pub path: String,
    /// Where it was moved from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Bytes after it, of contents.
    #[serde(default)]
    pub size: Option<u64>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// What became of an undo or a restore.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reverted {
    /// `applied` or `no_op`.
    pub outcome: String,
    /// The change written to.
    pub change_id: String,
    /// Its commit now.
    pub commit_oid: String,
    /// The action that an undo undid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<String>,
    /// The action that was written.
    pub action: Option<String>,
    /// Its operations.
    #[serde(default)]
    pub operation_count: u64,
    /// Whether paths are in conflict now.
    #[serde(default)]
    pub is_conflicted: bool,
    /// Those.
    #[serde(default)]
    pub conflict_paths: Vec<String>,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}
