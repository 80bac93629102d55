//! Heads that are to begin a change on top of one that was abandoned, brought back or rebased: they
//! go on on top of what it is now. A head that is missed, because the server dies or others hold it
//! still, is put right by its first write.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use mesa_meta::{Batch, Table};
use mesa_repo::{ChangeState, PageRequest, Repo, page::LIMIT_MAX};
use mesa_types::{BookmarkName, ChangeId, HeadId};

use super::{Heads, SealedAt, write::is_passing};
use crate::{
    error::Result,
    head::{
        command::Command,
        freeze::{Onto, Thaw},
    },
    rows::{self, SpanRow},
};

/// Attempts while others write.
const ATTEMPTS: usize = 8;
/// How long a head that others hold still is waited for.
const WAIT: Duration = Duration::from_secs(3);

impl Heads {
    /// Heads pending on the first of each pair go on on top of the second: those of its own former
    /// sessions, and those of bookmarks that name the second.
    pub(super) async fn bring_along(&self, repo: &Repo, pairs: &BTreeMap<ChangeId, ChangeId>) {
        if pairs.is_empty() {
            return;
        }
        if let Err(error) = self.try_bring_along(repo, pairs).await {
            tracing::warn!(%error, "not everybody on top of a change goes along");
        }
    }

    async fn try_bring_along(
        &self,
        repo: &Repo,
        pairs: &BTreeMap<ChangeId, ChangeId>,
    ) -> Result<()> {
        let mut heads = BTreeSet::new();
        let meta = self.catalog().meta();
        for from in pairs.keys() {
            let key = rows::span_key(&repo.org, from);
            if let Some(stored) = meta.get(Table::Heads, &key).await? {
                let span: SpanRow = rows::decode(&stored.value)?;
                heads.extend(span.head.parse::<HeadId>().ok().map(|head| (head, *from)));
            }
        }
        for (name, at) in self.bookmarks(repo).await? {
            for (from, _) in pairs.iter().filter(|(_, to)| **to == at) {
                let head = self.pending_of(repo, &name).await?;
                heads.extend(head.map(|head| (head, *from)));
            }
        }
        for (head, from) in heads {
            if let Some(to) = pairs.get(&from) {
                self.bring(repo, &head, from, *to).await?;
            }
        }
        Ok(())
    }

    /// Heads that wait for the first write by one of the bookmarks go on on top of `to`.
    pub(super) async fn bring_followers(
        &self,
        repo: &Repo,
        names: &[BookmarkName],
        (from, to): (ChangeId, ChangeId),
    ) {
        for name in names {
            let brought = async {
                match self.pending_of(repo, name).await? {
                    Some(head) => self.bring(repo, &head, from, to).await,
                    None => Ok(()),
                }
            };
            if let Err(error) = brought.await {
                tracing::warn!(bookmark = %name, %error, "its followers do not go along");
            }
        }
    }

    async fn bookmarks(&self, repo: &Repo) -> Result<Vec<(BookmarkName, ChangeId)>> {
        let mut request = PageRequest {
            cursor: None,
            limit: Some(LIMIT_MAX),
        };
        let mut found = Vec::new();
        loop {
            let page = self
                .catalog()
                .list_bookmarks(&repo.org, &repo.id, None, &request)
                .await?;
            found.extend(page.items.into_iter().map(|b| (b.name, b.change)));
            request.cursor = page.next;
            if request.cursor.is_none() {
                return Ok(found);
            }
        }
    }

    async fn pending_of(&self, repo: &Repo, name: &BookmarkName) -> Result<Option<HeadId>> {
        let key = rows::pending_key(&repo.org, &repo.id, name);
        let stored = self.catalog().meta().get(Table::Heads, &key).await?;
        Ok(stored.and_then(|row| std::str::from_utf8(&row.value).ok()?.parse().ok()))
    }

    async fn bring(&self, repo: &Repo, head: &HeadId, from: ChangeId, to: ChangeId) -> Result<()> {
        for _ in 0..ATTEMPTS {
            match self.try_bring(repo, head, from, to).await {
                Err(error) if is_passing(&error) => {}
                done => return done,
            }
        }
        Ok(())
    }

    async fn try_bring(
        &self,
        repo: &Repo,
        head: &HeadId,
        from: ChangeId,
        to: ChangeId,
    ) -> Result<()> {
        if self.is_pending_on(repo, head, from).await?.is_none() {
            return Ok(());
        }
        let Ok(held) =
            tokio::time::timeout(WAIT, self.call(&repo.org, head, Command::Freeze)).await
        else {
            return Ok(());
        };
        let held = held?;
        let row = self.head_row(repo, head).await?;
        let pending = row.and_then(|row| row.pending);
        let Some(pending) = pending.filter(|_| held.pending && held.at.change == from) else {
            return Ok(());
        };
        let mut bookmarks = Vec::new();
        for name in &pending.bookmarks {
            let Ok(name) = name.parse::<BookmarkName>() else {
                continue;
            };
            if self.named(repo, &name).await?.change != to {
                // Others of its sessions stay where they are.
                return Ok(());
            }
            bookmarks.push(name);
        }
        let at = if to.is_root() {
            SealedAt::root()
        } else {
            self.sealed(&repo.org, &repo.id, &to).await?
        };
        let commit = self.commit(repo, at.commit).await?;
        let onto = Onto {
            change: to,
            commit: at.commit,
            generation: commit.map_or(1, |commit| commit.generation + 1),
            root: at.root,
            // It has no change of its own.
            leave: ChangeState::Closed,
            bookmarks,
            only: None,
        };
        let thaw = Thaw::Onto(Box::new(onto), Batch::new());
        held.hold.end(thaw).await
    }
}
