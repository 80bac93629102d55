//! Moving bookmarks under live sessions.

use mesa_meta::{Batch, Committed, Table};
use mesa_repo::{Actor, Bookmark, CatalogEvent, ChangeState, OperationKind, Repo, Versioned};
use mesa_types::{BookmarkName, ChangeId, HeadId};

use super::{
    Heads, SealedAt,
    open::no_bookmark,
    write::{busy, is_passing},
};
use crate::{
    error::{HeadError, Result},
    head::{
        command::Command,
        freeze::{Frozen, Onto, Thaw},
    },
    rows::{self, HeadRow},
    versions::graph::Graph,
};

/// Attempts while others move the same bookmark.
const ATTEMPTS: usize = 32;

impl Heads {
    /// Moves a bookmark to another change; the sessions that follow it go on there. Without
    /// `allow_backwards` only to a descendant (`NON_FORWARD_MOVE`). Answers what it named before.
    pub async fn move_bookmark(
        &self,
        actor: &Actor,
        repo: &Repo,
        name: &BookmarkName,
        to: ChangeId,
        allow_backwards: bool,
    ) -> Result<ChangeId> {
        self.move_bookmark_from(actor, repo, name, None, to, allow_backwards)
            .await
    }

    /// The same, if the bookmark names the change that the caller saw it name (`STALE_BOOKMARK`).
    pub async fn move_bookmark_from(
        &self,
        actor: &Actor,
        repo: &Repo,
        name: &BookmarkName,
        seen: Option<ChangeId>,
        to: ChangeId,
        allow_backwards: bool,
    ) -> Result<ChangeId> {
        let _turn = self.bookmark_turn(repo, name).await;
        let mut last = HeadError::gone();
        for _ in 0..ATTEMPTS {
            let read = self.named(repo, name).await?;
            let from = read.change;
            if seen.is_some_and(|seen| seen != from) {
                return Err(HeadError::conflict(
                    "STALE_BOOKMARK",
                    format!("'{name}' names {from} by now"),
                ));
            }
            if from == to {
                return Ok(from);
            }
            self.not_abandoned(repo, &to).await?;
            let target = self.seal_or_root(repo, &to).await?;
            if !allow_backwards {
                let now = self.seal_or_root(repo, &from).await?;
                let graph = self.graph(repo);
                if !graph.is_ancestor(now.commit, target.commit).await? {
                    return Err(HeadError::conflict(
                        "NON_FORWARD_MOVE",
                        format!("{to} does not descend from what '{name}' names"),
                    ));
                }
            }
            if self.followers(repo, name, from).await?.is_some() {
                // Before anything is held still: its head may be waiting for this one.
                self.close_change(repo, &to, ChangeState::Closed).await?;
            }
            let held = self.hold(repo, name, &read).await?;
            let moved = self
                .move_held(actor, repo, &read, to, held, ChangeState::Closed, None)
                .await;
            match moved {
                Ok(()) => return Ok(from),
                Err(error) if is_passing(&error) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(busy(&last))
    }

    /// Moves the bookmark and whoever follows it, in one transaction.
    #[allow(clippy::too_many_arguments, reason = "one transaction's parts")]
    pub(super) async fn move_held(
        &self,
        actor: &Actor,
        repo: &Repo,
        read: &Versioned<Bookmark>,
        to: ChangeId,
        held: Option<Frozen>,
        leave: ChangeState,
        what: Option<OperationKind>,
    ) -> Result<()> {
        let mut batch = Batch::new();
        self.catalog().move_bookmark_in(&mut batch, read, to, actor);
        if let Some(what) = what {
            self.catalog()
                .log_operation(&mut batch, &repo.org, &repo.id, actor, what);
        }
        match held {
            None => {
                if let Committed::Conflict(_) = self.catalog().meta().commit(batch).await? {
                    return Err(moved_meanwhile());
                }
            }
            Some(held) => {
                // Sessions never share one head of two changes: they go on on top of it.
                self.close_change(repo, &to, ChangeState::Closed).await?;
                let at = self.seal_or_root(repo, &to).await?;
                let generation = match at.commit {
                    Some(oid) => {
                        let commit = self
                            .catalog()
                            .commit_by_oid(&repo.org, &repo.id, &oid)
                            .await?;
                        commit.map_or(1, |commit| commit.generation + 1)
                    }
                    None => 1,
                };
                let onto = Onto {
                    change: to,
                    commit: at.commit,
                    generation,
                    root: at.root,
                    leave,
                    bookmarks: vec![read.name.clone()],
                    only: Some(read.name.clone()),
                };
                let thaw = Thaw::Onto(Box::new(onto), batch);
                held.hold.end(thaw).await?;
            }
        }
        self.catalog().announce(CatalogEvent::BookmarkMoved {
            org: repo.org.clone(),
            repo: repo.id.clone(),
            name: read.name.clone(),
            from: Some(read.change),
            to: Some(to),
        });
        Ok(())
    }

    /// Holds the head that the bookmark's followers write to, if there is one.
    pub(super) async fn hold(
        &self,
        repo: &Repo,
        name: &BookmarkName,
        read: &Versioned<Bookmark>,
    ) -> Result<Option<Frozen>> {
        let Some(head) = self.followers(repo, name, read.change).await? else {
            return Ok(None);
        };
        match self.call(&repo.org, &head, Command::Freeze).await {
            Ok(frozen) => Ok(Some(frozen)),
            Err(error) if error.code == "HEAD_NOT_FOUND" => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn followers(
        &self,
        repo: &Repo,
        name: &BookmarkName,
        change: ChangeId,
    ) -> Result<Option<HeadId>> {
        if !change.is_root() {
            let found = self.catalog().change(&repo.org, &repo.id, &change).await?;
            if let Some(found) = found.filter(|found| found.state == ChangeState::Open) {
                let Some(head) = &found.head else {
                    return Ok(None);
                };
                let key = rows::head_key(&repo.org, head);
                let stored = self.catalog().meta().get(Table::Heads, &key).await?;
                let row: Option<HeadRow> = stored.map(|s| rows::decode(&s.value)).transpose()?;
                let follows =
                    row.is_some_and(|row| row.follows.iter().any(|known| known == name.as_str()));
                return Ok(follows.then(|| head.clone()));
            }
        }
        let key = rows::pending_key(&repo.org, &repo.id, name);
        let stored = self.catalog().meta().get(Table::Heads, &key).await?;
        let head = stored.and_then(|row| std::str::from_utf8(&row.value).ok()?.parse().ok());
        // The row may be older than what the bookmark names.
        match head {
            Some(head) => {
                let here = self.is_pending_on(repo, &head, change).await?;
                Ok(here.map(|_| head))
            }
            None => Ok(None),
        }
    }

    pub(super) async fn named(
        &self,
        repo: &Repo,
        name: &BookmarkName,
    ) -> Result<Versioned<Bookmark>> {
        let read = self.catalog().bookmark(&repo.org, &repo.id, name).await?;
        read.ok_or_else(no_bookmark)
    }

    pub(super) fn graph<'a>(&'a self, repo: &'a Repo) -> Graph<'a> {
        Graph {
            catalog: self.catalog(),
            org: &repo.org,
            repo: &repo.id,
        }
    }

    pub(super) async fn seal_or_root(&self, repo: &Repo, id: &ChangeId) -> Result<SealedAt> {
        if id.is_root() {
            return Ok(SealedAt::root());
        }
        self.seal(&repo.org, &repo.id, id).await
    }

    /// Moves of one bookmark by this process take turns: each is a whole merge.
    pub(super) async fn bookmark_turn(
        &self,
        repo: &Repo,
        name: &BookmarkName,
    ) -> tokio::sync::MutexGuard<'_, ()> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (&repo.id, name).hash(&mut hasher);
        let turns = &self.inner.bookmark_turns;
        turns[hasher.finish() as usize % turns.len()].lock().await
    }
}

fn moved_meanwhile() -> HeadError {
    HeadError::new(
        crate::error::HeadErrorKind::Unavailable,
        "WRITTEN_MEANWHILE",
        "the bookmark was moved meanwhile",
    )
}
