//! Organisations and the identity behind a credential.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ApiKeyCreated, Scope, Timestamp};

/// An organisation, by its id and names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Org {
    /// Stable id, `org_...`.
    pub id: String,
    /// The name in paths.
    pub slug: String,
    /// The name for people.
    pub name: String,
}

/// `GET /whoami`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Whoami {
    /// The credential's org.
    pub org: Org,
    /// The key that authenticated the request, or that signed the token. Clients build the `kid`
    /// of their tokens from it.
    pub key_id: Option<String>,
    /// Its name, if it has one.
    pub key_name: Option<String>,
    /// What the credential may do.
    pub scopes: Vec<Scope>,
    /// The repos the credential is restricted to, by id; null = every repo of the org.
    #[serde(default)]
    pub repo_ids: Option<Vec<String>>,
    /// When the credential stops working; null = never.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// `GET /{org}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrgSummary {
    /// When the org was made.
    pub created_at: Timestamp,
    /// Repos the credential can see.
    pub num_repos: u64,
    /// Stable id.
    #[serde(default)]
    pub id: String,
    /// The name in paths.
    #[serde(default)]
    pub slug: String,
    /// The name for people.
    #[serde(default)]
    pub name: String,
}

/// `GET /admin/orgs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrgList {
    /// Where the next page begins.
    pub next_cursor: Option<String>,
    /// Whether there is one.
    pub has_more: bool,
    /// Orgs in the order they were made.
    pub orgs: Vec<Org>,
}

/// Body of `POST /admin/orgs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrgCreate {
    /// The name in paths.
    pub slug: String,
    /// The name for people; the slug when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Answer of `POST /admin/orgs`: the org and its first admin key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrgCreated {
    /// The org.
    #[serde(flatten)]
    pub org: Org,
    /// When it was made.
    pub created_at: Timestamp,
    /// The org's first admin key, with its secret.
    pub admin_key: ApiKeyCreated,
}
