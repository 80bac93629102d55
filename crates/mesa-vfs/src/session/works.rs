//! Work files of a session: made, marked in the journal, dropped.

use std::{fs::File, sync::Arc};

use mesa_types::{ContentRef, FileId, Nanos};

use super::{Connection, Refused, Session};
use crate::{
    content::{CleanFile, WorkFile, store},
    fs::{Backing, FsError, FsResult, Step},
    journal::{Record, WorkMark},
};

impl Session {
    /// An empty work file for a file about to be created (or an unnamed one). Pass it to
    /// [`Session::append`] with the create. Its mtime is set to `mtime`, the node's, so that
    /// nothing counts as changed before something is written.
    pub fn create_work(&self, file: FileId, mtime: Nanos) -> FsResult<Arc<WorkFile>> {
        self.check_quota()?;
        let (id, made) = self
            .work_dir
            .create()
            .map_err(|error| store::local(&error))?;
        let backing = Arc::new(Backing { file: made });
        let dir = Arc::clone(&self.work_dir);
        let work = WorkFile::new(dir, id, file, ContentRef::Empty, Some(backing));
        self.ready_work(&work, mtime, true)?;
        Ok(work)
    }

    /// The same for a file without a name. No operation tells of its id: while the server is away
    /// the journal does, so that the next process does not give it out again.
    pub fn create_unnamed(&self, file: FileId, mtime: Nanos) -> FsResult<Arc<WorkFile>> {
        let work = self.create_work(file, mtime)?;
        work.note_names(0);
        let mut core = self.core.lock();
        if core.connection != Connection::Attached {
            let record = Record::Unwork {
                file,
                work: work.id(),
            };
            let written = core.write(&[&record]);
            drop(core);
            if let Err(refused) = written {
                self.drop_work(&work);
                return Err(match refused {
                    Refused::Failed(error) => error,
                    Refused::Retry => FsError::Io,
                });
            }
        }
        Ok(work)
    }

    /// A work file for an existing file about to be opened for writing, holding the first `keep`
    /// bytes of `content` (`u64::MAX` = all). When the node is open for reading through `clean`,
    /// pass it: the work file then has the same [`crate::fs::Backing`], so that those readers see
    /// the writes. Journals the mark. The work file's mtime is set to `mtime`, the node's; with
    /// all of `content` kept, it counts as unchanged until something is written.
    pub fn open_work(
        self: &Arc<Self>,
        file: FileId,
        content: ContentRef,
        mtime: Nanos,
        keep: u64,
        clean: Option<Arc<CleanFile>>,
    ) -> Step<Arc<WorkFile>> {
        if let Err(error) = self.check_quota() {
            return Step::Done(Err(error));
        }
        if let Some(clean) = clean {
            return Step::Done(self.work_of_clean(file, content, mtime, keep, &clean));
        }
        if keep == 0 || content.size() == 0 {
            return Step::Done(self.work_with(file, content, mtime, keep, None));
        }
        match self.content.open(file, content) {
            Step::Done(Ok(clean)) if content.size().min(keep) <= 1 << 20 => {
                Step::Done(self.work_with(file, content, mtime, keep, Some(&clean)))
            }
            Step::Done(Err(error)) => Step::Done(Err(error)),
            opened => {
                let me = Arc::clone(self);
                Step::Later(Box::pin(async move {
                    let clean = match opened {
                        Step::Done(done) => done?,
                        Step::Later(later) => later.await?,
                    };
                    let copy = move || me.work_with(file, content, mtime, keep, Some(&clean));
                    let copied = tokio::task::spawn_blocking(copy).await;
                    copied.unwrap_or(Err(FsError::Io))
                }))
            }
        }
    }

