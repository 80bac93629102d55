//! The repo most tests work in.

use mesa_repo::{Principal, Scope};

use crate::{Backend, InProcess, RawSession};

/// A server's parts in memory with the org `acme`, its repo `demo`, and a caller who may write.
pub struct Demo {
    /// The parts.
    pub backend: Backend,
    /// Who calls.
    pub caller: Principal,
    /// The caller's connection.
    pub api: InProcess,
}

impl Demo {
    /// Makes org and repo.
    pub async fn start() -> Self {
        let backend = Backend::memory();
        let scopes = [Scope::Read, Scope::Write];
        let caller = backend.org("acme", &scopes).await.expect("an org");
        backend.repo(&caller, "demo").await.expect("a repo");
        let api = InProcess::new(backend.heads.clone(), caller.clone());
        Self {
            backend,
            caller,
            api,
        }
    }

    /// A session in the repo.
    pub async fn session(&self) -> RawSession {
        RawSession::open(&self.api, "acme", "demo").await
    }

    /// Restarts the server: what was only in memory is gone.
    pub fn restart(&mut self) {
        self.backend = self.backend.restarted();
        self.api.connect(self.backend.heads.clone());
    }
}
