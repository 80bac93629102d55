//! Changes and their evolution.

use mesa_meta::{Key, KeyBuf, Table};
use mesa_types::{ChangeId, CommitOid, HeadId, Nanos, ObjectId, OrgId, RepoId};
use serde::{Deserialize, Serialize};

use crate::record::Record;

/// Where a change is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ChangeState {
    /// Takes writes.
    Open,
    /// A child exists, or `mesa new` left it.
    Closed,
    /// Its commit was fetched or merged: never rewritten.
    Published,
    /// Given up.
    Abandoned,
}

/// Who wrote something, as git names people.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Signature {
    /// Name.
    pub name: String,
    /// Address; may be empty.
    pub email: String,
    /// When, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Nanos>,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Identity.
    pub id: ChangeId,
    /// The org.
    pub org: OrgId,
    /// The repo.
    pub repo: RepoId,
    /// State.
    pub state: ChangeState,
    /// The newest sealed commit; `None` until the first seal.
    pub commit: Option<CommitOid>,
    /// The newest sealed root directory; `None` = the empty tree.
    pub root: Option<ObjectId>,
    /// Parents; [`ChangeId::ROOT`] alone for a first change.
    pub parents: Vec<ChangeId>,
    /// Description; empty = none.
    pub message: String,
    /// Author.
    pub author: Signature,
    /// Further authors in order, whom git's commit does not name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coauthors: Vec<Signature>,
    /// Who commits; the author unless something else is known.
    #[serde(default)]
    pub committer: Option<Signature>,
    /// Has conflicts.
    #[serde(default)]
    pub conflicted: bool,
    /// Something below it is not what its commit is made on any more: it is to be rebased.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub behind: bool,
    /// Commits so far: the `n` of the next [`Evolution`] record.
    #[serde(default)]
    pub evolutions: u64,
    /// Its live head, once it has one.
    pub head: Option<HeadId>,
    /// When it was created.
    pub created: Nanos,
    /// When this record last changed.
    pub updated: Nanos,
}

impl Change {
    /// Where the change is stored.
    pub fn key_of(org: &OrgId, repo: &RepoId, id: &ChangeId) -> Key {
        KeyBuf::new(org.as_str())
            .text(repo.as_str())
            .fixed(&id.0)
            .into()
    }

    /// What every change's row of a repo begins with.
    pub fn prefix(org: &OrgId, repo: &RepoId) -> Key {
        KeyBuf::new(org.as_str()).text(repo.as_str()).into()
    }
}

impl Record for Change {
    const TABLE: Table = Table::Changes;
    const NAME: &'static str = "change";

    fn key(&self) -> Key {
        Self::key_of(&self.org, &self.repo, &self.id)
    }
}

/// One commit a change has had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evolution {
    /// The org.
    pub org: OrgId,
    /// The repo.
    pub repo: RepoId,
    /// The change.
    pub change: ChangeId,
    /// 0, 1, 2, ...
    pub n: u64,
    /// The commit.
    pub commit: CommitOid,
    /// When it was made.
    pub at: Nanos,
}

impl Evolution {
    /// Where the record is stored.
    pub fn key_of(org: &OrgId, repo: &RepoId, change: &ChangeId, n: u64) -> Key {
        KeyBuf::new(org.as_str())
            .text(repo.as_str())
            .fixed(&change.0)
            .u64(n)
            .into()
    }

    /// What every evolution row of a change begins with; `n` ascends.
    pub fn prefix(org: &OrgId, repo: &RepoId, change: &ChangeId) -> Key {
        KeyBuf::new(org.as_str())
            .text(repo.as_str())
            .fixed(&change.0)
            .into()
    }
}

impl Record for Evolution {
    const TABLE: Table = Table::Evolution;
    const NAME: &'static str = "evolution";

    fn key(&self) -> Key {
        Self::key_of(&self.org, &self.repo, &self.change, self.n)
    }
}
