//! Merges of snapshots, with resolutions.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mesa_object::tree::Root;
use mesa_types::{ContentRef, NodeKind, ObjectId};
use mesa_vcs::{
    Labels, Merge,
    diff::{ConflictHunk, conflict_hunks},
    text::{HunkId, Resolution, TextMerge, hunk_ids, resolve_hunks},
    tree::{
        Conflict, ConflictKind, MergeOptions, Terms, TreePath, TreeStore, TreeValue, VcsError,
        conflict_text, merge_trees, side_files,
    },
};

use super::{
    apply,
    opened::Opened,
    store::Versions,
    table::{Entry, Table},
};
use crate::{
    edit::Prepared,
    error::{HeadError, HeadErrorKind, Result},
};

/// How a path in conflict is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolve {
    /// By this content.
    Content(Bytes),
    /// By what the target has; nothing if it has none.
    Target,
    /// By what the source has; nothing if it has none.
    Source,
    /// Hunk by hunk; every one of them has to be named.
    Hunks(BTreeMap<HunkId, HunkResolve>),
}

/// How one hunk is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HunkResolve {
    /// By these lines.
    Content(Vec<u8>),
    /// By the target's lines.
    Target,
    /// By the source's lines.
    Source,
}

/// A path that did not merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathConflict {
    /// The path, raw bytes.
    pub path: Vec<u8>,
    /// How it can be shown and resolved.
    pub kind: ConflictKind,
    /// Of texts: what is in conflict, in order.
    pub hunks: Vec<ConflictHunk>,
    /// Bytes of the largest side.
    pub bytes: u64,
}

impl PathConflict {
    /// Without looking into files.
    pub(crate) fn without_hunks(path: &TreePath, conflict: &Conflict) -> Self {
        let sizes = conflict.terms.iter().flatten();
        Self {
            path: path.as_bytes().to_vec(),
            kind: conflict.kind,
            hunks: Vec::new(),
            bytes: sizes.map(|v| v.node.attr.content.size()).max().unwrap_or(0),
        }
    }
}

/// A side of a merge: its snapshot, and what to call it.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    pub root: Option<ObjectId>,
    pub label: String,
}

/// A merge of snapshots.
#[derive(Debug)]
pub(crate) struct Merged {
    /// The snapshot that the edits lead from.
    pub base: Option<ObjectId>,
    /// From there to the merge.
    pub edits: Vec<Prepared>,
    /// What is left.
    pub conflicts: Vec<PathConflict>,
    /// The same as a table, if conflicts were allowed.
    pub table: Option<Table>,
}

/// Merges what `source` did since `base` into `target`.
pub(crate) async fn merge(
    store: &Versions,
    sides: [Side; 3],
    now: mesa_types::Nanos,
    resolutions: &BTreeMap<Vec<u8>, Resolve>,
    allow_conflicted: bool,
) -> Result<Merged> {
    let target = sides[0].root;
    let target_root = store.root(target).await?;
    let mut all = Vec::with_capacity(3);
    for side in sides {
        all.push((terms(store, side.root).await?, side.label));
    }
    let all = Merge::from_terms(all).ok_or_else(|| HeadError::corrupt("three sides are odd"))?;
    let terms = Terms::merge(all);
    let first = terms.roots.first();
    let base = if *first == target_root {
        target
    } else {
        Some(first.encode(store.packs.key())?.id)
    };
    let merged = merge_trees(store, &terms.roots, &MergeOptions::new(now))
        .await
        .map_err(failed)?;
    let known = merged.conflicts.keys().map(TreePath::as_bytes).collect();
    check_known(resolutions, &known)?;
    let made = merged.edits.iter().map(|edit| edit.path.clone()).collect();
    let mut edits = apply::prepared(store, &terms.roots, merged.edits, now).await?;
    let mut left = BTreeMap::new();
    for (path, conflict) in &merged.conflicts {
        let resolution = resolutions.get(path.as_bytes());
        if !resolve(store, path, conflict, &terms.labels, resolution, &mut edits).await? {
            left.insert(path.clone(), conflict.clone());
        }
    }
    let mut conflicts = Vec::new();
    let mut table = None;
    if !left.is_empty() {
        if allow_conflicted && left.values().all(can_be_kept) {
            let kept = Keep {
                first: first.clone(),
                terms: terms.roots.terms().len(),
                labels: terms.labels.clone(),
                made,
            };
            let kept = kept.run(store, left, &mut edits).await?;
            // Told before anything is written.
            kept.encode(store.packs.key())?;
            table = Some(kept);
        } else {
            for (path, conflict) in &left {
                conflicts.push(shown(store, path, conflict, &terms.labels).await?);
            }
        }
    }
    Ok(Merged {
        base,
        edits,
        conflicts,
        table,
    })
}

