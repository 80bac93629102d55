//! The conflicts of a snapshot in memory, and what becomes of them when it is written to.

use std::{collections::BTreeMap, sync::Arc};

use mesa_object::{
    Object, OrgKey,
    tree::{ConflictKind as StoredKind, ConflictPath, ConflictTerm, Conflicts, Root},
};
use mesa_store::OrgPacks;
use mesa_types::{ContentRef, EntryName, FileId, NodeKind, ObjectId};
use mesa_vcs::{
    Labels, Merge,
    markers::Update,
    tree::{
        Conflict, ConflictKind, Stored, TreePath, TreeSource, TreeStore, TreeValue, conflict_text,
    },
};

use super::{merge::failed, opened::Opened, store::Versions};
use crate::error::{HeadError, Result};

/// Files above this are not looked at for markers: they resolve the conflict.
const SHOWN_BYTES_MAX: u64 = 64 << 20;

/// The conflicts of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    /// Number of terms.
    pub terms: usize,
    /// The terms' snapshots; none before the first seal.
    pub roots: Vec<ObjectId>,
    pub labels: Labels,
    pub paths: BTreeMap<TreePath, Entry>,
}

/// A path in conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The conflict; its `shown` is a record for the file that shows it.
    pub conflict: Conflict,
    /// Of a text: the content of the file that shows it, as last looked at.
    pub seen: ContentRef,
    /// Names beside the path, and the terms they show.
    pub sides: Vec<(EntryName, usize)>,
}

impl Entry {
    /// The paths of its side files with what they show.
    pub fn side_paths<'a>(
        &'a self,
        path: &TreePath,
    ) -> impl Iterator<Item = (TreePath, Option<&'a TreeValue>)> + 'a {
        let dir = path.parent().unwrap_or_default();
        self.sides.iter().map(move |(name, term)| {
            let value = self.conflict.terms.terms().get(*term);
            (dir.join(name), value.and_then(Option::as_ref))
        })
    }
}

impl Table {
    /// The conflicts of a snapshot; `None` if it has none.
    pub async fn of_root(packs: &OrgPacks, root: Option<ObjectId>) -> Result<Option<Arc<Self>>> {
        let Some(root) = root else { return Ok(None) };
        let root = Root::decode(&packs.get(root).await?)?;
        match root.conflicts {
            Some(id) => Ok(Some(Arc::new(Self::read(packs, id).await?))),
            None => Ok(None),
        }
    }

    /// A stored table.
    pub async fn read(packs: &OrgPacks, id: ObjectId) -> Result<Self> {
        let stored = Conflicts::decode(&packs.get(id).await?)?;
        Self::of(stored).ok_or_else(|| HeadError::corrupt("stored conflicts are damaged"))
    }

    fn of(stored: Conflicts) -> Option<Self> {
        let labels = Merge::from_terms(stored.labels).map_or_else(Labels::none, Labels::new);
        let mut paths = BTreeMap::new();
        for path in stored.paths {
            let value = |term: Option<ConflictTerm>| {
                let ConflictTerm { node, links } = term?;
                Some(TreeValue { node, links })
            };
            let terms: Vec<_> = path.terms.into_iter().map(value).collect();
            let shown = terms.iter().flatten().next()?.node.clone();
            let conflict = Conflict {
                terms: Merge::from_terms(terms)?,
                kind: match path.kind {
                    StoredKind::Text => ConflictKind::Text,
                    StoredKind::Binary => ConflictKind::Binary,
                    StoredKind::TooLarge => ConflictKind::TooLarge,
                    StoredKind::Types => ConflictKind::Types,
                },
                shown: Box::new(shown),
            };
            let sides = path.sides.into_iter();
            let entry = Entry {
                conflict,
                seen: path.seen,
                sides: sides.map(|(n, at)| (n, usize::from(at))).collect(),
            };
            paths.insert(TreePath::new(&path.path)?, entry);
        }
        Some(Self {
            terms: stored.terms,
            roots: stored.roots,
            labels,
            paths,
        })
    }

