//! From the tree of a head to one that has other things at some paths, in as few operations as
//! possible: what is the same stays the same node, what only stands elsewhere is moved, and
//! directories are changed in place.

mod order;

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use mesa_types::{ContentRef, FileId, Nanos, NodeKind};
use mesa_vcs::tree::{Change, Edit, TreeValue};

use self::order::from_the_root;
use super::{
    listing::{LISTINGS_MAX, Lister, Names, join},
    segments::{PathSet, Place},
};
use crate::{
    edit::{FilePath, Prepared},
    error::{HeadError, HeadErrorKind, Result},
    versions::store::Versions,
};

/// Most nodes that one write brings back or removes.
pub(crate) const NODES_MAX: usize = 200_000;

/// A path that is to become something.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub path: Vec<u8>,
    pub to: Option<TreeValue>,
    /// Of a directory only the attributes: what is in it stays.
    pub shallow: bool,
}

impl Target {
    /// What a merge says of a path.
    pub fn of(edit: Edit) -> Self {
        let (to, shallow) = match edit.change {
            Change::Remove => (None, false),
            Change::Put(value) => (Some(*value), false),
            Change::Dir(record) => {
                let node = *record;
                (Some(TreeValue { node, links: None }), true)
            }
        };
        Self {
            path: edit.path.as_bytes().to_vec(),
            to,
            shallow,
        }
    }
}

/// The paths that may change: those in all of the sets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Within(Vec<PathSet>);

impl Within {
    /// Also only within these.
    pub fn and(&mut self, paths: Option<PathSet>) {
        self.0.extend(paths);
    }

    pub fn place(&self, path: &[u8]) -> Place {
        let places = self.0.iter().map(|paths| paths.place(path));
        places.min().unwrap_or(Place::Inside)
    }
}

/// How a tree becomes another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Names come back to the nodes they belonged to, whatever those hold by now; what is written
    /// has changed now, for whoever builds from it.
    Undo,
    /// The same, but a name only comes back to a node that holds what it held.
    Restore,
    /// As [`Self::Restore`] with the times that are wanted, and without a bound.
    Merge,
}

/// A directory whose entries are compared.
struct Pair {
    path: Vec<u8>,
    from: Option<TreeValue>,
    to: Option<TreeValue>,
}

/// A node that was not there.
struct Added {
    path: Vec<u8>,
    value: TreeValue,
}

pub(crate) struct Transform<'a> {
    lister: Lister<'a>,
    within: &'a Within,
    how: How,
    now: Nanos,
    pairs: Vec<Pair>,
    added: Vec<Added>,
    removed: HashMap<FileId, (Vec<u8>, TreeValue)>,
    /// Several names of one node went: nothing of it is moved.
    ambiguous: HashSet<FileId>,
    removed_paths: BTreeSet<Vec<u8>>,
    /// Directories made and nodes moved, as they were found.
    placed: Vec<Prepared>,
    changed: Vec<Prepared>,
    linked: Vec<(Vec<u8>, TreeValue)>,
    times: Vec<Prepared>,
    nodes: usize,
}

/// The operations that lead from the tree `head` to one with `targets`, at paths that may change.
/// What is brought back stood in `origin`.
pub(crate) async fn transform(
    store: &Versions,
    [head, origin]: [&TreeValue; 2],
    targets: Vec<Target>,
    within: &Within,
    (how, now): (How, Nanos),
) -> Result<Vec<Prepared>> {
    let mut work = Transform {
        lister: Lister::new(store),
        within,
        how,
        now,
        pairs: Vec::new(),
        added: Vec::new(),
        removed: HashMap::new(),
        ambiguous: HashSet::new(),
        removed_paths: BTreeSet::new(),
        placed: Vec::new(),
        changed: Vec::new(),
        linked: Vec::new(),
        times: Vec::new(),
        nodes: 0,
    };
    for target in targets {
        if work.within.place(&target.path) == Place::Outside {
            continue;
        }
        let from = work.lister.find(head, &target.path).await?;
        if target.shallow {
            work.shallow(target, from)?;
        } else {
            work.visit(target.path, from, target.to)?;
        }
    }
    while work.step().await? {}
    work.finish([head, origin]).await
}

