//! Removing rows that nobody needs any more: sessions long unused, pending heads without sessions,
//! log rows past their time.
//!
//! Everything is decided by the task of the head concerned, so nothing is removed under somebody
//! who begins to use it; log rows alone are removed from outside: a sealed row is never read by
//! its head again.

use std::collections::HashMap;

use mesa_meta::{Batch, Key, Range, Table};
use mesa_repo::PageRequest;
use mesa_types::{HeadId, Nanos, OrgId, SessionId};

use super::Heads;
use crate::{
    error::{HeadErrorKind, Result},
    head::command::Command,
    oplog::keep::Kept,
    rows::{self, HeadRow, SessionRow},
};

/// Log rows of one head looked at in one pass.
const LOG_ROWS_MAX: usize = 256;
/// A pending head is left alone this long: whoever made it is about to join.
const PENDING_KEPT: Nanos = Nanos(60 * 1_000_000_000);

/// What a pass removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Sessions.
    pub sessions: usize,
    /// Pending heads.
    pub heads: usize,
    /// Rows of operation logs.
    pub log_rows: usize,
}

/// Where the next pass over an org goes on.
#[derive(Debug, Default)]
pub(super) struct Cursors(HashMap<OrgId, Places>);

#[derive(Debug, Default, Clone)]
struct Places {
    sessions: Option<Key>,
    heads: Option<Key>,
}

impl Heads {
    /// One pass over every org; each looks at no more than `rows_max` sessions and heads.
    pub async fn collect(&self, rows_max: usize) -> Result<Collected> {
        let mut collected = Collected::default();
        let mut cursor = None;
        loop {
            let request = PageRequest {
                cursor,
                limit: Some(mesa_repo::page::LIMIT_MAX),
            };
            let page = self.catalog().list_orgs(&request).await?;
            for org in &page.items {
                self.collect_org(&org.id, rows_max, &mut collected).await?;
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(collected);
            }
        }
    }

    async fn collect_org(&self, org: &OrgId, rows_max: usize, into: &mut Collected) -> Result<()> {
        let places = self.inner.cursors.lock().0.get(org).cloned();
        let mut places = places.unwrap_or_default();
        let prefix = rows::session_prefix(org);
        let sessions = self
            .some_rows(Table::Sessions, prefix, &mut places.sessions, rows_max)
            .await?;
        let before = self.catalog().now().0 - self.config().session_life.0;
        for entry in sessions {
            let row: SessionRow = rows::decode(&entry.row.value)?;
            if row.seen_ns < before
                && let Some(id) = session_of(org, &entry.key)
            {
                into.sessions += usize::from(self.expire(org, &id, &row).await?);
            }
        }
        let prefix = rows::head_prefix(org);
        let heads = self
            .some_rows(Table::Heads, prefix, &mut places.heads, rows_max)
            .await?;
        let fresh = self.catalog().now().0 - PENDING_KEPT.0;
        for entry in heads {
            let row: HeadRow = rows::decode(&entry.row.value)?;
            let Some(id) = head_of(org, &entry.key) else {
                continue;
            };
            into.log_rows += self.trim_past(org, &id, &row).await?;
            if row.pending.is_some() && row.created_ns < fresh {
                let gone = self.call(org, &id, Command::Discard).await;
                into.heads += usize::from(found(gone)?.unwrap_or(false));
            }
        }
        self.inner.cursors.lock().0.insert(org.clone(), places);
        Ok(())
    }

    /// The next rows under a prefix; begins again after the last.
    async fn some_rows(
        &self,
        table: Table,
        prefix: Key,
        place: &mut Option<Key>,
        rows_max: usize,
    ) -> Result<Vec<mesa_meta::Entry>> {
        let mut range = Range::prefix(prefix);
        if let Some(start) = place.take() {
            range.start = start;
        }
        let meta = self.catalog().meta();
        let found = meta.scan(table, &range, rows_max, false).await?;
        *place = found
            .last()
            .filter(|_| found.len() == rows_max)
            .map(|last| after(&last.key));
        Ok(found)
    }

    async fn expire(&self, org: &OrgId, id: &SessionId, row: &SessionRow) -> Result<bool> {
        let Ok(head) = row.head.parse::<HeadId>() else {
            return Ok(false);
        };
        let ended = self
            .call(org, &head, |reply| Command::Expire {
                session: id.clone(),
                reply,
            })
            .await;
        if let Some(ended) = found(ended)? {
            self.inner
                .sessions
                .lock()
                .remove(&(org.clone(), id.clone()));
            return Ok(ended);
        }
        // Its head is gone, so nobody can use it.
        let mut batch = Batch::new();
        batch
            .delete(Table::Sessions, rows::session_key(org, id))
            .delete(Table::Heads, rows::member_key(org, &head, id));
        self.catalog().meta().commit(batch).await?;
        Ok(true)
    }

    /// Removes the oldest of what is kept of a head's past, as far as nobody needs it.
    async fn trim_past(&self, org: &OrgId, head: &HeadId, row: &HeadRow) -> Result<usize> {
        let kept = Kept {
            catalog: self.catalog(),
            config: self.config(),
            org,
            head,
            row,
            now: self.catalog().now(),
        };
        let mut batch = Batch::new();
        let removed = kept.old_log(&mut batch, LOG_ROWS_MAX).await?;
        kept.old_marks(&mut batch).await?;
        if !batch.writes.is_empty() {
            self.catalog().meta().commit(batch).await?;
        }
        Ok(removed)
    }
}

/// `None` for a head that does not exist, or whose repo does not.
fn found<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.kind == HeadErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn after(key: &Key) -> Key {
    let mut next = key.0.to_vec();
    next.push(0);
    Key(next.into())
}

fn session_of(org: &OrgId, key: &Key) -> Option<SessionId> {
    text_after(&rows::session_prefix(org), key)?.parse().ok()
}

fn head_of(org: &OrgId, key: &Key) -> Option<HeadId> {
    text_after(&rows::head_prefix(org), key)?.parse().ok()
}

/// The last part of a key.
fn text_after<'a>(prefix: &Key, key: &'a Key) -> Option<&'a str> {
    let rest = key.0.strip_prefix(&prefix.0[..])?;
    // Texts are closed by these two bytes.
    std::str::from_utf8(rest.strip_suffix(&[0, 1])?).ok()
}
