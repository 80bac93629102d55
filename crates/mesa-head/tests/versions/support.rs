//! A server with one repo, and what tests do to it.

use std::sync::Arc;

use bytes::Bytes;
use mesa_head::{
    Describe, FileEdit, FileMode, FilePath, HeadsConfig, NewChange, SealedAt, View, ViewTarget,
    Write,
};
use mesa_meta::MetaStore;
use mesa_repo::{Abandonment, Actor, Principal, Repo, Scope};
use mesa_store::ObjectStore;
use mesa_testkit::{Backend, InProcess};
use mesa_types::{ChangeId, NodeKind, time::SystemClock};

pub struct Server {
    pub backend: Backend,
    pub caller: Principal,
    pub repo: Repo,
    pub api: InProcess,
}

pub fn path(text: &str) -> FilePath {
    FilePath::parse(text.as_bytes()).unwrap()
}

pub fn put(at: &str, content: &str) -> FileEdit {
    put_as(at, content, FileMode::Keep)
}

pub fn put_as(at: &str, content: &str, mode: FileMode) -> FileEdit {
    FileEdit::Put {
        path: path(at),
        content: Bytes::copy_from_slice(content.as_bytes()),
        mode,
    }
}

pub fn delete(at: &str) -> FileEdit {
    FileEdit::Delete { path: path(at) }
}

pub fn rename(from: &str, to: &str) -> FileEdit {
    FileEdit::Move {
        from: path(from),
        to: path(to),
    }
}

pub fn main() -> ViewTarget {
    by_bookmark("main")
}

pub fn by_bookmark(name: &str) -> ViewTarget {
    ViewTarget::Bookmark(name.parse().unwrap())
}

impl Server {
    pub async fn start() -> Self {
        Self::of(Backend::memory()).await
    }

    /// Over stores that the test holds as well.
    pub async fn over(meta: Arc<dyn MetaStore>, objects: Arc<dyn ObjectStore>) -> Self {
        let config = HeadsConfig::default();
        Self::of(Backend::over(meta, objects, Arc::new(SystemClock), config)).await
    }

    /// With an org and a repo on a backend that has none.
    pub async fn of(backend: Backend) -> Self {
        let caller = backend.org("acme", &[Scope::Write]).await.unwrap();
        let repo = backend.repo(&caller, "demo").await.unwrap();
        let api = InProcess::new(backend.heads.clone(), caller.clone());
        Self {
            backend,
            caller,
            repo,
            api,
        }
    }

    pub fn actor(&self) -> Actor {
        self.caller.actor("192.0.2.7", "request")
    }

    pub async fn write(
        &self,
        target: ViewTarget,
        edits: Vec<FileEdit>,
    ) -> mesa_head::Result<SealedAt> {
        let write = Write {
            target,
            edits,
            describe: Describe::default(),
            base_commit: None,
        };
        let heads = &self.backend.heads;
        heads.write(&self.actor(), &self.repo, write).await
    }

    pub async fn create(&self, parent: ChangeId, edits: Vec<FileEdit>, message: &str) -> SealedAt {
        let new = NewChange {
            parents: vec![parent],
            edits,
            describe: Describe {
                message: Some(message.to_owned()),
                ..Describe::default()
            },
        };
        let heads = &self.backend.heads;
        heads
            .create_change(&self.actor(), &self.repo, new)
            .await
            .unwrap()
    }

    pub async fn main_change(&self) -> ChangeId {
        let name = "main".parse().unwrap();
        let catalog = &self.backend.catalog;
        let read = catalog.bookmark(&self.repo.org, &self.repo.id, &name).await;
        read.unwrap().unwrap().change
    }

    pub async fn at_bookmark(&self, name: &str) -> ChangeId {
        let (catalog, name) = (&self.backend.catalog, name.parse().unwrap());
        let read = catalog.bookmark(&self.repo.org, &self.repo.id, &name).await;
        read.unwrap().unwrap().change
    }

    pub async fn abandon(&self, id: ChangeId) -> mesa_head::Result<Abandonment> {
        let heads = &self.backend.heads;
        heads.abandon(&self.actor(), &self.repo, &id).await
    }

    pub async fn bring_back(&self, id: ChangeId) -> mesa_head::Result<Abandonment> {
        let heads = &self.backend.heads;
        heads
            .restore_abandoned(&self.actor(), &self.repo, &id)
            .await
    }

    pub async fn change(&self, id: ChangeId) -> mesa_repo::Change {
        let catalog = &self.backend.catalog;
        let read = catalog.change(&self.repo.org, &self.repo.id, &id).await;
        read.unwrap().unwrap().record
    }

    pub async fn view(&self, target: ViewTarget) -> View {
        let heads = &self.backend.heads;
        heads
            .view(&self.repo.org, &self.repo.id, &target)
            .await
            .unwrap()
    }

    /// Every path with its content (`->` and the target for symlinks, `/` for directories).
    pub async fn files(&self, target: ViewTarget) -> Vec<(String, String)> {
        let view = self.view(target).await;
        let mut found = Vec::new();
        let mut dirs = vec![String::new()];
        while let Some(dir) = dirs.pop() {
            for entry in view.list(dir.as_bytes()).await.unwrap().unwrap() {
                let name = String::from_utf8(entry.name.as_bytes().to_vec()).unwrap();
                let full = if dir.is_empty() {
                    name
                } else {
                    format!("{dir}/{name}")
                };
                let attr = &entry.node.attr;
                let shown = match attr.kind {
                    NodeKind::Dir => {
                        dirs.push(full.clone());
                        "/".to_owned()
                    }
                    NodeKind::Symlink => {
                        format!("->{}", String::from_utf8_lossy(&entry.node.target))
                    }
                    _ => {
                        let size = attr.content.size();
                        let bytes = view.read(&attr.content, 0..size).await.unwrap();
                        String::from_utf8(bytes.to_vec()).unwrap()
                    }
                };
                found.push((full, shown));
            }
        }
        found.sort();
        found
    }
}

pub fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    expected.iter().map(owned).collect()
}
