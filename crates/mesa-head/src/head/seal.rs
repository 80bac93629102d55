//! When a head is sealed, and taking the outcome.

use std::sync::Arc;

use mesa_meta::{Range, Table};
use mesa_proto::v1::{self, server_message::Kind};
use mesa_repo::Actor;
use mesa_types::{GitOid, Nanos};

use super::{
    Head, State,
    command::{Command, SealedAt},
    oid,
    recent::last_seq,
    turn::Turn,
};
use crate::{
    content::Unsealed,
    error::Result,
    rows,
    seal::{self, Built, Lineage, SealInput},
    tree::Tree,
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
        if self.sealing.is_some() || !self.is_unsealed() {
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
        if self.state.sealing.is_some() || !self.state.is_unsealed() {
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
                snap: row.commit_snap[..].try_into().ok(),
                now: self.now,
            }),
            pointer_bytes: self.head.config.pointer_bytes,
        };
        self.state.sealing = Some(seq);
        self.state.unsealed_since = None;
        let head = Arc::clone(self.head);
        tokio::spawn(async move {
            let built = seal::build(&head.packs, &head.catalog, input).await;
            // Without the task nobody wants the outcome; the packs are garbage then.
            let _ = head.commands.send(Command::Built(Box::new(built))).await;
        });
    }

    /// Takes a seal's outcome into the batch. Answers whether the head is sealed up to its
    /// sequence now.
    pub async fn finish_seal(&mut self, built: Result<Built>) -> Result<bool> {
        self.state.sealing = None;
        let built = match built {
            Ok(built) => built,
            Err(error) => {
                tracing::warn!(head = %self.head.id, %error, "seal failed");
                self.seal_again();
                return Ok(false);
            }
        };
        let org = self.head.org().clone();
        if let Some((commit, read)) = built.commit {
            let catalog = self.head.catalog.clone();
            let fresh = catalog
                .change(&org, &self.head.repo, &commit.change)
                .await?;
            if fresh.is_none_or(|fresh| fresh.version != read.version) {
                // The description changed meanwhile: the commit has to say the new one.
                self.seal_again();
                return Ok(false);
            }
            let actor = Actor::server();
            let root = Some(built.root);
            catalog.seal_change_in(&mut self.batch, &read, &commit, root, &actor);
            self.state.row.commit = bytes::Bytes::copy_from_slice(&commit.oid.0);
            self.state.row.commit_snap = bytes::Bytes::copy_from_slice(&built.snap);
        }
        let seq = built.sealed.seq;
        self.state.row.base = bytes::Bytes::copy_from_slice(&built.root.0);
        self.state.row.sealed_seq = seq;
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
        if self.state.is_unsealed() {
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

    fn seal_again(&mut self) {
        self.state.unsealed_since.get_or_insert(self.now);
        self.state.seal_after = Nanos(self.now.0 + RETRY.0);
    }

    /// Removes log rows that are sealed and older than the retention.
    async fn drop_old_log(&mut self) -> Result<()> {
        let range = Range::prefix(rows::log_prefix(self.head.org(), &self.head.id));
        let before = self.now.0 - self.head.config.log_life.0;
        let meta = self.head.catalog.meta();
        // Rows can be large: look at one before reading many.
        for limit in [1, LOG_ROWS_MAX] {
            let old = meta.scan(Table::OpLog, &range, limit, false).await?;
            for stored in old {
                let entry = rows::log_entry(&stored.row.value)?;
                if entry.received_ns >= before || last_seq(&entry) > self.state.row.sealed_seq {
                    return Ok(());
                }
                if limit > 1 {
                    self.batch.delete(Table::OpLog, stored.key);
                }
            }
        }
        Ok(())
    }
}

/// Makes a snapshot of a tree that is no head's (recovery).
pub(crate) async fn snapshot(
    parts: &super::load::Parts,
    tree: &Tree,
    unsealed: &Unsealed,
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
