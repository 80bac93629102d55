//! Rebuilding the directories that edits touch.

use std::collections::BTreeMap;

use mesa_object::tree::{Entry, EntryTarget, NodeRecord, git_tree};
use mesa_types::{EntryName, GitOid, NodeKind};

use super::{
    Change, Edit, TreeSource, TreeValue, VcsError,
    listing::{self, LISTINGS_MAX, Listing},
};

/// A git tree object: oid and bytes (without git's type header).
pub type GitTree = (GitOid, Vec<u8>);

/// Edits by name.
#[derive(Default)]
struct Names<'a> {
    change: Option<&'a Change>,
    below: BTreeMap<EntryName, Names<'a>>,
}

impl<'a> Names<'a> {
    fn of(edits: impl Iterator<Item = &'a Edit>) -> Self {
        let mut root = Self::default();
        for edit in edits {
            let mut at = &mut root;
            for name in edit.path.names() {
                // Paths are made of valid names.
                if let Ok(name) = EntryName::new(name) {
                    at = at.below.entry(name).or_default();
                }
            }
            at.change = Some(&edit.change);
        }
        root
    }
}

/// A directory with edits below it.
struct Open<'a> {
    names: Names<'a>,
    value: TreeValue,
    entries: Listing,
    parent: Option<(usize, EntryName)>,
}

/// The git tree of `root` with `edits` made to it: its oid, and the tree objects that may be new.
pub(crate) async fn git_trees<S: TreeSource>(
    source: &S,
    root: &TreeValue,
    edits: impl Iterator<Item = &Edit>,
) -> Result<(GitOid, Vec<GitTree>), VcsError<S::Error>> {
    let mut open = vec![Open {
        names: Names::of(edits),
        value: root.clone(),
        entries: Listing::new(),
        parent: None,
    }];
    let mut from = 0;
    while from < open.len() {
        let to = open.len().min(from + LISTINGS_MAX);
        let dirs = open[from..to].iter().map(|dir| &dir.value);
        let listings = listing::load(source, dirs).await?;
        for at in from..to {
            open[at].entries = listings.get(&open[at].value).cloned().unwrap_or_default();
            let below = std::mem::take(&mut open[at].names.below);
            for (name, names) in below {
                let old = open[at].entries.remove(&name);
                let Some(value) = changed(&names, old) else {
                    continue;
                };
                if names.below.is_empty() || value.kind() != NodeKind::Dir {
                    open[at].entries.insert(name, value);
                    continue;
                }
                open.push(Open {
                    names,
                    value,
                    entries: Listing::new(),
                    parent: Some((at, name)),
                });
            }
        }
        from = to;
    }

    let mut trees = Vec::new();
    while let Some(dir) = open.pop() {
        let entries: Vec<Entry> = dir
            .entries
            .into_iter()
            .map(|(name, value)| Entry {
                name,
                target: EntryTarget::Node(Box::new(value.node)),
            })
            .collect();
        let tree = git_tree(&entries, |_| None)?;
        let mut value = dir.value;
        value.node.git = tree.as_ref().map(|(_, oid)| *oid);
        trees.extend(tree.map(|(bytes, oid)| (oid, bytes)));
        match dir.parent {
            Some((parent, name)) => {
                open[parent].entries.insert(name, value);
            }
            None => return Ok((value.node.git.unwrap_or(GitOid::EMPTY_TREE), trees)),
        }
    }
    Ok((GitOid::EMPTY_TREE, trees))
}

/// What a name has after its own change.
fn changed(names: &Names<'_>, old: Option<TreeValue>) -> Option<TreeValue> {
    match names.change {
        Some(Change::Remove) => None,
        Some(Change::Put(value)) => Some((**value).clone()),
        Some(Change::Dir(node)) => {
            let old = old.filter(|old| old.kind() == NodeKind::Dir);
            let (dir, git) = old
                .as_ref()
                .map_or((None, None), |o| (o.node.dir.clone(), o.node.git));
            let links = old.and_then(|old| old.links);
            let node = NodeRecord {
                dir,
                git,
                ..(**node).clone()
            };
            Some(TreeValue { node, links })
        }
        None => old,
    }
}
