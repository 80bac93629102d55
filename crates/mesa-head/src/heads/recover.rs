//! A session that cannot go on: a new change on the state it last saw takes its journal.

use bytes::Bytes;
use mesa_meta::{Batch, Committed, Table};
use mesa_proto::v1;
use mesa_repo::{
    Bookmark, CatalogEvent, Change, ChangeState, PageRequest, Principal, RecordBatch, Repo,
};
use mesa_types::{BookmarkName, FileId, HeadId, Nanos, ObjectId, SessionId};

use super::{Heads, open::stored_id};
use crate::{
    content::Unsealed,
    error::{HeadError, Result},
    head::{
        change_id,
        command::Command,
        load::{Parts, Replay},
        materialize::author,
        recent::Recent,
        seal::{snapshot, stored_oids},
    },
    load,
    rows::{self, HeadRow, SessionRow},
    versions::table::Table as Conflicts,
};

/// Commits looked at for one before the state wanted.
const COMMITS_MAX: usize = 1000;

/// A lost session.
pub(super) struct Lost {
    pub head: HeadId,
    pub session: SessionId,
    pub row: SessionRow,
    pub reason: &'static str,
    /// What the client last saw.
    pub head_seq: u64,
}

/// A snapshot of a head's past.
struct Past {
    root: Option<ObjectId>,
    seq: u64,
    /// The commit it belongs to.
    commit: Option<(mesa_types::CommitOid, u64)>,
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
        self.call(&caller.org, &lost.head, Command::Seal).await?;
        let key = rows::head_key(&caller.org, &lost.head);
        let meta = self.catalog().meta();
        let stored = meta.get(Table::Heads, &key).await?;
        let from: HeadRow = rows::decode(&stored.ok_or_else(HeadError::no_session)?.value)?;
        let seq = lost.head_seq.min(from.seq);
        let past = self.past(repo, &from, seq).await?;
        let (base, index) = self
            .state_at(&parts, repo, &lost.head, &from, &past, seq)
            .await?;

        let catalog = self.catalog();
        let now = catalog.now();
        let head = HeadId::from_unique(&catalog.unique());
        let change = catalog.new_change_id();
        let (number, bookmark) = self.recovery_name(repo, &lost).await?;
        let parent = match &from.pending {
            Some(pending) => pending.parent(),
            None => change_id(&from.change),
        };
        let (parents, generation) = match past.commit {
            Some((oid, generation)) => (stored_oids(&[oid]), generation + 1),
            None => (from.parent_commits.clone(), from.generation),
        };
        let actor = caller.actor("mount", lost.session.as_str());
        let record = Change {
            id: change,
            org: repo.org.clone(),
            repo: repo.id.clone(),
            state: ChangeState::Open,
            commit: None,
            root: base,
            parents: vec![parent],
            message: format!("Recovered work of {} ({})", lost.session, lost.reason),
            author: author(Some(&caller.key)),
            coauthors: Vec::new(),
            committer: None,
            conflicted: false,
            evolutions: 0,
            head: Some(head.clone()),
            created: now,
            updated: now,
        };
        let row = HeadRow {
            repo: repo.id.as_str().to_owned(),
            change: Bytes::copy_from_slice(&change.0),
            base: stored_id(base),
            parent_commits: parents,
            generation,
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

    /// The newest known snapshot at or before `seq`.
    async fn past(&self, repo: &Repo, from: &HeadRow, seq: u64) -> Result<Past> {
        let change = change_id(&from.change);
        let mut newest = None;
        let mut cursor = None;
        let mut seen = 0;
        loop {
            let request = PageRequest {
                cursor,
                limit: Some(mesa_repo::page::LIMIT_MAX),
            };
            let page = self
                .catalog()
                .list_evolution(&repo.org, &repo.id, &change, &request)
                .await?;
            for evolution in &page.items {
                seen += 1;
                let commit = self
                    .catalog()
                    .commit_by_oid(&repo.org, &repo.id, &evolution.commit)
                    .await?;
                if let Some(commit) = commit
                    && commit.sealed_seq <= seq
                {
                    newest = Some(commit);
                }
            }
            cursor = page.next;
            if cursor.is_none() || seen > COMMITS_MAX {
                break;
            }
        }
        let commit = newest
            .as_ref()
            .map(|commit| (commit.oid, commit.generation));
        if from.sealed_seq <= seq {
            return Ok(Past {
                root: ObjectId::from_slice(&from.base),
                seq: from.sealed_seq,
                commit,
            });
        }
        Ok(match newest {
            Some(commit) => Past {
                root: commit.root,
                seq: commit.sealed_seq,
                commit: Some((commit.oid, commit.generation)),
            },
            None => Past {
                root: self.first_base(repo, from).await?,
                seq: 0,
                commit: None,
            },
        })
    }

    /// What the head began with: the snapshot of its parent commit.
    async fn first_base(&self, repo: &Repo, from: &HeadRow) -> Result<Option<ObjectId>> {
        let Some(oid) = from
            .parent_commits
            .first()
            .and_then(|b| crate::head::oid(b))
        else {
            return Ok(None);
        };
        let commit = self
            .catalog()
            .commit_by_oid(&repo.org, &repo.id, &oid)
            .await?;
        Ok(commit.and_then(|commit| commit.root))
    }

    /// The state at `seq` as a stored snapshot; rows of packs written for it are to be committed.
    async fn state_at(
        &self,
        parts: &Parts,
        repo: &Repo,
        head: &HeadId,
        from: &HeadRow,
        past: &Past,
        seq: u64,
    ) -> Result<(Option<ObjectId>, Option<mesa_store::IndexRows>)> {
        if past.seq == seq {
            return Ok((past.root, None));
        }
        let root = FileId::root_of(repo.tag);
        let created = Nanos(from.created_ns);
        let mut tree = load::tree(&parts.packs, past.root, root, created).await?;
        let conflicts = Conflicts::of_root(&parts.packs, past.root).await?;
        let mut replay = Replay {
            unsealed: Unsealed::default(),
            recent: Recent::default(),
        };
        let replayed = replay.run(parts, head, &mut tree, past.seq, seq).await;
        if let Err(error) = replayed {
            // The log no longer reaches back so far: the closest older state is what is left.
            tracing::warn!(%head, seq, %error, "recovery from an older state than last seen");
            return Ok((past.root, None));
        }
        Ok(
            match snapshot(parts, &tree, &replay.unsealed, conflicts, seq).await? {
                Some(built) => (Some(built.root), Some(built.index)),
                None => (past.root, None),
            },
        )
    }
}