    /// The table as an object.
    pub fn encode(&self, key: &OrgKey) -> Result<Object> {
        let labels = self
            .labels
            .as_merge()
            .filter(|l| l.terms().len() == self.terms);
        let term = |value: &Option<TreeValue>| {
            let value = value.as_ref()?;
            Some(ConflictTerm {
                node: value.node.clone(),
                links: value.links,
            })
        };
        let mut paths: Vec<_> = self
            .paths
            .iter()
            .map(|(path, entry)| ConflictPath {
                path: path.as_bytes().to_vec(),
                kind: match entry.conflict.kind {
                    ConflictKind::Text => StoredKind::Text,
                    ConflictKind::Binary => StoredKind::Binary,
                    ConflictKind::TooLarge => StoredKind::TooLarge,
                    _ => StoredKind::Types,
                },
                terms: entry.conflict.terms.iter().map(term).collect(),
                seen: entry.seen,
                sides: entry
                    .sides
                    .iter()
                    .map(|(name, term)| (name.clone(), *term as u16))
                    .collect(),
            })
            .collect();
        paths.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let stored = Conflicts {
            terms: self.terms,
            roots: self.roots.clone(),
            labels: labels.map_or_else(Vec::new, |labels| labels.terms().to_vec()),
            paths,
        };
        stored.encode(key).map_err(|error| {
            HeadError::conflict(
                "TOO_MANY_CONFLICTS",
                "more conflicts than one change can hold",
            )
            .with_source(error)
        })
    }

    /// The same with more terms, of which every one that is added cancels.
    #[must_use]
    pub fn padded(mut self, terms: usize) -> Self {
        let more = terms.saturating_sub(self.terms);
        for entry in self.paths.values_mut() {
            entry.conflict = entry.conflict.padded(terms);
            for (_, term) in &mut entry.sides {
                *term += if *term > 0 { more } else { 0 };
            }
        }
        if more > 0 {
            self.terms = terms;
            self.labels = Labels::none();
            self.roots.clear();
        }
        self
    }

    /// The conflicts of both; names of terms only if both have the same.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let terms = self.terms.max(other.terms);
        let (mut all, other) = (self.padded(terms), other.padded(terms));
        if all.labels != other.labels {
            all.labels = Labels::none();
        }
        all.roots.clear();
        all.paths.extend(other.paths);
        all
    }

    /// The table without some paths; `None` if nothing is left.
    pub fn without(&self, paths: &[TreePath]) -> Option<Self> {
        let mut left = self.clone();
        left.paths.retain(|path, _| !paths.contains(path));
        (!left.paths.is_empty()).then_some(left)
    }

    /// The files that are there to show a conflict.
    pub fn side_files(&self) -> Vec<TreePath> {
        let entries = self.paths.iter();
        entries
            .flat_map(|(path, entry)| entry.side_paths(path).map(|(path, _)| path))
            .collect()
    }

    /// Every path that the table speaks of, side files included.
    pub fn all_paths(&self) -> Vec<TreePath> {
        let mut all = Vec::new();
        for (path, entry) in &self.paths {
            all.push(path.clone());
            all.extend(entry.side_paths(path).map(|(path, _)| path));
        }
        all
    }
}

/// What is left of a table in a snapshot.
pub(crate) struct Reviewed {
    /// The conflicts that are left, with snapshots of their terms.
    pub table: Option<Table>,
    /// Objects of the snapshots and the table.
    pub objects: Vec<Object>,
    /// The table's object.
    pub id: Option<ObjectId>,
    /// Side files of what is resolved, unchanged.
    pub leftovers: Vec<TreePath>,
}

