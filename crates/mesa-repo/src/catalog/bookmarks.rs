//! Bookmarks.

use mesa_meta::Batch;
use mesa_types::{BookmarkName, ChangeId, OrgId, RepoId};
use serde_json::json;

use super::{Actor, CAS_ATTEMPTS, Catalog, CatalogEvent};
use crate::{
    error::{Error, ErrorKind},
    glob::Glob,
    page::{Page, PageRequest},
    record::{RecordBatch, Versioned},
    records::{Bookmark, Change, ChangeState, OperationKind, Repo},
};

fn missing(name: &BookmarkName) -> Error {
    Error::not_found(
        "BOOKMARK_NOT_FOUND",
        format!("there is no bookmark '{name}'"),
    )
}

impl Catalog {
    /// A bookmark with its version.
    pub async fn bookmark(
        &self,
        org: &OrgId,
        repo: &RepoId,
        name: &BookmarkName,
    ) -> Result<Option<Versioned<Bookmark>>, Error> {
        self.read(&Bookmark::key_of(org, repo, name)).await
    }

    /// The repo's bookmarks by name, of those that match `glob` (`*` and `?`).
    pub async fn list_bookmarks(
        &self,
        org: &OrgId,
        repo: &RepoId,
        glob: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Bookmark>, Error> {
        let glob = glob.map(Glob::parse).transpose()?;
        let keep = |b: &Bookmark| glob.as_ref().is_none_or(|g| g.matches(b.name.as_str()));
        let page = self.page(&Bookmark::prefix(org, repo), page, keep).await?;
        Ok(page.map(|r| r.record))
    }

    /// Creates a bookmark at an existing change (or the root).
    pub async fn create_bookmark(
        &self,
        org: &OrgId,
        repo: &RepoId,
        name: &BookmarkName,
        change: ChangeId,
        actor: &Actor,
    ) -> Result<Bookmark, Error> {
        let now = self.now();
        let bookmark = Bookmark {
            org: org.clone(),
            repo: repo.clone(),
            name: name.clone(),
            change,
            created: now,
            updated: now,
        };
        let mut batch = Batch::new();
        self.require_change(&mut batch, org, repo, change).await?;
        batch.insert_record(&bookmark);
        let what = OperationKind::BookmarkCreated {
            name: name.clone(),
            change,
        };
        self.log_operation(&mut batch, org, repo, actor, what);
        let detail = json!({"repo": repo, "change": change});
        self.audit(
            &mut batch,
            org,
            actor,
            "bookmark.create",
            name.as_str(),
            detail,
        );
        if !self.commit(batch).await? {
            return Err(Error::new(
                ErrorKind::Exists,
                "BOOKMARK_EXISTS",
                format!("the bookmark '{name}' exists already"),
            ));
        }
        self.announce(CatalogEvent::BookmarkMoved {
            org: org.clone(),
            repo: repo.clone(),
            name: name.clone(),
            from: None,
            to: Some(change),
        });
        Ok(bookmark)
    }

    /// Adds the move of a bookmark as read to a batch: conflicts if it moved meanwhile. After the
    /// commit the caller announces [`CatalogEvent::BookmarkMoved`].
    pub fn move_bookmark_in(
        &self,
        batch: &mut Batch,
        read: &Versioned<Bookmark>,
        to: ChangeId,
        actor: &Actor,
    ) -> Bookmark {
        let moved = Bookmark {
            change: to,
            updated: self.now(),
            ..read.record.clone()
        };
        batch.replace_record(&moved, read.version);
        let (org, repo) = (&moved.org, &moved.repo);
        let what = OperationKind::BookmarkMoved {
            name: moved.name.clone(),
            from: read.change,
            to,
        };
        self.log_operation(batch, org, repo, actor, what);
        let detail = json!({"repo": repo, "from": read.change, "to": to});
        self.audit(
            batch,
            org,
            actor,
            "bookmark.move",
            moved.name.as_str(),
            detail,
        );
        moved
    }

    /// Moves a bookmark to an existing change. With `expected`, only from there
    /// (otherwise `BOOKMARK_MOVED`). Answers what it named before.
    pub async fn move_bookmark(
        &self,
        org: &OrgId,
        repo: &RepoId,
        name: &BookmarkName,
        expected: Option<ChangeId>,
        to: ChangeId,
        actor: &Actor,
    ) -> Result<ChangeId, Error> {
        for attempt in 0..CAS_ATTEMPTS {
            let _turn = self.turn(attempt, (repo, name)).await;
            let read = self
                .bookmark(org, repo, name)
                .await?
                .ok_or_else(|| missing(name))?;
            let from = read.change;
            if expected.is_some_and(|e| e != from) {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "BOOKMARK_MOVED",
                    format!("the bookmark '{name}' was moved to {from} meanwhile"),
                ));
            }
            if from == to {
                return Ok(from);
            }
            let mut batch = Batch::new();
            self.require_change(&mut batch, org, repo, to).await?;
            self.move_bookmark_in(&mut batch, &read, to, actor);
            if self.commit(batch).await? {
                self.announce(CatalogEvent::BookmarkMoved {
                    org: org.clone(),
                    repo: repo.clone(),
                    name: name.clone(),
                    from: Some(from),
                    to: Some(to),
                });
                return Ok(from);
            }
        }
        Err(Error::contended())
    }

    /// Deletes a bookmark; the default bookmark cannot be.
    pub async fn delete_bookmark(
        &self,
        org: &OrgId,
        repo: &RepoId,
        name: &BookmarkName,
        actor: &Actor,
    ) -> Result<(), Error> {
        self.delete_bookmark_at(org, repo, name, None, actor).await
    }

    /// The same, if the bookmark names the change that the caller saw it name (`STALE_BOOKMARK`).
    pub async fn delete_bookmark_at(
        &self,
        org: &OrgId,
        repo: &RepoId,
        name: &BookmarkName,
        seen: Option<ChangeId>,
        actor: &Actor,
    ) -> Result<(), Error> {
        for attempt in 0..CAS_ATTEMPTS {
            let _turn = self.turn(attempt, (repo, name)).await;
            let read = self
                .bookmark(org, repo, name)
                .await?
                .ok_or_else(|| missing(name))?;
            if seen.is_some_and(|seen| seen != read.change) {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "STALE_BOOKMARK",
                    format!("'{name}' names {} by now", read.change),
                ));
            }
            let of = self.living_repo(org, repo).await?;
            if of.default_bookmark == *name {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "DEFAULT_BOOKMARK",
                    format!("'{name}' is the repo's default bookmark"),
                ));
            }
            let mut batch = Batch::new();
            batch
                .is(
                    <Repo as crate::record::Record>::TABLE,
                    Repo::key_of(org, repo),
                    of.version,
                )
                .remove_record(&read);
            let what = OperationKind::BookmarkDeleted {
                name: name.clone(),
                change: read.change,
            };
            self.log_operation(&mut batch, org, repo, actor, what);
            let detail = json!({"repo": repo, "change": read.change});
            self.audit(
                &mut batch,
                org,
                actor,
                "bookmark.delete",
                name.as_str(),
                detail,
            );
            if self.commit(batch).await? {
                self.announce(CatalogEvent::BookmarkMoved {
                    org: org.clone(),
                    repo: repo.clone(),
                    name: name.clone(),
                    from: Some(read.change),
                    to: None,
                });
                return Ok(());
            }
        }
        Err(Error::contended())
    }

    /// Makes the batch conditional on the change's existence, after looking once for a clear
    /// error.
    async fn require_change(
        &self,
        batch: &mut Batch,
        org: &OrgId,
        repo: &RepoId,
        change: ChangeId,
    ) -> Result<(), Error> {
        if change.is_root() {
            return Ok(());
        }
        match self.change(org, repo, &change).await? {
            None => return Err(super::changes::missing(&change)),
            Some(found) if found.state == ChangeState::Abandoned => {
                return Err(super::abandon::abandoned(&change));
            }
            Some(_) => {}
        }
        batch.present(
            <Change as crate::record::Record>::TABLE,
            Change::key_of(org, repo, &change),
        );
        Ok(())
    }
}
