//! Repos.

use std::collections::BTreeMap;

use mesa_meta::Batch;
use mesa_types::{BookmarkName, ChangeId, FileId, OrgId, RepoId, RepoName};
use serde_json::json;

use super::{Actor, CAS_ATTEMPTS, Catalog, CatalogEvent};
use crate::{
    auth::Principal,
    error::{Error, ErrorKind},
    page::{Page, PageRequest},
    record::{Record, RecordBatch, Versioned},
    records::{
        Bookmark, OperationKind, Repo, Scope,
        repo::{FileIdCounter, RepoByName, RepoByTag},
        webhook::{HookEventKind, RepoFace},
    },
    tags::{self, TagFilter},
};

/// What a new repo needs; everything has a default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewRepo {
    /// Name; generated when absent.
    pub name: Option<RepoName>,
    /// Default bookmark; `main` when absent.
    pub default_bookmark: Option<BookmarkName>,
    /// Labels.
    pub tags: BTreeMap<String, String>,
}

/// A change of a repo; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepoUpdate {
    /// New name.
    pub name: Option<RepoName>,
    /// New default bookmark; must exist.
    pub default_bookmark: Option<BookmarkName>,
    /// Labels to set or remove.
    pub tags: BTreeMap<String, Option<String>>,
}

/// Repos named in one bulk call.
const BULK_MAX: usize = 100;

pub(super) fn missing() -> Error {
    Error::not_found("REPO_NOT_FOUND", "there is no such repo")
}

fn taken(name: &RepoName) -> Error {
    Error::new(
        ErrorKind::Exists,
        "REPO_EXISTS",
        format!("the repo '{name}' exists already"),
    )
}

fn updated(before: &Repo, after: &Repo) -> HookEventKind {
    let face = |repo: &Repo| RepoFace {
        name: repo.name.to_string(),
        default_bookmark: repo.default_bookmark.to_string(),
        tags: repo.tags.clone(),
    };
    HookEventKind::RepoUpdated {
        before: face(before),
        after: face(after),
    }
}

impl Catalog {
    /// Creates a repo with its default bookmark at the root change.
    pub async fn create_repo(
        &self,
        org: &OrgId,
        new: NewRepo,
        actor: &Actor,
    ) -> Result<Repo, Error> {
        let tags = tags::checked(&new.tags)?;
        let default_bookmark = match new.default_bookmark {
            Some(name) => name,
            None => "main"
                .parse()
                .map_err(|_| Error::corrupt("'main' is no bookmark name"))?,
        };
        for attempt in 0..CAS_ATTEMPTS {
            let _turn = self.turn(attempt, org).await;
            let now = self.now();
            let name = match &new.name {
                Some(name) => name.clone(),
                None => self.generated_name()?,
            };
            if self.repo_by_name(org, &name).await?.is_some() {
                if new.name.is_some() {
                    return Err(taken(&name));
                }
                continue;
            }
            let repo = Repo {
                id: RepoId::from_unique(&self.unique()),
                org: org.clone(),
                name: name.clone(),
                tag: self.random_tag(),
                default_bookmark: default_bookmark.clone(),
                tags: tags.clone(),
                created: now,
                updated: now,
                deleted: None,
            };
            let mut batch = Batch::new();
            batch
                .insert_record(&repo)
                .insert_record(&RepoByName {
                    org: org.clone(),
                    name,
                    repo: repo.id.clone(),
                })
                .insert_record(&RepoByTag {
                    org: org.clone(),
                    tag: repo.tag,
                    repo: repo.id.clone(),
                })
                .insert_record(&FileIdCounter {
                    org: org.clone(),
                    repo: repo.id.clone(),
                    next: 2,
                })
                .insert_record(&Bookmark {
                    org: org.clone(),
                    repo: repo.id.clone(),
                    name: default_bookmark.clone(),
                    change: ChangeId::ROOT,
                    created: now,
                    updated: now,
                });
            self.log_operation(&mut batch, org, &repo.id, actor, OperationKind::RepoCreated);
            let detail = json!({"name": repo.name});
            self.audit(
                &mut batch,
                org,
                actor,
                "repo.create",
                repo.id.as_str(),
                detail,
            );
            // A conflict is a name or a tag taken meanwhile: the next round tells which.
            if self.commit(batch).await? {
                self.announce(CatalogEvent::RepoCreated {
                    org: org.clone(),
                    repo: repo.id.clone(),
                });
                return Ok(repo);
            }
        }
        Err(Error::contended())
    }

    /// A repo with its version, deleted ones included.
    pub async fn repo(&self, org: &OrgId, id: &RepoId) -> Result<Option<Versioned<Repo>>, Error> {
        self.read(&Repo::key_of(org, id)).await
    }

