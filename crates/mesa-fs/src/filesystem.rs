//! The filesystem as a whole: opening, readiness, credentials, sending, closing.

use std::{
    path::Path,
    sync::{Arc, Weak},
};

use mesa_client::SyncApi;
use mesa_vfs::mount::MountStatus;

use crate::{
    core::Core,
    credential::Credential,
    error::{Code, Error, Result},
    options::MountOptions,
    runtime::Inside,
};

/// A mount in this process. Clones are the same mount.
///
/// Dropping the last clone without [`FileSystem::close`] begins to send what is left and does not
/// wait for it.
#[derive(Clone)]
pub struct FileSystem {
    pub(crate) core: Arc<Core>,
}

impl FileSystem {
    /// Makes the mount. Does not connect: what the server has to say comes with the first use, or
    /// from [`FileSystem::ready`]. Options that cannot be are `EINVAL`, directories that cannot be
    /// used `EACCES`, `ENOSPC` or `EIO`.
    #[allow(clippy::needless_pass_by_value)] // they hold a credential: nobody need keep them
    pub fn open(options: MountOptions) -> Result<Self> {
        let core = Core::new(&options, None)?;
        Ok(Self { core })
    }

    /// The same over another connection than to the server that the options name, e.g. to one in
    /// this process.
    #[allow(clippy::needless_pass_by_value)] // as above
    pub fn open_over(options: MountOptions, api: Arc<dyn SyncApi>) -> Result<Self> {
        let core = Core::new(&options, Some(api))?;
        Ok(Self { core })
    }

    /// Returns when every repo that the options name is open, with the first error otherwise.
    pub async fn ready(&self) -> Result<()> {
        let core = &self.core;
        let opens = core.repos.iter().map(|(org, repo)| {
            let path = core.places.shown(org, repo, b"");
            async move {
                let open = async {
                    core.mount.session(org, repo).await?;
                    Ok(())
                };
                let opened = core.call("mount", &path, open).await;
                opened.map_err(|error| self.with_reason(error, org.as_str(), repo.as_str()))
            }
        });
        let outcomes = futures::future::join_all(opens).await;
        outcomes.into_iter().collect()
    }

    /// What the core notes of a repo that it cannot open, if the server told no reason.
    fn with_reason(&self, error: Error, org: &str, repo: &str) -> Error {
        if error.server_code().is_some() {
            return error;
        }
        let status = self.core.mount.status();
        let repos = status.orgs.into_iter().filter(|o| o.org == org);
        let found = repos.flat_map(|o| o.repos).find(|r| r.repo == repo);
        match found.and_then(|repo| repo.failure) {
            Some(failure) => error.saying(failure),
            None if error.code() == Code::NotFound => error.saying(format!(
                "there is no repo '{repo}' in '{org}' for this credential"
            )),
            None => error,
        }
    }

    /// Another credential, used at once.
    pub fn set_credential(&self, credential: &Credential) {
        self.core.set_credential(credential);
    }

    /// Waits for a future on this thread, for callers that are not asynchronous themselves. Must
    /// not be called from asynchronous code.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.core.runtime.block_on(future)
    }

    /// Each repo's connection, change and lag.
    pub fn status(&self) -> MountStatus {
        self.core.mount.status()
    }

    /// Everything done so far is on the server when this returns.
    pub async fn sync(&self) -> Result<()> {
        let core = &self.core;
        let sync = async { Ok(core.mount.sync_all().await?) };
        core.call("fsync", Path::new("/"), sync).await
    }

    /// Sends everything, ends the sessions and removes what was temporary. Calls that come later
    /// fail with `EBADF`, as a second close does. With an error, what could not be sent stays in
    /// the state directory if one was named.
    pub async fn close(&self) -> Result<()> {
        let core = &self.core;
        core.call("close", Path::new("/"), core.close()).await
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.core.is_closed()
    }

    /// Where its background work runs.
    pub fn runtime(&self) -> &tokio::runtime::Handle {
        &self.core.runtime
    }

    /// A reference that does not keep it open.
    pub fn downgrade(&self) -> WeakFileSystem {
        WeakFileSystem(Arc::downgrade(&self.core))
    }

    /// A future that may be polled outside the runtime.
    pub(crate) fn inside<F: Future>(&self, future: F) -> Inside<F> {
        Inside::new(&self.core.runtime, future)
    }
}

/// A reference to a [`FileSystem`] that does not keep it open.
#[derive(Clone)]
pub struct WeakFileSystem(Weak<Core>);

impl WeakFileSystem {
    /// The filesystem, if somebody still has it.
    pub fn upgrade(&self) -> Option<FileSystem> {
        self.0.upgrade().map(|core| FileSystem { core })
    }
}

impl std::fmt::Debug for FileSystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSystem")
            .field("repos", &self.core.repos)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
