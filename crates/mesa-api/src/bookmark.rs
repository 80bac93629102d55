//! Bookmarks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A bookmark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bookmark {
    /// Its name.
    pub name: String,
    /// The change it points at.
    pub change_id: String,
    /// Whether it is the repo's default bookmark.
    pub is_default: bool,
}

/// `GET /{org}/{repo}/bookmarks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BookmarkList {
    /// Where the next page begins.
    pub next_cursor: Option<String>,
    /// Whether there is one.
    pub has_more: bool,
    /// Bookmarks by name.
    pub bookmarks: Vec<Bookmark>,
}
