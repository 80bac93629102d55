//! Holding a head still while the server moves its base.
//!
//! A merge into a followed bookmark, or a move of it, gives the head another base. For that no
//! session may decide alone and nothing may be unsealed; operations that arrive meanwhile wait.

use bytes::Bytes;
use mesa_meta::{Batch, Table};
use mesa_proto::v1::{self, server_message::Kind};
use mesa_repo::ChangeState;
use mesa_types::{BookmarkName, ChangeId, CommitOid, Nanos, ObjectId};
use tokio::sync::{mpsc, oneshot};

use super::{
    command::{Command, Reply, SealedAt},
    recent::Recent,
    turn::Turn,
};
use crate::{
    content::Unsealed,
    edit::{Edit, Edited},
    error::{HeadError, Result},
    load,
    rows::{self, PastChange, Pending},
    versions::table::Table as Conflicts,
};

/// A head that is held still longer than this goes on.
const FROZEN_MAX: Nanos = Nanos(20 * 1_000_000_000);

/// A head held still, as long as this lives.
#[derive(Debug)]
pub(crate) struct Frozen {
    /// Ends the freeze.
    pub hold: Hold,
    /// Where it is sealed; of a pending head: what it is on top of.
    pub at: SealedAt,
    /// The change does not exist.
    pub pending: bool,
}

/// The end of a freeze. Dropped, also together with a caller that went away, it lets the head go
/// on as it is.
#[derive(Debug)]
pub(crate) struct Hold {
    token: Option<u64>,
    commands: mpsc::Sender<Command>,
}

impl Hold {
    /// Ends the freeze.
    pub async fn end(self, thaw: Thaw) -> Result<()> {
        self.ask(|token, reply| Command::Thaw { token, thaw, reply })
            .await
    }

    /// Ends the freeze with a write.
    pub async fn end_with(self, edit: Box<Edit>) -> Result<Edited> {
        self.ask(|token, reply| Command::ThawWith { token, edit, reply })
            .await
    }

    async fn ask<T>(mut self, command: impl FnOnce(u64, Reply<T>) -> Command) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let token = self.token.ok_or_else(HeadError::gone)?;
        let sent = self.commands.send(command(token, reply)).await;
        sent.map_err(|_| HeadError::gone())?;
        // The head has it, whatever becomes of the caller.
        self.token = None;
        answer.await.map_err(|_| HeadError::gone())?
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Some(token) = self.token else { return };
        let (reply, _) = oneshot::channel();
        let thaw = Command::Thaw {
            token,
            thaw: Thaw::AsIs,
            reply,
        };
        if let Err(mpsc::error::TrySendError::Full(thaw)) = self.commands.try_send(thaw)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let commands = self.commands.clone();
            runtime.spawn(async move {
                // A head that left memory is not held still any more.
                let _ = commands.send(thaw).await;
            });
        }
    }
}

/// Where a held head goes on.
#[derive(Debug, Clone)]
pub(crate) struct Onto {
    /// The change it goes on top of.
    pub change: ChangeId,
    /// Its commit.
    pub commit: Option<CommitOid>,
    /// Generation of the next commit.
    pub generation: u64,
    /// Its snapshot.
    pub root: Option<ObjectId>,
    /// What becomes of the head's own change, if it has one.
    pub leave: ChangeState,
    /// Bookmarks followed from here on.
    pub bookmarks: Vec<BookmarkName>,
    /// Only who follows this bookmark goes there.
    pub only: Option<BookmarkName>,
}

/// How a freeze ends.
#[derive(Debug)]
pub(crate) enum Thaw {
    /// Nothing happens.
    AsIs,
    /// Rows that move names, and where the head goes with them.
    Onto(Box<Onto>, Batch),
}

/// State of a freeze.
#[derive(Debug)]
pub(crate) struct Held {
    pub token: u64,
    pub until: Nanos,
}

