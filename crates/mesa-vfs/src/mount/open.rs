//! Opening files and what goes through open descriptors' ends: open, release, truncate, flush,
//! fsync.

use std::sync::Arc;

use mesa_types::{ContentRef, FileId, NodeKind};

use super::{
    attr::without_suid,
    files::{FileState, OpenHandle},
    repo::{Repo, State, Stop, Try},
};
use crate::{
    content::{CleanFile, WorkFile},
    fs::{Caller, Entry, FsError, FsResult, Handle, NodeId, OpenFlags, OpenMode, Opened, Step},
    session::{Actor, Durability, Later, Mode, NodeTimes},
    tree::{Resolved, perm},
};

/// Times the content of a file may change under an open before it gives up.
pub(super) const ATTEMPTS_MAX: usize = 100;

/// What an open still lacks.
enum Lacking {
    Clean(Step<Arc<CleanFile>>),
    Work(Step<Arc<WorkFile>>),
    Mode(Later<FsResult<()>>),
    /// The bytes of a small file.
    Bytes(Later<FsResult<()>>),
}

enum Outcome {
    Opened(Opened),
    /// The file had this content when it was looked at.
    Lacking(FileId, ContentRef, Lacking),
}

impl Repo {
    pub fn open(self: &Arc<Self>, caller: Caller, node: NodeId, flags: OpenFlags) -> Step<Opened> {
        let mut outcome = self.try_open(caller, node, flags, None);
        // What is there at once is used at once.
        for _ in 0..4 {
            match outcome {
                Ok(Outcome::Opened(opened)) => return Step::Done(Ok(opened)),
                Err(error) => return Step::Done(Err(error)),
                Ok(Outcome::Lacking(id, _, Lacking::Clean(Step::Done(clean)))) => {
                    if let Err(error) = self.use_clean(id, clean) {
                        return Step::Done(Err(error));
                    }
                }
                Ok(Outcome::Lacking(id, _, Lacking::Work(Step::Done(work)))) => {
                    if let Err(error) = work.map(|w| self.add_work(id, w)) {
                        return Step::Done(Err(error));
                    }
                }
                Ok(Outcome::Lacking(..)) => break,
            }
            outcome = self.try_open(caller, node, flags, None);
        }
        let repo = Arc::clone(self);
        Step::Later(Box::pin(async move {
            let mut fetched = None;
            for _ in 0..ATTEMPTS_MAX {
                match outcome? {
                    Outcome::Opened(opened) => return Ok(opened),
                    Outcome::Lacking(id, content, Lacking::Clean(step)) => match wait(step).await {
                        Err(FsError::Stale) => repo.content_gone(id, content).await?,
                        clean => repo.use_clean(id, clean)?,
                    },
                    Outcome::Lacking(id, content, Lacking::Work(step)) => match wait(step).await {
                        Err(FsError::Stale) => repo.content_gone(id, content).await?,
                        work => repo.add_work(id, work?),
                    },
                    Outcome::Lacking(_, _, Lacking::Mode(wait)) => wait.await?,
                    Outcome::Lacking(id, content, Lacking::Bytes(bytes)) => match bytes.await {
                        Err(FsError::Stale) => repo.content_gone(id, content).await?,
                        outcome => {
                            outcome?;
                            fetched = Some(content);
                        }
                    },
                }
                outcome = repo.try_open(caller, node, flags, fetched);
            }
            Err(FsError::Io)
        }))
    }

