//! The walk over directories.

use mesa_object::tree::NodeRecord;
use mesa_types::{EntryName, Nanos, NodeKind};

use super::outcome::{Outcome, Visited};
use crate::{
    Merge,
    tree::{
        ConflictKind, TreePath, TreeSource, TreeValue, VcsError, attrs,
        listing::{self, LISTINGS_MAX, Listings},
        value::Substance,
    },
};

/// A file to be merged by lines.
pub(super) struct FileTask {
    pub path: TreePath,
    pub terms: Merge<Option<TreeValue>>,
    /// Number of the directory it stands in.
    pub dir: usize,
}

/// A directory whose entries have to be merged.
struct DirTask {
    path: TreePath,
    terms: Merge<Option<TreeValue>>,
    /// Number among the visited directories.
    number: usize,
}

pub(super) struct Walk<'a> {
    pending: Vec<DirTask>,
    files: Vec<FileTask>,
    outcome: Outcome,
    now: Nanos,
    /// Paths outside of which nothing changes.
    only: Option<&'a [TreePath]>,
}

/// How a path stands to those that may change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Inside,
    /// A directory above one.
    Above,
    Outside,
}

impl<'a> Walk<'a> {
    pub fn new(now: Nanos, only: Option<&'a [TreePath]>) -> Self {
        Self {
            pending: Vec::new(),
            files: Vec::new(),
            outcome: Outcome::default(),
            now,
            only,
        }
    }

    /// Begins with the roots, which are there whatever becomes of their entries.
    pub fn start(&mut self, roots: Merge<Option<TreeValue>>) {
        if !all_same(&roots) {
            self.descend(TreePath::root(), roots, None);
        }
    }

    pub fn has_more(&self) -> bool {
        !self.pending.is_empty()
    }

    pub fn finish(self) -> (Outcome, Vec<FileTask>) {
        (self.outcome, self.files)
    }

    /// Loads and merges some of the pending directories.
    pub async fn step<S: TreeSource>(&mut self, source: &S) -> Result<(), VcsError<S::Error>> {
        let mut tasks = Vec::new();
        let mut wanted = 0;
        while let Some(task) = self.pending.last() {
            let needs = task.terms.iter().flatten().count();
            if wanted > 0 && wanted + needs > LISTINGS_MAX {
                break;
            }
            wanted += needs;
            tasks.extend(self.pending.pop());
        }
        let dirs = tasks.iter().flat_map(|task| task.terms.iter().flatten());
        let listings = listing::load(source, dirs).await?;
        self.outcome.listings_loaded += listings.len();
        for task in tasks {
            self.merge_dir(&task, &listings);
        }
        Ok(())
    }

    fn place(&self, path: &TreePath) -> Place {
        let Some(only) = self.only else {
            return Place::Inside;
        };
        if only.iter().any(|known| path.is_within(known)) {
            Place::Inside
        } else if only.iter().any(|known| known.is_within(path)) {
            Place::Above
        } else {
            Place::Outside
        }
    }

    fn merge_dir(&mut self, task: &DirTask, listings: &Listings) {
        let lists = task
            .terms
            .map(|term| term.as_ref().and_then(|dir| listings.get(dir)));
        let mut names: Vec<&EntryName> = lists.iter().flatten().flat_map(|l| l.keys()).collect();
        names.sort();
        names.dedup();
        let found: Vec<_> = names
            .into_iter()
            .map(|name| {
                (
                    name.clone(),
                    lists.map(|list| list.and_then(|l| l.get(name)).cloned()),
                )
            })
            .collect();
        for (name, terms) in found {
            self.merge_entry(task.path.join(&name), terms, task.number);
        }
    }

