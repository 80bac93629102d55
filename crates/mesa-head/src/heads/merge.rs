//! Merging into a bookmark, or changes with each other.
//!
//! Into a change: both sides are closed and the merge is a change on top of them that no bookmark
//! names; who writes to one of them goes on on top of that side. Into a bookmark:
//! The bookmark's head is held still, so that what is merged is what its sessions see; the merge
//! is a change of its own, written like any other and found by nobody before the bookmark moves to
//! it, together with the head. A crash before that leaves a change that nothing names.

use std::{collections::BTreeMap, time::Duration};

use mesa_repo::{Actor, ChangeState, OperationKind, Repo};
use mesa_types::{ChangeId, CommitOid};

use super::{
    Heads, SealedAt,
    open::Found,
    write::{busy, is_at, is_passing},
};
use crate::{
    ViewTarget,
    edit::{ConflictEdit, Describe, Edit, Expect},
    error::{HeadError, Result},
    head::freeze::Frozen,
    versions::{
        base::Bases,
        merge::{self, Merged, PathConflict, Resolve, Side},
    },
};

/// Attempts while others write to both sides.
const ATTEMPTS: u64 = 32;

/// A merge to be made.
#[derive(Debug, Clone)]
pub struct MergeInto {
    /// The bookmark merged into, or the change that is the merge's first parent.
    pub target: ViewTarget,
    /// What is merged: a change, by itself or by a bookmark.
    pub source: ViewTarget,
    /// Description and author of the merge.
    pub describe: Describe,
    /// How paths in conflict are resolved, by path.
    pub resolutions: BTreeMap<Vec<u8>, Resolve>,
    /// What is not resolved becomes part of the merge, as conflicts.
    pub allow_conflicted: bool,
}

/// Commits that the caller of a merge saw, zeros for none; `STALE_COMMIT` if a side has another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MergeSeen {
    /// Of the bookmark merged into.
    pub target: Option<CommitOid>,
    /// Of the one that is merged.
    pub source: Option<CommitOid>,
}

impl MergeSeen {
    fn check(&self, wanted: &MergeInto, target: &SealedAt, source: &SealedAt) -> Result<()> {
        let sides = [
            (&wanted.target, target, self.target),
            (&wanted.source, source, self.source),
        ];
        for (name, at, seen) in sides {
            if seen.is_some_and(|seen| !is_at(at, seen)) {
                let now = at
                    .commit
                    .map_or_else(|| "none".to_owned(), |oid| oid.to_string());
                return Err(HeadError::conflict(
                    "STALE_COMMIT",
                    format!("the commit of '{}' is {now} by now", named(name)),
                ));
            }
        }
        Ok(())
    }
}

/// What a merge came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeOutcome {
    /// The bookmark names the merge.
    Merged {
        /// The merge.
        change: ChangeId,
        /// Its commit.
        commit: CommitOid,
        /// It has conflicts.
        conflicted: bool,
    },
    /// The target had everything.
    Nothing {
        /// What the target names.
        change: ChangeId,
        /// Its commit.
        commit: Option<CommitOid>,
    },
    /// Nothing happened: these paths need resolutions.
    Conflicts(Vec<PathConflict>),
}

impl Heads {
    /// Merges what one bookmark names into another.
    pub async fn merge(
        &self,
        actor: &Actor,
        repo: &Repo,
        wanted: MergeInto,
    ) -> Result<MergeOutcome> {
        self.merge_seen(actor, repo, wanted, MergeSeen::default())
            .await
    }

