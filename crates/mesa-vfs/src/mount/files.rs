//! Open files and directories of one repo.
//!
//! A *version* of a file has one [`FileState`] while descriptors are open on it or its content is
//! only here. All descriptors of a version share one way of being served, as the kernel demands.
//! When the file changes remotely while it is open, its state moves aside under the node number it
//! had, and the next open starts another one.

use std::{collections::HashMap, sync::Arc};

use mesa_types::{ContentRef, FileId, NodeKind};

use crate::{
    content::{CleanFile, WorkFile},
    fs::{Backing, FsError, FsResult, Handle, NodeId},
    session::Actor,
    tree::Name,
};

/// One version of a file that is open, or whose bytes are only here.
#[derive(Debug)]
pub struct FileState {
    /// Its private file, since it was first opened for writing.
    pub work: Option<Arc<WorkFile>>,
    /// The clean content it is served from otherwise.
    pub clean: Option<Arc<CleanFile>>,
    /// What the first descriptor was given; kept while any is open.
    pub backing: Option<Arc<Backing>>,
    /// Reads and writes come through us (the first descriptor was opened so).
    pub served: bool,
    /// The kernel's pages of it are good.
    pub keep_cache: bool,
    /// Content at the first open.
    pub content: ContentRef,
    /// Open descriptors.
    pub opens: u32,
    /// Its session was lost: what is written to it goes nowhere any more.
    pub lost: bool,
}

impl FileState {
    pub fn new(content: ContentRef) -> Self {
        Self {
            work: None,
            clean: None,
            backing: None,
            served: false,
            keep_cache: false,
            content,
            opens: 0,
            lost: false,
        }
    }
}

/// A descriptor's state.
#[derive(Debug, Clone)]
pub struct OpenHandle {
    /// The file.
    pub id: FileId,
    /// The number it was opened under.
    pub node: NodeId,
    /// Open for writing.
    pub write: bool,
    /// Every write goes to the end.
    pub append: bool,
    /// It was told that its session was lost.
    pub told: bool,
    /// Who opened it.
    pub actor: Actor,
}

/// All open files of a repo.
#[derive(Debug, Default)]
pub struct Files {
    live: HashMap<FileId, FileState>,
    old: HashMap<NodeId, (FileId, FileState)>,
    handles: HashMap<Handle, OpenHandle>,
}

impl Files {
    /// State of the present version.
    pub fn live(&self, id: FileId) -> Option<&FileState> {
        self.live.get(&id)
    }

    /// State of the present version.
    pub fn live_mut(&mut self, id: FileId) -> Option<&mut FileState> {
        self.live.get_mut(&id)
    }

    /// State of the present version, made when there is none.
    pub fn live_or(&mut self, id: FileId, content: ContentRef) -> &mut FileState {
        self.live
            .entry(id)
            .or_insert_with(|| FileState::new(content))
    }

    /// State of a version set aside.
    pub fn old(&self, node: NodeId) -> Option<&FileState> {
        self.old.get(&node).map(|(_, state)| state)
    }

    /// State of a version set aside.
    pub fn old_mut(&mut self, node: NodeId) -> Option<&mut FileState> {
        self.old.get_mut(&node).map(|(_, state)| state)
    }

    /// The work file of the present version.
    pub fn work(&self, id: FileId) -> Option<&Arc<WorkFile>> {
        self.live.get(&id)?.work.as_ref()
    }

    /// Work files of all versions, the present one last.
    pub fn works(&self, id: FileId) -> Vec<Arc<WorkFile>> {
        let old = self
            .old
            .values()
            .filter(|(file, _)| *file == id)
            .filter_map(|(_, state)| state.work.clone());
        old.chain(self.work(id).cloned()).collect()
    }

    /// Files that a descriptor is open for writing on.
    pub fn written(&self) -> Vec<FileId> {
        let open = self.handles.values();
        open.filter(|open| open.write).map(|open| open.id).collect()
    }

    /// Files that have a work file.
    pub fn with_work(&self) -> Vec<FileId> {
        self.live
            .iter()
            .filter(|(_, state)| state.work.is_some())
            .map(|(id, _)| *id)
            .collect()
    }

    /// The version's state moves aside under the number it had.
    pub fn split(&mut self, id: FileId, before: NodeId) {
        if let Some(state) = self.live.remove(&id) {
            self.old.insert(before, (id, state));
        }
    }

    /// A descriptor.
    pub fn handle(&self, handle: Handle) -> Option<&OpenHandle> {
        self.handles.get(&handle)
    }

    /// State of the version a descriptor belongs to.
    pub fn of_handle(&mut self, handle: Handle) -> Option<&mut FileState> {
        let open = self.handles.get(&handle)?;
        match self.old.get_mut(&open.node) {
            Some((id, state)) if *id == open.id => Some(state),
            _ => self.live.get_mut(&open.id),
        }
    }

