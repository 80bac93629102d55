//! Where a change's operations are, and its actions.

use mesa_meta::Table;
use mesa_repo::Repo;
use mesa_types::{ChangeId, FileId, HeadId, Nanos};

use super::{Heads, open::no_change};
use crate::{
    error::{HeadError, Result},
    head::load::Parts,
    oplog::{
        Action, Fold, Operation, Span, Times, Who, operation,
        scan::Log,
        state::{Past, no_operation},
    },
    rows::{self, HeadRow, SpanRow, UndoneRow},
};

/// Operations looked at for one page of actions.
const OPS_MAX: usize = 200_000;
/// Undos of undos of undos.
const UNDONE_DEPTH_MAX: usize = 256;

/// Which actions are wanted.
#[derive(Debug, Clone, Default)]
pub struct ActionFilter {
    /// Only those that touched this path or something below it.
    pub path: Option<Vec<u8>>,
    /// Only those that ended at this time or later.
    pub since: Option<Nanos>,
    /// Only those that began before this time.
    pub until: Option<Nanos>,
    /// Only those of this session.
    pub session: Option<String>,
    /// Only those of this key.
    pub key: Option<String>,
}

/// Where a list of actions goes on: with those that end before `below`. Others that end up to
/// `from` overlap them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActionCursor {
    /// Number of an operation.
    pub below: u64,
    /// Number of an operation.
    pub from: u64,
}

/// Actions, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionPage {
    /// Perhaps fewer than asked for.
    pub actions: Vec<Action>,
    /// Where to go on, if there may be more.
    pub next: Option<ActionCursor>,
}

/// A change's place in its head's log.
pub(super) struct Place {
    pub span: Span,
    pub row: HeadRow,
}

impl Heads {
    /// Actions of a change, the one that ended last first.
    pub async fn actions(
        &self,
        repo: &Repo,
        change: &ChangeId,
        filter: &ActionFilter,
        cursor: Option<ActionCursor>,
        limit: usize,
    ) -> Result<ActionPage> {
        let mut page = ActionPage {
            actions: Vec::new(),
            next: None,
        };
        let Some(Place { span, .. }) = self.place(repo, change).await? else {
            return Ok(page);
        };
        let log = self.log(repo, &span.head);
        let (below, from) = match cursor {
            Some(cursor) => (cursor.below, cursor.from.min(span.to)),
            None => (u64::MAX, span.to),
        };
        let mut fold = Fold::new(filter.path.clone());
        let mut rows = log.backwards(span.after + 1, from);
        let mut looked = 0;
        let mut lowest = from + 1;
        // First and last operations of the actions before those to come.
        let mut past: Vec<(u64, u64)> = Vec::new();
        // Those that end before this operation have to wait for the next page.
        let mut cut = None;
        let most = self.config().actions_at_once;
        let cursor = |below: u64, past: &[(u64, u64)]| {
            let overlap = past.iter().filter(|(first, _)| *first < below);
            let from = overlap.map(|(_, last)| *last).max().unwrap_or(0);
            Some(ActionCursor {
                below,
                from: from.max(below.saturating_sub(1)),
            })
        };
        loop {
            let mut ended = true;
            if let Some(entry) = rows.next().await? {
                let received = Nanos(entry.received_ns);
                fold.close_before(received);
                let late = filter.since.is_some_and(|since| received < since);
                for index in (0..entry.ops.len()).rev() {
                    if entry.first_seq + index as u64 <= from {
                        fold.push(span.change, &entry, index, !late && cut.is_none());
                    }
                }
                looked += entry.ops.len();
                lowest = entry.first_seq;
                if fold.len() > most {
                    past.extend(fold.drop_complete(below));
                }
                if fold.open() > most {
                    return Err(HeadError::new(
                        crate::error::HeadErrorKind::Limited,
                        "TOO_MANY_ACTIONS",
                        "too many programs wrote at the same time to tell their actions apart",
                    ));
                }
                if fold.len() > most && entry.first_seq < below {
                    // All that is held is newer than what is left out.
                    cut.get_or_insert(entry.first_seq);
                }
                ended = (late || cut.is_some()) && fold.is_closed();
            }
            if ended {
                fold.close();
            }
            while let Some((mut action, on_path)) = fold.next_complete() {
                if action.last < below && on_path && filter.takes(&action) {
                    if page.actions.len() == limit {
                        page.next = cursor(action.last + 1, &past);
                        return Ok(page);
                    }
                    action.undone_by = self.undone_by(repo, &span.head, action.first).await?;
                    past.push((action.first, action.last));
                    page.actions.push(action);
                } else {
                    past.push((action.first, action.last));
                }
            }
            if ended {
                if let Some(cut) = cut.filter(|cut| *cut > span.after + 1) {
                    page.next = cursor(cut, &past);
                }
                return Ok(page);
            }
            let rest = fold.newest().map_or(lowest, |last| last + 1);
            if looked > OPS_MAX && rest < below.min(from) {
                page.next = cursor(rest, &past);
                return Ok(page);
            }
        }
    }

