//! Changes, bookmarks, merges and differences of a repo. Wherever a change is named, its id or a
//! bookmark's name will do.

use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Page, RestClient, RestError,
    model::{Bookmark, Change, ChangeAbandoned, ChangeClosed, ChangeDetails, Diff, MergeResult},
    resources::NONE,
};

/// A change to be made.
#[derive(Debug, Clone, Serialize)]
pub struct ChangeRequest {
    /// The change it is made on.
    pub base_change_id: String,
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What is to be different about a change; what is absent stays.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ChangeUpdate {
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How paths in conflict are resolved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resolutions: Vec<Resolution>,
    /// The commit the caller saw; refused if the change has another one by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_commit_oid: Option<String>,
}

/// Whole sides of a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// The side merged into.
    Target,
    /// The side merged.
    Source,
}

/// How one path in conflict is resolved: a side, or a content.
#[derive(Debug, Clone, Serialize)]
pub struct Resolution {
    /// The path from the repo's root.
    pub path: String,
    /// This side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub take: Option<Take>,
    /// Base64 of these bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

impl Resolution {
    /// By one of the sides.
    pub fn take(path: impl Into<String>, side: Take) -> Self {
        Self {
            path: path.into(),
            take: Some(side),
            content: None,
        }
    }

    /// By a content.
    pub fn content(path: impl Into<String>, bytes: &[u8]) -> Self {
        use base64::{Engine, engine::general_purpose::STANDARD};
        Self {
            path: path.into(),
            take: None,
            content: Some(STANDARD.encode(bytes)),
        }
    }
}

/// A merge of one bookmark into another, or of changes by their ids.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MergeRequest {
    /// The bookmark merged into, or a change that no bookmark moves for.
    pub target: String,
    /// The bookmark or change merged.
    pub source: String,
    /// Delete the source afterwards.
    pub delete_source: bool,
    /// Make the merge with conflicts in it.
    pub allow_conflicted: bool,
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How paths in conflict are resolved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resolutions: Vec<Resolution>,
}

impl RestClient {
    /// A page of the changes reachable from a change or bookmark (the default bookmark when
    /// `None`), newest first.
    pub async fn list_changes(
        &self,
        org: &str,
        repo: &str,
        from: Option<&str>,
        cursor: Option<String>,
    ) -> Result<Page<Change>, RestError> {
        let from = from.map(|from| ("bookmark", from.to_owned()));
        let query = from.into_iter().collect();
        self.page(&[org, repo, "changes"], "changes", cursor, query)
            .await
    }

    /// One change, with its files.
    pub async fn get_change(
        &self,
        org: &str,
        repo: &str,
        change: &str,
    ) -> Result<ChangeDetails, RestError> {
        self.call(Method::GET, &[org, repo, "changes", change], &[], NONE)
            .await
    }

    /// Makes a change on top of another, which is closed if it is open.
    pub async fn create_change(
        &self,
        org: &str,
        repo: &str,
        request: &ChangeRequest,
    ) -> Result<Change, RestError> {
        self.call(Method::POST, &[org, repo, "changes"], &[], Some(request))
            .await
    }

    /// Amends a change. One that takes no more writes gets a new change on top, which is the
    /// answer; named by a bookmark, the bookmark goes along.
    pub async fn update_change(
        &self,
        org: &str,
        repo: &str,
        change: &str,
        update: &ChangeUpdate,
    ) -> Result<Change, RestError> {
        let path = [org, repo, "changes", change];
        self.call(Method::PATCH, &path, &[], Some(update)).await
    }

    /// Closes a change, perhaps with another description; who writes to it goes on in a new one on
    /// top.
    pub async fn close_change(
        &self,
        org: &str,
        repo: &str,
        change: &str,
        message: Option<&str>,
    ) -> Result<ChangeClosed, RestError> {
        let mut body = json!({});
        if let Some(message) = message {
            body["message"] = json!(message);
        }
        let path = [org, repo, "changes", change, "new"];
        self.call(Method::POST, &path, &[], Some(&body)).await
    }

    /// Gives a change up, or brings it back.
    pub async fn abandon_change(
        &self,
        org: &str,
        repo: &str,
        change: &str,
        undo: bool,
    ) -> Result<ChangeAbandoned, RestError> {
        let body = json!({ "undo": undo });
        let path = [org, repo, "changes", change, "abandon"];
        self.call(Method::POST, &path, &[], Some(&body)).await
    }

    /// A page of the abandoned changes, by id.
    pub async fn list_abandoned(
        &self,
        org: &str,
        repo: &str,
        cursor: Option<String>,
    ) -> Result<Page<Change>, RestError> {
        let query = vec![("state", "abandoned".to_owned())];
        self.page(&[org, repo, "changes"], "changes", cursor, query)
            .await
    }

    /// What differs between two changes.
    pub async fn diff(
        &self,
        org: &str,
        repo: &str,
        base: &str,
        head: &str,
    ) -> Result<Diff, RestError> {
        let query = between(base, head);
        self.call(Method::GET, &[org, repo, "diff"], &query, NONE)
            .await
    }

    /// The same as one patch in git's form.
    pub async fn patch(
        &self,
        org: &str,
        repo: &str,
        base: &str,
        head: &str,
    ) -> Result<Vec<u8>, RestError> {
        let query = between(base, head);
        let path = [org, repo, "diff"];
        let response = self
            .send(Method::GET, &path, &query, NONE, "text/plain")
            .await?;
        self.body(response).await
    }

    /// Makes a bookmark.
    pub async fn create_bookmark(
        &self,
        org: &str,
        repo: &str,
        name: &str,
        change: &str,
    ) -> Result<Bookmark, RestError> {
        let body = json!({ "name": name, "change_id": change });
        self.call(Method::POST, &[org, repo, "bookmarks"], &[], Some(&body))
            .await
    }

    /// Points a bookmark at another change; without `allow_backwards` at a descendant only.
    pub async fn move_bookmark(
        &self,
        org: &str,
        repo: &str,
        name: &str,
        change: &str,
        allow_backwards: bool,
    ) -> Result<Bookmark, RestError> {
        let body = json!({ "change_id": change, "allow_backwards": allow_backwards });
        let path = [org, repo, "bookmarks", name];
        self.call(Method::PATCH, &path, &[], Some(&body)).await
    }

    /// Deletes a bookmark; what it named stays.
    pub async fn delete_bookmark(
        &self,
        org: &str,
        repo: &str,
        name: &str,
    ) -> Result<Value, RestError> {
        let path = [org, repo, "bookmarks", name];
        self.call(Method::DELETE, &path, &[], NONE).await
    }

    /// Merges one bookmark into another. Conflicts that nothing resolves are refused with the code
    /// `MERGE_CONFLICT`; the error's details name the paths.
    pub async fn merge(
        &self,
        org: &str,
        repo: &str,
        request: &MergeRequest,
    ) -> Result<MergeResult, RestError> {
        let path = [org, repo, "bookmarks", "merge"];
        self.call(Method::POST, &path, &[], Some(request)).await
    }
}

fn between(base: &str, head: &str) -> [(&'static str, String); 2] {
    [
        ("base_change_id", base.to_owned()),
        ("head_change_id", head.to_owned()),
    ]
}
