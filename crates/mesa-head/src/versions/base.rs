//! What two lines of changes are merged against.
//!
//! Lines that were merged into each other at the same time have several best common ancestors.
//! Any one of them would do only for what the other one did not change: their merge is the base,
//! made against their own common ancestors in the same way. Where they do not merge, the base is
//! what neither side can have, so that sides that differ there are in conflict and no decision
//! that one of them made is lost.

use bytes::Bytes;
use mesa_repo::Commit;
use mesa_types::{CommitOid, ContentRef, Nanos, NodeKind, ObjectId};
use mesa_vcs::{
    Merge,
    tree::{Conflict, ConflictKind, MergeOptions, Terms, TreeStore, conflict_text, merge_trees},
};

use super::{apply, graph::Graph, merge, scratch, store::Versions};
use crate::{
    error::{HeadError, Result},
    head::load::Parts,
};

/// Merges of common ancestors for one base. Lines that were merged crosswise more often in a row
/// take the newest ancestor for what lies before.
const MERGES_MAX: usize = 64;
/// Content of a path about which common ancestors disagree, where that cannot be shown as text.
const DISAGREED: &[u8] = b"The common ancestors disagree about this path.\n";

/// The base of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    /// Its snapshot; `None` is the empty tree.
    pub root: Option<ObjectId>,
    /// The common ancestors it is made of, the newest first.
    pub commits: Vec<Commit>,
}

/// Finds bases.
pub(crate) struct Bases<'a> {
    graph: Graph<'a>,
    parts: &'a Parts,
    store: &'a Versions,
    now: Nanos,
    left: usize,
}

impl<'a> Bases<'a> {
    pub fn new(graph: Graph<'a>, parts: &'a Parts, store: &'a Versions, now: Nanos) -> Self {
        Self {
            graph,
            parts,
            store,
            now,
            left: MERGES_MAX,
        }
    }

    /// The base of two commits.
    pub async fn of(&mut self, one: CommitOid, other: CommitOid) -> Result<Base> {
        let commits = self.graph.merge_bases(&[one], other).await?;
        let root = self.united(&commits).await?;
        Ok(Base { root, commits })
    }

    /// The merge of commits.
    async fn united(&mut self, commits: &[Commit]) -> Result<Option<ObjectId>> {
        let Some((first, others)) = commits.split_first() else {
            return Ok(None);
        };
        let (mut root, mut oids) = (first.root, vec![first.oid]);
        for other in others {
            if self.left == 0 {
                break;
            }
            if other.root != root {
                self.left -= 1;
                let above = self.graph.merge_bases(&oids, other.oid).await?;
                let base = Box::pin(self.united(&above)).await?;
                root = self.merged([root, base, other.root]).await?;
            }
            oids.push(other.oid);
        }
        Ok(root)
    }

    /// The merge of snapshots as one.
    async fn merged(&self, sides: [Option<ObjectId>; 3]) -> Result<Option<ObjectId>> {
        let (store, key) = (self.store, self.store.packs.key());
        let mut all = Vec::with_capacity(3);
        for side in sides {
            all.push((merge::terms(store, side).await?, String::new()));
        }
        let all =
            Merge::from_terms(all).ok_or_else(|| HeadError::corrupt("three sides are odd"))?;
        let terms = Terms::merge(all);
        let first = terms.roots.first();
        let is_empty = *first == store.root(None).await?;
        let begin = (!is_empty).then(|| first.encode(key)).transpose()?;
        let merged = merge_trees(store, &terms.roots, &MergeOptions::new(self.now))
            .await
            .map_err(merge::failed)?;
        let mut edits = apply::prepared(store, &terms.roots, merged.edits, self.now).await?;
        for (path, conflict) in &merged.conflicts {
            let mut record = (*conflict.shown).clone();
            if record.attr.kind != NodeKind::File {
                record.attr.kind = NodeKind::File;
                record.attr.mode = 0o644;
                record.target = Bytes::new();
            }
            record.attr.content = self.disagreed(conflict).await?;
            edits.push(apply::remove(path)?);
            edits.push(apply::node(path, &record)?);
        }
        let begin = begin.map(|object| object.id);
        scratch::applied(self.parts, store.root, self.now, begin, &edits).await
    }

    /// A content that no side has: texts merge around what is in conflict.
    async fn disagreed(&self, conflict: &Conflict) -> Result<ContentRef> {
        let mut shown = DISAGREED.to_vec();
        if conflict.kind == ConflictKind::Text {
            let text = conflict_text(self.store, conflict, &mesa_vcs::Labels::none()).await;
            if let Some(text) = text.map_err(merge::failed)? {
                shown = text.shown();
            }
        }
        let stored = self.store.write(vec![shown.into()]).await?;
        Ok(stored.first().map_or(ContentRef::Empty, |s| s.content))
    }
}