    /// Whether a descriptor open for writing is still good. Of one whose session was lost, or is
    /// being lost, the first call fails with `Io` and every later one with `Stale`.
    pub fn check_lost(&mut self, handle: Handle, losing: bool) -> FsResult<()> {
        if !losing && !self.of_handle(handle).is_some_and(|state| state.lost) {
            return Ok(());
        }
        let Some(open) = self.handles.get_mut(&handle).filter(|open| open.write) else {
            return Ok(());
        };
        if std::mem::replace(&mut open.told, true) {
            Err(FsError::Stale)
        } else {
            Err(FsError::Io)
        }
    }

    /// Whether the last call on a descriptor failed: a session that is lost fails calls before it
    /// is known to be.
    pub fn note_told(&mut self, handle: Handle, told: bool) {
        if let Some(open) = self.handles.get_mut(&handle) {
            open.told = told;
        }
    }

    /// The session was lost. Returns the files that are open (their versions are to be split off)
    /// and all work files, which have no use but for open descriptors.
    pub fn lose_all(&mut self) -> (Vec<FileId>, Vec<Arc<WorkFile>>) {
        self.live
            .retain(|_, state| state.opens > 0 || state.work.is_some());
        let mut works = Vec::new();
        let states = self.live.values_mut();
        for state in states.chain(self.old.values_mut().map(|(_, state)| state)) {
            state.lost = true;
            works.extend(state.work.clone());
        }
        self.live.retain(|_, state| state.opens > 0);
        self.old.retain(|_, (_, state)| state.opens > 0);
        (self.live.keys().copied().collect(), works)
    }

    /// The file went with a former base of the head: what is written to it goes nowhere any more.
    pub fn lose(&mut self, id: FileId) {
        if let Some(state) = self.live.get_mut(&id) {
            state.lost = true;
        }
    }

    /// Adds a descriptor to the present version (or the one set aside under its number).
    pub fn opened(&mut self, handle: Handle, open: OpenHandle) {
        self.handles.insert(handle, open);
        if let Some(state) = self.of_handle(handle) {
            state.opens += 1;
            if let Some(open) = self.handles.get(&handle)
                && open.write
                && let Some(work) = self.work_of(open)
            {
                work.begin_write();
            }
        }
    }

    fn work_of(&self, open: &OpenHandle) -> Option<&Arc<WorkFile>> {
        match self.old.get(&open.node) {
            Some((id, state)) if *id == open.id => state.work.as_ref(),
            _ => self.work(open.id),
        }
    }

    /// Ends a descriptor; returns it and the work file it may have written to.
    pub fn closed(&mut self, handle: Handle) -> Option<(OpenHandle, Option<Arc<WorkFile>>)> {
        let state = self.of_handle(handle)?;
        state.opens = state.opens.saturating_sub(1);
        let idle = state.opens == 0;
        if idle {
            state.backing = None;
            state.clean = None;
            state.served = false;
        }
        let work = state.work.clone();
        let open = self.handles.remove(&handle)?;
        if open.write
            && let Some(work) = &work
        {
            work.end_write();
        }
        if idle && work.is_none() {
            match self.old.get(&open.node) {
                Some((id, _)) if *id == open.id => {
                    self.old.remove(&open.node);
                }
                _ => {
                    self.live.remove(&open.id);
                }
            }
        }
        Some((open, work))
    }

    /// The content changed remotely while nobody has the present version open: what is kept of it
    /// here is of the past. Its work file stays in sight (under `aside`) until it is settled.
    pub fn retire_closed(&mut self, id: FileId, aside: NodeId) {
        if self.live.get(&id).is_some_and(|s| s.opens == 0) {
            self.split(id, aside);
        }
    }

    /// Forgets a work file that is settled or of no use. Returns whether a version lost it.
    pub fn forget_work(&mut self, work: &Arc<WorkFile>) -> bool {
        let id = work.file();
        let same = |state: &FileState| state.work.as_ref().is_some_and(|w| Arc::ptr_eq(w, work));
        if let Some(state) = self.live.get_mut(&id)
            && same(state)
        {
            if state.opens > 0 {
                return false;
            }
            self.live.remove(&id);
            return true;
        }
        let found = self
            .old
            .iter()
            .find(|(_, (_, state))| same(state) && state.opens == 0)
            .map(|(node, _)| *node);
        found.is_some_and(|node| self.old.remove(&node).is_some())
    }

    /// The file is gone: its work file, if nobody has it open.
    pub fn remove_closed(&mut self, id: FileId) -> Option<Arc<WorkFile>> {
        if self.live.get(&id).is_some_and(|s| s.opens > 0) {
            return None;
        }
        self.live.remove(&id)?.work
    }

    /// How many descriptors are open.
    pub fn open_handles(&self) -> usize {
        self.handles.len()
    }
}

/// An open directory.
#[derive(Debug, Default)]
pub struct DirHandle {
    /// The listing, taken when reading starts.
    pub listing: Option<Arc<Vec<ListedName>>>,
}

/// One entry of a snapshot.
#[derive(Debug, Clone)]
pub struct ListedName {
    pub name: Name,
    pub id: FileId,
    pub kind: NodeKind,
}
