//! Letting a repo go on at another change while it is mounted.

use std::{ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf, sync::Arc, time::Duration};

use futures::FutureExt;
use mesa_types::{FileId, OrgSlug, RepoName};

use super::{
    Mount,
    repo::{Repo, State},
};
use crate::{
    fs::{FsError, FsResult},
    session::{Later, SessionTarget, SwitchError},
};

/// The kernel tells of a close after it; descriptors that are gone by then do not count.
const CLOSING: Duration = Duration::from_secs(2);
/// Between looks at what is open.
const LOOK: Duration = Duration::from_millis(10);
/// Most paths named in a refusal.
const NAMED_MAX: usize = 10;

impl Mount {
    /// Lets a repo go on at another change or bookmark. Node numbers and descriptors open for
    /// reading stay good; with a file open for writing it is refused.
    pub async fn switch(
        &self,
        org: &OrgSlug,
        repo: &RepoName,
        target: SessionTarget,
    ) -> Result<(), SwitchError> {
        let slot = self.slot(org, repo).await.map_err(SwitchError::NotSynced)?;
        slot.open().await.map_err(SwitchError::NotSynced)?;
        let gone = || SwitchError::NotSynced(FsError::Io);
        let repo = slot.repo().ok_or_else(gone)?;
        // Whoever asks may stop waiting; what began is brought to its end.
        let runtime = self.inner.env.config.runtime.clone();
        let switching = runtime.spawn(async move {
            Arc::clone(&repo).switch(target).await?;
            repo.settled().await.map_err(SwitchError::NotSynced)
        });
        switching.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Returns when a repo has read what its session was told to read again: the notices for the
    /// presenter are on their way then.
    pub async fn settled(&self, org: &OrgSlug, repo: &RepoName) -> FsResult<()> {
        match self.slot(org, repo).await?.repo() {
            Some(repo) => repo.settled().await,
            None => Ok(()),
        }
    }
}

impl Repo {
    async fn settled(self: &Arc<Self>) -> FsResult<()> {
        let reloading = self.with(|state| state.reloading.clone());
        if let Some(reloading) = reloading {
            reloading.await?;
        }
        for dir in self.with(|state| state.tree.stale_dirs()) {
            if let Err(error) = self.load(dir).await {
                // It is not there any more, or is read when it is asked for.
                tracing::debug!(%error, ?dir, "cannot read a directory again");
            }
        }
        Ok(())
    }

    async fn switch(self: Arc<Self>, target: SessionTarget) -> Result<(), SwitchError> {
        let (finished, waiting) = tokio::sync::oneshot::channel::<FsResult<()>>();
        let waiting: Later<FsResult<()>> =
            Box::pin(async move { waiting.await.unwrap_or(Err(FsError::Io)) });
        let waiting = waiting.shared();
        loop {
            // Changes wait from here on, as they do while a move of the server's is read.
            let other = self.with(|state| {
                let other = state.reloading.clone();
                if other.is_none() {
                    state.reloading = Some(waiting.clone());
                }
                other
            });
            match other {
                Some(other) => other.await.map_err(SwitchError::NotSynced)?,
                None => break,
            }
        }
        let outcome = self.switch_held(target).await;
        if outcome.is_err() {
            self.with(|state| state.reloading = None);
        }
        // Without a receiver nobody waited.
        let _ = finished.send(Ok(()));
        outcome
    }

    async fn switch_held(&self, target: SessionTarget) -> Result<(), SwitchError> {
        self.unused().await?;
        let synced = self.session.sync().await;
        synced.map_err(SwitchError::NotSynced)?;
        self.unused().await?;
        self.session.go_to(target).await
    }

    /// Returns when nothing is open for writing; after a while it is an error.
    async fn unused(&self) -> Result<(), SwitchError> {
        let end = tokio::time::Instant::now() + CLOSING;
        loop {
            let paths = self.with(|state| self.written(state));
            if paths.is_empty() {
                return Ok(());
            }
            if tokio::time::Instant::now() >= end {
                return Err(SwitchError::InUse { paths });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Files that a descriptor or a mapping may write to.
    fn written(&self, state: &State) -> Vec<PathBuf> {
        let mut files = state.files.written();
        for file in state.files.with_work() {
            let busy = |work| !self.session.is_quiet(work);
            if state.files.works(file).iter().any(busy) {
                files.push(file);
            }
        }
        files.sort_unstable();
        files.dedup();
        files.truncate(NAMED_MAX);
        let path = |file: FileId| {
            let path = state
                .tree
                .path(file)
                .unwrap_or_else(|| b"(deleted)".to_vec());
            PathBuf::from(OsString::from_vec(path))
        };
        files.into_iter().map(path).collect()
    }
}
