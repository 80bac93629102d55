//! Being told of what others change.

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt, stream::BoxStream};
use mesa_vfs::mount;
use tokio::sync::{broadcast, watch};

use crate::{core::Core, filesystem::FileSystem, places::Places};

/// Something that others changed. What is there now is for the listener to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// What.
    pub path: PathBuf,
    /// Anything below it may have changed, too: a repo went to another change, or the listener was
    /// too slow to be told of each path.
    pub recursive: bool,
}

/// What others change, in order, until the filesystem is closed.
pub struct Watch {
    changes: BoxStream<'static, Changed>,
}

struct Listening {
    changes: broadcast::Receiver<mount::Changed>,
    closing: watch::Receiver<bool>,
    // Not the mount: who only listens does not keep it.
    places: Arc<Places>,
}

impl Watch {
    fn new(core: &Core) -> Self {
        let listening = Listening {
            changes: core.mount.watch(),
            closing: core.closing.subscribe(),
            places: Arc::clone(&core.places),
        };
        let changes = futures::stream::unfold(listening, |mut listening| async move {
            let next = tokio::select! {
                biased;
                next = listening.changes.recv() => next,
                // The sender goes with the mount.
                _ = listening.closing.wait_for(|closed| *closed) => return None,
            };
            let changed = match next {
                Ok(changed) => Changed {
                    path: listening
                        .places
                        .shown(&changed.org, &changed.repo, &changed.path),
                    recursive: changed.recursive,
                },
                Err(broadcast::error::RecvError::Lagged(_)) => Changed {
                    path: Path::new("/").to_owned(),
                    recursive: true,
                },
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            Some((changed, listening))
        });
        Self {
            changes: changes.boxed(),
        }
    }

    /// The next change; `None` when the filesystem is closed.
    pub async fn next_change(&mut self) -> Option<Changed> {
        self.next().await
    }
}

impl Stream for Watch {
    type Item = Changed;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Changed>> {
        self.changes.poll_next_unpin(context)
    }
}

impl FileSystem {
    /// What others change from now on: other mounts, other programs, the API. What this mount does
    /// is not told. The repos that the options name are opened for it; others when they are used.
    pub fn watch(&self) -> Watch {
        let watch = Watch::new(&self.core);
        for (org, repo) in &self.core.repos {
            let (mount, org, repo) = (self.core.mount.clone(), org.clone(), repo.clone());
            self.core.runtime.spawn(async move {
                if let Err(error) = mount.session(&org, &repo).await {
                    tracing::warn!(%error, %org, %repo, "not watched before it can be opened");
                }
            });
        }
        watch
    }
}
