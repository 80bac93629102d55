//! A head from its rows: the base snapshot and the log after it.

use std::{collections::HashMap, sync::Arc};

use mesa_meta::{Batch, Committed, Key, MetaErrorKind, Range, Table as Rows, Version};
use mesa_proto::convert::content_from_wire;
use mesa_repo::Catalog;
use mesa_store::OrgPacks;
use mesa_types::{ContentRef, FileId, HeadId, Nanos, ObjectId, RepoId, SessionId};
use tokio::sync::{RwLock, mpsc};

use super::{
    Head, State,
    actor::COMMANDS_MAX,
    command::Command,
    lease::{Exclusive, Lease},
    recent::Recent,
};
use crate::{
    config::HeadsConfig,
    content::Unsealed,
    error::{HeadError, Result},
    load,
    op::{Op, OpKind},
    rows::{self, HeadRow},
    tree::Tree,
    versions::table::Table,
};

/// Log rows read at a time.
const PAGE: usize = 256;
/// Attempts to take a head over while another process writes to it.
const ATTEMPTS: usize = 8;

/// What every head of a server shares.
#[derive(Clone)]
pub(crate) struct Parts {
    pub catalog: Catalog,
    pub packs: OrgPacks,
    pub config: Arc<HeadsConfig>,
}

/// Takes the head over and reads its state. Reads as much as the log has after the last seal.
pub(crate) async fn head(parts: Parts, id: HeadId) -> Result<(Arc<Head>, mpsc::Receiver<Command>)> {
    let (row, version, taken_over) = take_over(&parts, &id).await?;
    let repo: RepoId = row
        .repo
        .parse()
        .map_err(|_| HeadError::corrupt("a stored head names no repo"))?;
    let record = parts
        .catalog
        .repo(parts.packs.org_id(), &repo)
        .await?
        .filter(|repo| repo.deleted.is_none())
        .ok_or_else(|| HeadError::not_found("REPO_NOT_FOUND", "there is no such repo"))?;
    let root = FileId::root_of(record.tag);
    let now = parts.catalog.now();
    let base = ObjectId::from_slice(&row.base);
    let mut tree = load::tree(&parts.packs, base, root, Nanos(row.created_ns)).await?;
    let conflicts = conflicts(&parts.packs, &row).await?;
    let mut replay = Replay {
        unsealed: Unsealed::default(),
        recent: Recent::starting_at(row.sealed_seq),
    };
    replay
        .run(&parts, &id, &mut tree, row.sealed_seq, row.seq)
        .await?;
    let exclusive = row
        .lease_session
        .parse::<SessionId>()
        .ok()
        .map(|session| Exclusive {
            session,
            lease: row.lease,
            recalled: None,
        });
    let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
    let state = State {
        unsealed_since: (row.seq > row.sealed_seq || row.recommit).then_some(now),
        row,
        version,
        taken_over,
        tree,
        conflicts,
        unsealed: replay.unsealed,
        sessions: HashMap::new(),
        lease: Lease {
            exclusive,
            ..Lease::default()
        },
        recent: replay.recent,
        last_op: now,
        sealing: None,
        seal_after: Nanos(0),
        idle_since: now,
        stopping: false,
        streams: 0,
        recommitting: false,
        edits: std::collections::VecDeque::new(),
        named: HashMap::new(),
        leftovers: None,
        closing: Vec::new(),
        freezers: std::collections::VecDeque::new(),
        frozen: None,
    };
    let head = Head {
        id,
        repo,
        root,
        packs: parts.packs,
        catalog: parts.catalog,
        config: parts.config,
        state: RwLock::new(state),
        commands,
    };
    Ok((Arc::new(head), inbox))
}

/// What is in conflict in a head.
async fn conflicts(packs: &OrgPacks, row: &HeadRow) -> Result<Option<Arc<Table>>> {
    if row.no_conflicts {
        return Ok(None);
    }
    match ObjectId::from_slice(&row.conflicts) {
        Some(id) => Ok(Some(Arc::new(Table::read(packs, id).await?))),
        None => Table::of_root(packs, ObjectId::from_slice(&row.base)).await,
    }
}