/// Looks at what became of conflicts in a snapshot, all of whose objects are stored.
pub(crate) async fn review(store: &Versions, root: &Root, table: &Table) -> Result<Reviewed> {
    let all = table.all_paths();
    let opened = Opened::read(store, root.clone(), all.iter()).await?;
    let mut left = table.clone();
    left.paths.clear();
    let mut leftovers = Vec::new();
    for (path, entry) in &table.paths {
        let now = opened.get(path);
        let kept = if entry.conflict.kind == ConflictKind::Text {
            review_text(store, entry, now.as_ref(), &table.labels).await?
        } else {
            let there = |(path, _): (TreePath, _)| opened.get(&path).is_some();
            let open =
                is_same(now.as_ref(), entry.conflict.target()) && entry.side_paths(path).any(there);
            open.then(|| entry.clone())
        };
        match kept {
            Some(entry) => {
                left.paths.insert(path.clone(), entry);
            }
            None => leftovers.extend(entry.side_paths(path).filter_map(|(path, value)| {
                let unchanged = is_same(opened.get(&path).as_ref(), value) && value.is_some();
                unchanged.then_some(path)
            })),
        }
    }
    let mut reviewed = Reviewed {
        table: None,
        objects: Vec::new(),
        id: None,
        leftovers,
    };
    if left.paths.is_empty() {
        return Ok(reviewed);
    }
    let key = store.packs.key();
    left.roots.clear();
    for term in 0..left.terms {
        let mut tree = opened.clone();
        for (path, entry) in &left.paths {
            for (side, _) in entry.side_paths(path) {
                tree.set(&side, None);
            }
            let here = opened.get(path).map(|value| value.node.attr.id);
            let value = entry.conflict.terms.terms().get(term).cloned().flatten();
            tree.set(path, value.map(|value| with_id(value, here)));
        }
        let (root, objects) = tree.seal(key)?;
        reviewed.objects.extend(objects);
        let root = root.encode(key)?;
        left.roots.push(root.id);
        reviewed.objects.push(root);
    }
    let object = left.encode(key)?;
    reviewed.id = Some(object.id);
    reviewed.objects.push(object);
    reviewed.table = Some(left);
    Ok(reviewed)
}

/// What is left of a conflict between texts.
async fn review_text(
    store: &Versions,
    entry: &Entry,
    now: Option<&TreeValue>,
    labels: &Labels,
) -> Result<Option<Entry>> {
    let Some(now) = now.filter(|now| now.kind() == NodeKind::File) else {
        return Ok(None);
    };
    let content = now.node.attr.content;
    if content == entry.seen {
        return Ok(Some(entry.clone()));
    }
    if content.size() > SHOWN_BYTES_MAX {
        return Ok(None);
    }
    let text = conflict_text(store, &entry.conflict, labels).await;
    let Some(text) = text.map_err(failed)? else {
        return Ok(None);
    };
    let written = store.read(&[content]).await?.pop().unwrap_or_default();
    let mut conflict = entry.conflict.clone();
    match text.update(&written) {
        Update::Unchanged => {}
        Update::Resolved => return Ok(None),
        Update::Conflicted(texts) => {
            let bytes = texts.iter().map(|text| text.clone().into()).collect();
            let mut stored = store.write(bytes).await?.into_iter();
            // A side without the file that got no text still has none.
            let stored = text.terms.zip(texts).map(|terms| {
                terms.into_map(|(before, text)| -> Option<Stored> {
                    let stored = stored.next();
                    stored.filter(|_| before.is_some() || !text.is_empty())
                })
            });
            conflict.shown = Box::new(now.node.clone());
            let Some(updated) = stored.and_then(|stored| conflict.updated(&stored)) else {
                return Ok(None);
            };
            conflict = updated;
        }
    }
    Ok(Some(Entry {
        conflict,
        seen: content,
        sides: Vec::new(),
    }))
}

/// Whether two are the same type with the same content, target or entries.
fn is_same(one: Option<&TreeValue>, other: Option<&TreeValue>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            let (a, b) = (&one.node, &other.node);
            let snap = |node: &mesa_object::tree::NodeRecord| node.dir.as_ref().map(|d| d.snap);
            one.kind() == other.kind()
                && a.attr.content == b.attr.content
                && a.target == b.target
                && snap(a) == snap(b)
        }
        (None, None) => true,
        _ => false,
    }
}

fn with_id(mut value: TreeValue, id: Option<FileId>) -> TreeValue {
    if let (Some(id), false) = (id, value.kind() == NodeKind::Dir) {
        value.node.attr.id = id;
    }
    value
}