impl Transform<'_> {
    /// A directory with other attributes, made if it is not there.
    fn shallow(&mut self, target: Target, from: Option<TreeValue>) -> Result<()> {
        let Some(mut to) = target.to else {
            return Ok(());
        };
        if let Some(from) = from.filter(|from| from.kind() == NodeKind::Dir) {
            self.attributes(&target.path, &from, to)
        } else {
            to.node.dir = None;
            self.added.push(Added {
                path: target.path,
                value: to,
            });
            Ok(())
        }
    }

    fn visit(
        &mut self,
        path: Vec<u8>,
        from: Option<TreeValue>,
        to: Option<TreeValue>,
    ) -> Result<()> {
        let is_dir = |value: &Option<TreeValue>| {
            value
                .as_ref()
                .is_some_and(|value| value.kind() == NodeKind::Dir)
        };
        match self.within.place(&path) {
            Place::Outside => return Ok(()),
            Place::Above => {
                if is_dir(&to) && from.is_none() {
                    // Made for what is below it.
                    self.added.extend(to.map(|value| Added { path, value }));
                } else if is_dir(&from) && (is_dir(&to) || to.is_none()) {
                    self.pairs.push(Pair { path, from, to });
                }
                return Ok(());
            }
            Place::Inside => {}
        }
        match (from, to) {
            (None, None) => {}
            (Some(from), None) => self.remove(path, from)?,
            (None, Some(value)) => self.added.push(Added { path, value }),
            (Some(from), Some(to)) => match (from.kind(), to.kind()) {
                // A name of another node than it was: what is done to one must not reach the other.
                _ if is_relinked(&from, &to) => {
                    self.ambiguous.insert(from.node.attr.id);
                    self.remove(path.clone(), from)?;
                    self.added.push(Added { path, value: to });
                }
                (NodeKind::Dir, NodeKind::Dir) => {
                    self.attributes(&path, &from, to.clone())?;
                    if !same_below(&from, &to) {
                        let (from, to) = (Some(from), Some(to));
                        self.pairs.push(Pair { path, from, to });
                    }
                }
                (a, b) if a == b && a != NodeKind::Symlink => self.change(&path, &from, to)?,
                (NodeKind::Symlink, NodeKind::Symlink) if from.node.target == to.node.target => {
                    self.change(&path, &from, to)?;
                }
                _ => {
                    // Its place is needed: it is not moved elsewhere.
                    self.ambiguous.insert(from.node.attr.id);
                    self.remove(path.clone(), from)?;
                    self.added.push(Added { path, value: to });
                }
            },
        }
        Ok(())
    }

    /// A node of the same type stays the same node.
    fn change(&mut self, path: &[u8], from: &TreeValue, mut to: TreeValue) -> Result<()> {
        if from.node.attr.content == to.node.attr.content {
            return self.attributes(path, from, to);
        }
        if self.how != How::Merge {
            to.node.attr.mtime = self.now;
        }
        self.changed.push(node(path, to)?);
        self.count(1)
    }

    fn attributes(&mut self, path: &[u8], from: &TreeValue, mut to: TreeValue) -> Result<()> {
        let (a, b) = (&from.node.attr, &to.node.attr);
        let same = (a.mode, a.uid, a.gid) == (b.mode, b.uid, b.gid);
        if path.is_empty() || (same && from.node.xattrs == to.node.xattrs) {
            return Ok(());
        }
        to.node.attr.mtime = a.mtime;
        self.changed.push(node(path, to)?);
        self.count(1)
    }

    fn remove(&mut self, path: Vec<u8>, from: TreeValue) -> Result<()> {
        let id = from.node.attr.id;
        let below = from.node.dir.as_ref().map_or(0, |dir| dir.files);
        self.count(1 + usize::try_from(below).unwrap_or(usize::MAX))?;
        if from.node.attr.nlink > 1 || self.removed.insert(id, (path.clone(), from)).is_some() {
            self.ambiguous.insert(id);
        }
        self.removed_paths.insert(path);
        Ok(())
    }

    /// Compares some directories, or brings back some nodes. Answers whether there was anything.
    async fn step(&mut self) -> Result<bool> {
        if !self.pairs.is_empty() {
            let from = self.pairs.len().saturating_sub(LISTINGS_MAX);
            let pairs = self.pairs.split_off(from);
            let dirs: Vec<_> = pairs
                .iter()
                .flat_map(|pair| [pair.from.as_ref(), pair.to.as_ref()])
                .collect();
            let mut listings = self.lister.list(&dirs).await?.into_iter();
            for pair in &pairs {
                let (old, mut new) = (
                    listings.next().unwrap_or_default(),
                    listings.next().unwrap_or_default(),
                );
                for (name, from) in old {
                    let to = new.remove(&name);
                    self.visit(join(&pair.path, &name), Some(from), to)?;
                }
                for (name, to) in new {
                    self.visit(join(&pair.path, &name), None, Some(to))?;
                }
            }
            return Ok(true);
        }
        if self.added.is_empty() {
            return Ok(false);
        }
        let from = self.added.len().saturating_sub(LISTINGS_MAX);
        let mut dirs = Vec::new();
        for Added { path, value } in self.added.split_off(from) {
            if let Some((old, from)) = self.moved_from(&value) {
                self.placed.push(Prepared::Shift {
                    from: file_path(&old)?,
                    to: file_path(&path)?,
                });
                self.removed_paths.remove(&old);
                self.visit(path, Some(from), Some(value))?;
                continue;
            }
            self.count(1)?;
            match value.kind() {
                NodeKind::Dir => {
                    self.placed.push(node(&path, value.clone())?);
                    self.times.push(Prepared::Times {
                        path: file_path(&path)?,
                        mtime: value.node.attr.mtime,
                    });
                    dirs.push((path, value));
                }
                _ if value.node.attr.nlink > 1 => self.linked.push((path, value)),
                _ => self.changed.push(node(&path, value)?),
            }
        }
        let values: Vec<_> = dirs.iter().map(|(_, dir)| Some(dir)).collect();
        let listings = self.lister.list(&values).await?;
        for ((path, _), listing) in dirs.iter().zip(listings) {
            for (name, value) in listing {
                self.visit(join(path, &name), None, Some(value))?;
            }
        }
        Ok(true)
    }

    /// Where a node that is wanted elsewhere is about to be removed.
    fn moved_from(&mut self, value: &TreeValue) -> Option<(Vec<u8>, TreeValue)> {
        let id = value.node.attr.id;
        let (_, from) = self.removed.get(&id)?;
        let fits = from.kind() == value.kind() && from.node.target == value.node.target;
        if !fits || value.node.attr.nlink > 1 || self.ambiguous.contains(&id) {
            return None;
        }
        self.removed.remove(&id)
    }

    fn count(&mut self, nodes: usize) -> Result<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX && self.how != How::Merge {
            return Err(HeadError::new(
                HeadErrorKind::Invalid,
                "TOO_MANY_FILES",
                "more files than one call may bring back or remove: name fewer paths",
            ));
        }
        Ok(())
    }

    /// Everything in an order in which it can be done: directories first, made or moved, from the
    /// root down; moves before what they came from goes; names of one node after the node.
    async fn finish(mut self, trees: [&TreeValue; 2]) -> Result<Vec<Prepared>> {
        let links = std::mem::take(&mut self.linked);
        let mut named: Vec<Prepared> = Vec::new();
        if !links.is_empty() {
            named = self.links(trees, links).await?;
        }
        // What stands in the way of a directory, or of what is moved, goes before it.
        let made: HashSet<Vec<u8>> = self.placed.iter().filter_map(path_of).collect();
        let (first, later): (Vec<_>, Vec<_>) = self
            .removed_paths
            .iter()
            .partition(|path| made.contains(*path));
        let remove = |path: &Vec<u8>| {
            Ok::<_, HeadError>(Prepared::Remove {
                path: file_path(path)?,
            })
        };
        let mut all = Vec::new();
        for path in first {
            all.push(remove(path)?);
        }
        all.append(&mut from_the_root(std::mem::take(&mut self.placed)));
        for path in later {
            all.push(remove(path)?);
        }
        all.append(&mut self.changed);
        all.append(&mut named);
        all.append(&mut self.times);
        Ok(all)
    }

    /// Names of hard-linked nodes: a node that the head still has, or that came back already, gets
    /// another name.
    async fn links(
        &mut self,
        [head, origin]: [&TreeValue; 2],
        links: Vec<(Vec<u8>, TreeValue)>,
    ) -> Result<Vec<Prepared>> {
        let names = self.lister.linked_names(origin).await?;
        let gone: PathSet = self.removed_paths.iter().cloned().collect();
        let content = |made: &Prepared| match made {
            Prepared::Node { path, record, .. } => Some((path.to_bytes(), record.attr.content)),
            _ => None,
        };
        let written: HashMap<_, _> = self.changed.iter().filter_map(content).collect();
        let mut present: HashMap<FileId, (Vec<u8>, ContentRef)> = HashMap::new();
        let mut out = Vec::new();
        for (path, value) in links {
            let (id, content) = (value.node.attr.id, value.node.attr.content);
            if !present.contains_key(&id)
                && let Some((name, there)) = self.kept_name(head, id, &gone, &names).await?
            {
                let there = written.get(&name).copied().unwrap_or(there);
                present.insert(id, (name, there));
            }
            if let Some((source, there)) = present.get(&id)
                && (*there == content || self.how == How::Undo)
            {
                out.push(Prepared::Link {
                    path: file_path(&path)?,
                    source: file_path(source)?,
                });
            } else {
                present.insert(id, (path.clone(), content));
                out.push(node(&path, value)?);
            }
        }
        Ok(out)
    }

    /// A name that a node had then, has in the head and keeps, and what the head has there.
    async fn kept_name(
        &mut self,
        head: &TreeValue,
        id: FileId,
        gone: &PathSet,
        names: &Names,
    ) -> Result<Option<(Vec<u8>, ContentRef)>> {
        for name in names.get(&id).into_iter().flatten() {
            if gone.place(name) != Place::Inside
                && let Some(there) = self.lister.find(head, name).await?
                && there.node.attr.id == id
            {
                return Ok(Some((name.clone(), there.node.attr.content)));
            }
        }
        Ok(None)
    }
}

