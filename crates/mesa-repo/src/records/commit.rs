//! Commits.

use mesa_meta::{Key, KeyBuf, Table};
use mesa_types::{ChangeId, CommitOid, Nanos, ObjectId, OrgId, RepoId};
use serde::{Deserialize, Serialize};

use super::change::Signature;
use crate::record::Record;

/// A commit: immutable once written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The org.
    pub org: OrgId,
    /// The repo.
    pub repo: RepoId,
    /// The public id: the oid of the git projection.
    pub oid: CommitOid,
    /// The change it belongs to.
    pub change: ChangeId,
    /// Parents; empty for a first commit.
    pub parents: Vec<CommitOid>,
    /// The root directory; `None` = the empty tree.
    pub root: Option<ObjectId>,
    /// The object with the raw bytes of the git commit.
    pub git: ObjectId,
    /// 1 + the highest generation of the parents; 1 for a first commit.
    pub generation: u64,
    /// The head sequence it was sealed at; [`Self::NO_SEQ`] if it is of no state of a head.
    pub sealed_seq: u64,
    /// Message.
    pub message: String,
    /// Author.
    pub author: Signature,
    /// Committer.
    pub committer: Signature,
    /// Author's time.
    pub authored: Nanos,
    /// Committer's time.
    pub committed: Nanos,
}

impl Commit {
    /// The sequence of a commit that was rebased beside any head.
    pub const NO_SEQ: u64 = u64::MAX;

    /// Where the commit is stored.
    pub fn key_of(org: &OrgId, repo: &RepoId, oid: &CommitOid) -> Key {
        KeyBuf::new(org.as_str())
            .text(repo.as_str())
            .fixed(&oid.0)
            .into()
    }

    /// What every commit's row of a repo begins with.
    pub fn prefix(org: &OrgId, repo: &RepoId) -> Key {
        KeyBuf::new(org.as_str()).text(repo.as_str()).into()
    }
}

impl Record for Commit {
    const TABLE: Table = Table::Commits;
    const NAME: &'static str = "commit";

    fn key(&self) -> Key {
        Self::key_of(&self.org, &self.repo, &self.oid)
    }
}
