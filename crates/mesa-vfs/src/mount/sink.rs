//! What the session tells: other sessions' operations, acknowledgements, picked-up content,
//! reloads.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use mesa_proto::{
    convert::content_from_wire,
    v1::{self, op::Kind},
};
use mesa_types::{FileId, Nanos};
use tokio::sync::oneshot;

use super::repo::{Repo, State};
use crate::{
    fs::{FsError, FsResult, NodeId},
    session::{
        Actor, ClientSeq, HeadSeq, Later, LeaseState, MergedContent, Moved, Picked, Reload,
        TreeSink, TreeSnapshot,
    },
    tree::{Origin, node_from_wire, node_to_wire},
};

/// Between attempts to read everything again.
const RELOAD_AGAIN: Duration = Duration::from_millis(500);

/// The sink's calls need the repo's own reference; the session holds this weakly.
pub struct Sink(pub Arc<Repo>);

impl TreeSink for Sink {
    fn snapshot(&self) -> Option<TreeSnapshot> {
        // Operations are decided under the same lock.
        self.0.with(|state| {
            let root = state.tree.get(state.tree.root())?;
            Some(TreeSnapshot {
                root: node_to_wire(root),
                dirs: state.tree.listings(),
                included: self.0.session.last_seq(),
            })
        })
    }

    fn on_event(&self, entry: &v1::LogEntry) {
        self.0.with(|state| {
            for (index, op) in entry.ops.iter().enumerate() {
                let seq = entry.first_seq + index as u64;
                let merged = entry.merged.iter().find(|m| m.index as usize == index);
                apply_remote(state, op, seq, merged);
            }
        });
        self.0.tell_of(entry);
    }

    fn on_applied(&self, _: ClientSeq, head_seq: HeadSeq, op: &v1::Op) {
        self.0
            .with(|state| state.tree.apply(op, Origin::OwnAt(head_seq.0)));
    }

    fn on_acked(&self, up_to: ClientSeq, head_seq: HeadSeq, merged: &[MergedContent]) {
        self.0.with(|state| {
            let later = state.content_ops.split_off(&ClientSeq(up_to.0 + 1));
            let acked = std::mem::replace(&mut state.content_ops, later);
            for (seq, file) in acked {
                let content = merged.iter().find(|m| m.seq == seq).map(|m| m.content);
                state.tree.end_pending(file, head_seq.0, content);
                if content.is_some() {
                    retire(state, file);
                }
            }
        });
    }

    fn on_rejected(&self, seq: ClientSeq, op: &v1::Op, error: FsError) {
        tracing::warn!(%seq, %error, "the server refused an operation");
        let reread = self.0.with(|state| {
            if let Some(file) = state.content_ops.remove(&seq) {
                state.tree.end_pending(file, 0, None);
            }
            let id = target(op)?;
            if let Some(node) = state.tree.get_mut(id) {
                node.as_of = 0;
            }
            let parent = state.tree.get(id)?.parent;
            state.tree.mark_dir_stale(parent);
            Some(parent)
        });
        if let Some(parent) = reread {
            let repo = Arc::clone(&self.0);
            let runtime = &self.0.env.config.runtime;
            runtime.spawn(repo.reread(vec![parent]));
        }
    }

    fn on_picked(&self, picked: &Picked) {
        self.0.with(|state| {
            let newest = state
                .content_ops
                .iter()
                .rev()
                .find(|(_, file)| **file == picked.file)
                .is_none_or(|(seq, _)| *seq <= picked.seq);
            if newest {
                let (id, content) = (picked.file, picked.content);
                let mtime = picked.stat.mtime;
                state
                    .tree
                    .set_content(id, content, mtime, picked.time, Origin::Own);
            }
        });
    }

    fn on_moved(&self, moved: &[Moved]) {
        self.0.with(|state| {
            for Moved { from, to } in moved {
                if let Some(file) = state.content_ops.remove(from) {
                    state.content_ops.insert(*to, file);
                }
            }
        });
    }

    fn on_work_changed(&self, file: FileId) {
        let unnamed = self.0.with(|state| {
            match state.tree.get(file) {
                Some(node) if node.nlink > 0 => {}
                Some(_) => return state.files.works(file),
                // Where it is now is not known here; its bytes are kept.
                None => return Vec::new(),
            }
            if let Err(stop) = self.0.append_content(state, file, &Actor::default()) {
                tracing::debug!(?stop, ?file, "content not yet queued");
            }
            Vec::new()
        });
        for work in unnamed {
            if self.0.with(|state| state.files.forget_work(&work)) {
                self.0.session.drop_work(&work);
            }
        }
    }

    fn on_work_settled(&self, file: FileId) {
        let works = self.0.with(|state| state.files.works(file));
        for work in works {
            // Open descriptors keep it; it is settled again after them.
            let forgotten = self.0.with(|state| {
                state.tree.get(file).is_none_or(|node| node.pending == 0)
                    && self.0.session.is_settled(&work)
                    && state.files.forget_work(&work)
            });
            if forgotten {
                self.0.session.drop_work(&work);
            }
        }
    }

    fn on_lease(&self, lease: LeaseState) {
        self.0.lease(lease);
    }

    fn on_sealed(&self, _: &v1::Sealed) {}

    fn on_reload(&self, reload: &Reload, head_seq: HeadSeq) {
        tracing::info!(?reload, "reading all metadata again");
        if matches!(reload, Reload::Replaced { .. } | Reload::Switched { .. }) {
            let works = self.0.with(|state| {
                state.fenced = None;
                // Places of the old session mean nothing any more.
                for (_, file) in std::mem::take(&mut state.content_ops) {
                    state.tree.end_pending(file, 0, None);
                }
                // Neither do its files: what they hold is in the recovery change.
                let (open, works) = state.files.lose_all();
                for file in open {
                    state.tree.new_version(file);
                }
                works
            });
            for work in works {
                self.0.session.drop_work(&work);
            }
            forget_all(&self.0, head_seq);
            return;
        }
        let changes = hold_changes(&self.0);
        let repo = Arc::clone(&self.0);
        self.0.env.config.runtime.spawn(reload_all(repo, changes));
    }

