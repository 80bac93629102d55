//! What a mount is made with.

use std::path::PathBuf;

use mesa_fs::{Durability, MountOptions, RepoMount};
use pyo3::{exceptions::PyValueError, prelude::*};

use crate::{convert, credential};

/// Org, name, bookmark, change, read-only, isolated, and where it is shown.
pub(crate) type RepoFields = (
    String,
    String,
    Option<String>,
    Option<String>,
    bool,
    bool,
    Option<PathBuf>,
);

/// The arguments of the constructor.
pub(crate) struct Given<'a, 'py> {
    pub(crate) server: String,
    pub(crate) credential: &'a Bound<'py, PyAny>,
    pub(crate) repos: Vec<RepoFields>,
    pub(crate) durability: &'a str,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) cache_dir: Option<PathBuf>,
    pub(crate) cache_bytes_max: Option<u64>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) user_agent: Option<String>,
}

impl Given<'_, '_> {
    /// The same for the core.
    pub(crate) fn options(self) -> PyResult<MountOptions> {
        let mut options = MountOptions::new(self.server, credential::credential(self.credential)?);
        options.repos = self
            .repos
            .into_iter()
            .map(repo)
            .collect::<PyResult<Vec<_>>>()?;
        options.durability = durability(self.durability)?;
        options.state_dir = self.state_dir;
        options.cache_dir = self.cache_dir;
        options.cache_disk_bytes_max = self.cache_bytes_max;
        options.ca_file = self.ca_file;
        if let Some(user_agent) = self.user_agent {
            options.user_agent = user_agent;
        }
        Ok(options)
    }
}

fn repo(fields: RepoFields) -> PyResult<RepoMount> {
    let (org, name, bookmark, change, read_only, isolate, path) = fields;
    let mut repo = RepoMount::new(org, name);
    repo.at = convert::at(bookmark, change)?;
    repo.read_only = read_only;
    repo.isolate = isolate;
    repo.path = path;
    Ok(repo)
}

fn durability(name: &str) -> PyResult<Durability> {
    match name {
        "fsync" => Ok(Durability::Fsync),
        "close" => Ok(Durability::Close),
        "write" => Ok(Durability::Write),
        "local" => Ok(Durability::Local),
        _ => Err(PyValueError::new_err(format!(
            "durability is fsync, close, write or local, not {name:?}"
        ))),
    }
}
