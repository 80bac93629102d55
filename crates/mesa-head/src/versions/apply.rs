//! A merge's outcome as file operations on the tree of its first side.

use bytes::Bytes;
use mesa_object::tree::{EntryTarget, NodeRecord, Root};
use mesa_types::{FileId, Nanos, NodeKind};
use mesa_vcs::{
    Merge,
    tree::{Edit, TreePath, TreeSource, TreeValue},
};

use super::store::Versions;
use crate::{
    edit::{FilePath, Prepared},
    error::{HeadError, Result},
    oplog::transform::{How, Target, Within, transform},
};

/// The operations of a merge's edits to the tree of its first side. What is the same stays the same
/// nodes, and names of one node are names of one node again.
pub(crate) async fn prepared(
    store: &Versions,
    roots: &Merge<Root>,
    edits: Vec<Edit>,
    now: Nanos,
) -> Result<Vec<Prepared>> {
    // The root keeps its attributes.
    let edits = edits.into_iter().filter(|edit| !edit.path.is_root());
    let targets: Vec<_> = edits.map(Target::of).collect();
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let last = roots.adds().last().unwrap_or(roots.first());
    let trees = [roots.first(), last].map(TreeValue::of_root);
    let trees = trees.each_ref();
    let how = (How::Merge, now);
    transform(store, trees, targets, &Within::default(), how).await
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
