//! Reading directory listings: one directory when an operation lacks it, the whole tree ahead.

use std::{collections::HashMap, sync::Arc};

use futures::{FutureExt, StreamExt};
use mesa_proto::{
    convert::{Malformed, content_from_wire},
    v1,
};
use mesa_types::{ContentRef, FileId};

use super::{
    repo::{Repo, State},
    sink::retire,
};
use crate::{
    fs::{FsError, FsResult},
    session::Later,
    tree::{Listing, Loaded, Node, Verdict},
};

/// Readings of one directory that came too late before giving up.
const RETRIES_MAX: usize = 20;

/// Ends a reading however it ends.
struct Reading<'r> {
    repo: &'r Repo,
    dir: Option<FileId>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.repo.with(|state| {
            state.tree.load_ends();
            if let Some(dir) = self.dir {
                state.loading.remove(&dir);
            }
        });
    }
}

impl Repo {
    /// Makes the directory's listing available. Callers that want the same one share one reading.
    pub async fn load(self: &Arc<Self>, dir: FileId) -> FsResult<()> {
        let reading = self.with(|state| {
            if state.tree.is_loaded(dir) {
                return None;
            }
            if let Some(reading) = state.loading.get(&dir) {
                return Some(reading.clone());
            }
            let repo = Arc::clone(self);
            state.tree.load_begins();
            let task = self.env.config.runtime.spawn(async move {
                let _ending = Reading {
                    repo: &repo,
                    dir: Some(dir),
                };
                repo.read_dir(dir).await
            });
            let reading: Later<FsResult<()>> =
                Box::pin(async move { task.await.unwrap_or(Err(FsError::Io)) });
            let reading = reading.shared();
            state.loading.insert(dir, reading.clone());
            Some(reading)
        });
        match reading {
            Some(reading) => reading.await,
            None => Ok(()),
        }
    }

    /// Takes in directories as they were when the server went away.
    pub fn take_away(&self, nodes: v1::NodeBatch) -> FsResult<()> {
        let entries = nodes.dirs.iter().flat_map(|dir| &dir.entries);
        for node in entries.filter_map(|entry| entry.node.as_ref()) {
            if let (false, Ok(content)) = (
                node.inline.is_empty(),
                content_from_wire(node.content.as_ref()),
            ) {
                self.session.content().put(content, node.inline.clone());
            }
        }
        for (_, outcome) in Taking::default().batch(self, nodes)? {
            outcome?;
        }
        Ok(())
    }

    async fn read_dir(self: &Arc<Self>, dir: FileId) -> FsResult<()> {
        for attempt in 0..RETRIES_MAX {
            let Some(wanted) = self.with(|state| dir_ref(state, dir, attempt > 0)) else {
                return Ok(());
            };
            let mut batches = self.session.nodes(vec![wanted], 0, 0, 0);
            let mut taking = Taking::default();
            let mut verdict = Verdict::Retry;
            while let Some(batch) = batches.next().await {
                for (id, outcome) in taking.batch(self, batch?)? {
                    if id == dir {
                        verdict = outcome?;
                    }
                }
            }
            match verdict {
                Verdict::Taken | Verdict::Gone => return Ok(()),
                Verdict::Retry => tokio::task::yield_now().await,
            }
        }
        Err(FsError::Io)
    }

    /// Reads the tree below the root as far as the settings say.
    pub async fn prefetch(self: Arc<Self>, depth: u32, nodes_max: u32) -> FsResult<()> {
        let wanted = self.with(|state| {
            state.tree.load_begins();
            let root = state.tree.root();
            // Its own listing may be here already; what is below it may not.
            dir_ref(state, root, false).unwrap_or(v1::DirRef {
                id: root.0,
                ..v1::DirRef::default()
            })
        });
        let _ending = Reading {
            repo: &self,
            dir: None,
        };
        let mut batches = self.session.nodes(vec![wanted], depth, 0, nodes_max);
        let mut taking = Taking::default();
        while let Some(batch) = batches.next().await {
            taking.batch(&self, batch?)?;
        }
        Ok(())
    }

