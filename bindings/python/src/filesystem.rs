//! A mount in the process.

use std::{collections::BTreeMap, ffi::OsString, future::Future, path::PathBuf};

use mesa_fs::{CopyOptions, OpenOptions, RemoveOptions};
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
    types::PyBytes,
};

use crate::{
    convert::{self, ChangeFields, StatFields},
    credential,
    file::File,
    options::{Given, RepoFields},
    run::{raised, run},
    watch::Watch,
};

/// Repos as one tree of files.
#[pyclass(frozen, module = "mesa_sdk._native")]
pub(crate) struct FileSystem {
    fs: mesa_fs::FileSystem,
    /// The process that made it: what works behind it does not survive a fork.
    process: u32,
}

/// Refuses to wait in a fork for threads that only its parent has.
pub(crate) fn own_process(process: u32) -> PyResult<()> {
    if process == std::process::id() {
        return Ok(());
    }
    Err(PyRuntimeError::new_err(
        "a mount does not survive a fork: use the start method \"spawn\", or mount in the child",
    ))
}

impl FileSystem {
    fn run<T: Send>(
        &self,
        py: Python<'_>,
        future: impl Future<Output = mesa_fs::Result<T>> + Send,
    ) -> PyResult<T> {
        own_process(self.process)?;
        run(py, &self.fs, future)
    }

    fn repo(&self, py: Python<'_>, org: &str, name: &str) -> PyResult<mesa_fs::Repo> {
        own_process(self.process)?;
        let repo = self.fs.repo(org, name);
        repo.map_err(|error| raised(py, &error))
    }
}

