//! A session that cannot go on: a new change on the state it last saw takes its journal.

use bytes::Bytes;
use mesa_meta::{Batch, Committed, Table};
use mesa_proto::v1;
use mesa_repo::{
    Bookmark, CatalogEvent, Change, ChangeState, Commit, PageRequest, Principal, RecordBatch, Repo,
};
use mesa_types::{BookmarkName, ChangeId, FileId, HeadId, Nanos, ObjectId, SessionId};

use super::{Heads, open::stored_id};
use crate::{
    content::Unsealed,
    error::{HeadError, HeadErrorKind, Result},
    head::{
        change_id,
        command::Command,
        load::{Parts, Replay},
        materialize::author,
        recent::{Recent, last_seq},
        seal::{snapshot, stored_oids},
    },
    load,
    oplog::state::Past,
    rows::{self, HeadRow, SessionRow},
    versions::table::Table as Conflicts,
};

/// Commits looked at for one before the state wanted.
const COMMITS_MAX: usize = 1000;
/// Log rows looked at for operations that the client saw acknowledged.
const LOG_ROWS_MAX: usize = 100_000;

/// A lost session.
pub(super) struct Lost {
    pub head: HeadId,
    pub session: SessionId,
    pub row: SessionRow,
    pub reason: &'static str,
    /// What the client last saw of the head ...
    pub head_seq: u64,
    /// ... and the last of its own operations that it saw acknowledged.
    pub acked_client_seq: u64,
}

/// What a state of a head's past belongs to.
struct Lineage {
    /// The change a recovery change is on top of.
    parent: ChangeId,
    /// Parents of its commits.
    commits: Vec<Bytes>,
    /// Generation of its commits.
    generation: u64,
}

impl Heads {
    /// Makes the recovery change and its bookmark.
    pub(super) async fn recover(
        &self,
        caller: &Principal,
        repo: &Repo,
        lost: Lost,
    ) -> Result<v1::Lost> {
        let parts = self.parts(&caller.org).await?;
        // Everything acknowledged is in commits then, and the rows below do not change meanwhile
        // in a way that matters.
        self.call(&caller.org, &lost.head, |reply| Command::Seal {
            change: None,
            reply,
        })
        .await?;
        let key = rows::head_key(&caller.org, &lost.head);
        let meta = self.catalog().meta();
        let stored = meta.get(Table::Heads, &key).await?;
        let mut from: HeadRow = rows::decode(&stored.ok_or_else(HeadError::no_session)?.value)?;
        let mut seen_in = lost.head.clone();
        // What it saw before it followed a bookmark away from others is in their head.
        while let Some(before) = from.before_split(lost.head_seq) {
            let Some(row) = self.head_row(repo, &before).await? else {
                break;
            };
            if row.seq > row.sealed_seq {
                self.call(&caller.org, &before, |reply| Command::Seal {
                    change: None,
                    reply,
                })
                .await?;
            }
            from = self.head_row(repo, &before).await?.unwrap_or(row);
            seen_in = before;
        }
        let seq = self.seen(repo, &lost, (&seen_in, &from)).await?;
        let lineage = self.lineage_at(repo, &from, seq).await?;
        let (base, index) = self.state_at(&parts, repo, &seen_in, &from, seq).await?;

        let catalog = self.catalog();
        let now = catalog.now();
        let head = HeadId::from_unique(&catalog.unique());
        let change = catalog.new_change_id();
        let (number, bookmark) = self.recovery_name(repo, &lost).await?;
        let actor = caller.actor("mount", lost.session.as_str());
        let record = Change {
            id: change,
            org: repo.org.clone(),
            repo: repo.id.clone(),
            state: ChangeState::Open,
            commit: None,
            root: base,
            parents: vec![lineage.parent],
            message: format!("Recovered work of {} ({})", lost.session, lost.reason),
            author: author(Some(&caller.key)),
            coauthors: Vec::new(),
            committer: None,
            conflicted: false,
            behind: false,
            evolutions: 0,
            head: Some(head.clone()),
            created: now,
            updated: now,
        };
        let row = HeadRow {
            repo: repo.id.as_str().to_owned(),
            change: Bytes::copy_from_slice(&change.0),
            base: stored_id(base),
            parent_commits: lineage.commits,
            generation: lineage.generation,
            created_ns: now.0,
            adopts: lost.session.as_str().to_owned(),
            ..HeadRow::default()
        };
        let mut batch = Batch::new();
        catalog.create_change_in(&mut batch, &record, &actor);
        batch.insert_record(&Bookmark {
            org: repo.org.clone(),
            repo: repo.id.clone(),
            name: bookmark.clone(),
            change,
            created: now,
            updated: now,
        });
        batch.put(
            Table::Heads,
            rows::head_key(&repo.org, &head),
            rows::encode(&row),
        );
        if let Some(index) = index {
            index.add_to(&mut batch);
        }
        match meta.commit(batch).await? {
            Committed::Yes(_) => {}
            Committed::Conflict(_) => return Err(HeadError::gone()),
        }
        self.call(&caller.org, &lost.head, |reply| Command::Recovered {
            session: lost.session.clone(),
            number,
            reply,
        })
        .await?;
        catalog.announce(CatalogEvent::BookmarkMoved {
            org: repo.org.clone(),
            repo: repo.id.clone(),
            name: bookmark.clone(),
            from: None,
            to: Some(change),
        });
        Ok(v1::Lost {
            reason: lost.reason.to_owned(),
            recovery_change: change.to_string(),
            recovery_bookmark: bookmark.to_string(),
        })
    }

