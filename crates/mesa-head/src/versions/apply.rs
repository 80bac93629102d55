//! A merge's outcome as file operations on the tree of its first side.

use std::collections::BTreeMap;

use bytes::Bytes;
use mesa_object::tree::{EntryTarget, NodeRecord, Root};
use mesa_types::{EntryName, FileId, NodeKind};
use mesa_vcs::tree::{Change, Edit, TreePath, TreeSource, TreeValue};

use super::{opened::Opened, store::Versions};
use crate::{
    edit::{FilePath, Prepared},
    error::{HeadError, Result},
};

/// The operations of a merge's edits to the tree of `first`. A directory taken whole from another
/// side becomes what differs below it: what is the same stays the same nodes.
pub(crate) async fn prepared(
    store: &Versions,
    first: &Root,
    edits: &[Edit],
) -> Result<Vec<Prepared>> {
    let is_dir =
        |edit: &&Edit| matches!(&edit.change, Change::Put(value) if value.kind() == NodeKind::Dir);
    let dirs = edits.iter().filter(is_dir).map(|edit| &edit.path);
    let opened = Opened::read(store, first.clone(), dirs).await?;
    let mut out = Vec::with_capacity(edits.len());
    for edit in edits {
        if edit.path.is_root() {
            // The root keeps its attributes.
            continue;
        }
        match &edit.change {
            Change::Remove => out.push(remove(&edit.path)?),
            Change::Put(value) => {
                let old = opened.get(&edit.path);
                let old = old.filter(|old| (old.kind(), value.kind()) == BOTH_DIRS);
                match old {
                    Some(old) => replace(store, &edit.path, old, value, &mut out).await?,
                    None => put(store, &edit.path, value, &mut out).await?,
                }
            }
            Change::Dir(record) => out.push(node(&edit.path, record)?),
        }
    }
    Ok(out)
}

const BOTH_DIRS: (NodeKind, NodeKind) = (NodeKind::Dir, NodeKind::Dir);

/// A directory becomes another one, entry by entry.
async fn replace(
    store: &Versions,
    path: &TreePath,
    old: TreeValue,
    new: &TreeValue,
    out: &mut Vec<Prepared>,
) -> Result<()> {
    let mut pairs = vec![(path.clone(), old, new.clone())];
    while let Some((path, old, new)) = pairs.pop() {
        out.push(node(&path, &new.node)?);
        let before = entries(store, &old).await?;
        let after = entries(store, &new).await?;
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            out.push(remove(&path.join(name))?);
        }
        for (name, value) in after {
            let below = path.join(&name);
            match before.get(&name) {
                Some(old) if old.is_same(&value) => {}
                Some(old) if (old.kind(), value.kind()) == BOTH_DIRS => {
                    pairs.push((below, old.clone(), value));
                }
                _ => put(store, &below, &value, out).await?,
            }
        }
    }
    Ok(())
}

/// What is in a directory.
async fn entries(store: &Versions, dir: &TreeValue) -> Result<BTreeMap<EntryName, TreeValue>> {
    let Some(listing) = dir.listing() else {
        return Ok(BTreeMap::new());
    };
    let listed = store.list(&[listing]).await?.pop().unwrap_or_default();
    let mut found = BTreeMap::new();
    for entry in listed {
        let node = match entry.target {
            EntryTarget::Node(record) => *record,
            EntryTarget::Link { id, .. } => linked(store, dir, id).await?,
        };
        let links = dir.links;
        found.insert(entry.name, TreeValue { node, links });
    }
    Ok(found)
}

/// Removal of a path, if there is anything.
pub(crate) fn remove(path: &TreePath) -> Result<Prepared> {
    Ok(Prepared::Remove {
        path: file_path(path)?,
    })
}

/// A path becomes what some tree has there.
pub(crate) async fn put(
    store: &Versions,
    path: &TreePath,
    value: &TreeValue,
    out: &mut Vec<Prepared>,
) -> Result<()> {
    let is_dir = value.kind() == NodeKind::Dir;
    if is_dir {
        // Whatever stood there goes with everything below it.
        out.push(remove(path)?);
    }
    out.push(node(path, &value.node)?);
    let mut dirs: Vec<_> = value
        .listing()
        .map(|l| (path.clone(), l))
        .into_iter()
        .collect();
    while !dirs.is_empty() {
        let level = std::mem::take(&mut dirs);
        let wanted: Vec<_> = level.iter().map(|(_, listing)| *listing).collect();
        for ((path, _), entries) in level.iter().zip(store.list(&wanted).await?) {
            for entry in entries {
                let below = path.join(&entry.name);
                let record = match entry.target {
                    EntryTarget::Node(record) => *record,
                    EntryTarget::Link { id, .. } => linked(store, value, id).await?,
                };
                if let Some(dir) = &record.dir {
                    dirs.push((below.clone(), dir.object));
                }
                out.push(node(&below, &record)?);
            }
        }
    }
    Ok(())
}

async fn linked(store: &Versions, value: &TreeValue, id: FileId) -> Result<NodeRecord> {
    let table = value
        .links
        .ok_or_else(|| HeadError::corrupt("links without a link table"))?;
    let mut found = store.linked(table, &[id]).await?;
    found
        .pop()
        .ok_or_else(|| HeadError::corrupt("a link leads nowhere"))
}

/// A path becomes a node with this record; a directory keeps what is in it.
pub(crate) fn node(path: &TreePath, record: &NodeRecord) -> Result<Prepared> {
    let mut record = record.clone();
    record.dir = None;
    Ok(Prepared::Node {
        path: file_path(path)?,
        record: Box::new(record),
        inline: Bytes::new(),
    })
}

fn file_path(path: &TreePath) -> Result<FilePath> {
    FilePath::parse(path.as_bytes()).map_err(|_| HeadError::corrupt("a stored path is too long"))
}
