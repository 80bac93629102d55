//! Changes, commits and evolution.

use mesa_meta::{Batch, Range};
use mesa_types::{BookmarkName, ChangeId, CommitOid, ObjectId, OrgId, RepoId};
use serde_json::json;

use super::{Actor, CAS_ATTEMPTS, Catalog};
use crate::{
    error::Error,
    page::{Page, PageRequest},
    record::{self, Record, RecordBatch, Versioned},
    records::{Change, ChangeState, Child, Commit, Evolution, OperationKind},
};

/// Letters that the beginning of an id must have to be taken for one.
const PREFIX_MIN: usize = 4;

pub(super) fn missing(change: &ChangeId) -> Error {
    Error::not_found("CHANGE_NOT_FOUND", format!("there is no change {change}"))
}

impl Catalog {
    /// A change with its version. The root change has no record.
    pub async fn change(
        &self,
        org: &OrgId,
        repo: &RepoId,
        id: &ChangeId,
    ) -> Result<Option<Versioned<Change>>, Error> {
        self.read(&Change::key_of(org, repo, id)).await
    }

    /// What a change parameter names: an exact change id of the repo first, else a bookmark, else
    /// the beginning of an id, of at least [`PREFIX_MIN`] letters, that no other change has.
    pub async fn resolve_change(
        &self,
        org: &OrgId,
        repo: &RepoId,
        text: &str,
    ) -> Result<ChangeId, Error> {
        if let Ok(id) = text.parse::<ChangeId>()
            && (id.is_root() || self.change(org, repo, &id).await?.is_some())
        {
            return Ok(id);
        }
        if let Ok(name) = text.parse::<BookmarkName>()
            && let Some(bookmark) = self.bookmark(org, repo, &name).await?
        {
            return Ok(bookmark.change);
        }
        if let Some((first, last)) = ids_from(text) {
            let range = Range {
                start: Change::key_of(org, repo, &first),
                end: Change::key_of(org, repo, &last).successor_of_prefix(),
            };
            let found = self.meta().scan(Change::TABLE, &range, 2, false).await?;
            match &found[..] {
                [] => {}
                [one] => return Ok(record::read::<Change>(&one.row)?.record.id),
                _ => {
                    return Err(Error::not_found(
                        "CHANGE_AMBIGUOUS",
                        format!("several changes have an id that begins with '{text}'"),
                    ));
                }
            }
        }
        Err(Error::not_found(
            "CHANGE_NOT_FOUND",
            format!("there is no change or bookmark '{}'", text.escape_debug()),
        ))
    }

    /// The repo's changes in the order of their ids.
    pub async fn list_changes(
        &self,
        org: &OrgId,
        repo: &RepoId,
        page: &PageRequest,
    ) -> Result<Page<Change>, Error> {
        let page = self
            .page::<Change>(&Change::prefix(org, repo), page, |_| true)
            .await?;
        Ok(page.map(|r| r.record))
    }

    /// Adds the creation of a change to a batch (conflicts if the id is taken).
    pub fn create_change_in(&self, batch: &mut Batch, change: &Change, actor: &Actor) {
        batch.insert_record(change);
        for row in Child::all_of(change) {
            batch.put_record(&row);
        }
        let what = OperationKind::ChangeCreated { change: change.id };
        self.log_operation(batch, &change.org, &change.repo, actor, what);
        let detail = json!({"repo": change.repo, "parents": change.parents});
        self.audit(
            batch,
            &change.org,
            actor,
            "change.create",
            &change.id.to_string(),
            detail,
        );
    }

    /// Creates a change.
    pub async fn create_change(&self, change: &Change, actor: &Actor) -> Result<(), Error> {
        let mut batch = Batch::new();
        self.create_change_in(&mut batch, change, actor);
        if self.commit(batch).await? {
            Ok(())
        } else {
            Err(Error::contended())
        }
    }

    /// Adds a seal to a batch: the commit, the evolution record, and the change as read with its
    /// new commit and root (conflicts if the change's record changed meanwhile). Answers the
    /// change as written. A commit with the same oid may exist already: it is the same commit.
    pub fn seal_change_in(
        &self,
        batch: &mut Batch,
        read: &Versioned<Change>,
        commit: &Commit,
        root: Option<ObjectId>,
        conflicted: bool,
        actor: &Actor,
    ) -> Change {
        let now = self.now();
        let sealed = Change {
            commit: Some(commit.oid),
            root,
            conflicted,
            evolutions: read.evolutions + 1,
            updated: now,
            ..read.record.clone()
        };
        batch
            .put_record(commit)
            .put_record(&Evolution {
                org: sealed.org.clone(),
                repo: sealed.repo.clone(),
                change: sealed.id,
                n: read.evolutions,
                commit: commit.oid,
                at: now,
            })
            .replace_record(&sealed, read.version);
        let what = OperationKind::ChangeSealed {
            change: sealed.id,
            from: read.commit,
            to: commit.oid,
        };
        self.log_operation(batch, &sealed.org, &sealed.repo, actor, what);
        sealed
    }

