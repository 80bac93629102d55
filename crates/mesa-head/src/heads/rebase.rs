//! Rebasing what lies on top of an abandoned change, when it is next looked at.
//!
//! Abandoning a change, or bringing it back, only gives what is on top of it other parents and
//! marks it ([`mesa_repo::Change::behind`]). Whoever reads, opens, writes to or merges a marked
//! change first has it rebased, after those below it: the three-way merge of its tree with what its
//! commit was made on as the base and what its parent is now as the other side. The cost is what
//! those two differ by. A change that takes writes is rebased by operations in its head, so that
//! mounts see it like anybody's writes; any other one beside, as a further commit of the same
//! change. What does not merge is in conflict then, as after a merge.
//!
//! It never stands in anybody's way: a change that cannot be rebased now is read as it is, and
//! tried again next time.

use std::{collections::BTreeMap, time::Duration};

use mesa_meta::{Committed, Key, Version};
use mesa_repo::{Actor, Change, ChangeState, Commit, Record, Repo, Versioned};
use mesa_types::{ChangeId, CommitOid, FileId, ObjectId, OrgId, RepoId};

use super::{Heads, SealedAt, write::is_passing};
use crate::{
    edit::{ConflictEdit, Describe, Edit, Expect, Prepared, Rebase, plan},
    error::{HeadError, HeadErrorKind, Result},
    head::{command::Command, freeze::Frozen},
    seal::Lineage,
    versions::{
        apply,
        merge::{self, Merged, Side},
        opened::Opened,
        scratch,
        store::Versions,
        table::Table,
    },
};

/// Changes rebased for one that is looked at: more are not on top of one that is abandoned.
const DEPTH_MAX: usize = 2000;
/// Attempts while others write.
const ATTEMPTS: usize = 8;
/// Changes that are remembered not to go.
const STUCK_MAX: usize = 4096;
/// How long a head that others hold still is waited for.
const WAIT: Duration = Duration::from_secs(3);

/// What a change is to be made on, as stored.
struct Below {
    /// The parents' commits.
    commits: Vec<CommitOid>,
    generation: u64,
    /// The first parent's snapshot.
    root: Option<ObjectId>,
    /// The parents' records.
    records: Vec<(Key, Version)>,
}

