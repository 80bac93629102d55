//! What the state directory holds and nobody can send: put in `lost-<time>/` and reported until
//! somebody takes it away. Nothing is deleted that is not known to be on the server.

use std::{
    fmt::Write as _,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use mesa_types::Nanos;

use super::identity::StateDir;
use crate::content::WorkFile;

/// Longest name of a kept file, in bytes.
const NAME_MAX: usize = 100;

/// An operation of a recovery that the server refused: nobody else has what it brings.
pub(super) struct RefusedOp {
    /// Path of the node, or of the directory it is in.
    pub path: Vec<u8>,
    /// The server's code.
    pub code: String,
    /// Its bytes.
    pub work: Option<Arc<WorkFile>>,
}

/// Keeps the bytes of refused operations, each in a file with the name it had, and a list of all of
/// them.
pub(super) fn keep_refused(refused: &[RefusedOp], to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    let mut list = String::new();
    for (n, op) in refused.iter().enumerate() {
        let path = op.path.escape_ascii().to_string();
        let mut file = String::new();
        if let Some(work) = &op.work {
            let last = path.rsplit('/').next().unwrap_or_default();
            file = format!("{n:04}-{}", &last[last.len().saturating_sub(NAME_MAX)..]);
            let mut from = File::from(work.open_fd().map_err(io::Error::other)?);
            let mut copy = File::create(to.join(&file))?;
            io::copy(&mut from, &mut copy)?;
            copy.sync_all()?;
        }
        let _ = writeln!(list, "{}\t{path}\t{file}", op.code);
    }
    std::fs::write(to.join("refused.txt"), list)?;
    File::open(to)?.sync_all()
}

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
            std::fs::rename(entry.path(), free_name(to, &text))?;
            any = true;
        }
    }
    Ok(any)
}

/// Whether there are unreadable parts of a journal.
pub(super) fn has_damaged(journal: &Path) -> io::Result<bool> {
    Ok(!damaged_parts(journal)?.is_empty())
}

/// Unreadable parts of a journal move to `to`. Returns whether there were any.
pub(super) fn keep_damaged(journal: &Path, to: &Path) -> io::Result<bool> {
    let parts = damaged_parts(journal)?;
    for path in &parts {
        // Those of another journal have the same names.
        let names = [journal.file_name(), path.file_name()];
        let names: Vec<_> = names
            .iter()
            .flatten()
            .map(|n| n.to_string_lossy())
            .collect();
        std::fs::create_dir_all(to)?;
        std::fs::rename(path, free_name(to, &names.join("-")))?;
    }
    Ok(!parts.is_empty())
}

fn damaged_parts(journal: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(journal) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut parts = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "damaged") {
            parts.push(path);
        }
    }
    Ok(parts)
}

/// A name in `dir` that nothing has yet.
fn free_name(dir: &Path, name: &str) -> PathBuf {
    let numbered = (2..).map(|n| dir.join(format!("{name}.{n}")));
    let mut names = std::iter::once(dir.join(name)).chain(numbered);
    names
        .find(|path| path.symlink_metadata().is_err())
        .unwrap_or_else(|| dir.join(name))
}

/// Writes down what is kept in `dir` and why, if anything is.
pub(super) fn explain(dir: &Path, messages: &[String]) -> io::Result<()> {
    if messages.is_empty() || !dir.is_dir() {
        return Ok(());
    }
    let text = format!(
        "{}\n\nNothing here is on the server as far as this machine knows. Files in work/ are what \
         programs wrote, without their names;\n*.damaged are parts of the journal that could not be \
         read. When you have what you need, remove this directory:\n`mesa status` and `mesa sync` \
         name it until then.\n",
        messages.join("\n")
    );
    std::fs::write(free_name(dir, "README"), text)
}

/// What is kept in one state directory goes to another.
pub(super) fn adopt(from: &StateDir, to: &StateDir) -> io::Result<()> {
    for path in list(from) {
        if let Some(name) = path.file_name() {
            std::fs::rename(&path, free_name(to.path(), &name.to_string_lossy()))?;
        }
    }
    Ok(())
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
