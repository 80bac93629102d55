//! When a head is sealed, and taking the outcome.

use std::sync::Arc;

use mesa_meta::Table;
use mesa_proto::v1::{self, server_message::Kind};
use mesa_repo::Actor;
use mesa_types::{GitOid, Nanos};
use mesa_vcs::tree::TreePath;

use super::{
    Head, State,
    command::{Command, SealedAt},
    oid,
    turn::Turn,
};
use crate::{
    content::Unsealed,
    edit::{ConflictEdit, Describe, Edit, Expect},
    error::Result,
    oplog::keep::{self, Kept},
    rows::{self, IdSpan},
    seal::{self, Built, Lineage, SealInput},
    tree::Tree,
    versions::{apply, table::Table as Conflicts},
};

/// Old log rows removed by one seal.
const LOG_ROWS_MAX: usize = 128;
/// After a failed seal, the next try waits this long.
const RETRY: Nanos = Nanos(1_000_000_000);

impl State {
    /// Whether there is anything to seal.
    pub fn is_unsealed(&self) -> bool {
        self.row.seq > self.row.sealed_seq
    }

    /// Whether a seal would make something new.
    pub fn needs_seal(&self) -> bool {
        self.is_unsealed() || self.row.recommit || self.recommitting
    }

    /// The change exists, and no commit of it does.
    pub fn lacks_commit(&self) -> bool {
        self.row.pending.is_none() && self.row.commit.is_empty()
    }

    /// Where the head is sealed.
    pub fn sealed_at(&self) -> SealedAt {
        SealedAt {
            change: self.change(),
            commit: self.commit(),
            head_seq: self.row.sealed_seq,
            root: self.base(),
        }
    }

    /// When the next seal is due by itself.
    pub fn seal_due(&self, head: &Head) -> Option<Nanos> {
        let since = self.unsealed_since?;
        if self.sealing.is_some() || !self.needs_seal() {
            return None;
        }
        let config = &head.config;
        let full = self.row.seq - self.row.sealed_seq >= config.seal_ops
            || self.unsealed.bytes() >= config.seal_bytes
            || self.recent.bytes() >= config.seal_bytes as usize + config.recent_bytes;
        let due = if full {
            Nanos(0)
        } else {
            let quiet = Nanos(self.last_op.0 + config.seal_quiet.0);
            quiet.min(Nanos(since.0 + config.seal_age.0))
        };
        Some(due.max(self.seal_after))
    }
}