#[pymethods]
impl FileSystem {
    /// Makes the mount; does not connect.
    #[new]
    #[pyo3(signature = (
        server, credential, repos, *, durability = "fsync", state_dir = None, cache_dir = None,
        cache_bytes_max = None, ca_file = None, user_agent = None,
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        server: String,
        credential: &Bound<'_, PyAny>,
        repos: Vec<RepoFields>,
        durability: &str,
        state_dir: Option<PathBuf>,
        cache_dir: Option<PathBuf>,
        cache_bytes_max: Option<u64>,
        ca_file: Option<PathBuf>,
        user_agent: Option<String>,
    ) -> PyResult<Self> {
        let given = Given {
            server,
            credential,
            repos,
            durability,
            state_dir,
            cache_dir,
            cache_bytes_max,
            ca_file,
            user_agent,
        };
        let options = given.options()?;
        let opened = py.detach(|| mesa_fs::FileSystem::open(options));
        let fs = opened.map_err(|error| raised(py, &error))?;
        Ok(Self {
            fs,
            process: std::process::id(),
        })
    }

    /// Returns when every repo is open.
    fn ready(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, self.fs.ready())
    }

    /// A new credential, used at once: a token, or a function that signs them.
    fn set_credential(&self, given: &Bound<'_, PyAny>) -> PyResult<()> {
        own_process(self.process)?;
        self.fs.set_credential(&credential::credential(given)?);
        Ok(())
    }

    /// Returns when everything done so far is on the server.
    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, self.fs.sync())
    }

    /// Sends everything and ends the mount.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, self.fs.close())
    }

    /// Whether it was closed.
    fn is_closed(&self) -> bool {
        self.fs.is_closed()
    }

    /// A file's content, or at most `length` bytes of it from `offset`.
    #[pyo3(signature = (path, offset = None, length = None))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        offset: Option<u64>,
        length: Option<u64>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = match (offset, length) {
            (None, None) => self.run(py, self.fs.read(path))?,
            (offset, length) => {
                let (offset, length) = (offset.unwrap_or(0), length.unwrap_or(u64::MAX));
                self.run(py, self.fs.read_range(path, offset, length))?
            }
        };
        Ok(PyBytes::new(py, &bytes))
    }

    /// Creates or replaces a file.
    fn write(&self, py: Python<'_>, path: PathBuf, data: &[u8]) -> PyResult<()> {
        self.run(py, self.fs.write(path, data))
    }

    /// Adds to the end of a file, creating it.
    fn append(&self, py: Python<'_>, path: PathBuf, data: &[u8]) -> PyResult<()> {
        self.run(py, self.fs.append(path, data))
    }

    /// Cuts a file off, or lengthens it by a hole.
    fn truncate(&self, py: Python<'_>, path: PathBuf, size: u64) -> PyResult<()> {
        self.run(py, self.fs.truncate(path, size))
    }

    /// Opens a file in one of the modes of `io.open`.
    #[pyo3(signature = (path, mode, permissions = 0o666))]
    fn open(&self, py: Python<'_>, path: PathBuf, mode: &str, permissions: u32) -> PyResult<File> {
        let mut options = OpenOptions::from_flags(mode)
            .ok_or_else(|| PyValueError::new_err(format!("invalid mode: {mode:?}")))?;
        options.mode = permissions;
        let file = self.run(py, self.fs.open_file(path, &options))?;
        Ok(File {
            fs: self.fs.clone(),
            file,
            process: self.process,
        })
    }

    /// Attributes; symlinks are followed unless told otherwise.
    #[pyo3(signature = (path, *, follow = true))]
    fn stat(&self, py: Python<'_>, path: PathBuf, follow: bool) -> PyResult<StatFields> {
        let stat = if follow {
            self.run(py, self.fs.stat(path))
        } else {
            self.run(py, self.fs.lstat(path))
        };
        Ok(convert::stat(&stat?))
    }

    /// Whether a path exists, symlinks followed.
    fn exists(&self, py: Python<'_>, path: PathBuf) -> PyResult<bool> {
        self.run(py, self.fs.exists(path))
    }

    /// Names and kinds in a directory.
    fn read_dir(&self, py: Python<'_>, path: PathBuf) -> PyResult<Vec<(OsString, u32)>> {
        let entries = self.run(py, self.fs.read_dir(path))?;
        let fields = |entry: mesa_fs::DirEntry| (entry.name, convert::kind(entry.kind));
        Ok(entries.into_iter().map(fields).collect())
    }

    /// Makes a directory, with `recursive` its parents too.
    #[pyo3(signature = (path, *, recursive = false, permissions = 0o777))]
    fn mkdir(
        &self,
        py: Python<'_>,
        path: PathBuf,
        recursive: bool,
        permissions: u32,
    ) -> PyResult<()> {
        if recursive {
            self.run(py, self.fs.mkdir_all(path, permissions)).map(drop)
        } else {
            self.run(py, self.fs.mkdir(path, permissions))
        }
    }

    /// Removes a file or symlink.
    fn unlink(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        self.run(py, self.fs.unlink(path))
    }

    /// Removes an empty directory.
    fn rmdir(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        self.run(py, self.fs.rmdir(path))
    }

    /// Removes whatever there is, as `rm` with its flags.
    #[pyo3(signature = (path, *, recursive = false, force = false))]
    fn remove(&self, py: Python<'_>, path: PathBuf, recursive: bool, force: bool) -> PyResult<()> {
        let options = RemoveOptions { recursive, force };
        self.run(py, self.fs.remove(path, options))
    }

    /// Copies a file or symlink, with `recursive` a directory.
    #[pyo3(signature = (source, target, *, recursive = false, overwrite = true))]
    fn copy(
        &self,
        py: Python<'_>,
        source: PathBuf,
        target: PathBuf,
        recursive: bool,
        overwrite: bool,
    ) -> PyResult<()> {
        let options = CopyOptions {
            recursive,
            overwrite,
            ..CopyOptions::default()
        };
        self.run(py, self.fs.copy(source, target, options))
    }

    /// Renames; between repos it fails.
    fn rename(&self, py: Python<'_>, source: PathBuf, target: PathBuf) -> PyResult<()> {
        self.run(py, self.fs.rename(source, target))
    }

    /// Renames, and between repos copies and removes.
    fn move_to(&self, py: Python<'_>, source: PathBuf, target: PathBuf) -> PyResult<()> {
        self.run(py, self.fs.move_to(source, target))
    }

    /// Makes a symlink.
    fn symlink(&self, py: Python<'_>, target: PathBuf, path: PathBuf) -> PyResult<()> {
        self.run(py, self.fs.symlink(target, path))
    }

    /// A symlink's target, as it is stored.
    fn read_link(&self, py: Python<'_>, path: PathBuf) -> PyResult<OsString> {
        Ok(self.run(py, self.fs.read_link(path))?.into_os_string())
    }

    /// Makes another name for a file.
    fn link(&self, py: Python<'_>, existing: PathBuf, path: PathBuf) -> PyResult<()> {
        self.run(py, self.fs.link(existing, path))
    }

    /// The path without symlinks and dots.
    fn real_path(&self, py: Python<'_>, path: PathBuf) -> PyResult<OsString> {
        Ok(self.run(py, self.fs.real_path(path))?.into_os_string())
    }

    /// Sets permission bits.
    fn chmod(&self, py: Python<'_>, path: PathBuf, mode: u32) -> PyResult<()> {
        self.run(py, self.fs.chmod(path, mode))
    }

    /// Sets the times of access and modification, in nanoseconds since 1970.
    fn set_times(
        &self,
        py: Python<'_>,
        path: PathBuf,
        accessed: i128,
        modified: i128,
    ) -> PyResult<()> {
        let (accessed, modified) = (convert::time(accessed)?, convert::time(modified)?);
        self.run(py, self.fs.set_times(path, Some(accessed), Some(modified)))
    }

    /// Sets metadata; None removes.
    fn set_metadata(
        &self,
        py: Python<'_>,
        path: PathBuf,
        entries: BTreeMap<String, Option<String>>,
    ) -> PyResult<()> {
        self.run(py, self.fs.set_metadata(path, &entries))
    }

    /// All metadata.
    fn metadata(&self, py: Python<'_>, path: PathBuf) -> PyResult<BTreeMap<String, String>> {
        self.run(py, self.fs.metadata(path))
    }

    /// Removes all metadata.
    fn clear_metadata(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        self.run(py, self.fs.clear_metadata(path))
    }

    /// Changes that others make from now on.
    fn watch(&self) -> PyResult<Watch> {
        own_process(self.process)?;
        Ok(Watch::new(self.fs.clone()))
    }

    /// The change a repo works on, sealed.
    fn current_change(&self, py: Python<'_>, org: &str, name: &str) -> PyResult<ChangeFields> {
        let repo = self.repo(py, org, name)?;
        self.run(py, repo.current()).map(convert::change)
    }

    /// A new change on a bookmark, a change, or what is worked on; the mount goes on there.
    #[pyo3(signature = (org, name, *, bookmark = None, change_id = None, message = None))]
    fn new_change(
        &self,
        py: Python<'_>,
        org: &str,
        name: &str,
        bookmark: Option<String>,
        change_id: Option<String>,
        message: Option<String>,
    ) -> PyResult<ChangeFields> {
        let is_named = bookmark.is_some() || change_id.is_some();
        let on = is_named
            .then(|| convert::at(bookmark, change_id))
            .transpose()?;
        let repo = self.repo(py, org, name)?;
        self.run(py, repo.new_change(on, message.as_deref()))
            .map(convert::change)
    }

    /// Goes on at another change or bookmark.
    #[pyo3(signature = (org, name, *, bookmark = None, change_id = None))]
    fn edit_change(
        &self,
        py: Python<'_>,
        org: &str,
        name: &str,
        bookmark: Option<String>,
        change_id: Option<String>,
    ) -> PyResult<ChangeFields> {
        let at = convert::at(bookmark, change_id)?;
        let repo = self.repo(py, org, name)?;
        self.run(py, repo.edit(at)).map(convert::change)
    }

    /// Changes, newest first; all of them with 0.
    fn changes(
        &self,
        py: Python<'_>,
        org: &str,
        name: &str,
        limit: usize,
    ) -> PyResult<Vec<ChangeFields>> {
        let repo = self.repo(py, org, name)?;
        let changes = self.run(py, repo.changes(limit))?;
        Ok(changes.into_iter().map(convert::change).collect())
    }

    /// Gives the change worked on a message.
    fn describe(
        &self,
        py: Python<'_>,
        org: &str,
        name: &str,
        message: &str,
    ) -> PyResult<ChangeFields> {
        let repo = self.repo(py, org, name)?;
        self.run(py, repo.describe(message)).map(convert::change)
    }

    /// Closes the change worked on and answers it; work goes on in a new one on top. None if there
    /// was nothing to close.
    #[pyo3(signature = (org, name, message = None))]
    fn checkpoint(
        &self,
        py: Python<'_>,
        org: &str,
        name: &str,
        message: Option<String>,
    ) -> PyResult<Option<ChangeFields>> {
        let repo = self.repo(py, org, name)?;
        let closed = self.run(py, repo.checkpoint(message.as_deref()))?;
        Ok(closed.map(convert::change))
    }

    /// Names of the repo's bookmarks.
    fn bookmarks(&self, py: Python<'_>, org: &str, name: &str) -> PyResult<Vec<String>> {
        let repo = self.repo(py, org, name)?;
        self.run(py, repo.bookmarks())
    }

    /// Makes a bookmark at the change worked on.
    fn create_bookmark(
        &self,
        py: Python<'_>,
        org: &str,
        name: &str,
        bookmark: &str,
    ) -> PyResult<()> {
        let repo = self.repo(py, org, name)?;
        self.run(py, repo.create_bookmark(bookmark))
    }

    /// Moves a bookmark to a change.
    fn move_bookmark(
        &self,
        py: Python<'_>,
        org: &str,
        name: &str,
        bookmark: &str,
        change_id: &str,
    ) -> PyResult<()> {
        let repo = self.repo(py, org, name)?;
        self.run(py, repo.move_bookmark(bookmark, change_id))
    }
}
