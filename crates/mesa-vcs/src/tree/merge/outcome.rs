//! Collecting what a merge comes to.

use std::collections::BTreeMap;

use mesa_object::tree::NodeRecord;
use mesa_types::Nanos;

use super::{Clash, Field, MergedTree};
use crate::{
    Merge,
    tree::{Change, Conflict, ConflictKind, Edit, TreePath, TreeValue, attrs, edit},
};

/// A directory whose entries were merged one by one.
pub(super) struct Visited {
    pub path: TreePath,
    /// Number of the directory it stands in.
    pub parent: Option<usize>,
    /// What the first side has, if it is there.
    pub first: Option<NodeRecord>,
    /// Its merged attributes.
    pub merged: NodeRecord,
    /// Whether it should be there even if nothing is in it.
    pub wanted: bool,
    /// Entries that are in it after the merge, conflicts included.
    pub kept: usize,
}

#[derive(Default)]
pub(super) struct Outcome {
    edits: Vec<Edit>,
    conflicts: BTreeMap<TreePath, Conflict>,
    clashes: Vec<Clash>,
    pub listings_loaded: usize,
    pub visited: Vec<Visited>,
}

impl Outcome {
    /// Keeps the value of a path that resolved.
    pub fn resolve(
        &mut self,
        path: TreePath,
        first: Option<&TreeValue>,
        value: Option<TreeValue>,
        dir: usize,
    ) {
        self.visited[dir].kept += usize::from(value.is_some());
        let change = match (first, value) {
            (None, None) => return,
            (Some(_), None) => Change::Remove,
            (Some(first), Some(value)) if first.is_same(&value) => return,
            (_, Some(value)) => Change::Put(Box::new(value)),
        };
        self.edits.push(Edit { path, change });
    }

    /// Keeps a conflict.
    pub fn conflict(
        &mut self,
        path: TreePath,
        terms: Merge<Option<TreeValue>>,
        kind: ConflictKind,
        dir: usize,
        now: Nanos,
    ) {
        self.visited[dir].kept += 1;
        let first = terms.adds().flatten().next();
        let Some(winner) = first.or(terms.iter().flatten().next()) else {
            return;
        };
        let winner = winner.node.clone();
        let shown = Box::new(self.merge_attrs(&path, &terms, &winner, now));
        let conflict = Conflict { terms, kind, shown };
        self.conflicts.insert(path, conflict);
    }

    pub fn merge_attrs(
        &mut self,
        path: &TreePath,
        terms: &Merge<Option<TreeValue>>,
        winner: &NodeRecord,
        now: Nanos,
    ) -> NodeRecord {
        // Only nodes of one kind have attributes to compare.
        let references = terms.map(|term| {
            term.as_ref()
                .filter(|value| value.kind() == winner.attr.kind)
        });
        let (merged, clashes) = attrs::merge(&references, winner, now);
        self.note(path, clashes);
        merged
    }

    pub fn note(&mut self, path: &TreePath, fields: Vec<Field>) {
        self.clashes.extend(fields.into_iter().map(|field| Clash {
            path: path.clone(),
            field,
        }));
    }

    /// Decides which directories are there and puts everything in order.
    pub fn finish(mut self) -> MergedTree {
        // Children were visited after their parents.
        for at in (0..self.visited.len()).rev() {
            let dir = &self.visited[at];
            let is_there = dir.kept > 0 || dir.wanted || dir.path.is_root();
            let change = match (&dir.first, is_there) {
                (None, false) => None,
                (Some(_), false) => Some(Change::Remove),
                (Some(first), true) if same_attrs(first, &dir.merged) => None,
                (_, true) => Some(Change::Dir(Box::new(dir.merged.clone()))),
            };
            let path = dir.path.clone();
            let parent = dir.parent.filter(|_| is_there);
            self.edits
                .extend(change.map(|change| Edit { path, change }));
            if let Some(parent) = parent {
                self.visited[parent].kept += 1;
            }
        }
        let mut clashes = self.clashes;
        clashes.sort_by(|a, b| a.path.cmp(&b.path));
        MergedTree {
            edits: edit::tidy(self.edits),
            conflicts: self.conflicts,
            clashes,
            listings_loaded: self.listings_loaded,
        }
    }
}

/// Whether two directories have the same attributes, times apart.
fn same_attrs(a: &NodeRecord, b: &NodeRecord) -> bool {
    a.attr.id == b.attr.id
        && a.attr.mode == b.attr.mode
        && (a.attr.uid, a.attr.gid) == (b.attr.uid, b.attr.gid)
        && a.xattrs == b.xattrs
}
