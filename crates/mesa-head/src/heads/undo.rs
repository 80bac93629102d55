//! Undoing actions.

use std::collections::HashSet;

use mesa_proto::v1::op::Kind;
use mesa_repo::{Actor, Repo};
use mesa_types::{ChangeId, CommitOid, FileId};

use super::{Heads, past::Place, rewrite::Rewrite};
use crate::{
    ViewTarget,
    edit::Undone,
    error::{HeadError, Result},
    heads::past::ActionFilter,
    oplog::{
        Action, Who,
        segments::{PathSet, Segment, segments},
        state::no_operation,
        transform::Within,
        undo::{Piece, Renamed},
    },
    rows::UndoneAction,
    versions::merge::PathConflict,
};

/// Actions looked at for one that can be undone.
const LOOK_MAX: usize = 5000;
/// Actions read at a time.
const PAGE: usize = 50;
/// Renames of one action that are taken back as such.
const RENAMES_MAX: usize = 256;

/// An action to be undone.
#[derive(Debug, Clone)]
pub struct Undo {
    /// The change it was written to.
    pub change: ChangeId,
    /// One of its operations; absent: the newest action that is no undo and was not undone.
    pub action: Option<u64>,
    /// Where that is written.
    pub onto: ViewTarget,
    /// Only at these paths, unless there are none.
    pub paths: Vec<Vec<u8>>,
    /// What conflicts with later operations becomes part of the change, as conflicts.
    pub allow_conflicted: bool,
}

/// What became of an undo or restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The change written to.
    pub change: ChangeId,
    /// Its commit, which has it.
    pub commit: Option<CommitOid>,
    /// What was written; `None` if everything was as wanted already.
    pub written: Option<Action>,
    /// Paths in conflict now.
    pub conflicts: Vec<PathConflict>,
}

/// What an undo came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UndoOutcome {
    /// It was done.
    Done {
        /// First operation of the action undone.
        undone: u64,
        /// What was written.
        rewritten: Box<Rewritten>,
    },
    /// Nothing happened: later operations changed these paths as well.
    Conflicts(Vec<PathConflict>),
}

impl Heads {
    /// Undoes an action: what it changed is taken back, what others or later actions changed
    /// stays.
    pub async fn undo(&self, actor: &Actor, repo: &Repo, wanted: Undo) -> Result<UndoOutcome> {
        let place = self.place(repo, &wanted.change).await?;
        let Some(place) = place else {
            return Err(match wanted.action {
                Some(_) => no_operation(),
                None => nothing(),
            });
        };
        let seq = match wanted.action {
            Some(seq) => seq,
            None => self.undoable(repo, &wanted.change).await?,
        };
        let (action, who) = self.action_at(repo, &place.span, seq).await?;
        let pieces = self
            .pieces(repo, &place, &action, &who, &wanted.paths)
            .await?;
        let undone = Undone {
            action: UndoneAction {
                head: place.span.head.as_str().to_owned(),
                first: action.first,
                last: action.last,
            },
            whole: wanted.paths.is_empty(),
        };
        let rewrite = Rewrite::Undo {
            pieces,
            undone,
            conflicted: wanted.allow_conflicted,
        };
        let done = self
            .rewrite(actor, repo, &wanted.onto, &rewrite, None)
            .await?;
        Ok(match done {
            Ok(rewritten) => UndoOutcome::Done {
                undone: action.first,
                rewritten: Box::new(rewritten),
            },
            Err(conflicts) => UndoOutcome::Conflicts(conflicts),
        })
    }

    /// The newest action that is no undo and was not undone. A rebase is nobody's action.
    async fn undoable(&self, repo: &Repo, change: &ChangeId) -> Result<u64> {
        let filter = ActionFilter::default();
        let (mut cursor, mut looked) = (None, 0);
        loop {
            let page = self.actions(repo, change, &filter, cursor, PAGE).await?;
            looked += page.actions.len();
            let is_undoable = |action: &&Action| {
                action.undoes.is_none() && action.undone_by.is_none() && action.origin != "rebase"
            };
            let found = page.actions.iter().find(is_undoable);
            match (found, page.next) {
                (Some(action), _) => return Ok(action.last),
                (None, Some(next)) if looked < LOOK_MAX => cursor = Some(next),
                (None, _) => return Err(nothing()),
            }
        }
    }

    async fn pieces(
        &self,
        repo: &Repo,
        place: &Place,
        action: &Action,
        who: &Who,
        paths: &[Vec<u8>],
    ) -> Result<Vec<Piece>> {
        let parts = self.parts(&repo.org).await?;
        let log = self.log(repo, &place.span.head);
        let root = FileId::root_of(repo.tag);
        let only: Option<PathSet> = (!paths.is_empty()).then(|| paths.iter().cloned().collect());
        let mut pieces = Vec::new();
        for segment in segments(log, root, who, (action.first, action.last)).await? {
            let renames = if action.counts.of(crate::oplog::OpSort::Rename) > 0 {
                self.renames(repo, place, &segment, who).await?
            } else {
                Vec::new()
            };
            let before = self.state_after(&parts, repo, place, segment.first - 1);
            let before = before.await?;
            let after = self.state_after(&parts, repo, place, segment.last).await?;
            let mut within = Within::default();
            within.and(segment.paths);
            within.and(only.clone());
            pieces.push(Piece {
                after,
                before,
                within,
                renames,
            });
        }
        Ok(pieces)
    }

    /// What a piece of an action moved, as its session saw it: from where to where altogether.
    async fn renames(
        &self,
        repo: &Repo,
        place: &Place,
        segment: &Segment,
        who: &Who,
    ) -> Result<Vec<Renamed>> {
        let log = self.log(repo, &place.span.head);
        let begin = log.row_of(segment.first).await?;
        let begin = begin.map_or(segment.first, |row| row.first_seq);
        let mut rows = log.forwards(begin, segment.last);
        let mut found: Vec<Renamed> = Vec::new();
        let mut exchanged = HashSet::new();
        while let Some(entry) = rows.next().await? {
            for (index, op) in entry.ops.iter().enumerate() {
                let seq = entry.first_seq + index as u64;
                let Some(Kind::Rename(rename)) = &op.kind else {
                    continue;
                };
                if seq < segment.first || seq > segment.last || Who::of(&entry, index) != *who {
                    continue;
                }
                if rename.exchange {
                    exchanged.extend([rename.id, rename.replaced]);
                }
                let Some(shown) = crate::oplog::operation(&entry, index) else {
                    continue;
                };
                let known = found.iter().position(|known| known.id == rename.id);
                match known {
                    Some(known) => found[known].to = shown.path,
                    None if found.len() < RENAMES_MAX => found.push(Renamed {
                        from: shown.from.unwrap_or_default(),
                        to: shown.path,
                        id: rename.id,
                    }),
                    None => {}
                }
            }
        }
        found.retain(|renamed| !exchanged.contains(&renamed.id) && renamed.from != renamed.to);
        Ok(found)
    }
}

fn nothing() -> HeadError {
    HeadError::not_found(
        "NOTHING_TO_UNDO",
        "no action of the change is left to be undone",
    )
}