    fn merge_entry(&mut self, path: TreePath, terms: Merge<Option<TreeValue>>, dir: usize) {
        let place = self.place(&path);
        if place == Place::Outside || all_same(&terms) {
            self.outcome.visited[dir].kept += usize::from(terms.first().is_some());
            return;
        }
        if place == Place::Above {
            if terms
                .iter()
                .flatten()
                .all(|value| value.kind() == NodeKind::Dir)
            {
                self.descend(path, terms, Some(dir));
            } else {
                self.outcome.visited[dir].kept += usize::from(terms.first().is_some());
            }
            return;
        }
        if let Some(value) = terms.resolve_trivial_by(|a, b| same(a.as_ref(), b.as_ref())) {
            let value = value.clone();
            self.outcome
                .resolve(path, terms.first().as_ref(), value, dir);
            return;
        }
        if terms
            .iter()
            .flatten()
            .all(|value| value.kind() == NodeKind::Dir)
        {
            self.descend(path, terms, Some(dir));
            return;
        }
        let substance = terms.map(|term| term.as_ref().map(TreeValue::substance));
        if let Some(winner) = substance.resolve_trivial() {
            let at = substance.iter().position(|s| s == winner).unwrap_or(0);
            let value = terms.terms()[at].clone();
            let value = value.map(|value| {
                let node = self.merge_attrs(&path, &terms, &value.node);
                TreeValue { node, ..value }
            });
            self.outcome
                .resolve(path, terms.first().as_ref(), value, dir);
            return;
        }
        let files_only = substance
            .simplify()
            .iter()
            .all(|s| matches!(s, Some(Substance::File { .. })));
        if files_only {
            self.files.push(FileTask { path, terms, dir });
        } else {
            self.conflict(path, terms, dir);
        }
    }

    /// Keeps a conflict about the existence or the type of an entry.
    fn conflict(&mut self, path: TreePath, terms: Merge<Option<TreeValue>>, dir: usize) {
        let files = terms
            .iter()
            .flatten()
            .all(|value| value.kind() == NodeKind::File);
        if files {
            // Contents say whether it is text.
            self.files.push(FileTask { path, terms, dir });
        } else {
            self.outcome
                .conflict(path, terms, ConflictKind::Types, dir, self.now);
        }
    }

    fn merge_attrs(
        &mut self,
        path: &TreePath,
        terms: &Merge<Option<TreeValue>>,
        winner: &NodeRecord,
    ) -> NodeRecord {
        self.outcome.merge_attrs(path, terms, winner, self.now)
    }

    fn descend(&mut self, path: TreePath, terms: Merge<Option<TreeValue>>, parent: Option<usize>) {
        let number = self.outcome.visited.len();
        // The first side's directory, else the first added one, carries what nobody changed.
        let winner = terms
            .adds()
            .flatten()
            .chain(terms.removes().flatten())
            .next();
        let Some(winner) = winner.map(|value| value.node.clone()) else {
            return;
        };
        let there = terms.map(Option::is_some);
        let first = terms.first().as_ref().map(|value| value.node.clone());
        let references = terms.map(Option::as_ref);
        let inside = self.place(&path) == Place::Inside;
        let merged = if inside {
            let (merged, clashes) = attrs::merge(&references, &winner, self.now);
            self.outcome.note(&path, clashes);
            merged
        } else {
            winner
        };
        let wanted = if inside {
            there.resolve_trivial().copied().unwrap_or(true)
        } else {
            first.is_some()
        };
        self.outcome.visited.push(Visited {
            path: path.clone(),
            parent,
            first,
            merged,
            wanted,
            kept: 0,
        });
        self.pending.push(DirTask {
            path,
            terms,
            number,
        });
    }
}

/// Whether all terms are the same thing, so that there is nothing to do.
fn all_same(terms: &Merge<Option<TreeValue>>) -> bool {
    terms
        .iter()
        .all(|term| same(term.as_ref(), terms.first().as_ref()))
}

fn same(a: Option<&TreeValue>, b: Option<&TreeValue>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.is_same(b),
        (None, None) => true,
        _ => false,
    }
}