    /// Turns the file that readers have open into the work file.
    fn work_of_clean(
        &self,
        file: FileId,
        content: ContentRef,
        mtime: Nanos,
        keep: u64,
        clean: &CleanFile,
    ) -> FsResult<Arc<WorkFile>> {
        let Some(path) = self.content.store().take(clean) else {
            return self.work_with(file, content, mtime, keep, Some(clean));
        };
        let backing = Arc::clone(clean.backing());
        let id = match self.work_dir.take_in(&path) {
            Ok(id) => id,
            Err(error) => {
                // Another filesystem: readers that are open keep the old bytes.
                tracing::debug!(%error, "cannot move a cached file");
                let copied = self.work_with(file, content, mtime, keep, Some(clean));
                let _ = std::fs::remove_file(path);
                return copied;
            }
        };
        if keep < content.size() {
            rustix::fs::ftruncate(&backing.file, keep).map_err(|_| FsError::Io)?;
        }
        let work = WorkFile::new(Arc::clone(&self.work_dir), id, file, content, Some(backing));
        self.ready_work(&work, mtime, keep >= content.size())?;
        self.mark_work(&work)?;
        Ok(work)
    }

    /// A new work file with a copy of the first `keep` bytes.
    fn work_with(
        &self,
        file: FileId,
        content: ContentRef,
        mtime: Nanos,
        keep: u64,
        from: Option<&CleanFile>,
    ) -> FsResult<Arc<WorkFile>> {
        let (id, made) = self
            .work_dir
            .create()
            .map_err(|error| store::local(&error))?;
        let backing = Arc::new(Backing { file: made });
        let dir = Arc::clone(&self.work_dir);
        let work = WorkFile::new(dir, id, file, content, Some(Arc::clone(&backing)));
        if let Some(clean) = from {
            let copied = clean
                .backing()
                .file
                .try_clone()
                .map(File::from)
                .and_then(|from| store::copy(&from, &backing.file, content.size().min(keep)));
            if let Err(error) = copied {
                work.discard();
                return Err(store::local(&error));
            }
        }
        self.ready_work(&work, mtime, keep >= content.size())?;
        self.mark_work(&work)?;
        Ok(work)
    }

    /// While the server is away, what is written stays here: up to the cache's quota.
    pub fn check_quota(&self) -> FsResult<()> {
        let store = self.content.store();
        let over = store.quota() > 0 && store.private_bytes() > store.quota();
        let away = matches!(
            self.core.lock().connection,
            Connection::Waiting(_) | Connection::Refused
        );
        if over && away {
            return Err(FsError::NoSpace);
        }
        Ok(())
    }

    fn ready_work(&self, work: &Arc<WorkFile>, mtime: Nanos, unchanged: bool) -> FsResult<()> {
        let ready = work.prepare(mtime, unchanged);
        match ready {
            Ok(()) => {
                self.works.lock().insert(work.file(), Arc::downgrade(work));
            }
            Err(_) => work.discard(),
        }
        ready
    }

    /// Journals that a file is served from a work file, when [`Session::append`] did not do it (a
    /// create that the server decided).
    pub fn mark_work(&self, work: &Arc<WorkFile>) -> FsResult<()> {
        let written = self.core.lock().write(&[&mark_of(work)]);
        match written {
            Ok(()) => {
                self.watch.add(work);
                Ok(())
            }
            Err(refused) => {
                work.discard();
                Err(match refused {
                    Refused::Failed(error) => error,
                    Refused::Retry => FsError::Io,
                })
            }
        }
    }

    /// Somebody may have written to it without our knowing.
    pub(crate) fn watch_again(&self, work: &Arc<WorkFile>) {
        self.watch.add(work);
    }

    /// The node is gone, or is served from the cache again. The local file goes when the last
    /// user and the last operation waiting for its bytes let go of it.
    pub fn drop_work(&self, work: &Arc<WorkFile>) {
        if work.is_dropped() {
            return;
        }
        work.discard();
        self.watch.remove(work);
        {
            let mut works = self.works.lock();
            let mine = works
                .get(&work.file())
                .is_some_and(|known| known.as_ptr() == Arc::as_ptr(work));
            if mine {
                works.remove(&work.file());
            }
        }
        let record = Record::Unwork {
            file: work.file(),
            work: work.id(),
        };
        // Without it the file is found again at the next start, and dropped then.
        let _ = self.core.lock().write(&[&record]);
    }
}

/// The journal's note that a node is served from this file.
pub(super) fn mark_of(work: &WorkFile) -> Record {
    let pick = work.pick.lock();
    Record::Work {
        file: work.file(),
        mark: WorkMark {
            work: work.id(),
            base: pick.base,
            clean: pick.stat.filter(|_| !pick.unsure),
        },
    }
}