/// A snapshot, or the terms of its conflicts.
pub(crate) async fn terms(store: &Versions, root: Option<ObjectId>) -> Result<Terms> {
    let resolved = store.root(root).await?;
    let Some(conflicts) = resolved.conflicts else {
        return Ok(Terms::resolved(resolved));
    };
    let table = Table::read(&store.packs, conflicts).await?;
    let mut roots = Vec::with_capacity(table.terms);
    for root in &table.roots {
        roots.push(store.root(Some(*root)).await?);
    }
    let roots = Merge::from_terms(roots)
        .ok_or_else(|| HeadError::corrupt("conflicts with an even number of terms"))?;
    Ok(Terms {
        roots,
        labels: table.labels,
    })
}

/// Refuses resolutions of paths that are not in conflict.
pub(crate) fn check_known(
    resolutions: &BTreeMap<Vec<u8>, Resolve>,
    known: &BTreeSet<&[u8]>,
) -> Result<()> {
    match resolutions.keys().find(|path| !known.contains(&path[..])) {
        None => Ok(()),
        Some(path) => Err(HeadError::new(
            HeadErrorKind::Invalid,
            "NOT_IN_CONFLICT",
            format!("'{}' is not in conflict", path.escape_ascii()),
        )),
    }
}

/// Whether a conflict can be part of a change. Directories with hard links in them are not kept:
/// their link tables belong to other snapshots.
pub(crate) fn can_be_kept(conflict: &Conflict) -> bool {
    let links = |value: &TreeValue| value.node.dir.as_ref().is_some_and(|dir| dir.links > 0);
    !conflict.terms.iter().flatten().any(links)
}

/// Conflicts that become part of a change.
pub(crate) struct Keep {
    /// The tree they are shown in.
    pub first: Root,
    /// Number of terms.
    pub terms: usize,
    pub labels: Labels,
    /// Paths that the tree does not have yet.
    pub made: BTreeSet<TreePath>,
}

impl Keep {
    /// Adds the files that show the conflicts.
    pub async fn run(
        self,
        store: &Versions,
        left: BTreeMap<TreePath, Conflict>,
        edits: &mut Vec<Prepared>,
    ) -> Result<Table> {
        let (terms, mut made) = (self.terms, self.made);
        let opened = Opened::read(store, self.first, left.keys()).await?;
        let mut paths = BTreeMap::new();
        for (path, conflict) in left {
            let mut seen = ContentRef::Empty;
            let mut sides = Vec::new();
            let text = if conflict.kind == ConflictKind::Text {
                let text = conflict_text(store, &conflict, &self.labels).await;
                text.map_err(failed)?
            } else {
                None
            };
            if let Some(text) = text {
                let stored = store.write(vec![text.shown().into()]).await?;
                seen = stored.first().map_or(ContentRef::Empty, |s| s.content);
                let mut record = (*conflict.shown).clone();
                record.attr.content = seen;
                edits.push(apply::node(&path, &record)?);
            } else {
                let dir = path.parent().unwrap_or_default();
                let name = mesa_types::EntryName::new(path.name())
                    .map_err(|_| HeadError::corrupt("a conflict without a name"))?;
                let taken = |name: &[u8]| {
                    let path = [dir.as_bytes(), name].join(&b'/');
                    let path = TreePath::new(path.strip_prefix(b"/").unwrap_or(&path));
                    opened.has(&dir, name) || path.is_some_and(|path| made.contains(&path))
                };
                let files = side_files(&conflict, &name, taken);
                for (name, value) in files {
                    let side = dir.join(&name);
                    let same = |term: &Option<TreeValue>| term.as_ref() == Some(&value);
                    let term = conflict.terms.iter().position(same).unwrap_or(0);
                    apply::put(store, &side, &value, edits).await?;
                    made.insert(side);
                    sides.push((name, term));
                }
            }
            let entry = Entry {
                conflict,
                seen,
                sides,
            };
            paths.insert(path, entry);
        }
        Ok(Table {
            terms,
            roots: Vec::new(),
            labels: self.labels,
            paths,
        })
    }
}

/// Adds what resolves a conflict; answers whether it is resolved: hunks may be missing.
pub(crate) async fn resolve(
    store: &Versions,
    path: &TreePath,
    conflict: &Conflict,
    labels: &Labels,
    resolution: Option<&Resolve>,
    edits: &mut Vec<Prepared>,
) -> Result<bool> {
    let content = match resolution {
        None => return Ok(false),
        Some(Resolve::Target) => return take(store, path, conflict.target(), edits).await,
        Some(Resolve::Source) => return take(store, path, conflict.source(), edits).await,
        Some(Resolve::Content(bytes)) => bytes.clone(),
        Some(Resolve::Hunks(named)) => {
            match by_hunks(store, path, conflict, labels, named).await? {
                Some(content) => content,
                None => return Ok(false),
            }
        }
    };
    let mut record = (*conflict.shown).clone();
    if record.attr.kind != NodeKind::File {
        record.attr.kind = NodeKind::File;
        record.attr.mode = 0o644;
        record.target = Bytes::new();
    }
    record.attr.content = ContentRef::Empty;
    if !content.is_empty() {
        let stored = store.write(vec![content]).await?;
        if let Some(stored) = stored.first() {
            record.attr.content = stored.content;
        }
    }
    edits.push(apply::node(path, &record)?);
    Ok(true)
}