    /// Changes a change's record by `edit` until it sticks. `edit` sees the newest record and may
    /// refuse. Identity fields must stay. Answers the record as written.
    pub async fn update_change(
        &self,
        org: &OrgId,
        repo: &RepoId,
        id: &ChangeId,
        actor: &Actor,
        edit: impl Fn(&mut Change) -> Result<(), Error> + Send + Sync,
    ) -> Result<Versioned<Change>, Error> {
        for attempt in 0..CAS_ATTEMPTS {
            let _turn = self.turn(attempt, (repo, id)).await;
            let read = self
                .change(org, repo, id)
                .await?
                .ok_or_else(|| missing(id))?;
            let mut next = read.record.clone();
            edit(&mut next)?;
            if next == read.record {
                return Ok(read);
            }
            next.updated = self.now();
            let mut batch = Batch::new();
            batch.replace_record(&next, read.version);
            let what = OperationKind::ChangeUpdated { change: *id };
            self.log_operation(&mut batch, org, repo, actor, what);
            let detail = json!({"repo": repo, "state": next.state});
            self.audit(
                &mut batch,
                org,
                actor,
                "change.update",
                &id.to_string(),
                detail,
            );
            if let mesa_meta::Committed::Yes(version) = self.meta().commit(batch).await? {
                return Ok(Versioned {
                    record: next,
                    version,
                });
            }
        }
        Err(Error::contended())
    }

    /// Adds the end of an open change to a batch: it takes no more writes and has no head
    /// (conflicts if the change's record changed meanwhile).
    pub fn close_change_in(
        &self,
        batch: &mut Batch,
        read: &Versioned<Change>,
        state: ChangeState,
    ) -> Change {
        let closed = Change {
            state,
            head: None,
            ..read.record.clone()
        };
        batch.replace_record(&closed, read.version);
        let what = OperationKind::ChangeUpdated { change: closed.id };
        let (org, repo) = (&closed.org, &closed.repo);
        self.log_operation(batch, org, repo, &Actor::server(), what);
        closed
    }

    /// Sets a change's state. One that was given up stays so.
    pub async fn set_change_state(
        &self,
        org: &OrgId,
        repo: &RepoId,
        id: &ChangeId,
        state: ChangeState,
        actor: &Actor,
    ) -> Result<Versioned<Change>, Error> {
        let edit = |change: &mut Change| {
            if change.state == ChangeState::Abandoned {
                return Err(super::abandon::abandoned(&change.id));
            }
            change.state = state;
            Ok(())
        };
        self.update_change(org, repo, id, actor, edit).await
    }

    /// A commit.
    pub async fn commit_by_oid(
        &self,
        org: &OrgId,
        repo: &RepoId,
        oid: &CommitOid,
    ) -> Result<Option<Commit>, Error> {
        let read = self.read(&Commit::key_of(org, repo, oid)).await?;
        Ok(read.map(|r| r.record))
    }

    /// All commits a change has had, oldest first.
    pub async fn list_evolution(
        &self,
        org: &OrgId,
        repo: &RepoId,
        change: &ChangeId,
        page: &PageRequest,
    ) -> Result<Page<Evolution>, Error> {
        let prefix = Evolution::prefix(org, repo, change);
        let page = self.page::<Evolution>(&prefix, page, |_| true).await?;
        Ok(page.map(|r| r.record))
    }
}

/// The first and last id that begin with a text.
fn ids_from(text: &str) -> Option<(ChangeId, ChangeId)> {
    if !(PREFIX_MIN..32).contains(&text.len()) {
        return None;
    }
    // The letters count downwards: `z` is the digit 0.
    let first = format!("{text:z<32}").parse().ok()?;
    let last = format!("{text:k<32}").parse().ok()?;
    Some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_begin_with_a_text() {
        let (first, last) = ids_from("zzzy").unwrap();
        assert_eq!(first.to_string(), "zzzyzzzzzzzzzzzzzzzzzzzzzzzzzzzz");
        assert_eq!(last.to_string(), "zzzykkkkkkkkkkkkkkkkkkkkkkkkkkkk");
        assert!(first < last);
        for text in ["zzz", "main", "zzzj", "", &"k".repeat(32)] {
            assert!(ids_from(text).is_none(), "{text}");
        }
    }
}
