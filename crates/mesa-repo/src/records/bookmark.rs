//! Bookmarks.

use mesa_meta::{Key, KeyBuf, Table};
use mesa_types::{BookmarkName, ChangeId, Nanos, OrgId, RepoId};
use serde::{Deserialize, Serialize};

use crate::record::Record;

/// A name for a change. Moves by compare-and-swap on the row's version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bookmark {
    /// The org.
    pub org: OrgId,
    /// The repo.
    pub repo: RepoId,
    /// The name.
    pub name: BookmarkName,
    /// What it names; [`ChangeId::ROOT`] in a fresh repo.
    pub change: ChangeId,
    /// When it was created.
    pub created: Nanos,
    /// When it last moved.
    pub updated: Nanos,
}

impl Bookmark {
    /// Where the bookmark is stored.
    pub fn key_of(org: &OrgId, repo: &RepoId, name: &BookmarkName) -> Key {
        KeyBuf::new(org.as_str())
            .text(repo.as_str())
            .text(name.as_str())
            .into()
    }

    /// What every bookmark's row of a repo begins with.
    pub fn prefix(org: &OrgId, repo: &RepoId) -> Key {
        KeyBuf::new(org.as_str()).text(repo.as_str()).into()
    }
}

impl Record for Bookmark {
    const TABLE: Table = Table::Bookmarks;
    const NAME: &'static str = "bookmark";

    fn key(&self) -> Key {
        Self::key_of(&self.org, &self.repo, &self.name)
    }
}