async fn take(
    store: &Versions,
    path: &TreePath,
    side: Option<&TreeValue>,
    edits: &mut Vec<Prepared>,
) -> Result<bool> {
    match side {
        Some(value) => apply::put(store, path, value, edits).await?,
        None => edits.push(apply::remove(path)?),
    }
    Ok(true)
}

async fn by_hunks(
    store: &Versions,
    path: &TreePath,
    conflict: &Conflict,
    labels: &Labels,
    named: &BTreeMap<HunkId, HunkResolve>,
) -> Result<Option<Bytes>> {
    let at = path.as_bytes().escape_ascii();
    let invalid = |code, message| Err(HeadError::new(HeadErrorKind::Invalid, code, message));
    let Some(terms) = texts(store, conflict, labels).await? else {
        let message = format!("'{at}' has no hunks: resolve the whole file");
        return invalid("NOT_TEXT", message);
    };
    let last = terms.sides() - 1;
    let named = named
        .iter()
        .map(|(id, by)| {
            let by = match by {
                HunkResolve::Content(lines) => Resolution::Content(lines.clone()),
                HunkResolve::Target => Resolution::Side(0),
                HunkResolve::Source => Resolution::Side(last),
            };
            (*id, by)
        })
        .collect();
    match resolve_hunks(&hunks(&terms), &named) {
        Ok(TextMerge::Resolved(bytes)) => Ok(Some(bytes.into())),
        Ok(TextMerge::Conflicted(_)) => Ok(None),
        Err(error) => invalid("UNKNOWN_HUNK", format!("'{at}': {error}")),
    }
}

/// A conflict as it is told.
pub(crate) async fn shown(
    store: &Versions,
    path: &TreePath,
    conflict: &Conflict,
    labels: &Labels,
) -> Result<PathConflict> {
    let mut found = Vec::new();
    if let Some(terms) = texts(store, conflict, labels).await? {
        found = conflict_hunks(&terms);
        if found.is_empty() {
            found = vec![whole(&terms)];
        }
    }
    Ok(PathConflict {
        hunks: found,
        ..PathConflict::without_hunks(path, conflict)
    })
}

/// The texts of a conflict between texts.
async fn texts(
    store: &Versions,
    conflict: &Conflict,
    labels: &Labels,
) -> Result<Option<Merge<Option<Bytes>>>> {
    if conflict.kind != ConflictKind::Text {
        return Ok(None);
    }
    let text = conflict_text(store, conflict, labels).await;
    let terms = text.map_err(failed)?.map(|text| text.terms);
    // Contents that agree have no hunks: it is about a mode.
    Ok(terms.filter(|terms| !terms.is_resolved()))
}

/// The hunks of texts. Where the lines merge, but whether there is a file does not, the whole of it
/// is one.
fn hunks(terms: &Merge<Option<Bytes>>) -> Vec<Merge<Vec<u8>>> {
    let texts = terms.map(|text| text.clone().unwrap_or_default());
    match mesa_vcs::text::merge(&texts) {
        TextMerge::Conflicted(hunks) => hunks,
        TextMerge::Resolved(_) => vec![texts.map(|text| text.to_vec())],
    }
}

fn whole(terms: &Merge<Option<Bytes>>) -> ConflictHunk {
    let all = hunks(terms);
    let side = |text: Option<&Option<Bytes>>| text.cloned().flatten().map(|text| text.to_vec());
    let lines = |text: Option<&Option<Bytes>>| {
        let text = text.cloned().flatten().unwrap_or_default();
        mesa_vcs::text::lines(&text).count()
    };
    let (old, new) = (lines(terms.remove(0)), lines(terms.add(0)));
    ConflictHunk {
        id: hunk_ids(&all)[0],
        old_start: usize::from(old > 0),
        old_lines: old,
        new_start: usize::from(new > 0),
        new_lines: new,
        target: side(terms.add(0)),
        base: side(terms.remove(0)),
        source: side(terms.add(terms.sides() - 1)),
    }
}

pub(crate) fn failed(error: VcsError<HeadError>) -> HeadError {
    match error {
        VcsError::Source(error) => error,
        other => HeadError::corrupt("the trees could not be merged").with_source(other),
    }
}
