//! Directories.

use std::collections::HashMap;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use mesa_api::{Content, ContentDir, ContentEntry, EntryDir, EntryFile, ErrorCode};
use mesa_object::tree::{Entry, NodeRecord};
use mesa_types::{FileId, GitOid, NodeKind, ObjectId};

use super::{Query, RepoPath, file::mode, name_of, sha, shown};
use crate::{
    error::ApiError,
    snapshot::{Snapshot, record_of},
};

/// Levels below the directory when the request does not say.
const DEPTH_DEFAULT: usize = 1;
/// Most entries in one answer.
const ENTRIES_MAX: usize = 50_000;

/// A directory with its entries down to the wanted depth, each before what is in it. Nodes that
/// are neither file, symlink nor directory are left out.
pub(super) async fn answer(
    snapshot: &Snapshot,
    record: Option<&NodeRecord>,
    query: &Query,
) -> Result<Response, ApiError> {
    let depth = query.depth.unwrap_or(DEPTH_DEFAULT);
    let depth = if query.filtered { 0 } else { depth };
    let dir = read(snapshot, record, &query.path, depth).await?;
    Ok(Json(Content::Dir(dir)).into_response())
}

/// The same as a value; at depth 0 without entries.
pub(crate) async fn read(
    snapshot: &Snapshot,
    record: Option<&NodeRecord>,
    path: &RepoPath,
    depth: usize,
) -> Result<ContentDir, ApiError> {
    let name = name_of(path.parts());
    let path = path.joined();
    let mut tree = Levels::default();
    let top = record.and_then(|r| r.dir.as_ref()).map(|dir| dir.object);
    if let Some(top) = top {
        if record
            .and_then(|r| r.dir.as_ref())
            .is_some_and(|dir| dir.links > 0)
        {
            tree.links = snapshot.links().await?;
        }
        tree.read(snapshot, top, depth.max(1)).await?;
    }
    let mut entries = Vec::new();
    let child_count = top.map_or(0, |top| tree.visible(top).count());
    if let Some(top) = top.filter(|_| depth > 0) {
        tree.flatten(top, &path, depth, &mut entries)?;
    }
    let (text, path_b64) = shown(&path);
    Ok(ContentDir {
        name,
        path: text,
        path_b64,
        sha: record.map_or_else(|| GitOid::EMPTY_TREE.to_string(), sha),
        child_count: child_count as u64,
        entries,
    })
}

/// Listings by their object, and the hard-linked nodes in them.
#[derive(Default)]
struct Levels {
    listings: HashMap<ObjectId, Vec<Entry>>,
    links: HashMap<FileId, NodeRecord>,
}

impl Levels {
    /// Reads a directory and what is below it, one level at a time.
    async fn read(
        &mut self,
        snapshot: &Snapshot,
        top: ObjectId,
        depth: usize,
    ) -> Result<(), ApiError> {
        let mut level = vec![top];
        let mut count = 0;
        for _ in 0..depth {
            let lists = snapshot.listings(&level).await?;
            count += lists.iter().map(Vec::len).sum::<usize>();
            if count > ENTRIES_MAX {
                return Err(ApiError::new(
                    ErrorCode::PayloadTooLarge,
                    format!("more than {ENTRIES_MAX} entries; ask for less depth or below"),
                )
                .detail("max_entries", ENTRIES_MAX));
            }
            let below = lists.iter().flatten().filter_map(dir_object);
            let mut next: Vec<_> = below.filter(|id| !self.listings.contains_key(id)).collect();
            next.sort_unstable();
            next.dedup();
            self.listings.extend(level.into_iter().zip(lists));
            level = next;
            if level.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn visible(&self, dir: ObjectId) -> impl Iterator<Item = &Entry> {
        let shown = |entry: &&Entry| {
            matches!(
                entry.kind(),
                NodeKind::File | NodeKind::Dir | NodeKind::Symlink
            )
        };
        self.listings.get(&dir).into_iter().flatten().filter(shown)
    }

    fn flatten(
        &self,
        dir: ObjectId,
        path: &[u8],
        depth: usize,
        out: &mut Vec<ContentEntry>,
    ) -> Result<(), ApiError> {
        for entry in self.visible(dir) {
            let record = record_of(entry, &self.links)?;
            let mut at = path.to_vec();
            if !at.is_empty() {
                at.push(b'/');
            }
            at.extend_from_slice(entry.name.as_bytes());
            out.push(shown_entry(entry, record, &at));
            if out.len() > ENTRIES_MAX {
                // The same directory object at several places counts every time.
                return Err(ApiError::new(
                    ErrorCode::PayloadTooLarge,
                    format!("more than {ENTRIES_MAX} entries; ask for less depth or below"),
                ));
            }
            if let Some(below) = dir_object(entry).filter(|_| depth > 1) {
                self.flatten(below, &at, depth - 1, out)?;
            }
        }
        Ok(())
    }
}

fn dir_object(entry: &Entry) -> Option<ObjectId> {
    match &entry.target {
        mesa_object::tree::EntryTarget::Node(record) => Some(record.dir.as_ref()?.object),
        mesa_object::tree::EntryTarget::Link { .. } => None,
    }
}

fn shown_entry(entry: &Entry, record: &NodeRecord, path: &[u8]) -> ContentEntry {
    let name = String::from_utf8_lossy(entry.name.as_bytes()).into_owned();
    let (path, path_b64) = shown(path);
    if entry.kind() == NodeKind::Dir {
        return ContentEntry::Dir(EntryDir {
            name,
            path,
            path_b64,
            sha: sha(record),
        });
    }
    let file = EntryFile {
        name,
        path,
        path_b64,
        sha: sha(record),
        size: record.attr.content.size(),
        mode: mode(record),
    };
    if entry.kind() == NodeKind::Symlink {
        ContentEntry::Symlink(file)
    } else {
        ContentEntry::File(file)
    }
}
