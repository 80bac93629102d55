//! Removing, as rm(1) does.

use std::{os::unix::ffi::OsStrExt, path::Path, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use mesa_vfs::fs::Filesystem;

use crate::{
    core::{Core, Op},
    error::{Code, Result},
    file::again,
    filesystem::FileSystem,
    walk::{Held, Level, Spot, done},
};

/// Times a directory is emptied while others put something in.
const EMPTIED_MAX: usize = 10;

/// What may be removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemoveOptions {
    /// Directories too, with everything in them.
    pub recursive: bool,
    /// That there is nothing is no error.
    pub force: bool,
}

impl Core {
    async fn remove(&self, path: &Path, options: RemoveOptions) -> Op<()> {
        let (dir, name, _) = self.deathbed(path).await?;
        match self.remove_entry(&dir, &name, options.recursive).await {
            Err(Code::NotFound) if options.force => Ok(()),
            outcome => outcome,
        }
    }

    /// Removes an entry; what is gone by then is an error only here.
    async fn remove_entry(&self, dir: &Arc<Held>, name: &[u8], recursive: bool) -> Op<()> {
        let found = self.child(&Spot::Node(Arc::clone(dir)), name).await?;
        let Some(Spot::Node(found)) = found else {
            return Err(Code::NotFound);
        };
        if found.level == Level::Repo {
            // Not even its content: it would be a surprise.
            return Err(Code::Busy);
        }
        if !found.is_dir() {
            return Ok(done(self.mount.unlink(self.caller(), dir.node, name)).await?);
        }
        if !recursive {
            return Err(Code::IsDir);
        }
        for _ in 0..EMPTIED_MAX {
            self.empty(Arc::clone(&found)).await?;
            match done(self.mount.rmdir(self.caller(), dir.node, name)).await {
                Err(mesa_vfs::fs::FsError::NotEmpty) => {}
                outcome => return Ok(outcome?),
            }
        }
        Err(Code::NotEmpty)
    }

    fn empty(&self, dir: Arc<Held>) -> BoxFuture<'_, Op<()>> {
        async move {
            for entry in self.list_node(&dir).await? {
                let name = entry.name.as_bytes();
                match again!(self.remove_entry(&dir, name, true)) {
                    // Somebody else was faster.
                    Ok(()) | Err(Code::NotFound) => {}
                    Err(error) => return Err(error),
                }
                tokio::task::yield_now().await;
            }
            Ok(())
        }
        .boxed()
    }
}

impl FileSystem {
    /// Removes a file, a symlink or, if it may, a directory with everything in it. A repo's root
    /// cannot be removed (`EBUSY`), a directory without [`RemoveOptions::recursive`] neither
    /// (`EISDIR`).
    pub async fn remove(&self, path: impl AsRef<Path>, options: RemoveOptions) -> Result<()> {
        let path = path.as_ref();
        let work = async {
            match again!(self.core.remove(path, options)) {
                // So is a path that leads nowhere.
                Err(Code::NotFound) if options.force => Ok(()),
                outcome => outcome,
            }
        };
        self.core.call("rm", path, work).await
    }
}
