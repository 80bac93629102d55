//! A repo's upstream, and syncs with it.

use mesa_meta::{Key, KeyBuf, Table};
use mesa_types::{EventName, Nanos, OrgId, RepoId, SyncId};
use serde::{Deserialize, Serialize};

use super::webhook::SealedText;
use crate::record::Record;

/// How a sync signs in, without the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamAuthKind {
    /// A token, with or without a user name.
    Token,
    /// A user name and a password.
    UsernamePassword,
}

/// The git remote a repo follows. Apart from the repo's record, so that its secret is read by
/// nobody but syncs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// The org.
    pub org: OrgId,
    /// The repo.
    pub repo: RepoId,
    /// Where it is.
    pub url: String,
    /// How to sign in; `None` = not at all.
    pub auth: Option<UpstreamAuth>,
    /// When it was set.
    pub updated: Nanos,
}

/// A stored credential for an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamAuth {
    /// Its kind.
    pub kind: UpstreamAuthKind,
    /// User name, if there is one.
    pub username: Option<String>,
    /// The token or password.
    pub secret: SealedText,
}

impl Upstream {
    /// Where the upstream of a repo is stored.
    pub fn key_of(org: &OrgId, repo: &RepoId) -> Key {
        KeyBuf::new(org.as_str())
            .text("u")
            .text(repo.as_str())
            .into()
    }
}

impl Record for Upstream {
    const TABLE: Table = Table::Syncs;
    const NAME: &'static str = "upstream";

    fn key(&self) -> Key {
        Self::key_of(&self.org, &self.repo)
    }
}

/// Which way a sync goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncDirection {
    /// From the upstream.
    Pull,
    /// To the upstream.
    Push,
}

/// How far a sync is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncStatus {
    /// Waits.
    Queued,
    /// Began.
    InProgress,
    /// Ended well.
    Completed,
    /// Ended with an error.
    Failed,
}

impl SyncStatus {
    /// The event that tells of it.
    pub fn event(self) -> EventName {
        match self {
            Self::Queued => EventName::SyncQueued,
            Self::InProgress => EventName::SyncInProgress,
            Self::Completed => EventName::SyncCompleted,
            Self::Failed => EventName::SyncFailed,
        }
    }
}

/// What became of one ref.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncedRef {
    /// Its name.
    pub name: String,
    /// Before; `None` = it was new.
    pub before: Option<String>,
    /// After.
    pub after: String,
    /// `updated`, `unchanged`, `filtered` or `rejected`.
    pub outcome: String,
}

/// One exchange with an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sync {
    /// The org.
    pub org: OrgId,
    /// The repo.
    pub repo: RepoId,
    /// Its id; ascending for a repo.
    pub id: SyncId,
    /// Which way.
    pub direction: SyncDirection,
    /// How far.
    pub status: SyncStatus,
    /// Counts from 1.
    pub attempt: u32,
    /// Which branches; empty = none.
    pub branches: String,
    /// Which tags; empty = none.
    pub tags: String,
    /// What became of each ref, once it ended.
    pub refs: Option<Vec<SyncedRef>>,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was asked for.
    pub created: Nanos,
    /// When it began.
    pub started: Option<Nanos>,
    /// When it ended.
    pub finished: Option<Nanos>,
}

impl Sync {
    /// Where the sync is stored.
    pub fn key_of(org: &OrgId, repo: &RepoId, id: &SyncId) -> Key {
        KeyBuf::new(org.as_str())
            .text("s")
            .text(repo.as_str())
            .text(id.as_str())
            .into()
    }

    /// What every sync's row of a repo begins with.
    pub fn prefix(org: &OrgId, repo: &RepoId) -> Key {
        KeyBuf::new(org.as_str())
            .text("s")
            .text(repo.as_str())
            .into()
    }
}

impl Record for Sync {
    const TABLE: Table = Table::Syncs;
    const NAME: &'static str = "sync";

    fn key(&self) -> Key {
        Self::key_of(&self.org, &self.repo, &self.id)
    }
}
