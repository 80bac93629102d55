//! Which paths differ between two snapshots.

use std::collections::HashMap;

use mesa_object::tree::{DirRef, Entry, NodeRecord};
use mesa_types::{FileId, NodeKind, ObjectId};

use super::{Snapshot, SnapshotError, record_of};

/// Directories compared together.
const STEP: usize = 256;

/// A pair of directories at one path, one of them possibly absent.
struct Pair {
    path: Vec<u8>,
    old: Option<DirRef>,
    new: Option<DirRef>,
}

/// Paths of files, symlinks and other leaves that one snapshot has and the other has not, or has
/// with another kind, content or mode; sorted. At most `max`; the flag tells that there are more.
///
/// Equal subtrees are not read: the cost is that of the differences.
pub async fn changed_paths(
    old: &Snapshot,
    new: &Snapshot,
    max: usize,
) -> Result<(Vec<Vec<u8>>, bool), SnapshotError> {
    let (old_links, new_links) = (old.links().await?, new.links().await?);
    let mut paths = Vec::new();
    let mut queue = vec![Pair {
        path: Vec::new(),
        old: old.root_dir().cloned(),
        new: new.root_dir().cloned(),
    }];
    while !queue.is_empty() && paths.len() <= max {
        let part = queue.split_off(queue.len().saturating_sub(STEP));
        let ids = |side: fn(&Pair) -> &Option<DirRef>| -> Vec<ObjectId> {
            part.iter()
                .filter_map(|p| side(p).as_ref())
                .map(|d| d.object)
                .collect()
        };
        let mut old_lists = old.listings(&ids(|p| &p.old)).await?.into_iter();
        let mut new_lists = new.listings(&ids(|p| &p.new)).await?.into_iter();
        for pair in part {
            let list = |dir: &Option<DirRef>, lists: &mut std::vec::IntoIter<Vec<Entry>>| {
                dir.as_ref().and_then(|_| lists.next()).unwrap_or_default()
            };
            let old_entries = list(&pair.old, &mut old_lists);
            let new_entries = list(&pair.new, &mut new_lists);
            let old_side = Side::of(&old_entries, &old_links)?;
            let new_side = Side::of(&new_entries, &new_links)?;
            compare(&pair.path, &old_side, &new_side, &mut paths, &mut queue);
        }
    }
    let more = paths.len() > max || !queue.is_empty();
    paths.sort_unstable();
    paths.truncate(max);
    Ok((paths, more))
}

/// One directory's entries by name.
struct Side<'a>(Vec<(&'a [u8], &'a NodeRecord)>);

impl<'a> Side<'a> {
    fn of(
        entries: &'a [Entry],
        links: &'a HashMap<FileId, NodeRecord>,
    ) -> Result<Self, SnapshotError> {
        entries
            .iter()
            .map(|entry| Ok((entry.name.as_bytes(), record_of(entry, links)?)))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn compare(
    path: &[u8],
    old: &Side<'_>,
    new: &Side<'_>,
    paths: &mut Vec<Vec<u8>>,
    queue: &mut Vec<Pair>,
) {
    let (mut old, mut new) = (old.0.iter().peekable(), new.0.iter().peekable());
    loop {
        let name = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some((a, _)), None) => *a,
            (None, Some((b, _))) => *b,
            (Some((a, _)), Some((b, _))) => *a.min(b),
        };
        let before = old.next_if(|(n, _)| *n == name).map(|(_, r)| *r);
        let after = new.next_if(|(n, _)| *n == name).map(|(_, r)| *r);
        let mut at = path.to_vec();
        if !at.is_empty() {
            at.push(b'/');
        }
        at.extend_from_slice(name);
        entry(at, before, after, paths, queue);
    }
}

fn entry(
    path: Vec<u8>,
    before: Option<&NodeRecord>,
    after: Option<&NodeRecord>,
    paths: &mut Vec<Vec<u8>>,
    queue: &mut Vec<Pair>,
) {
    let dir = |record: Option<&NodeRecord>| record.and_then(|r| r.dir.clone());
    let leaf = |record: Option<&NodeRecord>| record.is_some_and(|r| r.dir.is_none());
    let (old, new) = (dir(before), dir(after));
    let differ = match (&old, &new) {
        (Some(old), Some(new)) => old.object != new.object && old.snap != new.snap,
        (None, None) => false,
        _ => true,
    };
    let leaves_differ = match (before, after) {
        (Some(a), Some(b)) if leaf(before) && leaf(after) => !same_leaf(a, b),
        _ => leaf(before) || leaf(after),
    };
    if leaves_differ {
        paths.push(path.clone());
    }
    if differ {
        queue.push(Pair { path, old, new });
    }
}

fn same_leaf(a: &NodeRecord, b: &NodeRecord) -> bool {
    let same_mode = a.attr.kind == NodeKind::Symlink || a.attr.mode == b.attr.mode;
    a.attr.kind == b.attr.kind && a.attr.content == b.attr.content && same_mode && a.git == b.git
}
