//! The audit log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Something that changed the org's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRecord {
    /// Place in the order.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// The key that did it; null = the server itself.
    pub key_id: Option<String>,
    /// From where: the client's address, or `server`.
    pub source: String,
    /// The id of the request, as in `x-request-id`; may be empty.
    pub request_id: String,
    /// What was done: `<noun>.<verb>`.
    pub action: String,
    /// The id of what it was done to.
    pub target: String,
    /// Facts, by action. Holds no secrets and no content.
    pub detail: serde_json::Value,
}

/// `GET /{org}/audit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditList {
    /// Where the next page begins.
    pub next_cursor: Option<String>,
    /// Whether there is one.
    pub has_more: bool,
    /// Records, newest first.
    pub records: Vec<AuditRecord>,
}