    /// The first free name: a recovery whose count was not stored has left its bookmark.
    async fn recovery_name(&self, repo: &Repo, lost: &Lost) -> Result<(u32, BookmarkName)> {
        const TRIES: u32 = 64;
        for number in lost.row.recoveries + 1..=lost.row.recoveries + TRIES {
            let name: BookmarkName = format!("recovered/{}-{number}", lost.session)
                .parse()
                .map_err(|_| HeadError::corrupt("a recovery bookmark cannot be named"))?;
            let taken = self
                .catalog()
                .bookmark(&repo.org, &repo.id, &name)
                .await?
                .is_some();
            if !taken {
                return Ok((number, name));
            }
        }
        Err(HeadError::conflict(
            "TOO_MANY_RECOVERIES",
            "the session was recovered too often",
        ))
    }

    /// The number of the state the client goes by: what it saw of the head, and with it its own
    /// operations acknowledged since, as long as the head had the same base.
    async fn seen(
        &self,
        repo: &Repo,
        lost: &Lost,
        (head, from): (&HeadId, &HeadRow),
    ) -> Result<u64> {
        let mut seen = lost.head_seq.min(from.seq);
        let log = self.log(repo, head);
        let row = log.row_of(seen).await?;
        let mut next = row.map_or(seen + 1, |row| row.first_seq);
        let mut rows = log.forwards(next, from.seq);
        for _ in 0..LOG_ROWS_MAX {
            let Some(entry) = rows.next().await? else {
                break;
            };
            if entry.first_seq != next {
                // A step without an operation: the head got another base.
                break;
            }
            next = last_seq(&entry) + 1;
            let known = (lost.acked_client_seq + 1).saturating_sub(entry.first_client_seq);
            if entry.session == lost.session.as_str() && known > 0 {
                let count = known.min(entry.ops.len() as u64);
                seen = seen.max(entry.first_seq + count - 1);
            }
        }
        Ok(seen)
    }

