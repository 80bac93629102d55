//! Folding a tree into a snapshot: what to write, and taking the outcome back.
//!
//! [`Tree::seal_plan`] copies everything the sealing needs, so that operations go on while objects
//! are written; [`Tree::sealed`] takes the outcome for the state at the plan's sequence.

use std::collections::HashMap;

use mesa_object::tree::{DirRef, NodeRecord};
use mesa_types::{ContentRef, EntryName, FileId, GitOid, NodeKind, ObjectId};

use super::{Node, Tree};

/// A copy of the changed parts of a tree.
#[derive(Debug)]
pub struct SealPlan {
    /// Sequence of the last operation in it.
    pub seq: u64,
    /// Changed directories, children before parents; the last one is the root.
    pub dirs: Vec<PlanDir>,
    /// The root's own record.
    pub root: NodeRecord,
    /// Records of hard-linked nodes in memory, by id.
    pub links: HashMap<FileId, NodeRecord>,
    /// The link table as last sealed; used again unless `links_changed`.
    pub links_sealed: Option<ObjectId>,
    /// Whether the table has to be written; then `links` is complete.
    pub links_changed: bool,
}

/// A changed directory.
#[derive(Debug)]
pub struct PlanDir {
    /// The directory.
    pub id: FileId,
    /// Its listing as last sealed.
    pub was: Option<ObjectId>,
    /// Its entries by name.
    pub entries: Vec<(EntryName, PlanEntry)>,
}

/// An entry of a changed directory.
#[derive(Debug)]
pub enum PlanEntry {
    /// A node; a directory's record is complete unless it is in the plan itself.
    Node(Box<NodeRecord>),
    /// A hard-linked node.
    Link(FileId, NodeKind),
}

/// A directory's outcome.
#[derive(Debug, Clone)]
pub struct SealedListing {
    /// Its listing and digests.
    pub dir: DirRef,
    /// Its git tree.
    pub git: Option<GitOid>,
}

/// The outcome of sealing.
#[derive(Debug, Clone, Default)]
pub struct Sealed {
    /// The plan's sequence.
    pub seq: u64,
    /// Directories.
    pub dirs: HashMap<FileId, SealedListing>,
    /// Git objects of contents: file, content, oid, whether git must not see it.
    pub files: Vec<(FileId, ContentRef, GitOid, bool)>,
    /// The link table.
    pub links: Option<ObjectId>,
}

impl Tree {
    /// Copies what changed since the last sealing. `seq` is the sequence of the last operation
    /// applied.
    pub fn seal_plan(&self, seq: u64) -> Option<SealPlan> {
        let root = self.nodes.get(&self.root)?;
        let mut dirs = Vec::new();
        self.plan_dir(self.root, &mut dirs);
        let record = |id: &FileId| Some((*id, self.nodes.get(id)?.to_record()));
        Some(SealPlan {
            seq,
            dirs,
            root: root.to_record(),
            links: self.links.ids.iter().filter_map(record).collect(),
            links_sealed: self.links.sealed,
            links_changed: self.links.changed > 0,
        })
    }

    fn plan_dir(&self, id: FileId, into: &mut Vec<PlanDir>) {
        // Depth is bounded by the longest path; the stack is kept on the heap all the same.
        let mut stack = vec![(id, false)];
        while let Some((id, below_done)) = stack.pop() {
            let Some(dir) = self.dir(id) else { continue };
            let Some(children) = dir.children.as_ref() else {
                continue;
            };
            if !below_done {
                stack.push((id, true));
                let changed = |child: &&FileId| self.is_changed(**child);
                stack.extend(children.values().filter(changed).map(|c| (*c, false)));
                continue;
            }
            let entry = |(name, child): (&EntryName, &FileId)| {
                let node = self.nodes.get(child)?;
                Some((name.clone(), plan_entry(node)))
            };
            into.push(PlanDir {
                id,
                was: dir.sealed.as_ref().map(|sealed| sealed.object),
                entries: children.iter().filter_map(entry).collect(),
            });
        }
    }

    /// Takes the outcome of sealing [`SealPlan`]; what changed after it stays changed.
    pub fn sealed(&mut self, sealed: &Sealed) {
        for (id, listing) in &sealed.dirs {
            let Some(node) = self.nodes.get_mut(id) else {
                continue;
            };
            let Some(dir) = node.dir.as_mut() else {
                continue;
            };
            dir.sealed = Some(listing.dir.clone());
            node.git = listing.git;
            if dir.changed <= sealed.seq {
                dir.changed = 0;
            }
        }
        for (id, content, git, refused) in &sealed.files {
            if let Some(node) = self.nodes.get_mut(id)
                && node.attr.content == *content
            {
                node.git = Some(*git);
                node.git_refused = *refused;
            }
        }
        self.links.sealed = sealed.links;
        if self.links.changed <= sealed.seq {
            self.links.changed = 0;
        }
    }
}

fn plan_entry(node: &Node) -> PlanEntry {
    if node.is_linked() {
        PlanEntry::Link(node.attr.id, node.attr.kind)
    } else {
        PlanEntry::Node(Box::new(node.to_record()))
    }
}
