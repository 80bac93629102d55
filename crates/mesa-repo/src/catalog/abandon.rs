//! Abandoning changes and bringing them back: what names them and what lies on top of them goes
//! with them, in one transaction. Only records change here; what is on top is marked to be rebased
//! and gets its new commits when it is next looked at.

use std::collections::{BTreeMap, BTreeSet};

use mesa_meta::{Batch, Range};
use mesa_types::{BookmarkName, ChangeId, HeadId, OrgId, RepoId};
use serde_json::json;

use super::{Actor, CAS_ATTEMPTS, Catalog, CatalogEvent, changes::missing};
use crate::{
    error::{Error, ErrorKind},
    page::{LIMIT_MAX, Page, PageRequest},
    record::{self, Record, RecordBatch, Versioned},
    records::{Abandoned, Bookmark, Change, ChangeState, Child, OperationKind},
};

/// Changes that may lie on top of one that is abandoned: all of them are written in one
/// transaction, and read one by one before it.
const DESCENDANTS_MAX: usize = 1000;
/// Rows of children read at a time.
const STEP: usize = 256;

/// What became of an abandoned change, or of one that was brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abandonment {
    /// The change as it is now.
    pub change: Change,
    /// The change below it.
    pub parent: ChangeId,
    /// Bookmarks that moved.
    pub bookmarks: Vec<BookmarkName>,
    /// Changes on top of it that are to be rebased.
    pub descendants: usize,
    /// Those of them that take writes, with their heads.
    pub open: Vec<(ChangeId, HeadId)>,
}

pub(super) fn abandoned(change: &ChangeId) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "CHANGE_ABANDONED",
        format!("{change} was abandoned: bring it back first"),
    )
}

fn refused(code: &'static str, message: String) -> Error {
    Error::new(ErrorKind::Conflict, code, message)
}

impl Catalog {
    /// Gives a closed change up. Bookmarks that name it go to its first parent, changes on top of
    /// it are put there and are to be rebased. `CHANGE_PUBLISHED` if it or one of those is
    /// published; `CHANGE_OPEN` if it takes writes: close it first. One that is abandoned already
    /// stays so.
    pub async fn abandon_change(
        &self,
        org: &OrgId,
        repo: &RepoId,
        id: &ChangeId,
        actor: &Actor,
    ) -> Result<Abandonment, Error> {
        for attempt in 0..CAS_ATTEMPTS {
            let _turn = self.turn(attempt, (repo, id)).await;
            let read = self
                .change(org, repo, id)
                .await?
                .ok_or_else(|| missing(id))?;
            let parent = read.parents.first().copied().unwrap_or(ChangeId::ROOT);
            match read.state {
                ChangeState::Closed => {}
                ChangeState::Abandoned => return Ok(as_it_is(read.record, parent)),
                ChangeState::Open => {
                    return Err(refused("CHANGE_OPEN", format!("{id} takes writes")));
                }
                ChangeState::Published => return Err(published(id)),
            }
            let above = self.descendants(&read).await?;
            let children: Vec<_> = above.direct.iter().copied().collect();
            if read.parents.len() > 1 && !children.is_empty() {
                return Err(refused(
                    "MERGE_HAS_DESCENDANTS",
                    format!("{id} is a merge that other changes are made on"),
                ));
            }
            let mut batch = Batch::new();
            let next = Change {
                state: ChangeState::Abandoned,
                updated: self.now(),
                ..read.record.clone()
            };
            batch.replace_record(&next, read.version);
            self.rebase_in(&mut batch, &above, (*id, parent), actor);
            let named = self.bookmarks_of(org, repo, *id).await?;
            for bookmark in &named {
                self.move_bookmark_in(&mut batch, bookmark, parent, actor);
            }
            let bookmarks: Vec<_> = named.iter().map(|b| b.name.clone()).collect();
            batch.put_record(&Abandoned {
                org: org.clone(),
                repo: repo.clone(),
                change: *id,
                at: self.now(),
                bookmarks: bookmarks.clone(),
                children,
            });
            let done = Abandonment {
                change: next,
                parent,
                bookmarks,
                descendants: above.changes.len(),
                open: above.open(),
            };
            if self.end(batch, &done, "change.abandon", actor).await? {
                self.tell(&done, *id, parent);
                return Ok(done);
            }
        }
        Err(Error::contended())
    }

