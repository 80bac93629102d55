//! What the state directory holds and nobody can send: put in `lost-<time>/` and reported until
//! somebody takes it away. Nothing is deleted that is not known to be on the server.

use std::{
    io,
    path::{Path, PathBuf},
};

use mesa_types::Nanos;

use super::identity::StateDir;

/// Begins the names of such directories.
const PREFIX: &str = "lost-";

/// Where things found at `now` go. Made when it is needed.
pub(super) fn directory(dir: &StateDir, now: Nanos) -> PathBuf {
    dir.path().join(format!("{PREFIX}{}", now.0))
}

/// Such directories that are there.
pub(super) fn list(dir: &StateDir) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir.path()) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Without `session.json` nobody knows whose journals and work files these are, nor what of them
/// is on the server: they move to `to`. Returns whether there were any.
pub(super) fn keep_unknown(dir: &StateDir, to: &Path) -> io::Result<bool> {
    let mut any = false;
    for entry in std::fs::read_dir(dir.path())? {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        let kept = text.starts_with("journal-") || text == "work" && has_bytes(&entry.path())?;
        if kept && entry.file_type()?.is_dir() {
            std::fs::create_dir_all(to)?;
            std::fs::rename(entry.path(), to.join(&name))?;
            any = true;
        }
    }
    Ok(any)
}

/// Unreadable parts of a journal move to `to`. Returns whether there were any.
pub(super) fn keep_damaged(journal: &Path, to: &Path) -> io::Result<bool> {
    let entries = match std::fs::read_dir(journal) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    let mut any = false;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "damaged")
            && let Some(name) = path.file_name()
        {
            std::fs::create_dir_all(to)?;
            std::fs::rename(&path, to.join(name))?;
            any = true;
        }
    }
    Ok(any)
}

/// Whether a directory of work files has one that is not empty.
fn has_bytes(work: &Path) -> io::Result<bool> {
    for shard in std::fs::read_dir(work)? {
        let shard = shard?;
        if !shard.file_type()?.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(shard.path())? {
            if file?.metadata()?.len() > 0 {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
