//! What a planned write does to numbers: of names in directories, of names of nodes.

use std::collections::HashMap;

use mesa_object::tree::NodeRecord;
use mesa_types::{ContentRef, FileId, NodeKind};

use super::Seen;

/// Differences from the tree.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Names in directories.
    inside: HashMap<FileId, isize>,
    /// Names of nodes.
    of: HashMap<FileId, isize>,
    /// Modes and contents written: a node with several names is seen by all of them.
    written: HashMap<FileId, (u16, ContentRef)>,
    /// Nodes made for names that were taken off another node, by that.
    apart: HashMap<FileId, Vec<Apart>>,
}

/// A node that a name was given instead of another one.
#[derive(Debug, Clone)]
pub(super) struct Apart {
    pub id: FileId,
    pub path: Vec<u8>,
    record: NodeRecord,
}

impl Names {
    /// A name in `dir` stands for another node than before.
    pub fn replaced(&mut self, dir: FileId, before: Option<FileId>, after: Option<FileId>) {
        for (id, by) in [(before, -1), (after, 1)] {
            if let Some(id) = id {
                *self.of.entry(id).or_default() += by;
                *self.inside.entry(dir).or_default() += by;
            }
        }
    }

    /// Names in a directory that has `before` of them in the tree.
    pub fn in_dir(&self, dir: FileId, before: usize) -> usize {
        let by = self.inside.get(&dir).copied().unwrap_or(0);
        before.saturating_add_signed(by)
    }

    /// Names of a node that has `before` of them in the tree.
    pub fn of(&self, id: FileId, before: usize) -> usize {
        let by = self.of.get(&id).copied().unwrap_or(0);
        before.saturating_add_signed(by)
    }

    /// A node got a mode and content.
    pub fn wrote(&mut self, seen: &Seen) {
        if seen.kind == NodeKind::File {
            self.written.insert(seen.id, (seen.mode, seen.content));
        }
    }

    /// A node as it is by now.
    pub fn now(&self, seen: Seen) -> Seen {
        match self.written.get(&seen.id) {
            Some((mode, content)) => Seen {
                mode: *mode,
                content: *content,
                ..seen
            },
            None => seen,
        }
    }

    /// A name of `from` got a node of its own.
    pub fn took_apart(&mut self, from: FileId, id: FileId, path: Vec<u8>, record: &NodeRecord) {
        let record = record.clone();
        let apart = Apart { id, path, record };
        self.apart.entry(from).or_default().push(apart);
    }

    /// The node that another name of `from` got for the same record.
    pub fn twin(&self, from: FileId, record: &NodeRecord) -> Option<Apart> {
        let same = |apart: &&Apart| {
            let (a, b) = (&apart.record, record);
            (a.attr.id, a.attr.mode) == (b.attr.id, b.attr.mode)
                && (a.attr.uid, a.attr.gid) == (b.attr.uid, b.attr.gid)
                && a.attr.content == b.attr.content
                && a.xattrs == b.xattrs
        };
        self.apart.get(&from)?.iter().find(same).cloned()
    }
}