    /// The same, if both sides are what the caller saw.
    pub async fn merge_seen(
        &self,
        actor: &Actor,
        repo: &Repo,
        wanted: MergeInto,
        seen: MergeSeen,
    ) -> Result<MergeOutcome> {
        let _turn = match &wanted.target {
            ViewTarget::Bookmark(name) => Some(self.bookmark_turn(repo, name).await),
            ViewTarget::Change(_) => None,
        };
        let mut last = HeadError::gone();
        for attempt in 0..ATTEMPTS {
            match self
                .try_merge(actor, repo, &wanted, seen, attempt == 0)
                .await
            {
                // All writers of the target waited for it: not again.
                Err(error) if error.code == "TOOK_TOO_LONG" => return Err(busy(&error)),
                Err(error) if is_passing(&error) => {
                    last = error;
                    // Who writes all the time gets to an end of it.
                    tokio::time::sleep(Duration::from_millis(attempt.min(50))).await;
                }
                answer => return answer,
            }
        }
        Err(busy(&last))
    }

    async fn try_merge(
        &self,
        actor: &Actor,
        repo: &Repo,
        wanted: &MergeInto,
        seen: MergeSeen,
        first: bool,
    ) -> Result<MergeOutcome> {
        let target = match &wanted.target {
            ViewTarget::Bookmark(name) => Some(self.named(repo, name).await?),
            ViewTarget::Change(_) => None,
        };
        let ours = match &target {
            Some(target) => target.change,
            None => self.side(repo, &wanted.target).await?,
        };
        let theirs = self.side(repo, &wanted.source).await?;
        let now = self.seal_or_root(repo, &ours).await?;
        let from = self.seal_or_root(repo, &theirs).await?;
        seen.check(wanted, &now, &from)?;
        let graph = self.graph(repo);
        if ours == theirs || graph.is_ancestor(from.commit, now.commit).await? {
            return Ok(MergeOutcome::Nothing {
                change: ours,
                commit: now.commit,
            });
        }
        // Nothing is closed for a merge that needs resolutions first.
        if first {
            let tried = self.snapshots(repo, wanted, (ours, &now), &from).await?;
            if !tried.conflicts.is_empty() {
                return Ok(MergeOutcome::Conflicts(tried.conflicts));
            }
        }
        self.close_change(repo, &theirs, ChangeState::Published)
            .await?;
        let from = self.seal_or_root(repo, &theirs).await?;
        let held = match &target {
            Some(target) => self.hold(repo, &target.name, target).await?,
            None => None,
        };
        let merged = self
            .merge_held(actor, repo, (wanted, seen), (ours, &from), held.as_ref())
            .await;
        let (merged, conflicted) = match merged {
            Ok(Ok(merged)) => merged,
            Ok(Err(conflicts)) => return Ok(MergeOutcome::Conflicts(conflicts)),
            Err(error) => return Err(error),
        };
        let commit = merged
            .commit
            .ok_or_else(|| HeadError::corrupt("a merge without a commit"))?;
        if let Some(target) = &target {
            let what = OperationKind::BookmarkMerged {
                name: target.name.clone(),
                source: theirs,
                merge: merged.change,
            };
            let (to, leave) = (merged.change, ChangeState::Published);
            self.move_held(actor, repo, target, to, held, leave, Some(what))
                .await?;
        }
        Ok(MergeOutcome::Merged {
            change: merged.change,
            commit,
            conflicted,
        })
    }

    /// The change on a side of a merge.
    async fn side(&self, repo: &Repo, side: &ViewTarget) -> Result<ChangeId> {
        match side {
            ViewTarget::Bookmark(name) => Ok(self.named(repo, name).await?.change),
            ViewTarget::Change(id) => {
                self.not_abandoned(repo, id).await?;
                Ok(*id)
            }
        }
    }

