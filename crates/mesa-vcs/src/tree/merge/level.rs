//! The walk over directories.

use std::collections::{BTreeMap, HashMap};

use mesa_object::tree::{Entry, EntryTarget, NodeRecord};
use mesa_types::{EntryName, FileId, Nanos, NodeKind, ObjectId};

use super::outcome::{Outcome, Visited};
use crate::{
    Merge,
    tree::{ConflictKind, TreePath, TreeSource, TreeValue, VcsError, attrs, value::Substance},
};

/// Listings asked for in one call.
const LISTINGS_MAX: usize = 1024;

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

pub(super) struct Walk {
    pending: Vec<DirTask>,
    files: Vec<FileTask>,
    outcome: Outcome,
    now: Nanos,
}

type Listing = BTreeMap<EntryName, TreeValue>;

impl Walk {
    pub fn new(now: Nanos) -> Self {
        Self {
            pending: Vec::new(),
            files: Vec::new(),
            outcome: Outcome::default(),
            now,
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
        let mut listings = load(source, &tasks).await?;
        self.outcome.listings_loaded += listings.len();
        for task in tasks {
            let parts = task.terms.map(|term| {
                let value = term.as_ref()?;
                Some((value.listing()?, value.links))
            });
            self.merge_dir(&task, &parts, &mut listings);
        }
        Ok(())
    }

    fn merge_dir(
        &mut self,
        task: &DirTask,
        parts: &Merge<Option<(ObjectId, Option<ObjectId>)>>,
        listings: &mut HashMap<(ObjectId, Option<ObjectId>), Listing>,
    ) {
        let lists = parts.map(|part| part.as_ref().and_then(|key| listings.get(key)));
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
        if all_same(&terms) {
            self.outcome.visited[dir].kept += 1;
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
        let (merged, clashes) = attrs::merge(&references, &winner, self.now);
        self.outcome.note(&path, clashes);
        self.outcome.visited.push(Visited {
            path: path.clone(),
            parent,
            first,
            merged,
            wanted: there.resolve_trivial().copied().unwrap_or(true),
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

/// Loads the listings of `tasks` with the records of hard-linked nodes.
async fn load<S: TreeSource>(
    source: &S,
    tasks: &[DirTask],
) -> Result<HashMap<(ObjectId, Option<ObjectId>), Listing>, VcsError<S::Error>> {
    let mut wanted: Vec<(ObjectId, Option<ObjectId>)> = Vec::new();
    for value in tasks.iter().flat_map(|task| task.terms.iter().flatten()) {
        wanted.extend(value.listing().map(|listing| (listing, value.links)));
    }
    wanted.sort();
    wanted.dedup();
    let mut objects: Vec<ObjectId> = wanted.iter().map(|(object, _)| *object).collect();
    objects.dedup();
    let answer = source.list(&objects).await.map_err(VcsError::Source)?;
    if answer.len() != objects.len() {
        return Err(VcsError::Answer("not as many listings as asked for"));
    }
    let by_object: HashMap<ObjectId, Vec<Entry>> = objects.into_iter().zip(answer).collect();

    let mut linked: BTreeMap<ObjectId, Vec<FileId>> = BTreeMap::new();
    for (object, table) in &wanted {
        for entry in &by_object[object] {
            if let (EntryTarget::Link { id, .. }, Some(table)) = (&entry.target, table) {
                linked.entry(*table).or_default().push(*id);
            }
        }
    }
    let mut records: HashMap<(ObjectId, FileId), NodeRecord> = HashMap::new();
    for (table, mut ids) in linked {
        ids.sort();
        ids.dedup();
        let answer = source.linked(table, &ids).await.map_err(VcsError::Source)?;
        if answer.len() != ids.len() {
            return Err(VcsError::Answer("not as many linked nodes as asked for"));
        }
        records.extend(ids.into_iter().map(|id| (table, id)).zip(answer));
    }

    let mut listings = HashMap::with_capacity(wanted.len());
    for (object, table) in wanted {
        let mut listing = Listing::new();
        for entry in &by_object[&object] {
            let node = match &entry.target {
                EntryTarget::Node(record) => (**record).clone(),
                EntryTarget::Link { id, .. } => table
                    .and_then(|table| records.get(&(table, *id)))
                    .cloned()
                    .ok_or(VcsError::Answer("a linked node without a record"))?,
            };
            listing.insert(entry.name.clone(), TreeValue { node, links: table });
        }
        listings.insert((object, table), listing);
    }
    Ok(listings)
}
