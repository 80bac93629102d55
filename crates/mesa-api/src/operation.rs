//! The operation log of a change, undo and restore.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What an operation does.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum OperationKind {
    /// A new file, directory, symlink or other node.
    Create,
    /// Content.
    Write,
    /// A name removed.
    Delete,
    /// A name moved, or two exchanged.
    Rename,
    /// Another name for a file.
    Link,
    /// Mode, owner or times.
    Attributes,
    /// An extended attribute.
    Xattr,
}

/// Operations by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationCounts {
    /// New nodes.
    pub create: u64,
    /// Contents.
    pub write: u64,
    /// Names removed.
    pub delete: u64,
    /// Names moved.
    pub rename: u64,
    /// Names added to files.
    pub link: u64,
    /// Changes of mode, owner or times.
    pub attributes: u64,
    /// Changes of extended attributes.
    pub xattr: u64,
}

/// The program that opened what it wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActionProgram {
    /// Its file; empty when unknown.
    pub exe: String,
    /// Process id on the mount's machine.
    pub pid: u32,
    /// Process group.
    pub process_group: Option<u32>,
    /// Numeric user id.
    pub uid: u32,
}

/// A path an action touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActionPath {
    /// Path from the repo's root; U+FFFD stands for what is not UTF-8.
    pub path: String,
    /// Base64 of the raw path, only when it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// What happened there.
    pub kinds: Vec<OperationKind>,
    /// Where a rename came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// What one program did in one go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Action {
    /// The id of its first operation.
    pub id: String,
    /// The change.
    pub change_id: String,
    /// The same as `id`.
    pub first_operation: String,
    /// Its last operation.
    pub last_operation: String,
    /// When the server took the first operation.
    pub started_at: Timestamp,
    /// When the server took the last one.
    pub ended_at: Timestamp,
    /// What made it: `mount`, `rest`, `merge`, `undo`, `restore`, or what later versions know.
    pub origin: String,
    /// The action that it undid.
    pub undoes: Option<String>,
    /// The undo of it that is in effect.
    pub undone_by: Option<String>,
    /// The session, or the server's name for a write of its own.
    pub session: String,
    /// The key.
    pub key_id: Option<String>,
    /// Host name of the mount.
    pub host: Option<String>,
    /// Network address of the caller.
    pub address: Option<String>,
    /// The program, where it is known.
    pub program: Option<ActionProgram>,
    /// Operations.
    pub operation_count: u64,
    /// Operations by kind.
    pub counts: OperationCounts,
    /// The first 100 of the paths touched, sorted.
    pub paths: Vec<ActionPath>,
    /// How many paths were touched.
    pub path_count: u64,
    /// Operations that replaced bytes another session had written meanwhile.
    pub overwrote: u64,
}

/// `GET /{org}/{repo}/changes/{change_id}/operations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActionList {
    /// Where the next page begins.
    pub next_cursor: Option<String>,
    /// Whether there is one.
    pub has_more: bool,
    /// Actions, the one that ended last first.
    pub actions: Vec<Action>,
}

/// Bytes of another session that an operation replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OverwrittenContent {
    /// Size of the content.
    pub size: u64,
    /// The content in base64; null above 64 KiB.
    pub content: Option<String>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Operation {
    /// Its place in the order of the change.
    pub id: String,
    /// When the server took it.
    pub at: Timestamp,
    /// What it did.
    pub kind: OperationKind,
    /// Path from the repo's root, as its maker saw it.
    pub path: String,
    /// Base64 of the raw path, only when it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// Where a rename came from; the file a link is another name of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Size of the content it left.
    pub size: Option<u64>,
    /// What it replaced of another session.
    pub overwrote: Option<OverwrittenContent>,
}

/// `GET /{org}/{repo}/changes/{change_id}/operations/{operation}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActionDetails {
    /// The action the operation belongs to.
    pub action: Action,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
    /// Whether there is one.
    pub has_more: bool,
    /// Its operations, oldest first.
    pub operations: Vec<Operation>,
}

/// `POST /{org}/{repo}/changes/{change_id}/undo`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UndoRequest {
    /// An operation of the action; absent: the newest action that is no undo and was not undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The change or bookmark to write to; absent: the change of the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onto: Option<String>,
    /// Only at these paths and below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Write paths in conflict with markers instead of refusing.
    #[serde(default)]
    pub allow_conflicted: bool,
}

/// What an undo or restore came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RewriteOutcome {
    /// Something was written.
    Applied,
    /// Everything was as wanted already.
    NoOp,
}

/// The answer to an undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UndoResult {
    /// What happened.
    pub outcome: RewriteOutcome,
    /// The change written to.
    pub change_id: String,
    /// Its commit.
    pub commit_oid: String,
    /// The action undone.
    pub undone: String,
    /// The action that was written.
    pub action: Option<String>,
    /// Its operations.
    pub operation_count: u64,
    /// Whether paths were written with conflict markers.
    pub is_conflicted: bool,
    /// Those paths.
    pub conflict_paths: Vec<String>,
}

/// A state of the past: exactly one of change, commit, time and operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestoreAt {
    /// A change or bookmark, as it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// A commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_oid: Option<String>,
    /// A time, of the change and those it is on top of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// An operation of the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The state before the operation, not the one after it.
    #[serde(default)]
    pub before: bool,
}

/// `POST /{org}/{repo}/changes/{change_id}/restore`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestoreRequest {
    /// What to bring back; an empty path is the whole tree. A directory becomes exactly what it
    /// was.
    pub paths: Vec<String>,
    /// As it was when.
    pub at: RestoreAt,
    /// The change or bookmark to write to; absent: the change of the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onto: Option<String>,
    /// Remove paths that were not there then instead of refusing.
    #[serde(default)]
    pub allow_remove: bool,
}

/// The answer to a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestoreResult {
    /// What happened.
    pub outcome: RewriteOutcome,
    /// The change written to.
    pub change_id: String,
    /// Its commit.
    pub commit_oid: String,
    /// The action that was written.
    pub action: Option<String>,
    /// Its operations.
    pub operation_count: u64,
}
