//! Repos.

use std::collections::BTreeMap;

use mesa_meta::{Key, KeyBuf, Table};
use mesa_types::{BookmarkName, Nanos, OrgId, RepoId, RepoName};
use serde::{Deserialize, Serialize};

use crate::record::Record;

/// A repo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repo {
    /// Identity.
    pub id: RepoId,
    /// The org.
    pub org: OrgId,
    /// Name in paths, unique among the org's living repos.
    pub name: RepoName,
    /// The repo's part of its file ids: 1..=[`mesa_types::FileId::TAG_MAX`], unique in the org
    /// for ever.
    pub tag: u32,
    /// What a mount or clone starts at.
    pub default_bookmark: BookmarkName,
    /// Labels.
    pub tags: BTreeMap<String, String>,
    /// When it was created.
    pub created: Nanos,
    /// When this record last changed.
    pub updated: Nanos,
    /// When it was deleted; its name is free from then on.
    pub deleted: Option<Nanos>,
}

impl Repo {
    /// Where the repo with this id is stored.
    pub fn key_of(org: &OrgId, id: &RepoId) -> Key {
        KeyBuf::new(org.as_str()).text("r").text(id.as_str()).into()
    }

    /// What every repo's row of an org begins with. Ids ascend with creation.
    pub fn prefix(org: &OrgId) -> Key {
        KeyBuf::new(org.as_str()).text("r").into()
    }
}

impl Record for Repo {
    const TABLE: Table = Table::Repos;
    const NAME: &'static str = "repo";

    fn key(&self) -> Key {
        Self::key_of(&self.org, &self.id)
    }
}

/// Which repo has a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoByName {
    /// The org.
    pub org: OrgId,
    /// The name.
    pub name: RepoName,
    /// The repo.
    pub repo: RepoId,
}

impl RepoByName {
    /// Where the row of this name is stored.
    pub fn key_of(org: &OrgId, name: &RepoName) -> Key {
        KeyBuf::new(org.as_str())
            .text("n")
            .text(name.as_str())
            .into()
    }
}

impl Record for RepoByName {
    const TABLE: Table = Table::Repos;
    const NAME: &'static str = "repo name";

    fn key(&self) -> Key {
        Self::key_of(&self.org, &self.name)
    }
}

/// Which repo has a file-id tag; stays when the repo is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoByTag {
    /// The org.
    pub org: OrgId,
    /// The tag.
    pub tag: u32,
    /// The repo.
    pub repo: RepoId,
}

impl Record for RepoByTag {
    const TABLE: Table = Table::Repos;
    const NAME: &'static str = "repo tag";

    fn key(&self) -> Key {
        KeyBuf::new(self.org.as_str())
            .text("t")
            .u64(self.tag.into())
            .into()
    }
}

/// The next free file id of a repo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdCounter {
    /// The org.
    pub org: OrgId,
    /// The repo.
    pub repo: RepoId,
    /// Counter part of the next id to hand out; starts at 2, 1 is the root.
    pub next: u64,
}

impl FileIdCounter {
    /// Where the counter of a repo is stored.
    pub fn key_of(org: &OrgId, repo: &RepoId) -> Key {
        KeyBuf::new(org.as_str())
            .text("f")
            .text(repo.as_str())
            .into()
    }
}

impl Record for FileIdCounter {
    const TABLE: Table = Table::Repos;
    const NAME: &'static str = "file id counter";

    fn key(&self) -> Key {
        Self::key_of(&self.org, &self.repo)
    }
}
