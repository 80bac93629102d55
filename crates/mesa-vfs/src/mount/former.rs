//! Descriptors that a former process of the daemon handed out: the kernel still has them, and nothing
//! here knows their handles.

use std::sync::Arc;

use bytes::Bytes;
use mesa_types::{FileId, NodeKind};

use super::{
    files::OpenHandle,
    open::{ATTEMPTS_MAX, wait},
    repo::{Repo, State},
};
use crate::{
    content::WorkFile,
    fs::{FsError, FsResult, Handle, NodeId, Notice},
    session::Actor,
};

impl Repo {
    /// Asks the kernel about files that a former process may have left open for writing, where
    /// nothing else tells.
    pub fn ask_for_inherited(&self) {
        if !self.env.config.former_unseen {
            return;
        }
        let notices = self.with(|state| {
            let mut notices = Vec::new();
            for file in state.files.with_work() {
                let inherited = state.files.work(file).is_some_and(|w| w.is_inherited());
                let Some(node) = state.tree.get(file).filter(|_| inherited) else {
                    continue;
                };
                let path = state.tree.path(file).unwrap_or_default();
                let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                notices.push(Notice::Unused {
                    parent: state.tree.node_id(node.parent),
                    child: state.tree.node_id(file),
                    name: Bytes::copy_from_slice(name),
                });
            }
            notices
        });
        self.env.notify(notices);
    }

    /// The kernel does not know the node: of what it knew before nothing is left either.
    pub fn unknown(&self, node: NodeId) {
        self.with(|state| {
            if let Ok(id) = self.live(state, node) {
                self.end_former(state, id);
            }
        });
    }

    /// The kernel has no descriptor and no mapping of the file from before.
    pub fn end_former(&self, state: &mut State, id: FileId) {
        let works = state.files.works(id);
        if works.iter().any(|work| work.is_inherited()) {
            self.queue_former(state, id);
            for work in works {
                work.end_inherited();
            }
        }
    }

    /// What was written through descriptors of a former process gets its place in the order.
    pub fn queue_former(&self, state: &mut State, id: FileId) {
        for work in state.files.works(id) {
            self.session.watch_again(&work);
        }
        if let Err(stop) = self.append_content(state, id, &Actor::default()) {
            // The next look at the file tries again.
            tracing::debug!(?stop, ?id, "content not yet queued");
        }
    }

    /// A descriptor opened by a former process of the daemon.
    pub fn former(&self, state: &State, node: NodeId) -> FsResult<OpenHandle> {
        Ok(OpenHandle {
            id: self.live(state, node)?,
            node,
            write: true,
            append: false,
            told: false,
            actor: Actor::default(),
        })
    }

    /// The work file it writes to. It is not settled from here on.
    pub fn former_work(&self, state: &State, node: NodeId) -> FsResult<Arc<WorkFile>> {
        let id = self.live(state, node)?;
        let work = state.files.work(id).ok_or(FsError::BadHandle)?;
        if work.inherit(self.env.config.former_unseen) {
            self.session.watch_again(work);
        }
        Ok(Arc::clone(work))
    }

    /// Whether a call failed because a descriptor of a former process has no work file (any more):
    /// nothing told of it, and the file is served from the cache again.
    pub fn lacks_work<T>(&self, node: NodeId, handle: Handle, outcome: &FsResult<T>) -> bool {
        matches!(outcome, Err(FsError::BadHandle))
            && !self.read_only
            && self.with(|state| {
                state.files.handle(handle).is_none()
                    && self.live(state, node).is_ok_and(|id| {
                        let node = state.tree.get(id);
                        node.is_some_and(|node| node.kind == NodeKind::File)
                    })
            })
    }

    /// Makes one, of what the file holds now.
    pub async fn open_former(self: &Arc<Self>, node: NodeId) -> FsResult<()> {
        for _ in 0..ATTEMPTS_MAX {
            let opening = self.with(|state| {
                let id = self.live(state, node)?;
                if state.files.work(id).is_some() {
                    return Ok(None);
                }
                if let Some(error) = state.fenced {
                    return Err(error);
                }
                let present = state.tree.get(id).ok_or(FsError::Stale)?;
                let (content, mtime) = (present.content, present.mtime);
                let clean = state.files.live(id).and_then(|f| f.clean.clone());
                let work = self.session.open_work(id, content, mtime, u64::MAX, clean);
                Ok(Some((id, content, work)))
            })?;
            let Some((id, content, work)) = opening else {
                return Ok(());
            };
            match wait(work).await {
                Err(FsError::Stale) => self.content_gone(id, content).await?,
                work => self.add_work(id, work?),
            }
        }
        Err(FsError::Io)
    }
}