    /// A repo that is not deleted, or `REPO_NOT_FOUND`.
    pub async fn living_repo(&self, org: &OrgId, id: &RepoId) -> Result<Versioned<Repo>, Error> {
        self.repo(org, id)
            .await?
            .filter(|r| r.deleted.is_none())
            .ok_or_else(missing)
    }

    /// The living repo with this name.
    pub async fn repo_by_name(
        &self,
        org: &OrgId,
        name: &RepoName,
    ) -> Result<Option<Versioned<Repo>>, Error> {
        let Some(row) = self
            .read::<RepoByName>(&RepoByName::key_of(org, name))
            .await?
        else {
            return Ok(None);
        };
        let repo = self.repo(org, &row.record.repo).await?;
        Ok(repo.filter(|r| r.deleted.is_none()))
    }

    /// The living repo with this name if the caller may see it, otherwise `REPO_NOT_FOUND`.
    pub async fn visible_repo(
        &self,
        caller: &Principal,
        name: &RepoName,
    ) -> Result<Versioned<Repo>, Error> {
        self.repo_by_name(&caller.org, name)
            .await?
            .filter(|r| caller.sees(&r.id))
            .ok_or_else(missing)
    }

    /// The living repos the caller sees, in the order they were created.
    pub async fn list_repos(
        &self,
        caller: &Principal,
        filter: Option<&TagFilter>,
        page: &PageRequest,
    ) -> Result<Page<Repo>, Error> {
        let keep = |repo: &Repo| {
            repo.deleted.is_none()
                && caller.sees(&repo.id)
                && filter.is_none_or(|f| f.matches(&repo.tags))
        };
        let page = self.page(&Repo::prefix(&caller.org), page, keep).await?;
        Ok(page.map(|r| r.record))
    }

    /// Changes a repo's name, default bookmark or labels.
    pub async fn update_repo(
        &self,
        org: &OrgId,
        id: &RepoId,
        update: &RepoUpdate,
        actor: &Actor,
    ) -> Result<Repo, Error> {
        for attempt in 0..CAS_ATTEMPTS {
            let _turn = self.turn(attempt, id).await;
            let read = self.living_repo(org, id).await?;
            let mut next = read.record.clone();
            let mut batch = Batch::new();
            tags::patch(&mut next.tags, &update.tags)?;
            if let Some(name) = update.name.as_ref().filter(|n| **n != read.name) {
                if self.repo_by_name(org, name).await?.is_some() {
                    return Err(taken(name));
                }
                next.name = name.clone();
                let row = RepoByName {
                    org: org.clone(),
                    name: name.clone(),
                    repo: id.clone(),
                };
                batch
                    .insert_record(&row)
                    .delete(RepoByName::TABLE, RepoByName::key_of(org, &read.name));
                let what = OperationKind::RepoRenamed {
                    from: read.name.clone(),
                    to: name.clone(),
                };
                self.log_operation(&mut batch, org, id, actor, what);
            }
            if let Some(name) = update
                .default_bookmark
                .as_ref()
                .filter(|n| **n != read.default_bookmark)
            {
                if self.bookmark(org, id, name).await?.is_none() {
                    return Err(Error::invalid(
                        "BOOKMARK_NOT_FOUND",
                        format!("there is no bookmark '{name}' to be the default"),
                    ));
                }
                next.default_bookmark = name.clone();
                batch.present(Bookmark::TABLE, Bookmark::key_of(org, id, name));
                let what = OperationKind::DefaultBookmarkSet {
                    from: read.default_bookmark.clone(),
                    to: name.clone(),
                };
                self.log_operation(&mut batch, org, id, actor, what);
            }
            if next == read.record {
                return Ok(next);
            }
            next.updated = self.now();
            batch.replace_record(&next, read.version);
            let detail = json!({"name": next.name, "default_bookmark": next.default_bookmark});
            self.audit(&mut batch, org, actor, "repo.update", id.as_str(), detail);
            self.raise(&mut batch, org, id, updated(&read, &next));
            if self.commit(batch).await? {
                let (org, repo) = (org.clone(), id.clone());
                self.announce(CatalogEvent::RepoUpdated { org, repo });
                return Ok(next);
            }
        }
        Err(Error::contended())
    }