    /// Makes the merge change, while the target's head is held still.
    async fn merge_held(
        &self,
        actor: &Actor,
        repo: &Repo,
        (wanted, seen): (&MergeInto, MergeSeen),
        (ours, from): (ChangeId, &SealedAt),
        held: Option<&Frozen>,
    ) -> Result<Result<(SealedAt, bool), Vec<PathConflict>>> {
        let now = match held {
            Some(held) if held.at.change != ours => return Err(HeadError::gone()),
            Some(held) if !held.pending => held.at.clone(),
            _ => {
                self.close_change(repo, &ours, ChangeState::Published)
                    .await?;
                self.seal_or_root(repo, &ours).await?
            }
        };
        // Both sides stand still from here on.
        seen.check(wanted, &now, from)?;
        let merged = self.snapshots(repo, wanted, (ours, &now), from).await?;
        let conflicted = merged.table.is_some();
        if !merged.conflicts.is_empty() {
            return Ok(Err(merged.conflicts));
        }
        let ids = crate::edit::plan::ids_wanted(&merged.edits);
        let ids = self.some_ids(repo, ids).await?;
        let parents: Vec<ChangeId> = [ours, from.change]
            .into_iter()
            .filter(|id| !id.is_root())
            .collect();
        let begin = SealedAt {
            change: ours,
            root: merged.base,
            ..now.clone()
        };
        let (head, change) = self
            .hidden_head_at(repo, &parents, &[begin, from.clone()])
            .await?;
        let message = wanted.describe.message.clone().unwrap_or_else(|| {
            let (source, target) = (named(&wanted.source), named(&wanted.target));
            format!("Merge '{source}' into '{target}'")
        });
        let edit = Edit {
            id: format!("merge-{}", self.catalog().unique()),
            files: merged.edits,
            ids,
            actor: actor.clone(),
            origin: "merge",
            describe: Describe {
                message: Some(message),
                ..wanted.describe.clone()
            },
            expect: Expect::default(),
            commit: true,
            conflicts: merged.table.map_or(ConflictEdit::Keep, |table| {
                ConflictEdit::Set(Box::new(table))
            }),
            rebase: None,
            undone: None,
        };
        let found = Found {
            head,
            change,
            parent: None,
            bookmark: None,
        };
        self.edit(repo, &found.head, edit).await?;
        self.seal(&repo.org, &repo.id, &change).await?;
        self.close_change(repo, &change, ChangeState::Closed)
            .await?;
        let sealed = self.seal(&repo.org, &repo.id, &change).await?;
        Ok(Ok((sealed, conflicted)))
    }

    /// Merges what is sealed.
    async fn snapshots(
        &self,
        repo: &Repo,
        wanted: &MergeInto,
        (ours, now): (ChangeId, &SealedAt),
        from: &SealedAt,
    ) -> Result<Merged> {
        let store = self.versions(repo).await?;
        let at = self.catalog().now();
        let mut base = None;
        if let (Some(now), Some(from)) = (now.commit, from.commit) {
            let parts = self.parts(&repo.org).await?;
            let mut bases = Bases::new(self.graph(repo), &parts, &store, at);
            base = Some(bases.of(now, from).await?);
        }
        let side = |root, label| Side { root, label };
        let label = |side: &ViewTarget, id: ChangeId| match side {
            ViewTarget::Bookmark(name) => format!("{name} ({})", short(id)),
            ViewTarget::Change(_) => short(id),
        };
        let commits = base.iter().flat_map(|base| &base.commits);
        let commits: Vec<String> = commits.map(|commit| short(commit.change)).collect();
        let base_label = match &commits[..] {
            [] => "the empty tree".to_owned(),
            [one] => format!("common ancestor ({one})"),
            some => format!("common ancestors ({})", some.join(", ")),
        };
        let sides = [
            side(now.root, label(&wanted.target, ours)),
            side(base.and_then(|base| base.root), base_label),
            side(from.root, label(&wanted.source, from.change)),
        ];
        merge::merge(
            &store,
            sides,
            at,
            &wanted.resolutions,
            wanted.allow_conflicted,
        )
        .await
    }
}

/// A side as messages name it.
fn named(side: &ViewTarget) -> String {
    match side {
        ViewTarget::Bookmark(name) => name.to_string(),
        ViewTarget::Change(id) => short(*id),
    }
}

/// The first letters of a change's id.
fn short(id: ChangeId) -> String {
    let mut text = id.to_string();
    text.truncate(8);
    text
}
