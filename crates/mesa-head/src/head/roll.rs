//! A head goes on to another change: the one it had is closed or published, the tree stays.

use std::collections::BTreeSet;

use bytes::Bytes;
use mesa_meta::Table;
use mesa_proto::v1::{self, server_message::Kind};
use mesa_repo::{Bookmark, ChangeState, Record};
use mesa_types::{BookmarkName, ChangeId};

use super::{State, command::Reply, materialize::Birth, turn::Turn};
use crate::{
    error::{HeadError, Result},
    rows::{self, PAST_MAX, PastChange, Pending, SpanRow},
};

/// Somebody who wants the head's change closed.
pub(crate) struct Closing {
    pub change: ChangeId,
    pub state: ChangeState,
    /// Everything up to here is to be in it.
    pub seq: u64,
    /// Answers the change the head goes on in.
    pub reply: Reply<ChangeId>,
}

impl State {
    /// Whether what is sealed is not enough to close the change. What is written later belongs to
    /// the next change, so that a busy writer cannot keep one open.
    pub fn close_needs_seal(&self) -> bool {
        let row = &self.row;
        let short = |closing: &Closing| closing.seq > row.sealed_seq;
        let no_commit = row.recommit || row.commit.is_empty();
        !self.closing.is_empty() && (no_commit || self.closing.iter().any(short))
    }
}

impl Turn<'_> {
    /// Closes the head's change for those who wait, once it is sealed far enough.
    pub async fn close_changes(&mut self) -> Result<()> {
        if self.state.frozen.is_some() || self.state.leftovers.is_some() {
            return Ok(());
        }
        let current = self.state.change();
        let is_pending = self.state.row.pending.is_some();
        let mut wanted = Vec::new();
        for closing in std::mem::take(&mut self.state.closing) {
            if closing.change != current || is_pending {
                // It was closed meanwhile.
                self.answer(closing.reply, Ok(current));
            } else {
                wanted.push(closing);
            }
        }
        let row = &self.state.row;
        let sealed = self.state.sealing.is_none() && !row.recommit && !row.commit.is_empty();
        let seq = wanted.iter().map(|closing| closing.seq).max();
        let Some(seq) = seq else { return Ok(()) };
        if !sealed || row.sealed_seq < seq || self.change_written {
            self.want_commit();
            self.state.closing = wanted;
            return Ok(());
        }
        let published = wanted.iter().any(|c| c.state == ChangeState::Published);
        let state = if published {
            ChangeState::Published
        } else {
            ChangeState::Closed
        };
        self.roll(state).await?;
        let next = self.state.change();
        for closing in wanted {
            self.answer(closing.reply, Ok(next));
        }
        Ok(())
    }

    /// The head goes on in a new change on top of the one it has.
    pub async fn roll(&mut self, state: ChangeState) -> Result<()> {
        let old = self.state.change();
        self.leave_change(state).await?;
        self.shorten_follows().await?;
        let (org, repo) = (self.head.org().clone(), self.head.repo.clone());
        let catalog = self.head.catalog.clone();
        let mut bookmarks = Vec::new();
        // What was written by a bookmark after the seal goes along with it.
        let sealed = self.state.row.sealed_seq;
        let named = self.state.named.iter();
        let named = named.filter(|(_, last)| **last > sealed);
        let follows = self.state.row.follows.iter();
        let names: BTreeSet<String> = follows
            .chain(named.map(|(name, _)| name))
            .cloned()
            .collect();
        for name in names {
            let Ok(parsed) = name.parse::<BookmarkName>() else {
                continue;
            };
            let Some(read) = catalog.bookmark(&org, &repo, &parsed).await? else {
                continue;
            };
            if read.change == old {
                self.batch
                    .is(Bookmark::TABLE, read.record.key(), read.version);
                self.batch.put(
                    Table::Heads,
                    rows::pending_key(&org, &repo, &parsed),
                    self.head.id.as_str().to_owned(),
                );
                bookmarks.push(name);
            }
        }
        let commit = std::mem::take(&mut self.state.row.commit);
        let next = catalog.new_change_id();
        let row = &mut self.state.row;
        row.change = Bytes::copy_from_slice(&next.0);
        row.parent_commits = vec![commit.clone()];
        row.generation += 1;
        row.commit_snap = Bytes::new();
        row.pending = Some(Pending {
            parents: vec![Bytes::copy_from_slice(&old.0)],
            bookmarks,
        });
        let moved = v1::HeadMoved {
            change_id: next.to_string(),
            commit_oid: super::oid(&commit).map_or(String::new(), |oid| oid.to_string()),
            head_seq: row.seq,
            same_tree: true,
        };
        self.touch_head();
        if self.state.is_unsealed() {
            // Written after what is sealed: that is the next change's.
            if let Some(last) = self.state.recent.last() {
                let birth = Birth::of_entry(&last);
                self.materialize(birth).await?;
            }
        }
        self.broadcast(None, &Kind::HeadMoved(moved));
        Ok(())
    }

    /// Adds the end of the head's change to the batch; the head's row is the caller's.
    pub async fn leave_change(&mut self, state: ChangeState) -> Result<()> {
        let old = self.state.change();
        let catalog = self.head.catalog.clone();
        let (org, repo) = (self.head.org().clone(), self.head.repo.clone());
        let read = catalog
            .change(&org, &repo, &old)
            .await?
            .ok_or_else(|| HeadError::corrupt("the head's change does not exist"))?;
        catalog.close_change_in(&mut self.batch, &read, state);
        self.change_written = true;
        let row = &mut self.state.row;
        let span = SpanRow {
            head: self.head.id.as_str().to_owned(),
            after: row.past.last().map_or(0, |past| past.seq),
            to: row.sealed_seq,
        };
        let key = rows::span_key(&org, &old);
        self.batch.put(Table::Heads, key, rows::encode(&span));
        let past = PastChange {
            change: row.change.clone(),
            commit: row.commit.clone(),
            generation: row.generation,
            root: row.base.clone(),
            seq: row.sealed_seq,
            parent: false,
        };
        self.remember(past);
        Ok(())
    }

    /// What the head's states up to here belong to.
    pub fn remember(&mut self, past: PastChange) {
        let row = &mut self.state.row;
        row.past.push(past);
        if row.past.len() > PAST_MAX {
            row.past.remove(0);
        }
    }
}
