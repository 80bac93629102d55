//! API keys.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{TagPatch, Tags, Timestamp};

/// What a credential may do; each scope includes those before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Clone, fetch, list, read, mount read-only.
    Read,
    /// Change repos, bookmarks, changes and files.
    Write,
    /// Manage keys and webhooks.
    Admin,
}

impl Scope {
    /// The text on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which keys a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyStatus {
    /// Usable now.
    Active,
    /// Revoked, whether or not also expired.
    Revoked,
    /// Expired and not revoked.
    Expired,
    /// All of them.
    #[default]
    All,
}

/// Body of `POST /{org}/api-keys`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyCreate {
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// At least one; read and write when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<Scope>>,
    /// At least one; everything the creator sees when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo_ids: Option<Vec<String>>,
    /// 100..=31536000; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
}

/// A new key with its secret, shown only this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiKeyCreated {
    /// Public id.
    pub id: String,
    /// The secret, `mesa_...`.
    pub key: String,
    /// Its name.
    pub name: Option<String>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Its repos; null = every repo of the org.
    pub repo_ids: Option<Vec<String>>,
    /// Labels.
    pub tags: Tags,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working; null = never.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

impl fmt::Debug for ApiKeyCreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyCreated")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .field("repo_ids", &self.repo_ids)
            .finish_non_exhaustive()
    }
}

/// A key as listed, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiKey {
    /// Public id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Its repos; null = every repo of the org.
    pub repo_ids: Option<Vec<String>>,
    /// Always null; kept for the contract.
    pub metadata: Option<serde_json::Map<String, serde_json::Value>>,
    /// Labels.
    pub tags: Tags,
    /// Last use, to about a minute.
    pub last_used_at: Option<Timestamp>,
    /// When it stops working; null = never.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// `GET /{org}/api-keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiKeyList {
    /// Where the next page begins.
    pub next_cursor: Option<String>,
    /// Whether there is one.
    pub has_more: bool,
    /// Keys, newest first.
    pub api_keys: Vec<ApiKey>,
}

/// Body of `PATCH /{org}/api-keys/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyTagUpdate {
    /// What to set and to remove.
    pub tags: TagPatch,
}

/// Answer of `PATCH /{org}/api-keys/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiKeyTags {
    /// All labels after the change.
    pub tags: Tags,
}