impl Heads {
    /// A change, rebased first if something below it is not what it is made on any more.
    pub async fn settled(
        &self,
        org: &OrgId,
        repo: &RepoId,
        id: &ChangeId,
    ) -> Result<Option<Versioned<Change>>> {
        let read = self.catalog().change(org, repo, id).await?;
        let Some(behind) = read.as_ref().filter(|read| read.behind) else {
            return Ok(read);
        };
        let stuck = self.inner.stuck.lock().get(id).copied();
        if stuck == Some(behind.version) {
            return Ok(read);
        }
        match self.catch_up(org, repo, id).await {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(change = %id, %error, "a change is read before it is rebased");
                if error.kind == HeadErrorKind::Conflict && error.code != "LOCK_CONFLICT" {
                    // Not again before it is written to.
                    let mut stuck = self.inner.stuck.lock();
                    if stuck.len() >= STUCK_MAX {
                        stuck.clear();
                    }
                    stuck.insert(*id, behind.version);
                }
            }
        }
        Ok(self.catalog().change(org, repo, id).await?)
    }

    /// Rebases a change, after everything below it.
    async fn catch_up(&self, org: &OrgId, repo: &RepoId, id: &ChangeId) -> Result<()> {
        let of = self.catalog().living_repo(org, repo).await?.record;
        // One after the other: who comes second finds it done.
        let _turn = self.rebase_turn(repo).await;
        let (mut path, mut done) = (vec![*id], BTreeMap::new());
        while let Some(&at) = path.last() {
            let Some(read) = self.catalog().change(org, repo, &at).await? else {
                break;
            };
            let mut first = None;
            for parent in read
                .parents
                .iter()
                .filter(|id| read.behind && !id.is_root())
            {
                let below = self.catalog().change(org, repo, parent).await?;
                if below.is_some_and(|below| below.behind) {
                    first = Some(*parent);
                }
            }
            match first {
                Some(parent) if path.len() < DEPTH_MAX => path.push(parent),
                Some(_) => return Err(too_deep()),
                None => {
                    if self.rebase(&of, &at).await? {
                        done.insert(at, at);
                    }
                    path.pop();
                }
            }
        }
        self.bring_along(&of, &done).await;
        Ok(())
    }

    async fn rebase_turn(&self, repo: &RepoId) -> tokio::sync::MutexGuard<'_, ()> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        repo.hash(&mut hasher);
        let turns = &self.inner.rebase_turns;
        turns[hasher.finish() as usize % turns.len()].lock().await
    }

    /// Rebases one change whose parents are settled. Answers whether others may be on top of what
    /// it was.
    async fn rebase(&self, repo: &Repo, id: &ChangeId) -> Result<bool> {
        let mut last = HeadError::gone();
        for _ in 0..ATTEMPTS {
            let read = self.catalog().change(&repo.org, &repo.id, id).await?;
            let Some(read) = read.filter(|read| read.behind) else {
                return Ok(false);
            };
            let open = read.state == ChangeState::Open;
            let tried = match &read.head {
                Some(head) if open => {
                    let held = self.call(&repo.org, head, Command::Freeze);
                    match tokio::time::timeout(WAIT, held).await {
                        Ok(Ok(held)) => self.rebase_live(repo, &read, held).await,
                        Ok(Err(error)) => Err(error),
                        Err(_) => return Err(held_elsewhere()),
                    }
                }
                _ => self.rebase_still(repo, &read).await,
            };
            match tried {
                Ok(true) => return Ok(!open),
                Ok(false) => {}
                Err(error) if is_passing(&error) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Rebases a change that takes writes, whose head is held still.
    async fn rebase_live(
        &self,
        repo: &Repo,
        read: &Versioned<Change>,
        held: Frozen,
    ) -> Result<bool> {
        let at = held.at.clone();
        if held.pending || at.change != read.id {
            return Ok(false);
        }
        let (below, before) = self.below(repo, read, &at).await?;
        if before.commits == below.commits {
            return self.unmark(read).await;
        }
        let mut edit = Edit {
            id: format!("rebase-{}", self.catalog().unique()),
            files: Vec::new(),
            ids: crate::rows::IdSpan::default(),
            actor: Actor::server(),
            origin: "rebase",
            describe: Describe::default(),
            expect: Expect {
                change: Some(read.id),
                seq: Some(at.head_seq),
                ..Expect::default()
            },
            commit: true,
            rebase: Some(Rebase {
                commits: below.commits.clone(),
                generation: below.generation,
                parents: below.records.clone(),
            }),
            undone: None,
            conflicts: ConflictEdit::Keep,
        };
        if before.root != below.root {
            let store = self.versions(repo).await?;
            let merged = self
                .carried(&store, read, (at.root, &before, &below))
                .await?;
            let known = Table::of_root(&store.packs, at.root).await?;
            if let Some(known) = &known {
                edit.files = unshown(&store, at.root, merged.base, known).await?;
            }
            edit.files.extend(merged.edits);
            let ids = plan::ids_wanted(&edit.files);
            edit.ids = self.some_ids(repo, ids).await?;
            edit.conflicts = match (merged.table, known) {
                (Some(table), _) => ConflictEdit::Set(Box::new(table)),
                (None, Some(known)) => ConflictEdit::Resolve(known.paths.keys().cloned().collect()),
                (None, None) => ConflictEdit::Keep,
            };
        }
        let Some(head) = &read.head else {
            return Ok(false);
        };
        let edited = self.edit_held(repo, head, Some(held), edit).await?;
        self.sealed(&repo.org, &repo.id, &edited.change).await?;
        Ok(true)
    }

    /// Rebases a change that takes no writes. Whoever goes on on top of it goes along.
    async fn rebase_still(&self, repo: &Repo, read: &Versioned<Change>) -> Result<bool> {
        if read.state == ChangeState::Published {
            return self.unmark(read).await;
        }
        let at = SealedAt {
            change: read.id,
            commit: read.commit,
            head_seq: 0,
            root: read.root,
        };
        let (below, before) = self.below(repo, read, &at).await?;
        if before.commits == below.commits {
            return self.unmark(read).await;
        }
        let store = self.versions(repo).await?;
        let (mut base, mut files, mut table) = (at.root, Vec::new(), None);
        if before.root != below.root {
            let merged = self
                .carried(&store, read, (at.root, &before, &below))
                .await?;
            (base, files, table) = (merged.base, merged.edits, merged.table);
        } else if let Some(known) = Table::of_root(&store.packs, at.root).await? {
            table = Some(Table::clone(&known));
        }
        let ids = self.some_ids(repo, plan::ids_wanted(&files)).await?;
        let parts = self.parts(&repo.org).await?;
        let lineage = Lineage {
            repo: repo.id.clone(),
            change: read.id,
            parents: below.commits.clone(),
            generation: below.generation,
            snap: None,
            now: self.catalog().now(),
        };
        let root = FileId::root_of(repo.tag);
        let files = (&files[..], ids);
        let built = scratch::committed(&parts, root, base, files, table, lineage).await?;
        let Some((commit, made_for)) = built.commit else {
            return Err(HeadError::corrupt("a rebase without a commit"));
        };
        if made_for.version != read.version {
            return Ok(false);
        }
        let commit = Commit {
            sealed_seq: Commit::NO_SEQ,
            ..commit
        };
        let settled = Versioned {
            record: Change {
                behind: false,
                ..made_for.record
            },
            version: made_for.version,
        };
        let mut batch = mesa_meta::Batch::new();
        for (key, version) in below.records {
            batch.is(Change::TABLE, key, version);
        }
        let (root, conflicted) = (Some(built.root), built.conflicts.is_some());
        let actor = Actor::server();
        self.catalog()
            .seal_change_in(&mut batch, &settled, &commit, root, conflicted, &actor);
        built.index.add_to(&mut batch);
        batch.writes.extend(built.git_rows.writes);
        if let Committed::Conflict(_) = self.catalog().meta().commit(batch).await? {
            return Ok(false);
        }
        Ok(true)
    }

    /// The mark goes: the change is made on what it is on.
    async fn unmark(&self, read: &Versioned<Change>) -> Result<bool> {
        let mut batch = mesa_meta::Batch::new();
        let next = Change {
            behind: false,
            ..read.record.clone()
        };
        mesa_repo::RecordBatch::replace_record(&mut batch, &next, read.version);
        let done = self.catalog().meta().commit(batch).await?;
        Ok(matches!(done, Committed::Yes(_)))
    }

    /// What a change is to be made on, and what its commit is made on.
    async fn below(&self, repo: &Repo, read: &Change, at: &SealedAt) -> Result<(Below, Below)> {
        let catalog = self.catalog();
        let empty = || Below {
            commits: Vec::new(),
            generation: 1,
            root: None,
            records: Vec::new(),
        };
        let (mut now, mut before) = (empty(), empty());
        for parent in read.parents.iter().filter(|parent| !parent.is_root()) {
            let sealed = self.sealed(&repo.org, &repo.id, parent).await?;
            let record = catalog.change(&repo.org, &repo.id, parent).await?;
            let record = record.ok_or_else(super::open::no_change)?;
            if record.behind || record.commit != sealed.commit {
                return Err(HeadError::gone());
            }
            now.records.push((record.record.key(), record.version));
            now.commits.extend(sealed.commit);
            now.root = sealed.root;
        }
        let commit = self.commit(repo, at.commit).await?;
        before.commits = commit.map(|commit| commit.parents).unwrap_or_default();
        if now.commits.len() > 1 || before.commits.len() > 1 {
            return Err(HeadError::conflict(
                "MERGE_HAS_DESCENDANTS",
                "a merge is not rebased",
            ));
        }
        for side in [&mut now, &mut before] {
            if let Some(commit) = self.commit(repo, side.commits.first().copied()).await? {
                side.generation = commit.generation + 1;
                side.root = commit.root;
            }
        }
        Ok((now, before))
    }

    pub(super) async fn commit(
        &self,
        repo: &Repo,
        oid: Option<CommitOid>,
    ) -> Result<Option<Commit>> {
        let Some(oid) = oid else { return Ok(None) };
        let found = self.catalog().commit_by_oid(&repo.org, &repo.id, &oid);
        Ok(found.await?)
    }

    /// A change's tree on what it is to be made on.
    async fn carried(
        &self,
        store: &Versions,
        change: &Change,
        (root, before, below): (Option<ObjectId>, &Below, &Below),
    ) -> Result<Merged> {
        let mut name = change.id.to_string();
        name.truncate(8);
        let side = |root, label| Side { root, label };
        let sides = [
            side(root, format!("{name} (rebased)")),
            side(before.root, format!("what {name} was made on")),
            side(below.root, format!("what {name} is made on now")),
        ];
        let now = self.catalog().now();
        let merged = merge::merge(store, sides, now, &BTreeMap::new(), true).await?;
        if merged.conflicts.is_empty() {
            return Ok(merged);
        }
        Err(HeadError::conflict(
            "MERGE_CONFLICT",
            "the rebase has conflicts that cannot be kept",
        ))
    }
}

/// What stands in files that show conflicts becomes what the first term has there: what a merge's
/// operations begin with.
async fn unshown(
    store: &Versions,
    shown: Option<ObjectId>,
    first: Option<ObjectId>,
    table: &Table,
) -> Result<Vec<Prepared>> {
    if shown == first {
        return Ok(Vec::new());
    }
    let paths = table.all_paths();
    let first = Opened::read(store, store.root(first).await?, paths.iter()).await?;
    let mut files = Vec::new();
    for path in &paths {
        match first.get(path) {
            Some(value) => apply::put(store, path, &value, &mut files).await?,
            None => files.push(apply::remove(path)?),
        }
    }
    Ok(files)
}

fn too_deep() -> HeadError {
    HeadError::conflict(
        "TOO_MANY_DESCENDANTS",
        "more changes below it are to be rebased than at once",
    )
}

fn held_elsewhere() -> HeadError {
    HeadError::conflict("LOCK_CONFLICT", "the change's head is held still by others")
}
