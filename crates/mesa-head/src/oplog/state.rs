//! States of the past: the newest snapshot at or before an operation, and the log from there.
//!
//! When a seal gives a head a new base, the base it had before is kept in a row of its own
//! ([`BaseRow`]). So every state within the retention is a base and at most as many operations as
//! a seal takes together.

use mesa_meta::{Batch, Range, Table};
use mesa_types::{FileId, HeadId, Nanos, ObjectId, OrgId};

use crate::{
    content::Unsealed,
    error::{HeadError, HeadErrorKind, Result},
    head::{
        load::{Parts, Replay},
        recent::Recent,
        seal::snapshot,
    },
    load,
    rows::{self, BaseRow, HeadRow},
    seal::Built,
    tree::Tree,
};

/// A head whose past is looked at.
pub(crate) struct Past<'a> {
    pub parts: &'a Parts,
    pub head: &'a HeadId,
    pub row: &'a HeadRow,
    /// File id of the repo's root.
    pub root: FileId,
}

/// A snapshot that a state begins with.
pub(crate) struct Base {
    pub seq: u64,
    pub root: Option<ObjectId>,
}

impl Past<'_> {
    /// The snapshot of the state after operation `seq` (0: before the first). It is stored, but
    /// nothing names it.
    pub async fn snapshot(&self, seq: u64) -> Result<Option<ObjectId>> {
        let base = self.base(seq).await?;
        if base.seq == seq {
            return Ok(base.root);
        }
        let created = Nanos(self.row.created_ns);
        let mut tree = load::tree(&self.parts.packs, base.root, self.root, created).await?;
        let mut replay = Replay {
            unsealed: Unsealed::default(),
            recent: Recent::default(),
        };
        replay
            .run(self.parts, self.head, &mut tree, base.seq, seq)
            .await
            .map_err(|error| self.explained(error, base.seq))?;
        self.store(&tree, &replay.unsealed, seq).await
    }

    async fn store(&self, tree: &Tree, unsealed: &Unsealed, seq: u64) -> Result<Option<ObjectId>> {
        let Some(built) = snapshot(self.parts, tree, unsealed, None, seq).await? else {
            return Err(HeadError::corrupt("a tree without a root"));
        };
        settle(self.parts, built).await.map(Some)
    }

    /// The newest snapshot at or before operation `seq`.
    pub async fn base(&self, seq: u64) -> Result<Base> {
        if seq > self.row.seq {
            return Err(no_operation());
        }
        if seq >= self.row.sealed_seq {
            return Ok(Base {
                seq: self.row.sealed_seq,
                root: ObjectId::from_slice(&self.row.base),
            });
        }
        let org = self.parts.packs.org_id();
        let range = Range {
            start: rows::base_prefix(org, self.head),
            end: Some(rows::base_key(org, self.head, seq + 1)),
        };
        let meta = self.parts.catalog.meta();
        let found = meta.scan(Table::Heads, &range, 1, true).await?;
        let found = found.first().ok_or_else(not_kept)?;
        let row: BaseRow = rows::decode(&found.row.value)?;
        Ok(Base {
            seq: row.seq,
            root: ObjectId::from_slice(&row.base),
        })
    }

    /// Rows past their time look like a damaged log to the replay.
    fn explained(&self, error: HeadError, from: u64) -> HeadError {
        if error.kind == HeadErrorKind::Corrupt && from < self.row.sealed_seq {
            tracing::debug!(head = %self.head, %error, "a past state cannot be rebuilt");
            return not_kept().with_source(error);
        }
        error
    }
}

/// Commits the rows of a snapshot that nothing names.
pub(crate) async fn settle(parts: &Parts, built: Built) -> Result<ObjectId> {
    let mut batch = Batch::new();
    built.index.add_to(&mut batch);
    batch.writes.extend(built.git_rows.writes);
    if !batch.writes.is_empty() {
        parts.catalog.meta().commit(batch).await?;
    }
    Ok(built.root)
}

/// The newest base of a head that stood when an operation at `time` was taken; the times of bases
/// ascend. `None`: every base kept is younger.
pub(crate) async fn base_at(
    parts: &Parts,
    org: &OrgId,
    head: &HeadId,
    row: &HeadRow,
    time: Nanos,
) -> Result<Option<(u64, Option<ObjectId>)>> {
    if row.base_ns <= time.0 && row.base_ns != 0 {
        return Ok(Some((row.sealed_seq, ObjectId::from_slice(&row.base))));
    }
    let mut range = Range::prefix(rows::base_prefix(org, head));
    loop {
        let page = parts
            .catalog
            .meta()
            .scan(Table::Heads, &range, 64, true)
            .await?;
        for entry in &page {
            let base: BaseRow = rows::decode(&entry.row.value)?;
            if base.at_ns <= time.0 {
                return Ok(Some((base.seq, ObjectId::from_slice(&base.base))));
            }
        }
        match page.last() {
            Some(last) if page.len() == 64 => range.end = Some(last.key.clone()),
            _ => return Ok(None),
        }
    }
}

/// No such operation, or one that is not kept any more.
pub(crate) fn no_operation() -> HeadError {
    HeadError::not_found(
        "OPERATION_NOT_FOUND",
        "there is no such operation, or it is older than single operations are kept",
    )
}

pub(crate) fn not_kept() -> HeadError {
    HeadError::not_found(
        "STATE_NOT_KEPT",
        "the state asked for is older than what is kept",
    )
}