    fn on_fenced(&self, error: FsError, message: &str) {
        tracing::warn!(%error, message, "the session ended");
        self.0.with(|state| state.fenced = Some(error));
    }

    fn on_key(&self, good: bool) {
        tracing::info!(good, "credential");
    }
}

/// Changes wait until the answer is given to what is returned.
fn hold_changes(repo: &Repo) -> oneshot::Sender<FsResult<()>> {
    let (finished, reloading) = oneshot::channel::<FsResult<()>>();
    let reloading: Later<FsResult<()>> =
        Box::pin(async move { reloading.await.unwrap_or(Err(FsError::Io)) });
    repo.with(|state| state.reloading = Some(reloading.shared()));
    finished
}

/// Reads everything again as soon as what was decided here is in the head: before, it would be
/// missing in what is read. Changes wait for that as long as they wait for anything; when it takes
/// longer they go on over what is known, and it is tried again when the server is there.
async fn reload_all(repo: Arc<Repo>, mut changes: oneshot::Sender<FsResult<()>>) {
    loop {
        let moved = repo.session.is_displaced();
        let acked = if moved {
            // Files that the new base does not have are written to the former one, if at all.
            repo.session.sync().await
        } else {
            repo.session.wait_acked(repo.session.last_seq()).await
        };
        if acked.is_ok() {
            let written = repo.with(|state| written(state));
            let stale = mark_all(&repo, repo.session.head_seq());
            // Without a receiver nobody waited.
            let _ = changes.send(acked);
            Arc::clone(&repo).reread(stale).await;
            repo.tell_of_all();
            if moved {
                lose_vanished(&repo, &written);
            }
            repo.session.caught_up();
            return;
        }
        repo.with(|state| state.reloading = None);
        let _ = changes.send(acked);
        tokio::time::sleep(RELOAD_AGAIN).await;
        if !repo.session.attached().await {
            return;
        }
        changes = hold_changes(&repo);
    }
}

/// Nothing in memory answers any more before it was read again; what the kernel may have cached is
/// read at once.
fn forget_all(repo: &Arc<Repo>, head_seq: HeadSeq) {
    let stale = mark_all(repo, head_seq);
    repo.tell_of_all();
    let again = Arc::clone(repo);
    repo.env.config.runtime.spawn(again.reread(stale));
}

/// Nothing in memory answers any more before it was read again; answers what the kernel may have
/// cached.
fn mark_all(repo: &Repo, head_seq: HeadSeq) -> Vec<FileId> {
    let info = repo.info();
    repo.with(|state| {
        state.reloading = None;
        let stale = state.tree.mark_stale();
        if let Ok(root) = node_from_wire(info.root.clone())
            && root.attr.id == state.tree.root()
            && info.head_seq >= head_seq
        {
            state.tree.refresh(root, head_seq.0);
        }
        stale
    })
}

/// Files with a name that are open for writing.
fn written(state: &State) -> Vec<FileId> {
    let mut files = state.files.written();
    files.retain(|file| is_named(state, *file));
    files
}

fn is_named(state: &State, file: FileId) -> bool {
    let node = state.tree.get(file);
    node.is_some_and(|node| node.nlink > 0) && state.tree.path(file).is_some()
}

/// Whoever has a file open that went with the former base is told. What was written to one since
/// it was last sent goes where the journal of a lost session goes.
fn lose_vanished(repo: &Repo, written: &[FileId]) {
    let unsent = repo.with(|state| {
        let mut unsent = false;
        for &file in written {
            if !is_named(state, file) {
                unsent |= state.files.works(file).iter().any(|work| work.is_unsent());
                state.files.lose(file);
            }
        }
        unsent
    });
    if unsent {
        repo.session.give_up();
    }
}

fn apply_remote(state: &mut State, op: &v1::Op, seq: u64, merged: Option<&v1::Merged>) {
    match (&op.kind, merged) {
        (Some(Kind::SetContent(set)), Some(merged)) => {
            let Ok(content) = content_from_wire(merged.content.as_ref()) else {
                return;
            };
            let times = (Nanos(set.mtime_ns), Nanos(op.time_ns));
            let id = FileId(set.id);
            state
                .tree
                .set_content(id, content, times.0, times.1, Origin::Remote(seq));
        }
        _ => state.tree.apply(op, Origin::Remote(seq)),
    }
    if let Some(Kind::SetContent(set)) = &op.kind {
        retire(state, FileId(set.id));
    }
}

/// What is kept here of a closed file is older than its content now: it is served from the cache,
/// and a work file stays in sight only until it is settled.
pub(super) fn retire(state: &mut State, file: FileId) {
    let Some(content) = state.tree.content(file) else {
        return;
    };
    let past = state
        .files
        .live(file)
        .is_some_and(|f| f.opens == 0 && f.work.as_ref().is_some_and(|w| w.base() != content));
    if past {
        // A number no presenter uses: nobody has this version open.
        let aside = NodeId(1 << 62 | 1 << 63 | state.next_aside());
        state.files.retire_closed(file, aside);
    }
}

fn target(op: &v1::Op) -> Option<FileId> {
    Some(FileId(match op.kind.as_ref()? {
        Kind::SetAttr(op) => op.id,
        Kind::SetContent(op) => op.id,
        Kind::SetXattr(op) => op.id,
        Kind::RemoveXattr(op) => op.id,
        _ => return None,
    }))
}
