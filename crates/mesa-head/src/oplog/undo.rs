//! Taking a difference between two states of the past back in a head's tree.

use std::collections::BTreeMap;

use mesa_types::{Nanos, NodeKind, ObjectId};
use mesa_vcs::{
    Labels, Merge,
    tree::{Conflict, MergeOptions, TreePath, TreeValue, merge_trees},
};

use super::{
    listing::Lister,
    segments::Place,
    transform::{How, Target, Within, transform},
};
use crate::{
    edit::{FilePath, Prepared},
    error::{HeadError, HeadErrorKind, Result},
    head::load::Parts,
    versions::{
        merge::{Keep, PathConflict, can_be_kept, failed, shown},
        scratch,
        store::Versions,
        table::Table,
    },
};

/// A piece of an action.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// The state after it.
    pub after: Option<ObjectId>,
    /// The state before it.
    pub before: Option<ObjectId>,
    /// Where it is undone.
    pub within: Within,
    /// Renames it made, as its session saw them: from, to, node.
    pub renames: Vec<Renamed>,
}

/// A node that was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Renamed {
    pub from: Vec<u8>,
    pub to: Vec<u8>,
    pub id: u64,
}

/// What undoing comes to.
#[derive(Debug, Default)]
pub(crate) struct Undoing {
    /// The operations.
    pub files: Vec<Prepared>,
    /// Paths that later operations changed as well.
    pub conflicts: Vec<PathConflict>,
    /// All conflicts of the head then, and shown by `files`, if that was wanted and is possible.
    pub table: Option<Table>,
}

/// Paths that later operations changed as well.
type Conflicts = BTreeMap<TreePath, Conflict>;

/// A computation over the snapshots of an org.
pub(crate) struct Undoer<'a> {
    pub parts: &'a Parts,
    pub store: &'a Versions,
    pub now: Nanos,
    /// Conflicts become part of the change.
    pub conflicted: bool,
}

