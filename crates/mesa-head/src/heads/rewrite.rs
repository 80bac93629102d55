//! Writing what was: one write to a head, computed from the head's tree and states of the past.
//!
//! The write is made of operations like any other and holds for the tree it was computed from.
//! It is tried beside the head first; if somebody writes meanwhile, the head is held still for it.

use mesa_repo::{Actor, Repo};
use mesa_types::{CommitOid, ObjectId};
use mesa_vcs::tree::TreeValue;

use super::{
    Heads, SealedAt,
    open::Found,
    restore::Wish,
    undo::Rewritten,
    write::{busy, is_at, is_passing, stale},
};
use crate::{
    ViewTarget,
    edit::{ConflictEdit, Describe, Edit, Edited, Expect, Undone, plan},
    error::{HeadError, Result},
    head::{command::Command, freeze::Frozen},
    oplog::undo::{Piece, Undoer, Undoing},
    versions::{merge::PathConflict, store::Versions},
};

/// Attempts while others write to the same change.
const ATTEMPTS: usize = 8;
/// File ids beyond those counted: directories above conflicts.
const IDS_SPARE: u64 = 4096;

/// What is to be written.
pub(super) enum Rewrite {
    Undo {
        pieces: Vec<Piece>,
        undone: Undone,
        conflicted: bool,
    },
    Restore(Wish),
}

impl Rewrite {
    fn origin(&self) -> &'static str {
        match self {
            Self::Undo { .. } => "undo",
            Self::Restore(_) => "restore",
        }
    }
}

impl Heads {
    /// Writes to what `onto` names, if that has the commit `seen`. The inner error are conflicts;
    /// then nothing was written.
    pub(super) async fn rewrite(
        &self,
        actor: &Actor,
        repo: &Repo,
        onto: &ViewTarget,
        what: &Rewrite,
        seen: Option<CommitOid>,
    ) -> Result<Result<Rewritten, Vec<PathConflict>>> {
        let id = format!("{}-{}", what.origin(), self.catalog().unique());
        let mut last = HeadError::gone();
        for attempt in 0..ATTEMPTS {
            let found = self.find_for_write(repo, onto).await?;
            let tried = self
                .try_rewrite(actor, repo, &found, (what, seen), &id, attempt > 0)
                .await;
            match tried {
                Err(error) if is_passing(&error) => last = error,
                Err(error) => {
                    self.discard(repo, &found).await?;
                    return Err(error);
                }
                Ok(Err(conflicts)) => {
                    self.discard(repo, &found).await?;
                    return Ok(Err(conflicts));
                }
                done => return done,
            }
        }
        Err(busy(&last))
    }

    async fn try_rewrite(
        &self,
        actor: &Actor,
        repo: &Repo,
        found: &Found,
        (what, seen): (&Rewrite, Option<CommitOid>),
        id: &str,
        hold: bool,
    ) -> Result<Result<Rewritten, Vec<PathConflict>>> {
        let held = if hold {
            Some(self.call(&repo.org, &found.head, Command::Freeze).await?)
        } else {
            None
        };
        let done = self
            .rewrite_from(actor, repo, found, (what, seen), id, held)
            .await;
        let (written, conflicts) = match done? {
            Ok(Some((written, conflicts))) => (Some(written), conflicts),
            Ok(None) => (None, Vec::new()),
            Err(conflicts) => return Ok(Err(conflicts)),
        };
        let Some((edited, first)) = written else {
            let at = match &found.parent {
                Some(parent) => {
                    self.discard(repo, found).await?;
                    self.seal_or_root(repo, parent).await?
                }
                None => self.seal(&repo.org, &repo.id, &found.change).await?,
            };
            return Ok(Ok(Rewritten {
                change: at.change,
                commit: at.commit,
                written: None,
                conflicts,
            }));
        };
        let at = self.edited(repo, found, edited).await?;
        let written = self.action(repo, &at.change, first).await?;
        Ok(Ok(Rewritten {
            change: at.change,
            commit: at.commit,
            written: Some(written),
            conflicts,
        }))
    }

    /// Computes and writes; answers the number of the first operation, or nothing if there is
    /// nothing to do.
    #[allow(clippy::type_complexity, reason = "three outcomes of one private step")]
    async fn rewrite_from(
        &self,
        actor: &Actor,
        repo: &Repo,
        found: &Found,
        (what, seen): (&Rewrite, Option<CommitOid>),
        id: &str,
        held: Option<Frozen>,
    ) -> Result<Result<Option<((Edited, u64), Vec<PathConflict>)>, Vec<PathConflict>>> {
        let at = if let Some(held) = &held {
            held.at.clone()
        } else {
            let change = Some(found.change);
            self.call(&repo.org, &found.head, |reply| Command::Seal {
                change,
                reply,
            })
            .await?
        };
        if let Some(seen) = seen {
            let is_seen = match &found.parent {
                Some(parent) => is_at(&self.seal_or_root(repo, parent).await?, seen),
                None => is_at(&at, seen),
            };
            if !is_seen {
                return Err(stale(Some(seen)));
            }
        }
        let planned = self.planned(repo, &at, what).await?;
        if !planned.conflicts.is_empty() && planned.table.is_none() {
            return Ok(Err(planned.conflicts));
        }
        if planned.files.is_empty() {
            return Ok(Ok(None));
        }
        let ids = plan::ids_wanted(&planned.files);
        let ids = self.some_ids(repo, ids + IDS_SPARE).await?;
        let edit = Edit {
            id: id.to_owned(),
            files: planned.files,
            ids,
            actor: actor.clone(),
            origin: what.origin(),
            describe: Describe::default(),
            expect: Expect {
                change: Some(found.change),
                seq: Some(at.head_seq),
                bookmark: found.bookmark.clone(),
                pending: seen.is_some() && found.parent.is_some(),
                ..Expect::default()
            },
            commit: false,
            rebase: None,
            undone: match what {
                Rewrite::Undo { undone, .. } => Some(undone.clone()),
                Rewrite::Restore(_) => None,
            },
            conflicts: planned.table.map_or(ConflictEdit::Keep, |table| {
                ConflictEdit::Set(Box::new(table))
            }),
        };
        let edited = self.edit_held(repo, &found.head, held, edit).await?;
        let written = ((edited, at.head_seq + 1), planned.conflicts);
        Ok(Ok(Some(written)))
    }

    async fn planned(&self, repo: &Repo, at: &SealedAt, what: &Rewrite) -> Result<Undoing> {
        let parts = self.parts(&repo.org).await?;
        let store = self.versions(repo).await?;
        let now = self.catalog().now();
        match what {
            Rewrite::Undo {
                pieces, conflicted, ..
            } => {
                let undoer = Undoer {
                    parts: &parts,
                    store: &store,
                    now,
                    conflicted: *conflicted,
                };
                undoer.undo(at.root, pieces).await
            }
            Rewrite::Restore(wish) => {
                let files = wish.files(&store, at.root, now).await?;
                Ok(Undoing {
                    files,
                    ..Undoing::default()
                })
            }
        }
    }
}

/// The root directory of a snapshot.
pub(super) async fn root_value(store: &Versions, root: Option<ObjectId>) -> Result<TreeValue> {
    Ok(TreeValue::of_root(&store.root(root).await?))
}