    /// Every directory on the way and the last one, as far as they exist. Returns the node at the
    /// end.
    pub async fn load_path(self: &Arc<Self>, path: &[u8]) -> FsResult<Option<FileId>> {
        let mut at = self.with(|state| state.tree.root());
        for part in path.split(|&b| b == b'/').filter(|p| !p.is_empty()) {
            self.load(at).await?;
            match self.with(|state| state.tree.child(at, part)) {
                Some(child) => at = child,
                None => return Ok(None),
            }
        }
        let is_dir = self.with(|state| state.tree.get(at).is_some_and(Node::is_dir));
        if is_dir {
            self.load(at).await?;
        }
        Ok(Some(at))
    }

    /// The server does not have `content` any more, which the file had when it was asked for:
    /// somebody replaced it, and the news of that is on its way. Returns when the present content
    /// is known. `Stale`: the file is gone, its name may stand for another one.
    pub async fn content_gone(self: &Arc<Self>, id: FileId, content: ContentRef) -> FsResult<()> {
        let ask = |state: &mut State| -> FsResult<Option<FileId>> {
            let node = state.tree.get_mut(id).filter(|node| node.nlink > 0);
            let node = node.ok_or(FsError::Stale)?;
            if node.content != content {
                return Ok(None);
            }
            node.stale = true;
            let parent = node.parent;
            state.tree.mark_dir_stale(parent);
            Ok(Some(parent))
        };
        let Some(parent) = self.with(ask)? else {
            return Ok(());
        };
        self.load(parent).await?;
        match self.with(|state| state.tree.content(id)) {
            Some(now) if now == content => {
                tracing::error!(%id, "the server does not have content it names");
                Err(FsError::Io)
            }
            _ => Ok(()),
        }
    }

    /// Reads again what the kernel may have cached, after everything became stale.
    pub async fn reread(self: Arc<Self>, dirs: Vec<FileId>) {
        for dir in dirs {
            if let Err(error) = self.load(dir).await {
                tracing::debug!(%error, ?dir, "cannot read a directory again");
            }
        }
    }
}

/// How to ask for a directory; `None` when it is not (or no longer) to be read.
fn dir_ref(state: &State, dir: FileId, live: bool) -> Option<v1::DirRef> {
    let listing = state.tree.get(dir)?.dir()?;
    if listing.loaded == Loaded::Yes {
        return None;
    }
    let tree = if live {
        Vec::new()
    } else {
        listing.tree.map(|t| t.0.to_vec()).unwrap_or_default()
    };
    Some(v1::DirRef {
        id: dir.0,
        path: state.tree.path(dir).unwrap_or_default().into(),
        tree: tree.into(),
    })
}

/// Puts together listings that come in parts.
#[derive(Default)]
struct Taking {
    partial: HashMap<u64, Vec<v1::Dentry>>,
}

impl Taking {
    /// Takes in the directories that a batch completes.
    fn batch(
        &mut self,
        repo: &Repo,
        batch: v1::NodeBatch,
    ) -> FsResult<Vec<(FileId, FsResult<Verdict>)>> {
        let mut complete = Vec::new();
        let mut outcome = Vec::new();
        for dir in batch.dirs {
            if !dir.error.is_empty() {
                let error = match dir.error.as_str() {
                    "ENOTDIR" => FsError::NotDir,
                    "ENOENT" => FsError::NotFound,
                    _ => FsError::Io,
                };
                outcome.push((FileId(dir.id), Err(error)));
                continue;
            }
            let mut entries = self.partial.remove(&dir.id).unwrap_or_default();
            entries.extend(dir.entries);
            if dir.complete {
                let listing = Listing::new(FileId(dir.id), entries).map_err(bad)?;
                complete.push(listing);
            } else {
                self.partial.insert(dir.id, entries);
            }
        }
        repo.with(|state| {
            for listing in complete {
                let id = listing.id;
                let sole = state.sole;
                let ids = listing.entries.iter().map(|(_, node)| node.attr.id);
                let works = ids.filter(|id| state.files.work(*id).is_some());
                let before: Vec<_> = works.map(|id| (id, state.tree.content(id))).collect();
                let verdict = state.tree.take_listing(batch.head_seq, listing, sole);
                outcome.push((id, Ok(verdict)));
                for (file, content) in before {
                    // Of files not known before, `resume_works` decides.
                    if content.is_some() && state.tree.content(file) != content {
                        retire(state, file);
                    }
                }
            }
        });
        Ok(outcome)
    }
}

fn bad(error: Malformed) -> FsError {
    tracing::warn!(%error, "unusable metadata");
    FsError::Io
}