/// Whether two are different nodes and one of them has other names.
fn is_relinked(a: &TreeValue, b: &TreeValue) -> bool {
    let (a, b) = (&a.node.attr, &b.node.attr);
    let is_file = a.kind != NodeKind::Dir && b.kind != NodeKind::Dir;
    is_file && a.id != b.id && (a.nlink > 1 || b.nlink > 1)
}

/// Whether nothing below two directories differs but times.
fn same_below(a: &TreeValue, b: &TreeValue) -> bool {
    match (&a.node.dir, &b.node.dir) {
        (Some(a), Some(b)) => a.snap == b.snap,
        (None, None) => true,
        _ => false,
    }
}

fn node(path: &[u8], value: TreeValue) -> Result<Prepared> {
    let mut record = value.node;
    record.dir = None;
    Ok(Prepared::Node {
        path: file_path(path)?,
        record: Box::new(record),
        inline: Bytes::new(),
    })
}

fn path_of(made: &Prepared) -> Option<Vec<u8>> {
    match made {
        Prepared::Node { path, .. } | Prepared::Shift { to: path, .. } => Some(path.to_bytes()),
        _ => None,
    }
}

fn file_path(path: &[u8]) -> Result<FilePath> {
    FilePath::parse(path).map_err(|_| HeadError::corrupt("a stored path is too long"))
}
