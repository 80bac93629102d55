//! Signing keys: the public halves of Ed25519 keys whose holders sign access tokens themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Scope, Tags, Timestamp};

/// Body of `POST /{org}/signing-keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SigningKeyCreate {
    /// The raw 32 bytes of the public key in base64url without padding: `x` of its JWK. The private
    /// half never leaves its holder.
    pub public_key: String,
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

/// A signing key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SigningKey {
    /// Public id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// The public key as it was registered.
    pub public_key: String,
    /// What its tokens may do at most.
    pub scopes: Vec<Scope>,
    /// The repos its tokens may reach; null = every repo of the org.
    pub repo_ids: Option<Vec<String>>,
    /// Labels.
    pub tags: Tags,
    /// Last use, to about a minute.
    pub last_used_at: Option<Timestamp>,
    /// When it stops working; null = never.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// `GET /{org}/signing-keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SigningKeyList {
    /// Where the next page begins.
    pub next_cursor: Option<String>,
    /// Whether there is one.
    pub has_more: bool,
    /// Keys in the order they were registered.
    pub signing_keys: Vec<SigningKey>,
}