/// Writes the head's row with the next epoch: whoever had it before can no longer append. On a full
/// store nobody can, and the row is left alone until something else is written (`false`): a full
/// disk is no reason not to read.
async fn take_over(parts: &Parts, id: &HeadId) -> Result<(HeadRow, Version, bool)> {
    let key = rows::head_key(parts.packs.org_id(), id);
    for _ in 0..ATTEMPTS {
        let stored = parts
            .catalog
            .meta()
            .get(Rows::Heads, &key)
            .await?
            .ok_or_else(|| HeadError::not_found("HEAD_NOT_FOUND", "the head does not exist"))?;
        let mut row: HeadRow = rows::decode(&stored.value)?;
        row.epoch += 1;
        let mut batch = Batch::new();
        batch.is(Rows::Heads, key.clone(), stored.version).put(
            Rows::Heads,
            key.clone(),
            rows::encode(&row),
        );
        match parts.catalog.meta().commit(batch).await {
            Ok(Committed::Yes(version)) => return Ok((row, version, true)),
            Ok(Committed::Conflict(_)) => {}
            Err(error) if error.kind == MetaErrorKind::Full => {
                row.epoch -= 1;
                return Ok((row, stored.version, false));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(HeadError::gone())
}

/// Applies stored entries to a tree.
pub(crate) struct Replay {
    pub unsealed: Unsealed,
    pub recent: Recent,
}

impl Replay {
    /// Applies the operations `from + 1 ..= to` of a head's log.
    pub async fn run(
        &mut self,
        parts: &Parts,
        head: &HeadId,
        tree: &mut Tree,
        from: u64,
        to: u64,
    ) -> Result<()> {
        if from >= to {
            return Ok(());
        }
        let org = parts.packs.org_id();
        let mut range = Range {
            start: rows::log_key(org, head, from + 1),
            end: Range::prefix(rows::log_prefix(org, head)).end,
        };
        let mut next = from + 1;
        while next <= to {
            let meta = parts.catalog.meta();
            let page = meta.scan(Rows::OpLog, &range, PAGE, false).await?;
            let Some(last) = page.last() else {
                break;
            };
            let mut start = last.key.0.to_vec();
            start.push(0);
            range.start = Key(start.into());
            for stored in page {
                let entry = rows::log_entry(&stored.row.value)?;
                if entry.first_seq != next {
                    return Err(damaged());
                }
                for (index, wire) in entry.ops.iter().enumerate() {
                    if next > to {
                        return Ok(());
                    }
                    let op = Op::from_wire(wire).map_err(|_| damaged())?;
                    let merged = entry.merged.iter().find(|m| m.index as usize == index);
                    let (content, bytes) = match (merged, &op.kind) {
                        (Some(merged), _) => (
                            content_from_wire(merged.content.as_ref()).map_err(|_| damaged())?,
                            merged.inline.clone(),
                        ),
                        (None, OpKind::Create(create)) if !create.target.is_empty() => {
                            let id = parts.packs.key().chunk_id(&create.target);
                            let size = create.target.len() as u64;
                            (ContentRef::Chunk { id, size }, bytes::Bytes::new())
                        }
                        (None, _) => op.content().map_or(
                            (ContentRef::Empty, bytes::Bytes::new()),
                            |(content, inline)| (content, inline.clone()),
                        ),
                    };
                    while let Some(need) = tree.needs(&op) {
                        load::satisfy(&parts.packs, tree, need).await?;
                    }
                    tree.apply(&op, content, next).map_err(|_| damaged())?;
                    if let (ContentRef::Chunk { id, .. }, false) = (&content, bytes.is_empty()) {
                        self.unsealed.insert(*id, bytes, next);
                    }
                    next += 1;
                }
                self.recent.push(Arc::new(entry));
            }
        }
        if next <= to { Err(damaged()) } else { Ok(()) }
    }
}

fn damaged() -> HeadError {
    HeadError::corrupt("the stored operation log does not fit its base")
}