    /// The action an operation of a change belongs to.
    pub async fn action(&self, repo: &Repo, change: &ChangeId, seq: u64) -> Result<Action> {
        let place = self.place(repo, change).await?.ok_or_else(no_operation)?;
        Ok(self.action_at(repo, &place.span, seq).await?.0)
    }

    /// Operations of an action after number `after`, oldest first, and whether there are more.
    pub async fn operations(
        &self,
        repo: &Repo,
        action: &Action,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<Operation>, bool)> {
        let place = self.place(repo, &action.change).await?;
        let Place { span, .. } = place.ok_or_else(no_operation)?;
        let log = self.log(repo, &span.head);
        let who = self.maker(log, action.first).await?;
        let from = action.first.max(after.saturating_add(1));
        if from > action.last {
            return Ok((Vec::new(), false));
        }
        let begin = log.row_of(from).await?.map_or(from, |row| row.first_seq);
        let mut rows = log.forwards(begin, action.last);
        let mut found = Vec::new();
        while let Some(entry) = rows.next().await? {
            for index in 0..entry.ops.len() {
                let seq = entry.first_seq + index as u64;
                if seq < from || seq > action.last || Who::of(&entry, index) != who {
                    continue;
                }
                if found.len() == limit {
                    return Ok((found, true));
                }
                found.extend(operation(&entry, index));
            }
        }
        Ok((found, false))
    }

    /// The action an operation belongs to, and who made it.
    pub(super) async fn action_at(
        &self,
        repo: &Repo,
        span: &Span,
        seq: u64,
    ) -> Result<(Action, Who)> {
        if seq <= span.after || seq > span.to {
            return Err(no_operation());
        }
        let log = self.log(repo, &span.head);
        let who = self.maker(log, seq).await?;
        let last = self.last_of(log, span, &who, seq).await?;
        let mut fold = Fold::new(None);
        let mut rows = log.backwards(span.after + 1, last);
        let mut entry = rows.next().await?;
        while let Some(row) = &entry {
            fold.close_before(Nanos(row.received_ns));
            for index in (0..row.ops.len()).rev() {
                let at = row.first_seq + index as u64;
                if at <= last && Who::of(row, index) == who {
                    // Only the newest is wanted.
                    fold.push(span.change, row, index, at == last);
                }
            }
            if fold.is_closed() {
                break;
            }
            entry = rows.next().await?;
        }
        fold.close();
        let (mut action, _) = fold.next_complete().ok_or_else(no_operation)?;
        action.undone_by = self.undone_by(repo, &span.head, action.first).await?;
        Ok((action, who))
    }

    /// The last operation of the action that operation `seq` belongs to.
    async fn last_of(&self, log: Log<'_>, span: &Span, who: &Who, seq: u64) -> Result<u64> {
        let begin = log.row_of(seq).await?.map_or(seq, |row| row.first_seq);
        let mut rows = log.forwards(begin, span.to);
        let (mut last, mut times) = (seq, None);
        while let Some(entry) = rows.next().await? {
            for index in 0..entry.ops.len() {
                let at = entry.first_seq + index as u64;
                if at < seq || at > span.to || Who::of(&entry, index) != *who {
                    continue;
                }
                let next = Times::of(&entry, index);
                if times.is_some_and(|times: Times| !times.joins(next)) {
                    return Ok(last);
                }
                (last, times) = (at, Some(next));
            }
            if times.is_some_and(|times| times.is_far_before(Nanos(entry.received_ns))) {
                break;
            }
        }
        Ok(last)
    }

