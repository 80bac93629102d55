//! Writes of the server's in a head: see [`crate::edit`].

use std::sync::Arc;

use bytes::Bytes;
use mesa_meta::Table;
use mesa_proto::v1;
use mesa_repo::{Change, ChangeState, Record, RecordBatch};
use mesa_types::{HeadId, limits};

use super::{
    append::Entry, change_id, command::Reply, materialize::Birth, seal::stored_oids, turn::Turn,
};
use crate::{
    edit::{ConflictEdit, Describe, Edit, Edited, Rebase, plan::Plan},
    error::{HeadError, HeadErrorKind, Result},
    op::Op,
    rows::{self, UndoneRow},
};

/// Writes that may wait for a lease to come back.
const WAITING_MAX: usize = 256;
/// Operations in one log row.
const ROW_OPS_MAX: usize = 1024;
/// Bytes of contents in one log row.
const ROW_BYTES_MAX: usize = 4 << 20;

/// A write that waits.
pub(crate) type Waiting = (Box<Edit>, Reply<Edited>);

impl Turn<'_> {
    /// Takes a write now, or as soon as nobody decides alone.
    pub async fn edit(&mut self, edit: Box<Edit>, reply: Reply<Edited>) -> Result<()> {
        if self.state.edits.len() >= WAITING_MAX {
            let error = HeadError::new(
                HeadErrorKind::Limited,
                "TOO_MANY_WRITES",
                "too many writes wait for this change",
            );
            self.answer(reply, Err(error));
            return Ok(());
        }
        self.state.edits.push_back((edit, reply));
        self.recall_for_server();
        self.run_edits().await
    }

    /// Takes the writes that wait, unless somebody decides alone.
    pub async fn run_edits(&mut self) -> Result<()> {
        while self.state.frozen.is_none() && self.state.lease.exclusive.is_none() {
            if let Some(edit) = self.state.leftovers.take() {
                // Nobody waits for an answer.
                let (reply, _) = tokio::sync::oneshot::channel();
                self.edit_now(*edit, reply).await?;
                let seq = self.state.row.seq;
                for closing in &mut self.state.closing {
                    closing.seq = closing.seq.max(seq);
                }
            }
            let says = |(edit, _): &Waiting| !edit.describe.is_empty() || edit.rebase.is_some();
            if self.change_written && self.state.edits.front().is_some_and(says) {
                // The record it changes is in this turn's batch: the next turn.
                break;
            }
            let Some((edit, reply)) = self.state.edits.pop_front() else {
                break;
            };
            if !reply.is_closed() {
                self.edit_now(*edit, reply).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn edit_now(&mut self, edit: Edit, reply: Reply<Edited>) -> Result<()> {
        if let Some(done) = self.state.recent.written_by(&edit.id) {
            // The head may have gone on to another change since.
            let change = change_id(&done.change);
            let exists = true;
            self.answer(reply, Ok(Edited { change, exists }));
            return Ok(());
        }
        if let Err(error) = self.check_expected(&edit) {
            self.answer(reply, Err(error));
            return Ok(());
        }
        if !self.is_named_here(&edit).await? {
            self.answer(reply, Err(moved_on()));
            return Ok(());
        }
        let (packs, tree) = (&self.head.packs, &mut self.state.tree);
        let plan = Plan::new(packs, tree, self.now, edit.ids);
        let wire = match plan.run(&edit.files).await {
            Ok(ops) => ops,
            Err(error) if is_callers(&error) => {
                self.answer(reply, Err(error));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let ops: Vec<Op> = match wire.iter().map(Op::from_wire).collect() {
            Ok(ops) => ops,
            Err(error) => {
                self.answer(reply, Err(HeadError::from(error)));
                return Ok(());
            }
        };
        let only_says = edit.files.is_empty() && !edit.describe.is_empty();
        let says_something = edit.commit || only_says;
        if self.state.row.pending.is_some() && (says_something || !ops.is_empty()) {
            let birth = Birth {
                actor: edit.actor.clone(),
                name: edit.id.clone(),
                describe: edit.describe.clone(),
            };
            self.materialize(birth).await?;
            self.state.row.recommit |= says_something;
        } else if !edit.describe.is_empty() {
            self.describe(&edit.describe).await?;
        }
        if let Some(rebase) = &edit.rebase {
            self.rebased(rebase).await?;
        }
        if let Err(error) = self.apply_all(&edit, &wire, &ops).await {
            // The tree in memory has some of them: it is dropped and read again.
            let _ = reply.send(Err(error.again()));
            return Err(error);
        }
        self.edit_conflicts(&edit.conflicts).await?;
        let change = self.state.change();
        let exists = self.state.row.pending.is_none();
        self.answer(reply, Ok(Edited { change, exists }));
        Ok(())
    }

    fn check_expected(&self, edit: &Edit) -> Result<()> {
        let expect = &edit.expect;
        if expect.change.is_some_and(|id| id != self.state.change()) {
            return Err(moved_on());
        }
        if expect.seq.is_some_and(|seq| seq != self.state.row.seq) {
            return Err(written_meanwhile());
        }
        if expect.pending && self.state.row.pending.is_none() {
            return Err(written_meanwhile());
        }
        if let Some(commit) = expect.commit {
            if self.state.needs_seal() {
                return Err(written_meanwhile());
            }
            if self.state.commit() != Some(commit) {
                return Err(HeadError::conflict(
                    "STALE_COMMIT",
                    "the change has another commit than base_commit_oid by now",
                ));
            }
        }
        Ok(())
    }

    /// Whether the bookmark a write goes by still names the head's change, or what that is to be
    /// on top of.
    async fn is_named_here(&self, edit: &Edit) -> Result<bool> {
        let Some(name) = &edit.expect.bookmark else {
            return Ok(true);
        };
        let (org, repo) = (self.head.org(), &self.head.repo);
        let here = match &self.state.row.pending {
            Some(pending) => pending.parent(),
            None => self.state.change(),
        };
        // A change of this turn's is not stored yet, nor is the bookmark's move to it.
        let moved = self.moves.get(name).copied();
        if let Some(moved) = moved {
            return Ok(moved == here);
        }
        let read = self.head.catalog.bookmark(org, repo, name).await?;
        Ok(read.is_some_and(|read| read.change == here))
    }

    /// Changes what is in conflict.
    async fn edit_conflicts(&mut self, edit: &ConflictEdit) -> Result<()> {
        let next = match (edit, &self.state.conflicts) {
            (ConflictEdit::Keep, _) | (ConflictEdit::Resolve(_), None) => return Ok(()),
            (ConflictEdit::Set(table), _) => Some((**table).clone()),
            (ConflictEdit::Resolve(paths), Some(table)) => table.without(paths),
        };
        self.state.row.no_conflicts = next.is_none();
        self.state.row.conflicts = match &next {
            Some(table) => {
                let object = table.encode(self.head.packs.key())?;
                let id = Bytes::copy_from_slice(&object.id.0);
                self.head.packs.put(vec![object]).await?;
                id
            }
            None => Bytes::new(),
        };
        self.state.conflicts = next.map(Arc::new);
        // Even if no file differs.
        self.state.row.recommit = true;
        self.state.unsealed_since.get_or_insert(self.now);
        self.touch_head();
        Ok(())
    }

    async fn apply_all(&mut self, edit: &Edit, wire: &[v1::Op], ops: &[Op]) -> Result<()> {
        let mut row = self.new_row(edit, 1);
        if let Some(undone) = edit.undone.as_ref().filter(|undone| undone.whole)
            && let Ok(head) = undone.action.head.parse::<HeadId>()
            && !ops.is_empty()
        {
            // The action may be of another head's.
            let by_other = head != self.head.id;
            let by_head = by_other.then(|| self.head.id.as_str().to_owned());
            let mark = UndoneRow {
                by: self.state.row.seq + 1,
                head: by_head.unwrap_or_default(),
            };
            let key = rows::undone_key(self.head.org(), &head, undone.action.first);
            self.batch.put(Table::Heads, key, rows::encode(&mark));
        }
        let mut bytes = 0;
        for (client_seq, (op, wire)) in (1..).zip(ops.iter().zip(wire)) {
            let inline = op.content().map_or(0, |(_, inline)| inline.len());
            if row.entry.ops.len() >= ROW_OPS_MAX || bytes + inline > ROW_BYTES_MAX {
                self.log(None, row.entry).await?;
                row = self.new_row(edit, client_seq);
                bytes = 0;
            }
            bytes += inline.max(limits::INLINE_MAX / 64);
            let seq = self.state.row.seq + 1;
            match self.apply(None, op, seq).await? {
                Ok(outcome) => {
                    self.state.row.seq = seq;
                    row.push(wire, seq, client_seq, &outcome);
                }
                Err(refusal) => {
                    return Err(HeadError::new(
                        HeadErrorKind::Invalid,
                        "REFUSED",
                        format!("the write is not possible: {refusal}"),
                    ));
                }
            }
        }
        self.log(None, row.entry).await?;
        if let (Some(name), false) = (&edit.expect.bookmark, ops.is_empty()) {
            let seq = self.state.row.seq;
            self.state.named.insert(name.to_string(), seq);
        }
        Ok(())
    }

    fn new_row(&self, edit: &Edit, first: u64) -> Entry {
        let entry = v1::LogEntry {
            session: edit.id.clone(),
            first_client_seq: first,
            key: edit
                .actor
                .key
                .as_ref()
                .map_or(String::new(), ToString::to_string),
            received_ns: self.now.0,
            origin: edit.origin.to_owned(),
            address: edit.actor.source.clone(),
            undone: edit.undone.as_ref().map(|undone| undone.action.clone()),
            ..v1::LogEntry::default()
        };
        Entry { entry }
    }

    /// The change is made on other commits from here on; its next commit says so.
    async fn rebased(&mut self, rebase: &Rebase) -> Result<()> {
        let catalog = self.head.catalog.clone();
        let id = self.state.change();
        let read = catalog.change(self.head.org(), &self.head.repo, &id);
        let read = read
            .await?
            .ok_or_else(|| HeadError::corrupt("the head's change does not exist"))?;
        if read.state != ChangeState::Open || self.change_written {
            return Err(HeadError::gone());
        }
        for (key, version) in &rebase.parents {
            self.batch.is(Change::TABLE, key.clone(), *version);
        }
        let next = Change {
            behind: false,
            updated: self.now,
            ..read.record.clone()
        };
        self.batch.replace_record(&next, read.version);
        self.change_written = true;
        let row = &mut self.state.row;
        row.parent_commits = stored_oids(&rebase.commits);
        row.generation = rebase.generation;
        row.recommit = true;
        self.state.unsealed_since.get_or_insert(self.now);
        self.touch_head();
        Ok(())
    }

    /// Gives the change another description; its next seal makes a commit of it.
    async fn describe(&mut self, describe: &Describe) -> Result<()> {
        let catalog = self.head.catalog.clone();
        let (org, repo) = (self.head.org(), &self.head.repo);
        let id = self.state.change();
        let read = catalog
            .change(org, repo, &id)
            .await?
            .ok_or_else(|| HeadError::corrupt("the head's change does not exist"))?;
        if read.state != ChangeState::Open || self.change_written {
            return Err(HeadError::gone());
        }
        let mut next = read.record.clone();
        if let Some(message) = &describe.message {
            next.message.clone_from(message);
        }
        if let Some(author) = &describe.author {
            next.author = author.clone();
            next.coauthors.clone_from(&describe.coauthors);
        }
        if describe.committer.is_some() {
            next.committer.clone_from(&describe.committer);
        }
        if next != read.record {
            next.updated = self.now;
            self.batch.replace_record(&next, read.version);
            self.change_written = true;
            self.state.row.recommit = true;
            self.state.unsealed_since.get_or_insert(self.now);
            self.touch_head();
        }
        Ok(())
    }
}

/// Whether the caller, not the head, is at fault.
fn is_callers(error: &HeadError) -> bool {
    matches!(error.kind, HeadErrorKind::Invalid | HeadErrorKind::Conflict)
        || error.code == "HEAD_RELOADED"
}

pub(super) fn moved_on() -> HeadError {
    HeadError::new(
        HeadErrorKind::Unavailable,
        "CHANGE_LEFT",
        "the head went on to another change",
    )
}

fn written_meanwhile() -> HeadError {
    HeadError::new(
        HeadErrorKind::Unavailable,
        "WRITTEN_MEANWHILE",
        "somebody wrote to the change meanwhile",
    )
}
