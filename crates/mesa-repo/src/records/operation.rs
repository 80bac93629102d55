//! The repo-level operation log: what moved names, in order.

use mesa_meta::{Key, KeyBuf, Table};
use mesa_types::{BookmarkName, ChangeId, CommitOid, KeyId, Nanos, OrgId, RepoId, RepoName};
use serde::{Deserialize, Serialize};

use crate::record::Record;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum OperationKind {
    /// The repo was created.
    RepoCreated,
    /// The repo got another name.
    RepoRenamed {
        /// Old name.
        from: RepoName,
        /// New name.
        to: RepoName,
    },
    /// The default bookmark changed.
    DefaultBookmarkSet {
        /// Before.
        from: BookmarkName,
        /// After.
        to: BookmarkName,
    },
    /// A bookmark was created.
    BookmarkCreated {
        /// Name.
        name: BookmarkName,
        /// What it names.
        change: ChangeId,
    },
    /// A bookmark moved.
    BookmarkMoved {
        /// Name.
        name: BookmarkName,
        /// Before.
        from: ChangeId,
        /// After.
        to: ChangeId,
    },
    /// A bookmark moved to a merge, as the entry of its move says too.
    BookmarkMerged {
        /// Name.
        name: BookmarkName,
        /// The change merged into it.
        source: ChangeId,
        /// The merge.
        merge: ChangeId,
    },
    /// A bookmark was deleted.
    BookmarkDeleted {
        /// Name.
        name: BookmarkName,
        /// What it named.
        change: ChangeId,
    },
    /// A change was created.
    ChangeCreated {
        /// The change.
        change: ChangeId,
    },
    /// A change's description, author or state was set.
    ChangeUpdated {
        /// The change.
        change: ChangeId,
    },
    /// A change got a new commit.
    ChangeSealed {
        /// The change.
        change: ChangeId,
        /// Its commit before.
        from: Option<CommitOid>,
        /// Its commit now.
        to: CommitOid,
    },
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The org.
    pub org: OrgId,
    /// The repo.
    pub repo: RepoId,
    /// Place in the order: a ULID, ascending.
    pub id: String,
    /// When.
    pub at: Nanos,
    /// The key that did it; `None` for the server itself.
    pub key: Option<KeyId>,
    /// Where it came from, as in [`super::Audit::source`].
    pub source: String,
    /// What.
    pub what: OperationKind,
}

impl Operation {
    /// Where the entry is stored.
    pub fn key_of(org: &OrgId, repo: &RepoId, id: &str) -> Key {
        KeyBuf::new(org.as_str())
            .text(repo.as_str())
            .text(id)
            .into()
    }

    /// What every entry's row of a repo begins with.
    pub fn prefix(org: &OrgId, repo: &RepoId) -> Key {
        KeyBuf::new(org.as_str()).text(repo.as_str()).into()
    }
}

impl Record for Operation {
    const TABLE: Table = Table::Operations;
    const NAME: &'static str = "operation";

    fn key(&self) -> Key {
        Self::key_of(&self.org, &self.repo, &self.id)
    }
}
