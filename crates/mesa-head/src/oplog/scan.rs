//! Reading the rows of a head's log.

use std::collections::VecDeque;

use mesa_meta::{Key, Range, Table};
use mesa_proto::v1;
use mesa_repo::Catalog;
use mesa_types::{ChangeId, HeadId, Nanos, OrgId};

use crate::{
    error::Result,
    head::recent::last_seq,
    rows::{self, log_key},
};

/// Rows read at a time. A row may have some MiB.
const STEP: usize = 16;

/// The operations of a change in its head's log.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub head: HeadId,
    pub change: ChangeId,
    /// The change's operations come after this one ...
    pub after: u64,
    /// ... and end with this one, of those taken so far.
    pub to: u64,
}

/// A head's log.
#[derive(Clone, Copy)]
pub(crate) struct Log<'a> {
    pub catalog: &'a Catalog,
    pub org: &'a OrgId,
    pub head: &'a HeadId,
}

impl<'a> Log<'a> {
    /// Rows that begin at `last` or before, newest first, down to one that begins at `first`.
    pub fn backwards(self, first: u64, last: u64) -> Rows<'a> {
        self.rows(first, last, true)
    }

    /// Rows that begin at `first` or after, oldest first, up to one that begins at `last`.
    pub fn forwards(self, first: u64, last: u64) -> Rows<'a> {
        self.rows(first, last, false)
    }

    fn rows(self, first: u64, last: u64, descending: bool) -> Rows<'a> {
        Rows {
            log: self,
            range: Range {
                start: log_key(self.org, self.head, first),
                end: Some(log_key(self.org, self.head, last.saturating_add(1))),
            },
            descending,
            found: VecDeque::new(),
            done: first > last,
        }
    }

    /// The row that has an operation, if it is kept.
    pub async fn row_of(self, seq: u64) -> Result<Option<v1::LogEntry>> {
        let row = self.backwards(0, seq).first().await?;
        Ok(row.filter(|entry| last_seq(entry) >= seq))
    }

    /// The number of the last operation received before `time`, of those up to `last`; 0 if none
    /// that is kept was.
    pub async fn last_before(self, time: Nanos, last: u64) -> Result<u64> {
        let Some(oldest) = self.forwards(0, last).first().await? else {
            return Ok(0);
        };
        if oldest.received_ns >= time.0 {
            return Ok(0);
        }
        // Rows are in the order of their times. What ends with `low` was received before.
        let (mut low, mut high) = (last_seq(&oldest).min(last), last);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            match self.backwards(low + 1, middle).first().await? {
                Some(entry) if entry.received_ns < time.0 => low = last_seq(&entry).min(last),
                Some(entry) => high = entry.first_seq - 1,
                None => match self.forwards(middle + 1, high).first().await? {
                    Some(entry) if entry.received_ns < time.0 => low = last_seq(&entry).min(last),
                    _ => break,
                },
            }
        }
        Ok(low)
    }
}

/// Rows in order.
pub(crate) struct Rows<'a> {
    log: Log<'a>,
    range: Range,
    descending: bool,
    found: VecDeque<v1::LogEntry>,
    done: bool,
}

impl Rows<'_> {
    /// The next row.
    pub async fn next(&mut self) -> Result<Option<v1::LogEntry>> {
        if self.found.is_empty() {
            self.read(STEP).await?;
        }
        Ok(self.found.pop_front())
    }

    async fn first(mut self) -> Result<Option<v1::LogEntry>> {
        self.read(1).await?;
        Ok(self.found.pop_front())
    }

    async fn read(&mut self, limit: usize) -> Result<()> {
        if self.done {
            return Ok(());
        }
        let meta = self.log.catalog.meta();
        let page = meta
            .scan(Table::OpLog, &self.range, limit, self.descending)
            .await?;
        self.done = page.len() < limit;
        if let Some(last) = page.last() {
            if self.descending {
                self.range.end = Some(last.key.clone());
            } else {
                let mut start = last.key.0.to_vec();
                start.push(0);
                self.range.start = Key(start.into());
            }
        }
        for stored in page {
            self.found.push_back(rows::log_entry(&stored.row.value)?);
        }
        Ok(())
    }
}
