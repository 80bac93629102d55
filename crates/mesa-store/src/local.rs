//! Objects as files under a directory.
//!
//! A put writes a staging file, syncs it, links it to its name and syncs the directories whose
//! entries changed; `object_store` does that when asked to fsync. Three things are added: the
//! root's own entry is synced when it is made; directories that another put is just making are
//! not taken for durable before that put has synced them; and deletions are synced.

use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures::StreamExt;
use object_store::{
    ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions, local::LocalFileSystem,
};
use parking_lot::Mutex;

use crate::{ObjectInfo, ObjectName, ObjectStore, StoreError, StoreErrorKind};

/// An object store in a local directory.
#[derive(Debug)]
pub struct LocalStore {
    root: PathBuf,
    files: LocalFileSystem,
    /// Directories known to exist on stable storage.
    durable: Arc<Mutex<HashSet<PathBuf>>>,
}

impl LocalStore {
    /// Opens `root`, creating it if need be.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        let failed = |error: io::Error| from_io("open object directory", error);
        fs::create_dir_all(&root).map_err(failed)?;
        let root = root.canonicalize().map_err(failed)?;
        for dir in root.ancestors() {
            // Ancestors may belong to others and not be readable; theirs is not ours to sync.
            match sync_dir(dir) {
                Err(error) if dir == root => return Err(failed(error)),
                _ => {}
            }
        }
        let files = LocalFileSystem::new_with_prefix(&root)
            .map_err(|error| convert("open object directory", error))?
            .with_fsync(true);
        Ok(Self {
            durable: Arc::new(Mutex::new(HashSet::from([root.clone()]))),
            root,
            files,
        })
    }

    /// Makes the directory of `name` durable.
    async fn make_dirs(&self, name: &ObjectName) -> Result<(), StoreError> {
        let path = self.root.join(name.as_str());
        let Some(dir) = path.parent().map(Path::to_path_buf) else {
            return Ok(());
        };
        if self.durable.lock().contains(&dir) {
            return Ok(());
        }
        let durable = Arc::clone(&self.durable);
        let root = self.root.clone();
        let made = blocking(move || {
            fs::create_dir_all(&dir)?;
            let chain: Vec<&Path> = dir
                .ancestors()
                .take_while(|d| d.starts_with(&root))
                .collect();
            for dir in chain.iter().rev() {
                sync_dir(dir)?;
            }
            durable.lock().insert(dir);
            Ok(())
        });
        made.await
            .map_err(|error| from_io("create directory", error))
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(join) => Err(io::Error::other(join)),
    }
}

fn io_kind(error: &io::Error) -> StoreErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => StoreErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => StoreErrorKind::Exists,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreErrorKind::Full,
        _ => StoreErrorKind::Unavailable,
    }
}

fn from_io(step: &str, error: io::Error) -> StoreError {
    StoreError::new(io_kind(&error), step, Some(Box::new(error)))
}

fn convert(step: impl Into<String>, error: object_store::Error) -> StoreError {
    let kind = match &error {
        object_store::Error::NotFound { .. } => StoreErrorKind::NotFound,
        object_store::Error::AlreadyExists { .. } => StoreErrorKind::Exists,
        object_store::Error::InvalidPath { .. } => StoreErrorKind::Usage,
        _ => {
            let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
            let mut kind = StoreErrorKind::Unavailable;
            while let Some(error) = cause {
                if let Some(io) = error.downcast_ref::<io::Error>() {
                    kind = io_kind(io);
                }
                cause = error.source();
            }
            kind
        }
    };
    StoreError::new(kind, step, Some(Box::new(error)))
}

fn path_of(name: &ObjectName) -> object_store::path::Path {
    object_store::path::Path::from(name.as_str())
}

#[async_trait::async_trait]
impl ObjectStore for LocalStore {
    async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        self.make_dirs(name).await?;
        let options = PutOptions::from(PutMode::Create);
        let path = path_of(name);
        match self.files.put_opts(&path, bytes.into(), options).await {
            Ok(_) => Ok(()),
            Err(error) => Err(convert(format!("put {name:?}"), error)),
        }
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        let failed = |kind| StoreError::new(kind, format!("get {name:?}"), None);
        if range.is_empty() {
            return Err(failed(StoreErrorKind::Usage));
        }
        let wanted = range.end - range.start;
        match self.files.get_range(&path_of(name), range.clone()).await {
            Ok(bytes) if bytes.len() as u64 == wanted => Ok(bytes),
            Ok(_) => Err(failed(StoreErrorKind::Corrupt)),
            Err(error) => {
                let error = convert(format!("get {name:?}"), error);
                if error.kind != StoreErrorKind::NotFound && self.size(name).await? < range.end {
                    return Err(failed(StoreErrorKind::Corrupt));
                }
                Err(error)
            }
        }
    }

    async fn size(&self, name: &ObjectName) -> Result<u64, StoreError> {
        match self.files.head(&path_of(name)).await {
            Ok(meta) => Ok(meta.size),
            Err(error) => Err(convert(format!("size {name:?}"), error)),
        }
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, StoreError> {
        let folder = prefix.rsplit_once('/').map(|(folder, _)| folder);
        let folder = folder.map(object_store::path::Path::from);
        let mut listing = self.files.list(folder.as_ref());
        // The files come in no order: only the first `limit` names are kept.
        let mut first = BTreeMap::new();
        while let Some(found) = listing.next().await {
            let meta = found.map_err(|error| convert(format!("list {prefix}"), error))?;
            let Ok(name) = ObjectName::new(meta.location.as_ref()) else {
                continue;
            };
            if name.as_str().starts_with(prefix) && after.is_none_or(|after| name > *after) {
                first.insert(name, meta.size);
                if first.len() > limit {
                    first.pop_last();
                }
            }
        }
        Ok(first
            .into_iter()
            .map(|(name, bytes)| ObjectInfo { name, bytes })
            .collect())
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        let path = self.root.join(name.as_str());
        let deleted = blocking(move || {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                result => result?,
            }
            path.parent().map_or(Ok(()), sync_dir)
        });
        deleted
            .await
            .map_err(|error| from_io(&format!("delete {name:?}"), error))
    }
}
