//! Directories of mounts: those that were named, and temporary ones.

use std::{
    collections::HashMap,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use mesa_vfs::content::{ContentConfig, ContentStore};
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

/// Names of temporary directories begin so.
const PREFIX: &str = "mesa-fs-";
/// Held by the process whose directory it is.
const LOCK: &str = "lock";
/// A directory younger than this may not have its lock yet.
const YOUNG: Duration = Duration::from_mins(1);
/// Caches tried below a directory that another process has.
const CACHES_MAX: u32 = 16;

/// The temporary directory of this process, for as long as a mount uses it.
static TEMPORARY: Mutex<Weak<Temporary>> = Mutex::new(Weak::new());
/// Caches that are open, by directory.
static CACHES: Mutex<Option<HashMap<PathBuf, Weak<ContentStore>>>> = Mutex::new(None);

/// A temporary directory, removed with its last user.
pub struct Temporary {
    dir: TempDir,
    _lock: File,
}

impl Temporary {
    /// The one of this process.
    pub fn of_process() -> io::Result<Arc<Self>> {
        let mut present = TEMPORARY.lock();
        if let Some(temporary) = present.upgrade() {
            return Ok(temporary);
        }
        let base = std::env::temp_dir();
        sweep(&base);
        let temporary = Arc::new(Self::new(&base)?);
        *present = Arc::downgrade(&temporary);
        Ok(temporary)
    }

    fn new(base: &Path) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(base)?;
        let lock = File::create(dir.path().join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { dir, _lock: lock })
    }
}

/// Removes what killed processes of this user left.
fn sweep(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else {
        return;
    };
    for entry in entries.flatten() {
        let ours = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes());
        if ours && is_left(&entry.path()) {
            // Perhaps somebody else's.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn is_left(dir: &Path) -> bool {
    let old = std::fs::symlink_metadata(dir).is_ok_and(|meta| {
        let age = meta
            .modified()
            .map(|at| SystemTime::now().duration_since(at));
        meta.is_dir() && matches!(age, Ok(Ok(age)) if age > YOUNG)
    });
    old && File::open(dir.join(LOCK))
        .is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok())
}

/// Where a mount keeps its journal.
pub struct StateDir {
    path: PathBuf,
    /// Gone with the mount, and keeps the process's one.
    _temporary: Option<(TempDir, Arc<Temporary>)>,
}

impl StateDir {
    pub fn new(named: Option<&Path>) -> io::Result<Self> {
        if let Some(path) = named {
            std::fs::create_dir_all(path)?;
            return Ok(Self {
                path: path.canonicalize()?,
                _temporary: None,
            });
        }
        let process = Temporary::of_process()?;
        let dir = tempfile::Builder::new()
            .prefix("state-")
            .tempdir_in(process.dir.path())?;
        Ok(Self {
            path: dir.path().to_owned(),
            _temporary: Some((dir, process)),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A cache, and the temporary directory it is in.
pub struct Cache {
    pub store: Arc<ContentStore>,
    _temporary: Option<Arc<Temporary>>,
}

impl Cache {
    /// The cache in this directory, shared by all that name it. The first one's limits count.
    pub fn open(
        named: Option<&Path>,
        disk_bytes_max: Option<u64>,
        memory_bytes_max: Option<u64>,
    ) -> io::Result<Self> {
        let (dir, temporary) = if let Some(dir) = named {
            (dir.to_owned(), None)
        } else {
            let process = Temporary::of_process()?;
            (process.dir.path().join("cache"), Some(process))
        };
        std::fs::create_dir_all(&dir)?;
        let dir = dir.canonicalize()?;
        let mut caches = CACHES.lock();
        let caches = caches.get_or_insert_default();
        caches.retain(|_, store| store.strong_count() > 0);
        if let Some(store) = caches.get(&dir).and_then(Weak::upgrade) {
            return Ok(Self {
                store,
                _temporary: temporary,
            });
        }
        let store = open_free(&dir, |dir| {
            let mut config = ContentConfig::new(dir);
            config.disk_bytes_max = disk_bytes_max.unwrap_or(config.disk_bytes_max);
            config.ram_bytes_max = memory_bytes_max.unwrap_or(config.ram_bytes_max);
            config
        })?;
        caches.insert(dir, Arc::downgrade(&store));
        Ok(Self {
            store,
            _temporary: temporary,
        })
    }
}

/// The cache in `dir`, or in a directory of its own below it if another process has that.
fn open_free(
    dir: &Path,
    config: impl Fn(PathBuf) -> ContentConfig,
) -> io::Result<Arc<ContentStore>> {
    let mut outcome = ContentStore::open(config(dir.to_owned()));
    for number in 2..=CACHES_MAX {
        match &outcome {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => break,
        }
        outcome = ContentStore::open(config(dir.join(format!("process-{number}"))));
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_goes_and_what_is_used_stays() {
        let base = tempfile::tempdir().unwrap();
        let used = Temporary::new(base.path()).unwrap();
        let left = base.path().join(format!("{PREFIX}left"));
        let other = base.path().join("other");
        for dir in [&left, &other] {
            std::fs::create_dir(dir).unwrap();
            std::fs::write(dir.join(LOCK), b"").unwrap();
        }
        sweep(base.path());
        assert!(left.exists(), "too young");
        let old = SystemTime::now() - 2 * YOUNG;
        for dir in [&left, &other, &used.dir.path().to_owned()] {
            File::open(dir).unwrap().set_modified(old).unwrap();
        }
        sweep(base.path());
        assert!(!left.exists());
        assert!(other.exists() && used.dir.path().exists());
    }

    #[test]
    fn one_cache_for_all_that_name_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = Cache::open(Some(dir.path()), None, None).unwrap();
        let second = Cache::open(Some(dir.path()), None, None).unwrap();
        assert!(Arc::ptr_eq(&first.store, &second.store));
        drop((first, second));
        // Its lock goes with its last user.
        Cache::open(Some(dir.path()), None, None).unwrap();
    }

    #[test]
    fn a_temporary_state_goes_with_its_mount() {
        let state = StateDir::new(None).unwrap();
        let path = state.path().to_owned();
        std::fs::write(path.join("x"), b"x").unwrap();
        drop(state);
        assert!(!path.exists());
    }
}