    /// Brings an abandoned change back, closed. The changes that were on top of it are put there
    /// again, unless they are elsewhere by now, and its bookmarks, unless they moved since.
    pub async fn restore_change(
        &self,
        org: &OrgId,
        repo: &RepoId,
        id: &ChangeId,
        actor: &Actor,
    ) -> Result<Abandonment, Error> {
        for attempt in 0..CAS_ATTEMPTS {
            let _turn = self.turn(attempt, (repo, id)).await;
            let read = self
                .change(org, repo, id)
                .await?
                .ok_or_else(|| missing(id))?;
            let parent = read.parents.first().copied().unwrap_or(ChangeId::ROOT);
            if read.state != ChangeState::Abandoned {
                return Ok(as_it_is(read.record, parent));
            }
            let key = Abandoned::key_of(org, repo, id);
            let row = self.read::<Abandoned>(&key).await?;
            let mut batch = Batch::new();
            let next = Change {
                state: ChangeState::Closed,
                updated: self.now(),
                ..read.record.clone()
            };
            batch.replace_record(&next, read.version);
            let mut done = Abandonment {
                change: next,
                parent,
                bookmarks: Vec::new(),
                descendants: 0,
                open: Vec::new(),
            };
            if let Some(row) = row {
                let (above, names) = self.returning(&row, &read.parents).await?;
                self.rebase_in(&mut batch, &above, (parent, *id), actor);
                done.descendants = above.changes.len();
                done.open = above.open();
                for name in names {
                    let bookmark = self.bookmark(org, repo, &name).await?;
                    if let Some(bookmark) = bookmark.filter(|b| b.change == parent) {
                        self.move_bookmark_in(&mut batch, &bookmark, *id, actor);
                        done.bookmarks.push(name);
                    }
                }
                batch.remove_record(&row);
            }
            if self.end(batch, &done, "change.restore", actor).await? {
                self.tell(&done, parent, *id);
                return Ok(done);
            }
        }
        Err(Error::contended())
    }

    /// The repo's abandoned changes in the order of their ids.
    pub async fn list_abandoned(
        &self,
        org: &OrgId,
        repo: &RepoId,
        page: &PageRequest,
    ) -> Result<Page<Abandoned>, Error> {
        let prefix = Abandoned::prefix(org, repo);
        let page = self.page::<Abandoned>(&prefix, page, |_| true).await?;
        Ok(page.map(|r| r.record))
    }

    /// The changes that were on top of an abandoned one and are still where that left them, and the
    /// bookmarks that named it. Those of abandoned changes among them are where it left these.
    async fn returning(
        &self,
        row: &Abandoned,
        parents: &[ChangeId],
    ) -> Result<(Descendants, BTreeSet<BookmarkName>), Error> {
        let (mut all, mut names) = (Descendants::default(), BTreeSet::new());
        let mut rows = vec![row.clone()];
        while let Some(row) = rows.pop() {
            names.extend(row.bookmarks);
            for id in &row.children {
                let child = self.change(&row.org, &row.repo, id).await?;
                let Some(child) = child.filter(|child| child.parents == parents) else {
                    continue;
                };
                if child.state == ChangeState::Published || all.direct.contains(id) {
                    continue;
                }
                let mut above = match self.descendants(&child).await {
                    Ok(above) => above,
                    // What was published meanwhile stays as it is.
                    Err(error) if error.kind == ErrorKind::Conflict => continue,
                    Err(error) => return Err(error),
                };
                if child.state == ChangeState::Abandoned {
                    let key = Abandoned::key_of(&row.org, &row.repo, id);
                    rows.extend(self.read::<Abandoned>(&key).await?.map(|row| row.record));
                }
                all.changes.append(&mut above.changes);
                all.changes.insert(*id, child);
                all.direct.insert(*id);
            }
        }
        Ok((all, names))
    }

    /// Everything on top of a change, at most [`DESCENDANTS_MAX`]; `CHANGE_PUBLISHED` if something
    /// of it is published.
    async fn descendants(&self, change: &Change) -> Result<Descendants, Error> {
        let mut found = Descendants::default();
        let mut open = vec![change.id];
        while let Some(below) = open.pop() {
            for id in self.children(&change.org, &change.repo, &below).await? {
                if found.changes.contains_key(&id) {
                    continue;
                }
                let Some(child) = self.change(&change.org, &change.repo, &id).await? else {
                    continue;
                };
                if !child.parents.contains(&below) {
                    continue;
                }
                if child.state == ChangeState::Published {
                    return Err(published(&id));
                }
                if child.parents.len() > 1 {
                    return Err(refused(
                        "MERGE_HAS_DESCENDANTS",
                        format!("the merge {id} is made on it"),
                    ));
                }
                if below == change.id {
                    found.direct.insert(id);
                }
                found.changes.insert(id, child);
                open.push(id);
                if found.changes.len() > DESCENDANTS_MAX {
                    return Err(refused(
                        "TOO_MANY_DESCENDANTS",
                        format!(
                            "more than {DESCENDANTS_MAX} changes are made on {}",
                            change.id
                        ),
                    ));
                }
            }
        }
        Ok(found)
    }