    async fn maker(&self, log: Log<'_>, seq: u64) -> Result<Who> {
        let entry = log.row_of(seq).await?.ok_or_else(no_operation)?;
        let index = usize::try_from(seq - entry.first_seq).unwrap_or(usize::MAX);
        Ok(Who::of(&entry, index))
    }

    /// The undo of an action that is in effect: one that was not undone itself.
    pub(super) async fn undone_by(
        &self,
        repo: &Repo,
        head: &HeadId,
        first: u64,
    ) -> Result<Option<u64>> {
        let meta = self.catalog().meta();
        let mut chain = Vec::new();
        let (mut head, mut at) = (head.clone(), first);
        while chain.len() < UNDONE_DEPTH_MAX {
            let key = rows::undone_key(&repo.org, &head, at);
            let Some(stored) = meta.get(Table::Heads, &key).await? else {
                break;
            };
            let mark: UndoneRow = rows::decode(&stored.value)?;
            if let Ok(by) = mark.head.parse() {
                head = by;
            }
            at = mark.by;
            chain.push(at);
        }
        Ok(chain.first().copied().filter(|_| chain.len() % 2 == 1))
    }

    /// Where the operations of a change are; `None` for the root change and for one that never
    /// had a head.
    pub(super) async fn place(&self, repo: &Repo, id: &ChangeId) -> Result<Option<Place>> {
        if id.is_root() {
            return Ok(None);
        }
        let change = self.catalog().change(&repo.org, &repo.id, id).await?;
        let change = change.ok_or_else(no_change)?;
        let meta = self.catalog().meta();
        let key = rows::span_key(&repo.org, id);
        if let Some(stored) = meta.get(Table::Heads, &key).await? {
            let left: SpanRow = rows::decode(&stored.value)?;
            let Ok(head) = left.head.parse::<HeadId>() else {
                return Ok(None);
            };
            let Some(row) = self.head_row(repo, &head).await? else {
                return Ok(None);
            };
            let span = Span {
                head,
                change: *id,
                after: left.after,
                to: left.to,
            };
            return Ok(Some(Place { span, row }));
        }
        let Some(head) = change.record.head else {
            return Ok(None);
        };
        let Some(row) = self.head_row(repo, &head).await? else {
            return Ok(None);
        };
        let span = Span {
            head,
            change: *id,
            after: row.past.last().map_or(0, |past| past.seq),
            to: row.seq,
        };
        Ok(Some(Place { span, row }))
    }

    pub(super) async fn head_row(&self, repo: &Repo, head: &HeadId) -> Result<Option<HeadRow>> {
        let key = rows::head_key(&repo.org, head);
        let stored = self.catalog().meta().get(Table::Heads, &key).await?;
        stored.map(|row| rows::decode(&row.value)).transpose()
    }

    pub(super) fn log<'a>(&'a self, repo: &'a Repo, head: &'a HeadId) -> Log<'a> {
        Log {
            catalog: self.catalog(),
            org: &repo.org,
            head,
        }
    }

    /// The snapshot of a state of a head.
    pub(super) async fn state_after(
        &self,
        parts: &Parts,
        repo: &Repo,
        place: &Place,
        seq: u64,
    ) -> Result<Option<mesa_types::ObjectId>> {
        let past = Past {
            parts,
            head: &place.span.head,
            row: &place.row,
            root: FileId::root_of(repo.tag),
        };
        past.snapshot(seq).await
    }
}

impl ActionFilter {
    fn takes(&self, action: &Action) -> bool {
        self.since.is_none_or(|since| action.ended >= since)
            && self.until.is_none_or(|until| action.started < until)
            && self.session.as_ref().is_none_or(|id| *id == action.session)
            && self.key.as_ref().is_none_or(|key| *key == action.key)
    }
}