    fn try_open(
        self: &Arc<Self>,
        caller: Caller,
        node: NodeId,
        flags: OpenFlags,
        fetched: Option<ContentRef>,
    ) -> FsResult<Outcome> {
        let writes = flags.write || flags.truncate;
        let mode = writes.then(|| self.session.mode());
        let actor = self.env.actor(caller);
        self.with(|state| {
            if let Resolved::Old(id) = state.tree.resolve(node)
                && state.files.old(node).is_some()
            {
                // Through /proc/self/fd: one more descriptor of the old version.
                self.check_open(state, id, caller, flags)?;
                let written = state.files.old(node).is_some_and(|old| old.work.is_some());
                if writes && (flags.truncate || !written) {
                    // What is changed from now on is the present version: the kernel looks again.
                    return Err(FsError::Stale);
                }
                let opened = self.add_handle(state, id, node, flags, actor)?;
                return Ok(Outcome::Opened(opened));
            }
            let id = self.live(state, node)?;
            self.check_open(state, id, caller, flags)?;
            let current = state.tree.get(id).ok_or(FsError::Stale)?;
            let (content, mtime) = (current.content, current.mtime);
            match mode {
                Some(Mode::Wait(wait)) => {
                    return Ok(Outcome::Lacking(id, content, Lacking::Mode(wait)));
                }
                Some(Mode::Refused(error)) => return Err(error),
                Some(Mode::Local | Mode::Shared) | None => {}
            }
            if writes {
                if state.files.work(id).is_none() {
                    if state.fenced.is_some() {
                        return Err(FsError::Io);
                    }
                    let clean = state.files.live(id).and_then(|f| f.clean.clone());
                    // Truncating is a change even if nothing is written after it.
                    let (keep, mtime) = if flags.truncate {
                        (0, self.env.now())
                    } else {
                        (u64::MAX, mtime)
                    };
                    let step = self.session.open_work(id, content, mtime, keep, clean);
                    return Ok(Outcome::Lacking(id, content, Lacking::Work(step)));
                }
                // Written past the page cache.
                state.tree.drop_pages(id);
                if flags.truncate {
                    Self::truncate_work(state, id, 0)?;
                }
            } else if self.is_settled_small(state, id) && state.tree.is_read_again(id) {
                // From the page cache: otherwise every opening costs the registration of a local
                // file, and every read makes the kernel forget the attributes. (A file that is
                // read once is better read by the kernel.)
                let keep_cache = state.tree.keep_pages(id);
                if let Some(file) = state.files.live_mut(id) {
                    file.served = true;
                    file.keep_cache = keep_cache;
                }
            } else {
                let present = state.files.live(id);
                let usable = present.is_some_and(|f| {
                    f.work.is_some() || f.clean.is_some() || (f.served && f.content == content)
                });
                let small = content.size() <= self.env.config.served_max;
                if !usable && small {
                    // Before it is open, since somebody may replace it before it is read.
                    let here = state.tree.has_pages(id) || self.session.content().has(&content);
                    if !here && fetched != Some(content) {
                        let session = Arc::clone(&self.session);
                        let bytes = Box::pin(async move { session.content().fill(content).await });
                        return Ok(Outcome::Lacking(id, content, Lacking::Bytes(bytes)));
                    }
                    let file = state.files.live_or(id, content);
                    file.served = true;
                    file.content = content;
                    file.keep_cache = state.tree.keep_pages(id);
                } else if !usable {
                    let step = self.session.content().open(id, content);
                    return Ok(Outcome::Lacking(id, content, Lacking::Clean(step)));
                }
            }
            let number = state.tree.node_id(id);
            let opened = self.add_handle(state, id, number, flags, actor)?;
            Ok(Outcome::Opened(opened))
        })
    }

    fn check_open(
        &self,
        state: &State,
        id: FileId,
        caller: Caller,
        flags: OpenFlags,
    ) -> FsResult<()> {
        let node = state.tree.get(id).ok_or(FsError::Stale)?;
        match node.kind {
            NodeKind::File => {}
            NodeKind::Dir | NodeKind::Gitlink => return Err(FsError::IsDir),
            NodeKind::Symlink | NodeKind::Fifo | NodeKind::Socket => {
                return Err(FsError::NoSuchExtent);
            }
        }
        let writes = flags.write || flags.truncate;
        self.check_way(state, id, caller)?;
        let mut mask = 0;
        if flags.read {
            mask |= perm::READ;
        }
        if writes {
            mask |= perm::WRITE;
        }
        // Running a file needs no permission to read it; the kernel checked the other one.
        let runs = mask == perm::READ && self.check(node, caller, perm::EXEC).is_ok();
        if !runs {
            self.check(node, caller, mask)?;
        }
        if writes && self.read_only {
            return Err(FsError::ReadOnly);
        }
        Ok(())
    }

    /// A small file that nobody has open and nobody can write to without opening it.
    fn is_settled_small(&self, state: &State, id: FileId) -> bool {
        let Some(file) = state.files.live(id).filter(|file| file.opens == 0) else {
            return false;
        };
        let stat = file.work.as_ref().and_then(|work| work.settled_stat());
        stat.is_some_and(|stat| stat.size <= self.env.config.served_max)
    }