    /// Every change that was ever put on top of another one.
    async fn children(
        &self,
        org: &OrgId,
        repo: &RepoId,
        parent: &ChangeId,
    ) -> Result<Vec<ChangeId>, Error> {
        let mut range = Range::prefix(Child::prefix(org, repo, parent));
        let mut found = Vec::new();
        loop {
            let rows = self.meta().scan(Child::TABLE, &range, STEP, false).await?;
            for entry in &rows {
                found.push(record::read::<Child>(&entry.row)?.record.child);
            }
            match rows.last() {
                Some(last) if rows.len() == STEP => {
                    let mut start = last.key.0.to_vec();
                    start.push(0);
                    range.start = mesa_meta::Key(start.into());
                }
                _ => return Ok(found),
            }
        }
    }

    /// Puts changes that were on top of `from` on top of `to`, and marks everything above.
    fn rebase_in(
        &self,
        batch: &mut Batch,
        above: &Descendants,
        (from, to): (ChangeId, ChangeId),
        actor: &Actor,
    ) {
        for (id, read) in &above.changes {
            let mut next = read.record.clone();
            next.behind = true;
            if above.direct.contains(id) {
                for parent in next.parents.iter_mut().filter(|parent| **parent == from) {
                    *parent = to;
                }
                for row in Child::all_of(&next) {
                    batch.put_record(&row);
                }
            }
            // Written also if it was marked before: whoever rebases it at this moment does so on
            // something outdated, and one that could not be rebased may be now.
            next.updated = self.now();
            batch.replace_record(&next, read.version);
            let what = OperationKind::ChangeUpdated { change: *id };
            self.log_operation(batch, &next.org, &next.repo, actor, what);
        }
    }

    async fn bookmarks_of(
        &self,
        org: &OrgId,
        repo: &RepoId,
        change: ChangeId,
    ) -> Result<Vec<Versioned<Bookmark>>, Error> {
        let prefix = Bookmark::prefix(org, repo);
        let mut request = PageRequest {
            cursor: None,
            limit: Some(LIMIT_MAX),
        };
        let mut found = Vec::new();
        loop {
            let names = |bookmark: &Bookmark| bookmark.change == change;
            let page = self.page::<Bookmark>(&prefix, &request, names).await?;
            found.extend(page.items);
            request.cursor = page.next;
            if request.cursor.is_none() {
                return Ok(found);
            }
        }
    }

    async fn end(
        &self,
        mut batch: Batch,
        done: &Abandonment,
        action: &str,
        actor: &Actor,
    ) -> Result<bool, Error> {
        let (org, repo, id) = (&done.change.org, &done.change.repo, done.change.id);
        let what = OperationKind::ChangeUpdated { change: id };
        self.log_operation(&mut batch, org, repo, actor, what);
        let detail = json!({
            "repo": repo,
            "parent": done.parent,
            "bookmarks": done.bookmarks,
            "descendants": done.descendants,
        });
        self.audit(&mut batch, org, actor, action, &id.to_string(), detail);
        self.commit(batch).await
    }

    fn tell(&self, done: &Abandonment, from: ChangeId, to: ChangeId) {
        for name in &done.bookmarks {
            self.announce(CatalogEvent::BookmarkMoved {
                org: done.change.org.clone(),
                repo: done.change.repo.clone(),
                name: name.clone(),
                from: Some(from),
                to: Some(to),
            });
        }
    }
}

/// What lies on top of a change.
#[derive(Default)]
struct Descendants {
    changes: BTreeMap<ChangeId, Versioned<Change>>,
    /// Those that are made on the change itself.
    direct: BTreeSet<ChangeId>,
}

impl Descendants {
    fn open(&self) -> Vec<(ChangeId, HeadId)> {
        let open = self
            .changes
            .values()
            .filter(|change| change.state == ChangeState::Open);
        let heads = open.filter_map(|change| Some((change.id, change.head.clone()?)));
        heads.collect()
    }
}

fn published(id: &ChangeId) -> Error {
    refused(
        "CHANGE_PUBLISHED",
        format!("{id} is published: its commit is part of a merge for good"),
    )
}

fn as_it_is(change: Change, parent: ChangeId) -> Abandonment {
    Abandonment {
        change,
        parent,
        bookmarks: Vec::new(),
        descendants: 0,
        open: Vec::new(),
    }
}
