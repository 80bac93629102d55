//! A complete local file with clean content, as handed to an open node.

use std::{path::PathBuf, sync::Arc};

use mesa_types::{ContentRef, FileId};
use parking_lot::Mutex;

use crate::fs::Backing;

/// Where the file's name is.
#[derive(Debug)]
pub(super) enum Place {
    /// In the cache, under its content's id.
    Cached,
    /// A copy of its own, deleted with the [`CleanFile`].
    Private(PathBuf),
    /// It has no name, or became a work file.
    Gone,
}

/// A complete local file with clean content, held by one node while it is open. Two nodes never
/// share one, so that a node opened for writing later can turn its file into a work file.
#[derive(Debug)]
pub struct CleanFile {
    pub(super) file: FileId,
    pub(super) content: ContentRef,
    pub(super) backing: Arc<Backing>,
    pub(super) place: Mutex<Place>,
}

impl CleanFile {
    /// The node it was handed to.
    pub fn file(&self) -> FileId {
        self.file
    }

    /// What it holds.
    pub fn content(&self) -> ContentRef {
        self.content
    }

    /// The open local file. Must not be written before [`crate::session::Session::open_work`]
    /// made it a work file.
    pub fn backing(&self) -> &Arc<Backing> {
        &self.backing
    }
}

impl Drop for CleanFile {
    fn drop(&mut self) {
        if let Place::Private(path) = self.place.get_mut() {
            let _ = std::fs::remove_file(path);
        }
    }
}
