//! The walk over two trees.

use std::collections::BTreeMap;

use mesa_object::git::{self, Verdict};
use mesa_types::{EntryName, NodeKind, Owner};

use super::{DiffEntry, Scope, Status, TreeDiff};
use crate::tree::{
    TreePath, TreeSource, TreeValue, VcsError,
    listing::{self, Listings},
};

type Pair = (Option<TreeValue>, Option<TreeValue>);

pub(super) struct Walk {
    scope: Scope,
    pending: Vec<(TreePath, Pair)>,
    entries: Vec<DiffEntry>,
    listings_loaded: usize,
}

impl Walk {
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            pending: Vec::new(),
            entries: Vec::new(),
            listings_loaded: 0,
        }
    }

    pub fn start(&mut self, before: TreeValue, after: TreeValue) {
        let path = TreePath::root();
        if self.scope == Scope::Everything && !same_attrs(&before, &after) {
            let (before, after) = (before.clone(), after.clone());
            self.keep(path.clone(), Some(before), Some(after));
        }
        self.descend(path, Some(before), Some(after));
    }

    pub fn has_more(&self) -> bool {
        !self.pending.is_empty()
    }

    pub fn finish(self) -> TreeDiff {
        TreeDiff {
            entries: self.entries,
            listings_loaded: self.listings_loaded,
        }
    }

    pub async fn step<S: TreeSource>(&mut self, source: &S) -> Result<(), VcsError<S::Error>> {
        let from = self.pending.len().saturating_sub(listing::LISTINGS_MAX / 2);
        let tasks = self.pending.split_off(from);
        let wanted = tasks.iter().flat_map(|(_, (a, b))| [a, b]).flatten();
        let mut listings = listing::load(source, wanted).await?;
        self.listings_loaded += listings.len();
        for (path, (before, after)) in tasks {
            let mut entries: BTreeMap<EntryName, Pair> = BTreeMap::new();
            for (name, value) in self.visible(&mut listings, before) {
                entries.entry(name).or_default().0 = Some(value);
            }
            for (name, value) in self.visible(&mut listings, after) {
                entries.entry(name).or_default().1 = Some(value);
            }
            for (name, (before, after)) in entries {
                self.compare(path.join(&name), before, after);
            }
        }
        Ok(())
    }

    /// The entries of a directory that are in the scope.
    fn visible(
        &self,
        listings: &mut Listings,
        dir: Option<TreeValue>,
    ) -> Vec<(EntryName, TreeValue)> {
        let listing = dir.and_then(|dir| listings.get(&dir).cloned());
        let entries = listing.unwrap_or_default().into_iter();
        entries
            .filter(|(name, value)| self.scope == Scope::Everything || is_visible(name, value))
            .collect()
    }

    fn compare(&mut self, path: TreePath, before: Option<TreeValue>, after: Option<TreeValue>) {
        let is_dir = |value: &Option<TreeValue>| {
            value
                .as_ref()
                .is_some_and(|value| value.kind() == NodeKind::Dir)
        };
        if !is_dir(&before) && !is_dir(&after) {
            if !self.is_same(before.as_ref(), after.as_ref()) {
                self.keep(path, before, after);
            }
            return;
        }
        if self.scope == Scope::Everything {
            let same = match (&before, &after) {
                (Some(before), Some(after)) => {
                    before.kind() == after.kind() && same_attrs(before, after)
                }
                _ => false,
            };
            if !same {
                self.keep(path.clone(), before.clone(), after.clone());
            }
        } else {
            // A file that gave way to a directory, or the other way round, is gone.
            let file =
                |value: &Option<TreeValue>| value.clone().filter(|v| v.kind() != NodeKind::Dir);
            if !is_dir(&before) && before.is_some() {
                self.keep(path.clone(), file(&before), None);
            }
            if !is_dir(&after) && after.is_some() {
                self.keep(path.clone(), None, file(&after));
            }
        }
        let dir = |value: Option<TreeValue>| value.filter(|v| v.kind() == NodeKind::Dir);
        self.descend(path, dir(before), dir(after));
    }

    fn descend(&mut self, path: TreePath, before: Option<TreeValue>, after: Option<TreeValue>) {
        let digest = |value: &Option<TreeValue>| {
            let dir = value.as_ref()?.node.dir.as_ref()?;
            let digest = match self.scope {
                Scope::Git => dir.sem,
                Scope::Everything => dir.snap,
            };
            Some(digest)
        };
        let empty = self.scope == Scope::Git;
        let (a, b) = (digest(&before), digest(&after));
        let none = |digest: Option<[u8; 32]>| digest.filter(|d| !(empty && *d == [0; 32]));
        if none(a) != none(b) {
            self.pending.push((path, (before, after)));
        }
    }

    fn is_same(&self, before: Option<&TreeValue>, after: Option<&TreeValue>) -> bool {
        match (before, after) {
            (Some(before), Some(after)) => {
                before.substance() == after.substance()
                    && (self.scope == Scope::Git || same_attrs(before, after))
            }
            _ => false,
        }
    }

    fn keep(&mut self, path: TreePath, before: Option<TreeValue>, after: Option<TreeValue>) {
        let status = match (&before, &after) {
            (None, None) => return,
            (None, Some(_)) => Status::Added,
            (Some(_), None) => Status::Deleted,
            (Some(_), Some(_)) => Status::Modified,
        };
        self.entries.push(DiffEntry {
            path,
            status,
            before,
            after,
        });
    }
}

/// Whether git sees an entry.
fn is_visible(name: &EntryName, value: &TreeValue) -> bool {
    value.node.git.is_some()
        && match git::verdict(name.as_bytes(), value.kind()) {
            Verdict::Visible => true,
            Verdict::CheckContent => !value.node.git_refused,
            Verdict::Hidden(_) => false,
        }
}

fn same_attrs(a: &TreeValue, b: &TreeValue) -> bool {
    let of = |value: &TreeValue| -> (u16, Owner, Owner) {
        let attr = &value.node.attr;
        (attr.mode, attr.uid, attr.gid)
    };
    of(a) == of(b) && a.node.xattrs == b.node.xattrs
}
