//! Files, symlinks and directories as read by `GET /{org}/{repo}/content`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The git mode of a file or symlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FileMode {
    /// A regular file.
    #[serde(rename = "100644")]
    Regular,
    /// An executable file.
    #[serde(rename = "100755")]
    Executable,
    /// A symbolic link.
    #[serde(rename = "120000")]
    Symlink,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Content {
    /// A file with its bytes.
    File(ContentFile),
    /// A symlink with its target.
    Symlink(ContentFile),
    /// A directory with its entries.
    Dir(ContentDir),
}

/// A file or symlink with its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContentFile {
    /// Last part of the path; U+FFFD stands for what is not UTF-8.
    pub name: String,
    /// Path from the repo's root, without a leading slash.
    pub path: String,
    /// Base64 of the raw path, only when it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// git oid of the blob.
    pub sha: String,
    /// Length in bytes.
    pub size: u64,
    /// Always `base64`.
    pub encoding: String,
    /// The bytes, or the link's target.
    pub content: String,
    /// git mode.
    pub mode: FileMode,
    /// Whether the path is in conflict.
    pub is_conflicted: bool,
}

/// A directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContentDir {
    /// Last part of the path; empty for the root.
    pub name: String,
    /// Path from the repo's root; empty for the root.
    pub path: String,
    /// Base64 of the raw path, only when it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// git oid of the tree.
    pub sha: String,
    /// Direct children.
    pub child_count: u64,
    /// Entries down to the wanted depth, parents before children.
    pub entries: Vec<ContentEntry>,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ContentEntry {
    /// A file.
    File(EntryFile),
    /// A symlink.
    Symlink(EntryFile),
    /// A directory.
    Dir(EntryDir),
}

/// A file or symlink in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryFile {
    /// Last part of the path.
    pub name: String,
    /// Path from the repo's root.
    pub path: String,
    /// Base64 of the raw path, only when it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// git oid of the blob.
    pub sha: String,
    /// Length in bytes.
    pub size: u64,
    /// git mode.
    pub mode: FileMode,
}

/// A directory in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryDir {
    /// Last part of the path.
    pub name: String,
    /// Path from the repo's root.
    pub path: String,
    /// Base64 of the raw path, only when it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// git oid of the tree.
    pub sha: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_a_key_of_the_object() {
        let entry = ContentEntry::Symlink(EntryFile {
            name: "l".into(),
            path: "d/l".into(),
            path_b64: None,
            sha: "0".repeat(40),
            size: 1,
            mode: FileMode::Symlink,
        });
        let value = serde_json::to_value(&entry).unwrap();
        assert_eq!(value["type"], "symlink");
        assert_eq!(value["mode"], "120000");
        assert!(value.get("path_b64").is_none());
    }
}