impl Undoer<'_> {
    /// Undoes the pieces of an action, the last one first, in the tree `head`.
    pub async fn undo(&self, head: Option<ObjectId>, pieces: &[Piece]) -> Result<Undoing> {
        let mut all = Undoing::default();
        let mut found = Conflicts::new();
        let mut at = head;
        for (n, piece) in pieces.iter().enumerate().rev() {
            let files = self.piece(at, piece, &mut found).await?;
            if n > 0 {
                at = self.applied(at, &files).await?;
            }
            all.files.extend(files);
        }
        for (path, conflict) in &found {
            let shown = shown(self.store, path, conflict, &labels()).await?;
            all.conflicts.push(shown);
        }
        if self.conflicted && !found.is_empty() {
            all.table = self.kept(head, found, &mut all.files).await?;
        }
        Ok(all)
    }

    /// The table of the head with these conflicts, and the files that show them. `None` if one
    /// cannot be kept.
    async fn kept(
        &self,
        head: Option<ObjectId>,
        found: Conflicts,
        files: &mut Vec<Prepared>,
    ) -> Result<Option<Table>> {
        let known = Table::of_root(&self.store.packs, head).await?;
        // What stands in a file that shows a conflict is no side of another one.
        let is_known = |path: &TreePath| known.as_ref().is_some_and(|t| t.paths.contains_key(path));
        if !found.values().all(can_be_kept) || found.keys().any(is_known) {
            return Ok(None);
        }
        let lengths = found.values().map(|conflict| conflict.terms.terms().len());
        let terms = lengths.max().unwrap_or(1);
        let mut left = Conflicts::new();
        for (path, conflict) in found {
            let mut conflict = conflict.padded(terms);
            conflict.shown.attr.mtime = self.now;
            left.insert(path, conflict);
        }
        let made = files.iter().filter_map(Prepared::made);
        let keep = Keep {
            first: self.store.root(head).await?,
            terms,
            labels: if terms == 3 { labels() } else { Labels::none() },
            made: made.filter_map(|path| TreePath::new(&path)).collect(),
        };
        let table = keep.run(self.store, left, files).await?;
        let table = match known {
            Some(known) => Table::clone(&known).and(table),
            None => table,
        };
        // Told before anything is written.
        table.encode(self.store.packs.key())?;
        Ok(Some(table))
    }

    async fn piece(
        &self,
        head: Option<ObjectId>,
        piece: &Piece,
        known: &mut Conflicts,
    ) -> Result<Vec<Prepared>> {
        let shifts = self.shifts(head, piece).await?;
        let mut files = Vec::new();
        let (mut head, mut after) = (head, piece.after);
        if !shifts.is_empty() {
            // What was moved goes back before contents are compared, later ones with it.
            match self.shifted([head, after], &shifts).await {
                Ok(moved) => {
                    [head, after] = moved;
                    *known = std::mem::take(known)
                        .into_iter()
                        .map(|(path, conflict)| (shifted(&path, &shifts), conflict))
                        .collect();
                    files = shifts;
                }
                // They do not go together: names are compared like contents.
                Err(error) if error.kind == HeadErrorKind::Invalid => {}
                Err(error) => return Err(error),
            }
        }
        let head = self.store.root(head).await?;
        let (after, before) = (
            self.store.root(after).await?,
            self.store.root(piece.before).await?,
        );
        let (first, origin) = (TreeValue::of_root(&head), TreeValue::of_root(&before));
        // What is in conflict already has this piece taken back in the conflict.
        let mut lister = Lister::new(self.store);
        for (path, conflict) in known.iter_mut() {
            let path = path.as_bytes();
            if piece.within.place(path) != Place::Inside {
                continue;
            }
            let after = lister.find(&TreeValue::of_root(&after), path).await?;
            let before = lister.find(&origin, path).await?;
            if after != before {
                let mut terms = conflict.terms.clone().into_terms();
                terms.extend([after, before]);
                conflict.terms = Merge::from_terms(terms)
                    .ok_or_else(|| HeadError::corrupt("a conflict with an even number of terms"))?;
            }
        }
        let roots = Merge::three_way(head, after, before);
        let merged = merge_trees(self.store, &roots, &MergeOptions::new(self.now))
            .await
            .map_err(failed)?;
        let edits = merged.edits.into_iter();
        let edits = edits.filter(|edit| !known.contains_key(&edit.path));
        let targets = edits.map(Target::of).collect();
        let how = (How::Undo, self.now);
        let trees = [&first, &origin];
        files.extend(transform(self.store, trees, targets, &piece.within, how).await?);
        for (path, conflict) in merged.conflicts {
            if piece.within.place(path.as_bytes()) != Place::Outside {
                known.entry(path).or_insert(conflict);
            }
        }
        Ok(files)
    }

    /// Renames that can be taken back as such: what was moved still stands where it was moved to,
    /// and nothing else has come to stand where it was.
    async fn shifts(&self, head: Option<ObjectId>, piece: &Piece) -> Result<Vec<Prepared>> {
        if piece.renames.is_empty() {
            return Ok(Vec::new());
        }
        let mut lister = Lister::new(self.store);
        let mut trees = Vec::new();
        for root in [piece.before, piece.after, head] {
            trees.push(TreeValue::of_root(&self.store.root(root).await?));
        }
        let mut shifts = Vec::new();
        for renamed in piece.renames.iter().rev() {
            if piece.within.place(&renamed.from) != Place::Inside
                || piece.within.place(&renamed.to) != Place::Inside
            {
                continue;
            }
            let mut fits = true;
            for (n, tree) in trees.iter().enumerate() {
                let from = lister.find(tree, &renamed.from).await?;
                let to = lister.find(tree, &renamed.to).await?;
                let (here, there) = if n == 0 { (from, to) } else { (to, from) };
                let is_here = here.is_some_and(|value| value.node.attr.id.0 == renamed.id);
                fits &= is_here && there.is_none();
            }
            let above = parent(&renamed.from);
            for tree in &trees[1..] {
                let dir = lister.find(tree, above).await?;
                fits &= dir.is_some_and(|value| value.kind() == NodeKind::Dir);
            }
            if fits {
                shifts.push(Prepared::Shift {
                    from: file_path(&renamed.to)?,
                    to: file_path(&renamed.from)?,
                });
            }
        }
        Ok(shifts)
    }

    async fn shifted(
        &self,
        [head, after]: [Option<ObjectId>; 2],
        shifts: &[Prepared],
    ) -> Result<[Option<ObjectId>; 2]> {
        let head = self.applied(head, shifts).await?;
        Ok([head, self.applied(after, shifts).await?])
    }

    async fn applied(
        &self,
        root: Option<ObjectId>,
        files: &[Prepared],
    ) -> Result<Option<ObjectId>> {
        scratch::applied(self.parts, self.store.root, self.now, root, files).await
    }
}

/// Where a path stands after moves.
fn shifted(path: &TreePath, shifts: &[Prepared]) -> TreePath {
    let mut at = path.as_bytes().to_vec();
    for shift in shifts {
        if let Prepared::Shift { from, to } = shift {
            let from = from.to_bytes();
            let rest = at.strip_prefix(&from[..]).map(<[u8]>::to_vec);
            if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest[0] == b'/') {
                at = [to.to_bytes(), rest].concat();
            }
        }
    }
    TreePath::new(&at).unwrap_or_else(|| path.clone())
}

/// What the sides of a conflict are called.
fn labels() -> Labels {
    let names = [
        "the change now",
        "after what is undone",
        "before what is undone",
    ];
    let names = Merge::from_terms(names.map(str::to_owned).to_vec());
    names.map_or_else(Labels::none, Labels::new)
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter()
        .rposition(|&b| b == b'/')
        .map_or(&path[..0], |end| &path[..end])
}

fn file_path(path: &[u8]) -> Result<FilePath> {
    FilePath::parse(path).map_err(|_| HeadError::corrupt("a stored path is too long"))
}