    /// Sets (`Some`) or removes one label on several repos the caller sees; answers how many
    /// repos are named. Nothing happens if one of them does not exist.
    pub async fn bulk_tag(
        &self,
        caller: &Principal,
        repos: &[RepoId],
        key: &str,
        value: Option<&str>,
        actor: &Actor,
    ) -> Result<usize, Error> {
        if repos.is_empty() || repos.len() > BULK_MAX {
            return Err(Error::invalid(
                "INVALID_REPO_IDS",
                format!("repo_ids must name 1 to {BULK_MAX} repos"),
            ));
        }
        let ids: std::collections::BTreeSet<_> = repos.iter().collect();
        let patch = BTreeMap::from([(key.to_owned(), value.map(str::to_owned))]);
        for attempt in 0..CAS_ATTEMPTS {
            let _turn = self.turn(attempt, &caller.org).await;
            let mut batch = Batch::new();
            let mut changed = Vec::new();
            for &id in &ids {
                if !caller.sees(id) {
                    return Err(missing());
                }
                caller
                    .require_in(id, Scope::Write)
                    .map_err(|e| Error::forbidden(e.message))?;
                let read = self.living_repo(&caller.org, id).await?;
                let mut next = read.record.clone();
                tags::patch(&mut next.tags, &patch)?;
                if next != read.record {
                    next.updated = self.now();
                    batch.replace_record(&next, read.version);
                    let detail = json!({"tag": key});
                    self.audit(
                        &mut batch,
                        &caller.org,
                        actor,
                        "repo.tag",
                        id.as_str(),
                        detail,
                    );
                    let event = updated(&read, &next);
                    self.raise(&mut batch, &caller.org, id, event);
                    changed.push(id.clone());
                }
            }
            if changed.is_empty() || self.commit(batch).await? {
                for repo in changed {
                    self.announce(CatalogEvent::RepoUpdated {
                        org: caller.org.clone(),
                        repo,
                    });
                }
                return Ok(ids.len());
            }
        }
        Err(Error::contended())
    }

    /// Deletes a repo: it is gone from every listing and its name is free. Its rows and objects
    /// stay for garbage collection.
    pub async fn delete_repo(&self, org: &OrgId, id: &RepoId, actor: &Actor) -> Result<(), Error> {
        for attempt in 0..CAS_ATTEMPTS {
            let _turn = self.turn(attempt, id).await;
            let read = self.living_repo(org, id).await?;
            let now = self.now();
            let next = Repo {
                deleted: Some(now),
                updated: now,
                ..read.record.clone()
            };
            let mut batch = Batch::new();
            batch
                .replace_record(&next, read.version)
                .delete(RepoByName::TABLE, RepoByName::key_of(org, &read.name));
            let detail = json!({"name": read.name});
            self.audit(&mut batch, org, actor, "repo.delete", id.as_str(), detail);
            self.raise(&mut batch, org, id, HookEventKind::RepoDeleted);
            if self.commit(batch).await? {
                let (org, repo) = (org.clone(), id.clone());
                self.announce(CatalogEvent::RepoDeleted { org, repo });
                return Ok(());
            }
        }
        Err(Error::contended())
    }

    /// Hands out `count` file ids of a repo that were never handed out before; answers the first,
    /// the others follow it.
    pub async fn allocate_file_ids(
        &self,
        org: &OrgId,
        repo: &Repo,
        count: u32,
    ) -> Result<FileId, Error> {
        for attempt in 0..CAS_ATTEMPTS {
            let _turn = self.turn(attempt, &repo.id).await;
            let read = self
                .read::<FileIdCounter>(&FileIdCounter::key_of(org, &repo.id))
                .await?
                .ok_or_else(missing)?;
            let first = read.next;
            let next = first.saturating_add(count.into());
            if next >> FileId::COUNTER_BITS != 0 {
                return Err(Error::new(
                    ErrorKind::Full,
                    "FILE_IDS_EXHAUSTED",
                    "the repo has no file ids left",
                ));
            }
            let mut batch = Batch::new();
            batch.replace_record(
                &FileIdCounter {
                    next,
                    ..read.record.clone()
                },
                read.version,
            );
            if self.commit(batch).await? {
                return Ok(FileId(
                    (u64::from(repo.tag) << FileId::COUNTER_BITS) | first,
                ));
            }
        }
        Err(Error::contended())
    }

    fn random_tag(&self) -> u32 {
        let mut tag = 0;
        while tag == 0 {
            let mut bytes = [0; 4];
            self.random().fill(&mut bytes);
            tag = u32::from_le_bytes(bytes) & FileId::TAG_MAX;
        }
        tag
    }

    fn generated_name(&self) -> Result<RepoName, Error> {
        let mut bytes = [0; 5];
        self.random().fill(&mut bytes);
        format!("repo-{}", hex::encode(bytes))
            .parse()
            .map_err(|_| Error::corrupt("a generated repo name is not valid"))
    }
}