impl Turn<'_> {
    /// Holds the head for the next who wants it, if it is at rest.
    pub fn freeze_next(&mut self) {
        if self
            .state
            .frozen
            .as_ref()
            .is_some_and(|held| held.until <= self.now)
        {
            tracing::warn!(head = %self.head.id, "held still for too long");
            self.state.frozen = None;
        }
        // Nobody waits for those whose callers went away.
        self.state.freezers.retain(|reply| !reply.is_closed());
        if self.state.frozen.is_some() || self.state.freezers.is_empty() {
            return;
        }
        if self.state.lease.exclusive.is_some() {
            self.recall_for_server();
            return;
        }
        let row = &self.state.row;
        if self.state.sealing.is_some()
            || self.state.needs_seal()
            || !self.state.closing.is_empty()
            || self.state.leftovers.is_some()
            || (row.pending.is_none() && row.commit.is_empty())
        {
            return;
        }
        if let Some(reply) = self.state.freezers.pop_front() {
            self.state.streams += 1;
            let token = self.state.streams;
            self.state.frozen = Some(Held {
                token,
                until: Nanos(self.now.0 + FROZEN_MAX.0),
            });
            let mut at = self.state.sealed_at();
            let pending = self.state.row.pending.is_some();
            if let Some(row) = &self.state.row.pending {
                at.change = row.parent();
            }
            let hold = Hold {
                token: Some(token),
                commands: self.head.commands.clone(),
            };
            self.answer(reply, Ok(Frozen { hold, at, pending }));
        }
    }

    /// Ends a freeze.
    pub async fn thaw(&mut self, token: u64, thaw: Thaw, reply: Reply<()>) -> Result<()> {
        if !self.end_freeze(token) {
            self.answer(reply, Err(took_too_long()));
            return Ok(());
        }
        match thaw {
            Thaw::AsIs => {}
            Thaw::Onto(onto, batch) => {
                self.batch.conditions.extend(batch.conditions);
                self.batch.writes.extend(batch.writes);
                let leaving = match &onto.only {
                    Some(name) => self.leaving(name).await?.map(|all| (name.clone(), all)),
                    None => None,
                };
                match leaving {
                    Some((name, leaving)) => self.split(*onto, &name, leaving).await?,
                    None => self.rebase(*onto).await?,
                }
            }
        }
        self.answer(reply, Ok(()));
        Ok(())
    }

    /// Ends a freeze with a write.
    pub async fn thaw_with(&mut self, token: u64, edit: Edit, reply: Reply<Edited>) -> Result<()> {
        if self.end_freeze(token) {
            return self.edit_now(edit, reply).await;
        }
        self.answer(reply, Err(took_too_long()));
        Ok(())
    }

    /// Whether the freeze is still the present one, which ends.
    fn end_freeze(&mut self, token: u64) -> bool {
        let held = self.state.frozen.as_ref().is_some_and(|h| h.token == token);
        if held {
            self.state.frozen = None;
        }
        held
    }

    /// Gives the head another base.
    async fn rebase(&mut self, onto: Onto) -> Result<()> {
        let (org, repo) = (self.head.org().clone(), self.head.repo.clone());
        if let Some(pending) = self.state.row.pending.take() {
            let row = &self.state.row;
            let past = PastChange {
                change: Bytes::copy_from_slice(&pending.parent().0),
                commit: row.parent_commits.first().cloned().unwrap_or_default(),
                generation: row.generation.saturating_sub(1),
                root: row.base.clone(),
                seq: row.sealed_seq,
                parent: true,
            };
            self.remember(past);
            for name in &pending.bookmarks {
                if let Ok(name) = name.parse::<BookmarkName>()
                    && !onto.bookmarks.contains(&name)
                {
                    let key = rows::pending_key(&org, &repo, &name);
                    self.drop_pending_key(key).await?;
                }
            }
        } else {
            self.leave_change(onto.leave).await?;
        }
        self.keep_base();
        let row = &mut self.state.row;
        // Clients that were up to date before have to read everything again.
        row.seq += 1;
        row.sealed_seq = row.seq;
        row.moved_seq = row.seq;
        row.base = crate::heads::stored_id(onto.root);
        row.base_ns = self.now.0;
        row.commit_snap = Bytes::new();
        row.conflicts = Bytes::new();
        row.no_conflicts = false;
        row.follows = onto.bookmarks.iter().map(ToString::to_string).collect();
        let stored = |oid: &CommitOid| Bytes::copy_from_slice(&oid.0);
        let next = self.head.catalog.new_change_id();
        row.change = Bytes::copy_from_slice(&next.0);
        row.commit = Bytes::new();
        row.parent_commits = onto.commit.iter().map(stored).collect();
        row.generation = onto.generation;
        row.pending = Some(Pending {
            parents: vec![Bytes::copy_from_slice(&onto.change.0)],
            bookmarks: row.follows.clone(),
        });
        for name in &onto.bookmarks {
            self.batch.put(
                Table::Heads,
                rows::pending_key(&org, &repo, name),
                self.head.id.as_str().to_owned(),
            );
        }
        let created = Nanos(self.state.row.created_ns);
        self.state.tree = load::tree(&self.head.packs, onto.root, self.head.root, created).await?;
        self.state.conflicts = Conflicts::of_root(&self.head.packs, onto.root).await?;
        self.state.unsealed = Unsealed::default();
        self.state.recent = Recent::starting_at(self.state.row.seq);
        self.state.unsealed_since = None;
        self.touch_head();
        let moved = v1::HeadMoved {
            change_id: next.to_string(),
            commit_oid: onto.commit.map_or(String::new(), |oid| oid.to_string()),
            head_seq: self.state.row.seq,
            same_tree: false,
        };
        self.broadcast(None, &Kind::HeadMoved(moved));
        Ok(())
    }
}

fn took_too_long() -> HeadError {
    HeadError::conflict(
        "TOOK_TOO_LONG",
        "the change was written to before the operation was done: try again",
    )
}
