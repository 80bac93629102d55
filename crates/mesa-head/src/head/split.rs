//! Sessions of one head that go elsewhere while others of it stay: those that follow a bookmark
//! that is moved, where another bookmark names the same change or somebody edits that by its id.
//!
//! They get a head of their own, as the old one would have become if all of them went: its numbers
//! go on from the old head's, so that a client that comes back is told that everything is to be read
//! again. What came before is in the old head's log, which the new one names. The sessions' rows move
//! in the transaction that moves the bookmark; their streams end, and they attach again.

use bytes::Bytes;
use mesa_meta::Table;
use mesa_repo::ChangeState;
use mesa_types::{BookmarkName, HeadId, SessionId};

use super::{freeze::Onto, turn::Turn};
use crate::{
    error::{HeadError, Result},
    rows::{self, BaseRow, HeadRow, PAST_MAX, PastChange, Pending, SessionRow},
};

impl Turn<'_> {
    /// The sessions that follow a bookmark, if any other one is in the head.
    pub async fn leaving(
        &self,
        name: &BookmarkName,
    ) -> Result<Option<Vec<(SessionId, SessionRow)>>> {
        let follows = |row: &SessionRow| !row.isolated && row.bookmark == name.as_str();
        let members = self.members().await?;
        let members = members.into_iter().filter(|(_, row)| row.fenced.is_empty());
        let (leave, stay): (Vec<_>, Vec<_>) = members.partition(|(_, row)| follows(row));
        Ok((!stay.is_empty()).then_some(leave))
    }

    /// Lets them go where the whole head would have gone.
    pub async fn split(
        &mut self,
        onto: Onto,
        name: &BookmarkName,
        leaving: Vec<(SessionId, SessionRow)>,
    ) -> Result<()> {
        let (org, repo) = (self.head.org().clone(), self.head.repo.clone());
        let unnamed = |names: &mut Vec<String>| names.retain(|known| known != name.as_str());
        let before = self.state.row.clone();
        unnamed(&mut self.state.row.follows);
        if let Some(pending) = &mut self.state.row.pending {
            unnamed(&mut pending.bookmarks);
        }
        self.state.named.remove(name.as_str());
        self.touch_head();
        let key = rows::pending_key(&org, &repo, name);
        if leaving.is_empty() {
            self.drop_pending_key(key).await?;
        } else {
            let head = HeadId::from_unique(&self.head.catalog.unique());
            self.batch.put(Table::Heads, key, head.as_str().to_owned());
            let base = BaseRow {
                seq: before.sealed_seq,
                base: before.base.clone(),
                at_ns: before.base_ns.max(before.created_ns),
            };
            let key = rows::base_key(&org, &head, before.sealed_seq);
            self.batch.put(Table::Heads, key, rows::encode(&base));
            let row = self.offshoot(before, &onto, name);
            let key = rows::head_key(&org, &head);
            self.batch.put(Table::Heads, key, rows::encode(&row));
            for (session, row) in leaving {
                self.send_off(&session, row, &head);
            }
        }
        if onto.leave == ChangeState::Published && self.state.row.pending.is_none() {
            // What was merged takes no more writes: who stays goes on on top of it.
            self.roll(onto.leave).await?;
        }
        Ok(())
    }

    /// The row of a head that goes on from this one on top of another change.
    fn offshoot(&self, from: HeadRow, onto: &Onto, name: &BookmarkName) -> HeadRow {
        let mut past = from.past.clone();
        past.push(match &from.pending {
            Some(pending) => PastChange {
                change: Bytes::copy_from_slice(&pending.parent().0),
                commit: from.parent_commits.first().cloned().unwrap_or_default(),
                generation: from.generation.saturating_sub(1),
                root: from.base.clone(),
                seq: from.sealed_seq,
                parent: true,
            },
            None => PastChange {
                change: from.change.clone(),
                commit: from.commit.clone(),
                generation: from.generation,
                root: from.base.clone(),
                seq: from.sealed_seq,
                parent: false,
            },
        });
        if past.len() > PAST_MAX {
            past.remove(0);
        }
        let seq = from.seq + 1;
        let next = self.head.catalog.new_change_id();
        let commits = onto.commit.iter();
        HeadRow {
            repo: from.repo,
            change: Bytes::copy_from_slice(&next.0),
            epoch: from.epoch + 1,
            seq,
            sealed_seq: seq,
            moved_seq: seq,
            base: crate::heads::stored_id(onto.root),
            base_ns: self.now.0,
            parent_commits: commits.map(|oid| Bytes::copy_from_slice(&oid.0)).collect(),
            generation: onto.generation,
            pending: Some(Pending {
                parents: vec![Bytes::copy_from_slice(&onto.change.0)],
                bookmarks: vec![name.to_string()],
            }),
            lease: from.lease,
            created_ns: from.created_ns,
            adopts: from.adopts,
            follows: vec![name.to_string()],
            past,
            split_from: self.head.id.as_str().to_owned(),
            split_seq: from.seq,
            ..HeadRow::default()
        }
    }

    /// A session's row goes to another head; its stream ends, and it attaches again there.
    fn send_off(&mut self, id: &SessionId, mut row: SessionRow, head: &HeadId) {
        let org = self.head.org().clone();
        self.lease_freed(id);
        if let Some(session) = self.state.sessions.remove(id)
            && let Some(subscriber) = session.subscriber
        {
            subscriber.end(HeadError::gone());
        }
        head.as_str().clone_into(&mut row.head);
        self.batch.put(
            Table::Sessions,
            rows::session_key(&org, id),
            rows::encode(&row),
        );
        let here = rows::member_key(&org, &self.head.id, id);
        self.batch.delete(Table::Heads, here).put(
            Table::Heads,
            rows::member_key(&org, head, id),
            Bytes::new(),
        );
        self.sessions_gone.insert(id.clone());
    }
}
