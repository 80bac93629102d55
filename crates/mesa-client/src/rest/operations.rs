//! The operation log of a change: reading it, undoing an action, restoring an earlier state.

use reqwest::Method;
use serde::Serialize;

use super::{
    Page, RestClient, RestError,
    model::{Action, ActionDetails, Reverted},
    resources::NONE,
};

/// Which actions to list; what is absent restricts nothing.
#[derive(Debug, Clone, Default)]
pub struct ActionFilter {
    /// Those that touched this path or something below it.
    pub path: Option<String>,
    /// RFC 3339, inclusive.
    pub since: Option<String>,
    /// RFC 3339, exclusive.
    pub until: Option<String>,
}

/// What to undo.
#[derive(Debug, Clone, Default, Serialize)]
pub struct UndoRequest {
    /// The action; the newest that is no undo and not undone when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The change or bookmark it is written to; the one the log is of when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onto: Option<String>,
    /// Only in these paths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Write conflicts with markers instead of refusing.
    pub allow_conflicted: bool,
}

/// A state of the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PastState {
    /// Of a change or bookmark.
    Change {
        /// Its id or name.
        change: String,
    },
    /// Of a commit.
    Commit {
        /// 40 hex digits.
        commit_oid: String,
    },
    /// At a time.
    Time {
        /// RFC 3339.
        time: String,
    },
    /// After an operation, or before it.
    Operation {
        /// Its id.
        operation: String,
        /// Before it.
        before: bool,
    },
}

/// What to restore.
#[derive(Debug, Clone, Serialize)]
pub struct RestoreRequest {
    /// Paths from the repo's root; the empty one is everything.
    pub paths: Vec<String>,
    /// The state they get.
    pub at: PastState,
    /// The change or bookmark it is written to; the one the log is of when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onto: Option<String>,
    /// Remove paths that did not exist then instead of refusing.
    pub allow_remove: bool,
}

impl RestClient {
    /// A page of a change's actions, newest first.
    pub async fn list_actions(
        &self,
        org: &str,
        repo: &str,
        change: &str,
        filter: &ActionFilter,
        cursor: Option<String>,
    ) -> Result<Page<Action>, RestError> {
        let all = [
            ("path", &filter.path),
            ("since", &filter.since),
            ("until", &filter.until),
        ];
        let given = all.into_iter();
        let query = given.filter_map(|(name, value)| Some((name, value.clone()?)));
        let path = [org, repo, "changes", change, "operations"];
        self.page(&path, "actions", cursor, query.collect()).await
    }

    /// The action of an operation with a page of its operations, oldest first.
    pub async fn get_action(
        &self,
        org: &str,
        repo: &str,
        change: &str,
        operation: &str,
        cursor: Option<String>,
    ) -> Result<ActionDetails, RestError> {
        let query: Vec<_> = cursor.into_iter().map(|c| ("cursor", c)).collect();
        let path = [org, repo, "changes", change, "operations", operation];
        self.call(Method::GET, &path, &query, NONE).await
    }

    /// Undoes an action: what was written later stays. Conflicts are refused with the code
    /// `MERGE_CONFLICT` unless allowed.
    pub async fn undo(
        &self,
        org: &str,
        repo: &str,
        change: &str,
        request: &UndoRequest,
    ) -> Result<Reverted, RestError> {
        let path = [org, repo, "changes", change, "undo"];
        self.call(Method::POST, &path, &[], Some(request)).await
    }

    /// Gives paths a state of the past.
    pub async fn restore(
        &self,
        org: &str,
        repo: &str,
        change: &str,
        request: &RestoreRequest,
    ) -> Result<Reverted, RestError> {
        let path = [org, repo, "changes", change, "restore"];
        self.call(Method::POST, &path, &[], Some(request)).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies() {
        let undo = UndoRequest {
            action: Some("7".into()),
            ..UndoRequest::default()
        };
        let undo = serde_json::to_value(undo).unwrap();
        assert_eq!(undo, json!({"action": "7", "allow_conflicted": false}));
        let restore = RestoreRequest {
            paths: vec!["src".into()],
            at: PastState::Operation {
                operation: "7".into(),
                before: true,
            },
            onto: None,
            allow_remove: false,
        };
        assert_eq!(
            serde_json::to_value(restore).unwrap(),
            json!({"paths": ["src"], "at": {"operation": "7", "before": true}, "allow_remove": false})
        );
    }
}