    /// What the state at `seq` belongs to: the change the head had then, and the newest of its
    /// commits that is not newer.
    async fn lineage_at(&self, repo: &Repo, from: &HeadRow, seq: u64) -> Result<Lineage> {
        let past = from.past.iter().find(|past| past.seq >= seq);
        if let (None, Some(pending)) = (past, &from.pending) {
            return Ok(Lineage {
                parent: pending.parent(),
                commits: from.parent_commits.clone(),
                generation: from.generation,
            });
        }
        let parent = change_id(past.map_or(&from.change, |past| &past.change));
        if let Some(past) = past.filter(|past| past.parent) {
            return Ok(Lineage {
                parent,
                commits: only_commit(&past.commit),
                generation: past.generation + 1,
            });
        }
        let (commits, generation) = match (self.commits_about(repo, &parent, seq).await?, past) {
            ((Some(newest), _), _) => (stored_oids(&[newest.oid]), newest.generation + 1),
            ((None, Some(first)), _) => (stored_oids(&first.parents), first.generation),
            ((None, None), None) => (from.parent_commits.clone(), from.generation),
            ((None, None), Some(past)) => (only_commit(&past.commit), past.generation + 1),
        };
        Ok(Lineage {
            parent,
            commits,
            generation,
        })
    }

    /// The newest commit of a change at or before `seq` of its head, and its first commit.
    async fn commits_about(
        &self,
        repo: &Repo,
        change: &ChangeId,
        seq: u64,
    ) -> Result<(Option<Commit>, Option<Commit>)> {
        let (mut newest, mut first, mut cursor, mut looked) = (None, None, None, 0);
        loop {
            let request = PageRequest {
                cursor,
                limit: Some(mesa_repo::page::LIMIT_MAX),
            };
            let catalog = self.catalog();
            let page = catalog
                .list_evolution(&repo.org, &repo.id, change, &request)
                .await?;
            for evolution in &page.items {
                looked += 1;
                let commit = catalog
                    .commit_by_oid(&repo.org, &repo.id, &evolution.commit)
                    .await?;
                let Some(commit) = commit else { continue };
                if first.is_none() {
                    first = Some(commit.clone());
                }
                // A rebased one is of no state that a session saw.
                if commit.sealed_seq <= seq && commit.sealed_seq != Commit::NO_SEQ {
                    newest = Some(commit);
                }
            }
            cursor = page.next;
            if cursor.is_none() || looked > COMMITS_MAX {
                return Ok((newest, first));
            }
        }
    }

    /// The state at `seq` as a stored snapshot; rows of packs written for it are to be committed.
    async fn state_at(
        &self,
        parts: &Parts,
        repo: &Repo,
        head: &HeadId,
        from: &HeadRow,
        seq: u64,
    ) -> Result<(Option<ObjectId>, Option<mesa_store::IndexRows>)> {
        let root = FileId::root_of(repo.tag);
        let past = Past {
            parts,
            head,
            row: from,
            root,
        };
        let base = match past.base(seq).await {
            Ok(base) => base,
            Err(error) if error.kind == HeadErrorKind::NotFound => {
                // Older than what is kept: the closest change that is left.
                tracing::warn!(%head, seq, "recovery from another state than last seen");
                let older = from.past.iter().rev().find(|past| past.seq <= seq);
                let closest = older.or(from.past.first());
                let root = closest.map_or(&from.base, |past| &past.root);
                return Ok((ObjectId::from_slice(root), None));
            }
            Err(error) => return Err(error),
        };
        if base.seq == seq {
            return Ok((base.root, None));
        }
        let created = Nanos(from.created_ns);
        let mut tree = load::tree(&parts.packs, base.root, root, created).await?;
        let conflicts = Conflicts::of_root(&parts.packs, base.root).await?;
        let mut replay = Replay {
            unsealed: Unsealed::default(),
            recent: Recent::default(),
        };
        let replayed = replay.run(parts, head, &mut tree, base.seq, seq).await;
        if let Err(error) = replayed {
            // The log no longer reaches back so far: the closest older state is what is left.
            tracing::warn!(%head, seq, %error, "recovery from an older state than last seen");
            return Ok((base.root, None));
        }
        Ok(
            match snapshot(parts, &tree, &replay.unsealed, conflicts, seq).await? {
                Some(built) => (Some(built.root), Some(built.index)),
                None => (base.root, None),
            },
        )
    }
}

/// Nothing for the change before every other, which has no commit.
fn only_commit(oid: &Bytes) -> Vec<Bytes> {
    let known = Some(oid.clone()).filter(|oid| !oid.is_empty());
    known.into_iter().collect()
}
