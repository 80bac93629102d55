//! The REST contract's types: what travels as JSON under `/v1`, and the stable error codes.
//!
//! Both sides of the wire use these types. Every key an answer declares is always written, with an
//! explicit `null` where there is no value, because published clients refuse an answer that lacks
//! one; keys an older or newer server adds are ignored when reading. HTTP status codes are not
//! here: only the server's edge knows them.

pub mod audit;
pub mod bookmark;
pub mod change;
pub mod content;
pub mod diff;
pub mod error;
pub mod file_op;
pub mod key;
pub mod operation;
pub mod org;
pub mod page;
pub mod repo;
mod schema;
pub mod signing_key;
pub mod sync;
pub mod tags;
pub mod time;
pub mod webhook;

pub use audit::{AuditList, AuditRecord};
pub use bookmark::{
    Bookmark, BookmarkCreate, BookmarkList, BookmarkMerge, BookmarkMove, BookmarkMoved,
    MergeResult, MergeType,
};
pub use change::{
    Change, ChangeAbandon, ChangeAbandoned, ChangeClose, ChangeClosed, ChangeCreate, ChangeDetails,
    ChangeList, ChangeState, ChangeUpdate, CommitIdentity, Signature,
};
pub use content::{Content, ContentDir, ContentEntry, ContentFile, EntryDir, EntryFile, FileMode};
pub use diff::{
    ConflictHunk, ConflictSide, ConflictedDiffEntry, Diff, DiffEntry, DiffHunk, DiffLine,
    DiffLineKind, DiffStats, DiffStatus, OmittedReason,
};
pub use error::{ErrorBody, ErrorCode, ErrorEnvelope};
pub use file_op::{FileOp, HunkResolution, Resolution};
pub use key::{
    ApiKey, ApiKeyCreate, ApiKeyCreated, ApiKeyList, ApiKeyTagUpdate, ApiKeyTags, KeyStatus, Scope,
};
pub use operation::{
    Action, ActionDetails, ActionList, ActionPath, ActionProgram, Operation, OperationCounts,
    OperationKind, OverwrittenContent, RestoreAt, RestoreRequest, RestoreResult, RewriteOutcome,
    UndoRequest, UndoResult,
};
pub use org::{Org, OrgCreate, OrgCreated, OrgList, OrgSummary, Whoami};
pub use page::{PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX};
pub use repo::{BulkTagAction, BulkTags, BulkTagsResult, Repo, RepoCreate, RepoList, RepoUpdate};
pub use signing_key::{SigningKey, SigningKeyCreate, SigningKeyList};
pub use sync::{
    Sync, SyncCreate, SyncDirection, SyncList, SyncRef, SyncRefGlobs, SyncRefGlobsInput, SyncStats,
    SyncStatus, Upstream, UpstreamAuth, UpstreamAuthKind, UpstreamInput,
};
pub use tags::{TagPatch, Tags};
pub use time::Timestamp;
pub use webhook::{
    Delivery, DeliveryAttempt, DeliveryList, DeliveryState, WebhookTarget, WebhookTargetCreate,
    WebhookTargetCreated, WebhookTargetList, WebhookTargetUpdate,
};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Keeps an explicit null apart from an absent key.
#[allow(
    clippy::option_option,
    reason = "absent, null and a value are three things here"
)]
fn present<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// The answer to a delete or revoke: `{"success":true}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Success {
    /// Always true.
    pub success: bool,
}

impl Success {
    /// The only value there is.
    pub const YES: Self = Self { success: true };
}