    /// Reading goes on when the local disk is full: from memory.
    fn use_clean(&self, id: FileId, clean: FsResult<Arc<CleanFile>>) -> FsResult<()> {
        match clean {
            Ok(clean) => self.add_clean(id, clean),
            Err(FsError::NoSpace) => self.with(|state| {
                if let Some(content) = state.tree.content(id) {
                    let keep_cache = state.tree.keep_pages(id);
                    let file = state.files.live_or(id, content);
                    if file.opens == 0 {
                        file.served = true;
                        file.content = content;
                        file.keep_cache = keep_cache;
                    }
                }
            }),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn add_clean(&self, id: FileId, clean: Arc<CleanFile>) {
        self.with(|state| {
            let fits = state.tree.content(id) == Some(clean.content());
            let file = state.files.live(id);
            let free = file.is_none_or(|f| f.work.is_none() && f.clean.is_none() && !f.served);
            if fits && free {
                let content = clean.content();
                let file = state.files.live_or(id, content);
                file.content = content;
                file.clean = Some(clean);
            }
        });
    }

    pub(super) fn add_work(&self, id: FileId, work: Arc<WorkFile>) {
        let spare = self.with(|state| {
            if state.files.work(id).is_some() {
                return Some(work);
            }
            let content = work.base();
            state.files.live_or(id, content).work = Some(work);
            state.tree.drop_pages(id);
            None
        });
        if let Some(work) = spare {
            self.session.drop_work(&work);
        }
    }

    /// A descriptor of a file that was just made.
    pub fn add_work_handle(
        &self,
        state: &mut State,
        id: FileId,
        work: Arc<WorkFile>,
        flags: OpenFlags,
        actor: Actor,
    ) -> FsResult<Opened> {
        let file = state.files.live_or(id, ContentRef::Empty);
        file.work = Some(work);
        let number = state.tree.node_id(id);
        self.add_handle(state, id, number, flags, actor)
    }

    /// The entry of a file just opened. `None`: somebody replaced its content meanwhile, and the
    /// descriptor (which is closed again) belongs to the version before.
    pub fn entry_of_opened(&self, opened: &Opened) -> FsResult<Option<Entry>> {
        let entry = self.with(|state| {
            let open = state.files.handle(opened.handle).ok_or(FsError::Stale)?;
            let (id, node) = (open.id, open.node);
            if state.tree.node_id(id) != node {
                return Ok(None);
            }
            self.entry(state, id).map(Some)
        });
        if !matches!(entry, Ok(Some(_))) {
            self.release(opened.handle);
        }
        entry
    }

    fn add_handle(
        &self,
        state: &mut State,
        id: FileId,
        node: NodeId,
        flags: OpenFlags,
        actor: Actor,
    ) -> FsResult<Opened> {
        let old = matches!(state.tree.resolve(node), Resolved::Old(_));
        let file = if old {
            state.files.old_mut(node)
        } else {
            state.files.live_mut(id)
        };
        let file = file.ok_or(FsError::Stale)?;
        if flags.sync && flags.write && file.opens == 0 {
            // Passthrough would sync the local file. This way an fsync follows each write.
            file.served = true;
        }
        let mode = open_mode(file, self.env.durability())?;
        let handle = self.env.next_handle();
        state.files.opened(
            handle,
            OpenHandle {
                id,
                node,
                write: flags.write || flags.truncate,
                append: flags.append,
                told: false,
                actor,
            },
        );
        if !old {
            state.tree.hold(id);
        }
        Ok(Opened { handle, mode })
    }

    /// ftruncate and truncate.
    pub fn truncate(
        self: &Arc<Self>,
        caller: Caller,
        node: NodeId,
        handle: Option<Handle>,
        size: u64,
    ) -> Step<()> {
        if size > self.info().file_bytes_max {
            return Step::Done(Err(FsError::TooBig));
        }
        if let Some(handle) = handle {
            let done = self.with(|state| {
                if state.files.handle(handle).is_none() {
                    return resize(&self.former_work(state, node)?, size);
                }
                state.check_lost(handle)?;
                let open = state.files.handle(handle).ok_or(FsError::BadHandle)?;
                if !open.write {
                    return Err(FsError::Invalid);
                }
                let file = Self::file_of(state, handle)?;
                let work = file.work.as_ref().ok_or(FsError::BadHandle)?;
                resize(work, size)
            });
            if self.lacks_work(node, handle, &done) {
                let repo = Arc::clone(self);
                return Step::Later(Box::pin(async move {
                    repo.open_former(node).await?;
                    wait(repo.truncate(caller, node, Some(handle), size)).await
                }));
            }
            return Step::Done(done);
        }
        let flags = OpenFlags {
            write: true,
            truncate: size == 0,
            ..OpenFlags::default()
        };
        // A descriptor for as long as it takes: its end sends the content.
        match self.open(caller, node, flags) {
            Step::Done(Err(error)) => Step::Done(Err(error)),
            Step::Done(Ok(opened)) => Step::Done(self.truncate_opened(&opened, size)),
            Step::Later(opening) => {
                let repo = Arc::clone(self);
                Step::Later(Box::pin(async move {
                    let opened = opening.await?;
                    repo.truncate_opened(&opened, size)
                }))
            }
        }
    }

    fn truncate_opened(&self, opened: &Opened, size: u64) -> FsResult<()> {
        let done = self.with(|state| {
            let file = Self::file_of(state, opened.handle)?;
            resize(file.work.as_ref().ok_or(FsError::BadHandle)?, size)
        });
        self.release(opened.handle);
        done
    }

    fn truncate_work(state: &State, id: FileId, size: u64) -> FsResult<()> {
        match state.files.work(id) {
            Some(work) => resize(work, size),
            None => Err(FsError::Stale),
        }
    }

    /// The last descriptor is gone: what was written gets its place in the order. Returns the node
    /// if what was written by an unprivileged process takes its setuid or setgid bit away.
    ///
    /// A handle of a former process is known by its node.
    pub fn release_of(&self, node: NodeId, handle: Handle) -> Option<NodeId> {
        let known = self.with(|state| {
            let known = state.files.handle(handle).is_some();
            if !known && let Ok(id) = self.live(state, node) {
                self.queue_former(state, id);
            }
            known
        });
        known.then(|| self.release(handle)).flatten()
    }

    /// The last descriptor is gone: see [`Repo::release_of`].
    fn release(&self, handle: Handle) -> Option<NodeId> {
        let (dropped, strip) = self.with(|state| {
            let Some((open, work)) = state.files.closed(handle) else {
                return (None, None);
            };
            let node = state.tree.get(open.id);
            let unnamed = node.is_none_or(|n| n.nlink == 0);
            let special = node.is_some_and(|n| without_suid(n.mode) != n.mode);
            let (mut dropped, mut strip) = (None, None);
            if let Some(work) = work {
                if unnamed {
                    if state.files.forget_work(&work) {
                        dropped = Some(work);
                    }
                } else if open.write {
                    match self.append_content(state, open.id, &open.actor) {
                        Ok(Some(_)) if special && open.actor.uid != 0 => {
                            strip = Some(state.tree.node_id(open.id));
                        }
                        Ok(_) => {}
                        // The next look at the file tries again.
                        Err(stop) => {
                            tracing::debug!(?stop, id = ?open.id, "content not yet queued");
                        }
                    }
                }
            }
            state.tree.unhold(open.id, open.node);
            (dropped, strip)
        });
        if let Some(work) = dropped {
            self.session.drop_work(&work);
        }
        strip
    }

    /// close(2) of one descriptor.
    pub fn flush(self: &Arc<Self>, node: NodeId, handle: Handle) -> Step<()> {
        if !matches!(self.env.durability(), Durability::Close | Durability::Write) {
            return Step::Done(Ok(()));
        }
        let wait: Try<_> = self.with(|state| {
            let known = state.files.handle(handle).cloned();
            let open = match &known {
                Some(open) => open.clone(),
                None => self.former(state, node)?,
            };
            if !open.write {
                return Ok(None);
            }
            let (id, actor) = (open.id, open.actor.clone());
            state.check_lost(handle)?;
            let work = match known {
                Some(_) => Self::file_of(state, handle)?.work.clone(),
                None => state.files.work(id).cloned(),
            };
            // It may have its place since before.
            let seq = self.append_content(state, id, &actor)?;
            let seq = seq.unwrap_or_else(|| self.session.last_seq());
            Ok(Some((seq, work)))
        });
        match wait {
            Ok(Some((seq, work))) => Step::Later(self.session.wait_file(seq, work.as_ref())),
            Ok(None) => Step::Done(Ok(())),
            Err(Stop::Error(error)) => Step::Done(Err(error)),
            // The queue is full.
            Err(_) => {
                let repo = Arc::clone(self);
                Step::Later(Box::pin(async move {
                    repo.session.wait_room().await?;
                    self::wait(repo.flush(node, handle)).await
                }))
            }
        }
    }

    pub fn fsync(self: &Arc<Self>, node: NodeId, handle: Handle) -> Step<()> {
        let found: Try<_> = self.with(|state| {
            let known = state.files.handle(handle).cloned();
            let open = match &known {
                Some(open) => open.clone(),
                None => match self.former(state, node) {
                    Ok(open) => open,
                    Err(_) => return Ok(None),
                },
            };
            state.check_lost(handle)?;
            if let Some(error) = state.fenced {
                return Err(error.into());
            }
            let named = state.tree.get(open.id).is_some_and(|n| n.nlink > 0);
            let work = if named {
                // Queued here so that its acknowledgement is known to the tree; what that
                // could not take, the session takes.
                let work = match known {
                    Some(_) => Self::file_of(state, handle)?.work.clone(),
                    None => state.files.work(open.id).cloned(),
                };
                if let Some(work) = &work {
                    work.read_again_if_unsure();
                }
                if let Err(Stop::Again) = self.append_content(state, open.id, &open.actor) {
                    return Err(Stop::Again);
                }
                work
            } else {
                // Nobody can find it after a crash.
                None
            };
            let times = times(state, open.id);
            let path = state.tree.path(open.id).unwrap_or_default();
            Ok(Some((open, work, times, path)))
        });
        match found {
            Err(Stop::Error(error)) => Step::Done(Err(error)),
            // Opened by a former process, and not in memory: everything there is.
            Ok(None) => Step::Later(self.session.sync()),
            Ok(Some((open, work, times, path))) => {
                let work = work.as_ref().map(|w| (w, times));
                match self.session.fsync(work, &path, &open.actor) {
                    Step::Later(synced) => {
                        let repo = Arc::clone(self);
                        Step::Later(Box::pin(async move {
                            let outcome = synced.await;
                            repo.with(|state| state.files.note_told(handle, outcome.is_err()));
                            outcome
                        }))
                    }
                    Step::Done(outcome) => {
                        self.with(|state| state.files.note_told(handle, outcome.is_err()));
                        Step::Done(outcome)
                    }
                }
            }
            // The queue is full: a server that takes what is in it makes room.
            Err(_) => {
                let repo = Arc::clone(self);
                Step::Later(Box::pin(async move {
                    repo.session.wait_room().await?;
                    wait(repo.fsync(node, handle)).await
                }))
            }
        }
    }

    pub fn fsyncdir(self: &Arc<Self>) -> Step<()> {
        self.session.fsync(None, b"", &Actor::default())
    }
}

/// A node's times for a content operation.
pub fn times(state: &State, id: FileId) -> NodeTimes {
    let node = state.tree.get(id);
    NodeTimes {
        mtime: node.map(|n| n.mtime).unwrap_or_default(),
        ctime: node.map(|n| n.ctime).unwrap_or_default(),
    }
}

/// How the descriptors of a version are served: as the first one was.
fn open_mode(file: &mut FileState, durability: Durability) -> FsResult<OpenMode> {
    if file.served || durability == Durability::Write {
        file.served = true;
        // What comes next while it is open goes through the same pages.
        let keep_cache = std::mem::replace(&mut file.keep_cache, true);
        return Ok(OpenMode::Served { keep_cache });
    }
    if let Some(backing) = &file.backing {
        return Ok(OpenMode::Local(Arc::clone(backing)));
    }
    let backing = match (&file.work, &file.clean) {
        (Some(work), _) => work.backing()?,
        (None, Some(clean)) => Arc::clone(clean.backing()),
        (None, None) => return Err(FsError::Stale),
    };
    file.backing = Some(Arc::clone(&backing));
    Ok(OpenMode::Local(backing))
}

fn resize(work: &Arc<WorkFile>, size: u64) -> FsResult<()> {
    let backing = work.backing()?;
    rustix::fs::ftruncate(&backing.file, size).map_err(super::data::local_error)?;
    Ok(())
}

pub(super) async fn wait<T>(step: Step<T>) -> FsResult<T> {
    match step {
        Step::Done(answer) => answer,
        Step::Later(answer) => answer.await,
    }
}
