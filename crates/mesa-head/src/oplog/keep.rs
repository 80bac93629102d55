//! What of a head's past is kept.
//!
//! Single operations are kept for [`HeadsConfig::log_life`], with what it takes to rebuild the
//! states around them: the rows back to the newest base that is older. Bases, and so states by
//! time, are kept for [`HeadsConfig::commits_life`]. Nothing that is not sealed is ever removed.

use mesa_meta::{Batch, Key, Range, Table};
use mesa_repo::Catalog;
use mesa_types::{HeadId, Nanos, OrgId};

use crate::{
    config::HeadsConfig,
    error::Result,
    head::recent::last_seq,
    rows::{self, BaseRow, HeadRow},
};

/// Log rows read at a time; one may have some MiB.
const STEP: usize = 16;
/// Small rows read at a time.
const SMALL_STEP: usize = 64;

/// A head's past.
#[derive(Clone, Copy)]
pub(crate) struct Kept<'a> {
    pub catalog: &'a Catalog,
    pub config: &'a HeadsConfig,
    pub org: &'a OrgId,
    pub head: &'a HeadId,
    pub row: &'a HeadRow,
    pub now: Nanos,
}

impl Kept<'_> {
    /// Adds the removal of up to `rows_max` of the oldest log rows that nobody needs. Answers how
    /// many.
    pub async fn old_log(&self, batch: &mut Batch, rows_max: usize) -> Result<usize> {
        let before = self.now.0 - self.config.log_life.0;
        let meta = self.catalog.meta();
        let mut range = Range::prefix(rows::log_prefix(self.org, self.head));
        // Rows can be large: look at one before reading many.
        let oldest = meta.scan(Table::OpLog, &range, 1, false).await?;
        let Some(oldest) = oldest.first() else {
            return Ok(0);
        };
        let oldest = rows::log_entry(&oldest.row.value)?;
        if oldest.received_ns >= before {
            return Ok(0);
        }
        let needed = self.needed_from(oldest.first_seq, before).await?;
        let mut removed = 0;
        while removed < rows_max {
            let page = meta.scan(Table::OpLog, &range, STEP, false).await?;
            for stored in &page {
                let entry = rows::log_entry(&stored.row.value)?;
                if entry.received_ns >= before || last_seq(&entry) > needed || removed >= rows_max {
                    return Ok(removed);
                }
                batch.delete(Table::OpLog, stored.key.clone());
                removed += 1;
            }
            match page.last() {
                Some(last) if page.len() == STEP => range.start = after(&last.key),
                _ => break,
            }
        }
        Ok(removed)
    }

    /// The number of a base that is older than `before`; the log up to it is not needed.
    async fn needed_from(&self, oldest: u64, before: i64) -> Result<u64> {
        if base_time(self.row) <= before {
            return Ok(self.row.sealed_seq);
        }
        let range = Range {
            start: rows::base_key(self.org, self.head, oldest),
            end: Range::prefix(rows::base_prefix(self.org, self.head)).end,
        };
        let mut found = 0;
        for base in self.bases(&range).await? {
            if base.at_ns <= before {
                found = base.seq;
            }
        }
        Ok(found)
    }

    /// Adds the removal of bases and marks of undone actions past their time.
    pub async fn old_marks(&self, batch: &mut Batch) -> Result<()> {
        let life = self.config.commits_life.0.max(self.config.log_life.0);
        let before = self.now.0 - life;
        let range = Range::prefix(rows::base_prefix(self.org, self.head));
        let bases = self.bases(&range).await?;
        // A base stands until the next one does.
        let ends = bases.iter().skip(1).map(|base| base.at_ns);
        let mut oldest = self.row.sealed_seq;
        for (base, end) in bases.iter().zip(ends.chain([base_time(self.row)])) {
            if end > before {
                oldest = base.seq;
                break;
            }
            let key = rows::base_key(self.org, self.head, base.seq);
            batch.delete(Table::Heads, key);
        }
        let marks = Range {
            start: rows::undone_prefix(self.org, self.head),
            end: Some(rows::undone_key(self.org, self.head, oldest)),
        };
        let meta = self.catalog.meta();
        for mark in meta.scan(Table::Heads, &marks, SMALL_STEP, false).await? {
            batch.delete(Table::Heads, mark.key);
        }
        Ok(())
    }

    async fn bases(&self, range: &Range) -> Result<Vec<BaseRow>> {
        let meta = self.catalog.meta();
        let page = meta.scan(Table::Heads, range, SMALL_STEP, false).await?;
        page.iter()
            .map(|entry| rows::decode(&entry.row.value))
            .collect()
    }
}

/// Since when a head has its base.
pub(crate) fn base_time(row: &HeadRow) -> i64 {
    if row.base_ns == 0 {
        row.created_ns
    } else {
        row.base_ns
    }
}

fn after(key: &Key) -> Key {
    let mut next = key.0.to_vec();
    next.push(0);
    Key(next.into())
}
