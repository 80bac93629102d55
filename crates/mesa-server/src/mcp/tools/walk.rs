//! Going through a tree.

use std::collections::VecDeque;

use mesa_object::tree::NodeRecord;
use mesa_types::{NodeKind, ObjectId};

use crate::{
    error::ApiError,
    snapshot::{Links, Snapshot, record_of},
};

/// Directories read together.
const STEP: usize = 256;
/// Entries looked at in one call.
const ENTRIES_MAX: usize = 200_000;

/// Everything below a directory, one group of directories at a time, the nearest first.
pub struct Walk<'a> {
    snapshot: &'a Snapshot,
    links: Option<Links>,
    queue: VecDeque<(Vec<u8>, ObjectId)>,
    seen: usize,
}

/// An entry of the walk.
pub struct Step {
    pub path: Vec<u8>,
    pub record: NodeRecord,
}

impl<'a> Walk<'a> {
    /// Below the directory that has this path and record.
    pub fn new(snapshot: &'a Snapshot, path: Vec<u8>, record: Option<&NodeRecord>) -> Self {
        let top = record.and_then(|record| record.dir.as_ref());
        Self {
            snapshot,
            links: None,
            queue: top.map(|dir| (path, dir.object)).into_iter().collect(),
            seen: 0,
        }
    }

    /// Whether entries were left out because there are too many.
    pub fn is_cut(&self) -> bool {
        self.seen >= ENTRIES_MAX && !self.queue.is_empty()
    }

    /// The entries of the next directories, sorted within each; none at the end.
    pub async fn step(&mut self) -> Result<Option<Vec<Step>>, ApiError> {
        if self.queue.is_empty() || self.seen >= ENTRIES_MAX {
            return Ok(None);
        }
        let links = match self.links.take() {
            Some(links) => links,
            None => self.snapshot.links().await?,
        };
        let part: Vec<_> = self.queue.drain(..self.queue.len().min(STEP)).collect();
        let ids: Vec<ObjectId> = part.iter().map(|(_, id)| *id).collect();
        let mut steps = Vec::new();
        for ((path, _), entries) in part.iter().zip(self.snapshot.listings(&ids).await?) {
            for entry in &entries {
                let record = record_of(entry, &links)?;
                let mut at = path.clone();
                if !at.is_empty() {
                    at.push(b'/');
                }
                at.extend_from_slice(entry.name.as_bytes());
                if let Some(dir) = &record.dir {
                    self.queue.push_back((at.clone(), dir.object));
                }
                let shown = matches!(
                    record.attr.kind,
                    NodeKind::File | NodeKind::Dir | NodeKind::Symlink
                );
                if shown {
                    let record = record.clone();
                    steps.push(Step { path: at, record });
                }
            }
            self.seen += entries.len();
        }
        self.links = Some(links);
        Ok(Some(steps))
    }
}
