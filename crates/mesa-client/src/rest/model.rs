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

/// A change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Change {
    /// 32 letters.
    pub id: String,
    /// Its commit now.
    pub current_commit_oid: String,
    /// Description.
    pub message: String,
    /// Everything else.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}
