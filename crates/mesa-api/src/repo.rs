//! Repos.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{TagPatch, Tags, Timestamp, Upstream, UpstreamInput, present};

/// A repo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Repo {
    /// Stable id, `repo_...`.
    pub id: String,
    /// The org's slug.
    pub org: String,
    /// The name in paths.
    pub name: String,
    /// The bookmark used when a request names none.
    pub default_bookmark: String,
    /// The change the default bookmark points at; 32 times `z` in a fresh repo.
    pub head_change_id: String,
    /// The git remote this repo follows, if any.
    pub upstream: Option<Upstream>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Labels.
    pub tags: Tags,
}

/// `GET /{org}/repos`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepoList {
    /// Where the next page begins.
    pub next_cursor: Option<String>,
    /// Whether there is one.
    pub has_more: bool,
    /// Repos by name.
    pub repos: Vec<Repo>,
}

/// Body of `POST /{org}/repos`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepoCreate {
    /// Made by the server when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `main` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_bookmark: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Tags>,
    /// A git remote to follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamInput>,
}

/// Body of `PATCH /{org}/{repo}`: absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(
    clippy::option_option,
    reason = "absent, null and a value are three things here"
)]
pub struct RepoUpdate {
    /// The new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The new default bookmark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_bookmark: Option<String>,
    /// Labels to set and to remove.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<TagPatch>,
    /// `Some(None)` clears the remote, `Some(Some(..))` replaces it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub upstream: Option<Option<UpstreamInput>>,
}

/// Body of `PATCH /{org}/repos/tags`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkTags {
    /// 1..=100 repo ids.
    pub repo_ids: Vec<String>,
    /// What to do.
    pub action: BulkTagAction,
    /// The label's key.
    pub key: String,
    /// Its value, for [`BulkTagAction::Set`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// What [`BulkTags`] does to each repo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BulkTagAction {
    /// Gives the label a value.
    Set,
    /// Removes the label.
    Remove,
}

/// Answer of `PATCH /{org}/repos/tags`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BulkTagsResult {
    /// Repos named, each once, whether or not they had the label like this before.
    pub updated: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_has_three_states() {
        let parse = |text: &str| serde_json::from_str::<RepoUpdate>(text).unwrap().upstream;
        assert_eq!(parse("{}"), None);
        assert_eq!(parse(r#"{"upstream":null}"#), Some(None));
        assert!(matches!(
            parse(r#"{"upstream":{"url":"x"}}"#),
            Some(Some(_))
        ));
    }

    #[test]
    fn every_declared_key_is_written() {
        let repo = Repo {
            id: "repo_1".into(),
            org: "acme".into(),
            name: "demo".into(),
            default_bookmark: "main".into(),
            head_change_id: "z".repeat(32),
            upstream: None,
            created_at: Timestamp(mesa_types::Nanos(0)),
            tags: Tags::new(),
        };
        let value = serde_json::to_value(&repo).unwrap();
        assert_eq!(value["upstream"], serde_json::Value::Null);
        assert_eq!(value.as_object().unwrap().len(), 8);
    }
}
