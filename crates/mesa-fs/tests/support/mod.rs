//! A server in this process, and filesystems over it.

#![allow(dead_code)] // Each test program uses a part.

use std::sync::Arc;

use mesa_fs::{Credential, FileSystem, MountOptions, RepoMount, Secret};
use mesa_repo::{Principal, Scope};
use mesa_testkit::{Backend, InProcess};

pub struct Server {
    pub backend: Backend,
    pub owner: Principal,
}

impl Server {
    /// With the repos `demo` and `other` of the org `acme`.
    pub async fn start() -> Self {
        let backend = Backend::memory();
        let scopes = [Scope::Read, Scope::Write];
        let owner = backend.org("acme", &scopes).await.unwrap();
        for repo in ["demo", "other"] {
            backend.repo(&owner, repo).await.unwrap();
        }
        Self { backend, owner }
    }

    pub fn link(&self) -> InProcess {
        InProcess::new(self.backend.heads.clone(), self.owner.clone())
    }

    pub fn fs(&self) -> FileSystem {
        self.fs_with(|_| {})
    }

    pub fn fs_with(&self, change: impl FnOnce(&mut MountOptions)) -> FileSystem {
        let mut options = options();
        change(&mut options);
        FileSystem::open_over(options, Arc::new(self.link())).unwrap()
    }
}

pub fn options() -> MountOptions {
    let key = Credential::Fixed(Secret::new("mesa_test"));
    let mut options = MountOptions::new("http://127.0.0.1:1", key);
    options.repos = vec![
        RepoMount::new("acme", "demo"),
        RepoMount::new("acme", "other"),
    ];
    options
}

/// Waits for a condition, with a deadline.
pub async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "never: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