impl Turn<'_> {
    /// Begins a seal of everything up to now, unless one runs or there is nothing to seal.
    pub fn start_seal(&mut self) {
        if self.state.sealing.is_some() || !self.state.needs_seal() {
            return;
        }
        let seq = self.state.row.seq;
        let Some(plan) = self.state.tree.seal_plan(seq) else {
            return;
        };
        let row = &self.state.row;
        let input = SealInput {
            plan,
            unsealed: self.state.unsealed.snapshot(),
            lineage: Some(Lineage {
                repo: self.head.repo.clone(),
                change: self.state.change(),
                parents: row.parent_commits.iter().filter_map(|b| oid(b)).collect(),
                generation: row.generation,
                snap: row.commit_snap[..]
                    .try_into()
                    .ok()
                    .filter(|_| !row.recommit),
                now: self.now,
            }),
            pointer_bytes: self.head.config.pointer_bytes,
            conflicts: self.state.conflicts.clone(),
            root: self.head.root,
        };
        self.state.recommitting = std::mem::take(&mut self.state.row.recommit);
        self.state.sealing = Some(seq);
        self.state.unsealed_since = None;
        // It reads the change, which may be of this turn.
        self.seal = Some(input);
    }

    /// A change to which nothing was written gets a commit all the same: its parent's tree.
    pub fn want_commit(&mut self) {
        if self.state.lacks_commit() && !self.state.is_unsealed() && !self.state.recommitting {
            self.state.row.recommit = true;
            self.touch_head();
        }
    }

    /// Takes a seal's outcome into the batch. Answers whether the head is sealed up to its
    /// sequence now.
    pub async fn finish_seal(&mut self, built: Result<Built>) -> Result<bool> {
        self.state.sealing = None;
        // Not stored as done before the commit is.
        let recommitting = std::mem::take(&mut self.state.recommitting);
        let built = match built {
            Ok(built) => built,
            Err(error) => {
                tracing::warn!(head = %self.head.id, %error, "seal failed");
                self.state.row.recommit |= recommitting;
                self.seal_again(RETRY);
                return Ok(false);
            }
        };
        let org = self.head.org().clone();
        if let Some((commit, read)) = built.commit {
            let catalog = self.head.catalog.clone();
            let fresh = catalog
                .change(&org, &self.head.repo, &commit.change)
                .await?;
            if self.change_written || fresh.is_none_or(|fresh| fresh.version != read.version) {
                // The description changed meanwhile: the commit has to say the new one.
                self.state.row.recommit |= recommitting;
                self.seal_again(Nanos(0));
                return Ok(false);
            }
            self.change_written = true;
            let actor = Actor::server();
            let root = Some(built.root);
            let conflicted = built.conflicts.is_some();
            catalog.seal_change_in(&mut self.batch, &read, &commit, root, conflicted, &actor);
            self.state.row.commit = bytes::Bytes::copy_from_slice(&commit.oid.0);
            self.state.row.commit_snap = bytes::Bytes::copy_from_slice(&built.snap);
        }
        let seq = built.sealed.seq;
        self.keep_base();
        self.state.row.base_ns = self.now.0;
        self.state.row.base = bytes::Bytes::copy_from_slice(&built.root.0);
        self.state.row.sealed_seq = seq;
        self.state.named.retain(|_, last| *last > seq);
        self.take_conflicts(
            built.conflicts_were.as_ref(),
            built.conflicts,
            &built.leftovers,
        );
        self.touch_head();
        built.index.add_to(&mut self.batch);
        self.batch.writes.extend(built.git_rows.writes);
        self.drop_old_log().await?;

        let config = Arc::clone(&self.head.config);
        if self.state.row.seq == seq && self.state.tree.len() > config.nodes_max {
            self.state.tree = Tree::from_root(built.root_record);
        } else {
            self.state.tree.sealed(&built.sealed);
        }
        self.state.unsealed.sealed(seq, &built.stored);
        self.state
            .recent
            .trim(seq, config.recent_entries, config.recent_bytes);
        if self.state.needs_seal() {
            self.state.unsealed_since.get_or_insert(self.now);
        }
        let sealed = v1::Sealed {
            head_seq: seq,
            change_id: self.state.change().to_string(),
            commit_oid: self.state.commit().map_or(String::new(), |c| c.to_string()),
            tree: bytes::Bytes::copy_from_slice(&built.root.0),
        };
        self.broadcast(None, &Kind::Sealed(sealed));
        Ok(true)
    }

    /// Takes what a seal found of the conflicts it began with.
    fn take_conflicts(
        &mut self,
        were: Option<&Arc<Conflicts>>,
        now: Option<Arc<Conflicts>>,
        leftovers: &[TreePath],
    ) {
        let same = match (were, &self.state.conflicts) {
            (Some(were), Some(are)) => Arc::ptr_eq(were, are),
            (None, None) => true,
            _ => false,
        };
        if !same {
            // Resolved or made meanwhile: the next seal looks.
            return;
        }
        self.state.conflicts = now;
        self.state.row.conflicts = bytes::Bytes::new();
        self.state.row.no_conflicts = false;
        let files = leftovers.iter().filter_map(|path| apply::remove(path).ok());
        let files: Vec<_> = files.collect();
        if !files.is_empty() {
            let edit = Edit {
                id: format!("resolved-{}", self.head.catalog.unique()),
                files,
                ids: IdSpan::default(),
                actor: Actor::server(),
                origin: "resolved",
                describe: Describe::default(),
                expect: Expect {
                    change: Some(self.state.change()),
                    ..Expect::default()
                },
                commit: false,
                rebase: None,
                undone: None,
                conflicts: ConflictEdit::Keep,
            };
            // In the same change: closing it, and holding the head still, waits for it. A head
            // that leaves memory first leaves them behind, as files.
            self.state.leftovers = Some(Box::new(edit));
            self.recall_for_server();
        }
    }

    /// Keeps the base for states of the past before the head gets another one.
    pub fn keep_base(&mut self) {
        let row = &self.state.row;
        let base = rows::BaseRow {
            seq: row.sealed_seq,
            base: row.base.clone(),
            at_ns: keep::base_time(row),
        };
        let key = rows::base_key(self.head.org(), &self.head.id, row.sealed_seq);
        self.batch.put(Table::Heads, key, rows::encode(&base));
    }

    fn seal_again(&mut self, after: Nanos) {
        self.state.unsealed_since.get_or_insert(self.now);
        self.state.seal_after = Nanos(self.now.0 + after.0);
    }

    /// Removes log rows that nobody needs any more.
    async fn drop_old_log(&mut self) -> Result<()> {
        let kept = Kept {
            catalog: &self.head.catalog,
            config: &self.head.config,
            org: self.head.org(),
            head: &self.head.id,
            row: &self.state.row,
            now: self.now,
        };
        kept.old_log(&mut self.batch, LOG_ROWS_MAX).await?;
        Ok(())
    }
}

/// Runs a seal beside the head.
pub(crate) fn spawn(head: Arc<Head>, input: SealInput) {
    tokio::spawn(async move {
        let built = seal::build(&head.packs, &head.catalog, input).await;
        // Without the task nobody wants the outcome; the packs are garbage then.
        let _ = head.commands.send(Command::Built(Box::new(built))).await;
    });
}

/// Makes a snapshot of a tree that is no head's (recovery).
pub(crate) async fn snapshot(
    parts: &super::load::Parts,
    tree: &Tree,
    unsealed: &Unsealed,
    conflicts: Option<Arc<Conflicts>>,
    seq: u64,
) -> Result<Option<Built>> {
    let Some(plan) = tree.seal_plan(seq) else {
        return Ok(None);
    };
    let input = SealInput {
        plan,
        unsealed: unsealed.snapshot(),
        lineage: None,
        pointer_bytes: parts.config.pointer_bytes,
        conflicts,
        root: tree.root(),
    };
    Ok(Some(
        seal::build(&parts.packs, &parts.catalog, input).await?,
    ))
}

/// Parent oids as stored.
pub(crate) fn stored_oids(oids: &[GitOid]) -> Vec<bytes::Bytes> {
    oids.iter()
        .map(|oid| bytes::Bytes::copy_from_slice(&oid.0))
        .collect()
}
