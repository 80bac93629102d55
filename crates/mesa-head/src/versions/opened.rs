//! A snapshot with some paths looked at and changed, without a head.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mesa_object::{
    Object, OrgKey,
    tree::{Entry, EntryTarget, NodeRecord, Root, seal_dir},
};
use mesa_types::{Attr, ContentRef, EntryName, FileId, Nanos, NodeKind, Owner};
use mesa_vcs::tree::{TreePath, TreeSource, TreeValue};

use super::store::Versions;
use crate::error::Result;

/// The directories on the way to some paths.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    root: Root,
    dirs: BTreeMap<TreePath, OpenDir>,
    links: HashMap<FileId, NodeRecord>,
}

#[derive(Debug, Clone)]
struct OpenDir {
    record: NodeRecord,
    entries: BTreeMap<EntryName, Entry>,
    is_new: bool,
}

impl Opened {
    /// Reads the directories above `paths`, level by level.
    pub async fn read(
        store: &Versions,
        root: Root,
        paths: impl Iterator<Item = &TreePath>,
    ) -> Result<Self> {
        let mut wanted: BTreeSet<TreePath> = BTreeSet::new();
        for path in paths {
            let mut above = path.parent();
            while let Some(path) = above.filter(|path| !wanted.contains(path)) {
                above = path.parent();
                wanted.insert(path);
            }
        }
        let record = root.dir.clone();
        let mut opened = Self {
            root,
            dirs: BTreeMap::new(),
            links: HashMap::new(),
        };
        let mut level = vec![(TreePath::root(), record)];
        while !level.is_empty() {
            let listed: Vec<_> = level
                .iter()
                .filter_map(|(_, record)| record.dir.as_ref().map(|dir| dir.object))
                .collect();
            let mut listings = store.list(&listed).await?.into_iter();
            let mut below = Vec::new();
            for (path, record) in level {
                let entries = match &record.dir {
                    Some(_) => listings.next().unwrap_or_default(),
                    None => Vec::new(),
                };
                opened.read_links(store, &entries).await?;
                for entry in &entries {
                    let child = path.join(&entry.name);
                    if let EntryTarget::Node(record) = &entry.target
                        && record.attr.kind == NodeKind::Dir
                        && wanted.contains(&child)
                    {
                        below.push((child, (**record).clone()));
                    }
                }
                let entries = entries.into_iter().map(|e| (e.name.clone(), e)).collect();
                let dir = OpenDir {
                    record,
                    entries,
                    is_new: false,
                };
                opened.dirs.insert(path, dir);
            }
            level = below;
        }
        Ok(opened)
    }

    async fn read_links(&mut self, store: &Versions, entries: &[Entry]) -> Result<()> {
        let Some(table) = self.root.links else {
            return Ok(());
        };
        let ids: Vec<FileId> = entries
            .iter()
            .filter_map(|entry| match entry.target {
                EntryTarget::Link { id, .. } if !self.links.contains_key(&id) => Some(id),
                _ => None,
            })
            .collect();
        if !ids.is_empty() {
            for record in store.linked(table, &ids).await? {
                self.links.insert(record.attr.id, record);
            }
        }
        Ok(())
    }

    /// What is at one of the paths.
    pub fn get(&self, path: &TreePath) -> Option<TreeValue> {
        let name = EntryName::new(path.name()).ok()?;
        let entry = self.dirs.get(&path.parent()?)?.entries.get(&name)?;
        let node = match &entry.target {
            EntryTarget::Node(record) => (**record).clone(),
            EntryTarget::Link { id, .. } => self.links.get(id)?.clone(),
        };
        let links = self.root.links;
        Some(TreeValue { node, links })
    }

    /// Names in the directory of one of the paths.
    pub fn has(&self, dir: &TreePath, name: &[u8]) -> bool {
        let dir = self.dirs.get(dir);
        dir.is_some_and(|dir| dir.entries.keys().any(|known| known.as_bytes() == name))
    }

    /// Changes what is at one of the paths. Directories on the way are made.
    pub fn set(&mut self, path: &TreePath, value: Option<TreeValue>) {
        let (Some(parent), Ok(name)) = (path.parent(), EntryName::new(path.name())) else {
            return;
        };
        let Some(value) = value else {
            if let Some(dir) = self.dirs.get_mut(&parent) {
                dir.entries.remove(&name);
            }
            return;
        };
        let mut node = value.node;
        node.attr.nlink = 1;
        self.make(&parent, node.attr.id);
        let target = EntryTarget::Node(Box::new(node));
        if let Some(dir) = self.dirs.get_mut(&parent) {
            let entry = Entry {
                name: name.clone(),
                target,
            };
            dir.entries.insert(name, entry);
        }
    }

    fn make(&mut self, path: &TreePath, id: FileId) {
        let mut at = Some(path.clone());
        while let Some(path) = at.filter(|path| !self.dirs.contains_key(path)) {
            at = path.parent();
            let dir = OpenDir {
                record: NodeRecord::new(Attr {
                    id,
                    kind: NodeKind::Dir,
                    mode: 0o755,
                    uid: Owner::Mounter,
                    gid: Owner::Mounter,
                    nlink: 1,
                    mtime: Nanos(0),
                    ctime: Nanos(0),
                    content: ContentRef::Empty,
                }),
                entries: BTreeMap::new(),
                is_new: true,
            };
            self.dirs.insert(path, dir);
        }
    }

    /// The snapshot with the changes, and the objects it may need that are not stored.
    pub fn seal(mut self, key: &OrgKey) -> Result<(Root, Vec<Object>)> {
        let mut objects = Vec::new();
        // Children come after their parents.
        while let Some((path, dir)) = self.dirs.pop_last() {
            if dir.is_new && dir.entries.is_empty() {
                continue;
            }
            let entries: Vec<Entry> = dir.entries.into_values().collect();
            let sealed = seal_dir(key, &entries, |id| self.links.get(&id))?;
            let mut record = dir.record;
            record.git = sealed.git;
            record.dir = Some(sealed.dir);
            objects.extend(sealed.objects);
            match (path.parent(), EntryName::new(path.name())) {
                (Some(parent), Ok(name)) => {
                    if let Some(parent) = self.dirs.get_mut(&parent) {
                        let target = EntryTarget::Node(Box::new(record));
                        let entry = Entry {
                            name: name.clone(),
                            target,
                        };
                        parent.entries.insert(name, entry);
                    }
                }
                _ => self.root.dir = record,
            }
        }
        self.root.conflicts = None;
        Ok((self.root, objects))
    }
}
