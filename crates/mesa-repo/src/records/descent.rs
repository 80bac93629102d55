//! What lies on top of a change, and what was given up.

use mesa_meta::{Key, KeyBuf, Table};
use mesa_types::{BookmarkName, ChangeId, Nanos, OrgId, RepoId};
use serde::{Deserialize, Serialize};

use super::Change;
use crate::record::Record;

/// A change was made on top of another one. The row stays when the change gets other parents: its
/// record says which are true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// The org.
    pub org: OrgId,
    /// The repo.
    pub repo: RepoId,
    /// The change below.
    pub parent: ChangeId,
    /// The change on top.
    pub child: ChangeId,
}

impl Child {
    /// What the rows of a change's children begin with.
    pub fn prefix(org: &OrgId, repo: &RepoId, parent: &ChangeId) -> Key {
        KeyBuf::new(org.as_str())
            .text(".child")
            .text(repo.as_str())
            .fixed(&parent.0)
            .into()
    }

    /// The rows of a change: one for each parent but the root.
    pub fn all_of(change: &Change) -> impl Iterator<Item = Self> + '_ {
        let parents = change.parents.iter().filter(|parent| !parent.is_root());
        parents.map(|parent| Self {
            org: change.org.clone(),
            repo: change.repo.clone(),
            parent: *parent,
            child: change.id,
        })
    }
}

impl Record for Child {
    const TABLE: Table = Table::Changes;
    const NAME: &'static str = "child of a change";

    fn key(&self) -> Key {
        KeyBuf::new(self.org.as_str())
            .text(".child")
            .text(self.repo.as_str())
            .fixed(&self.parent.0)
            .fixed(&self.child.0)
            .into()
    }
}

/// What brings an abandoned change back: there as long as it is abandoned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abandoned {
    /// The org.
    pub org: OrgId,
    /// The repo.
    pub repo: RepoId,
    /// The change.
    pub change: ChangeId,
    /// When.
    pub at: Nanos,
    /// Bookmarks that named it.
    pub bookmarks: Vec<BookmarkName>,
    /// Changes on top of it.
    pub children: Vec<ChangeId>,
}

impl Abandoned {
    /// Where the row of a change is stored.
    pub fn key_of(org: &OrgId, repo: &RepoId, change: &ChangeId) -> Key {
        KeyBuf::new(org.as_str())
            .text(".abandoned")
            .text(repo.as_str())
            .fixed(&change.0)
            .into()
    }

    /// What the rows of a repo begin with.
    pub fn prefix(org: &OrgId, repo: &RepoId) -> Key {
        KeyBuf::new(org.as_str())
            .text(".abandoned")
            .text(repo.as_str())
            .into()
    }
}

impl Record for Abandoned {
    const TABLE: Table = Table::Changes;
    const NAME: &'static str = "abandoned change";

    fn key(&self) -> Key {
        Self::key_of(&self.org, &self.repo, &self.change)
    }
}
