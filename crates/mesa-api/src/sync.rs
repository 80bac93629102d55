//! Upstreams of repos, and syncs with them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Timestamp, present};

/// The git remote a repo is to follow.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(
    clippy::option_option,
    reason = "absent, null and a value are three things here"
)]
pub struct UpstreamInput {
    /// Where it is: `http` or `https`, without a user name or password.
    pub url: String,
    /// How to sign in. When an upstream is changed, absent keeps what is stored and null forgets it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub auth: Option<Option<UpstreamAuth>>,
}

impl fmt::Debug for UpstreamInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamInput")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// A credential for an upstream. Never returned.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum UpstreamAuth {
    /// A token.
    Token {
        /// The token.
        token: String,
        /// The user name to send with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token_username: Option<String>,
    },
    /// A user name and a password.
    UsernamePassword {
        /// User name.
        username: String,
        /// Password.
        password: String,
    },
}

impl fmt::Debug for UpstreamAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpstreamAuth(..)")
    }
}

/// How an upstream is signed in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamAuthKind {
    /// With a token.
    Token,
    /// With a user name and a password.
    UsernamePassword,
}

/// A repo's git remote as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Upstream {
    /// Where it is.
    pub url: String,
    /// How it is signed in to; null = not at all.
    pub auth_kind: Option<UpstreamAuthKind>,
    /// The newest sync.
    pub latest_sync: Option<Sync>,
}

/// Which way a sync goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncDirection {
    /// From the upstream.
    Pull,
    /// To the upstream.
    Push,
}

/// How far a sync is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncStatus {
    /// Waits.
    Queued,
    /// Began.
    InProgress,
    /// Ended well.
    Completed,
    /// Ended with an error.
    Failed,
}

/// Which refs a sync exchanges; an empty pattern stands for none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncRefGlobs {
    /// Branches.
    pub branches: String,
    /// Tags.
    pub tags: String,
}

/// Which refs a sync is to exchange: at least one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncRefGlobsInput {
    /// Branches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branches: Option<String>,
    /// Tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
}

/// Body of `POST /{org}/{repo}/upstream/syncs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncCreate {
    /// Which way.
    pub direction: SyncDirection,
    /// Which refs; all branches and tags when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ref_globs: Option<SyncRefGlobsInput>,
}

/// What became of one ref.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncRef {
    /// Its name.
    pub name: String,
    /// Before; null = it was new.
    pub before: Option<String>,
    /// After.
    pub after: String,
    /// `updated`, `unchanged`, `filtered` or `rejected`.
    pub outcome: String,
}

/// What a sync did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncStats {
    /// Ref by ref.
    pub refs: Vec<SyncRef>,
}

/// One exchange with an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sync {
    /// Public id.
    pub id: String,
    /// The repo's id.
    pub repo_id: String,
    /// Which way.
    pub direction: SyncDirection,
    /// How far.
    pub status: SyncStatus,
    /// Counts from 1.
    pub attempt: u32,
    /// Which refs.
    pub ref_globs: SyncRefGlobs,
    /// What it did, once it ended.
    pub stats: Option<SyncStats>,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// `GET /{org}/{repo}/upstream/syncs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncList {
    /// Where the next page begins.
    pub next_cursor: Option<String>,
    /// Whether there is one.
    pub has_more: bool,
    /// Syncs, newest first.
    pub syncs: Vec<Sync>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_have_three_states_and_are_not_printed() {
        let parse = |text: &str| serde_json::from_str::<UpstreamInput>(text);
        assert_eq!(parse(r#"{"url":"u"}"#).unwrap().auth, None);
        assert_eq!(
            parse(r#"{"url":"u","auth":null}"#).unwrap().auth,
            Some(None)
        );
        let token = r#"{"url":"u","auth":{"kind":"token","token":"hush"}}"#;
        let token = parse(token).unwrap();
        assert!(matches!(
            &token.auth,
            Some(Some(UpstreamAuth::Token { .. }))
        ));
        assert!(!format!("{token:?} {:?}", token.auth).contains("hush"));
        assert!(parse(r#"{"url":"u","auth":{"kind":"token"}}"#).is_err());
        assert!(parse(r#"{"url":"u","auth":{"kind":"other","token":"x"}}"#).is_err());
    }
}
