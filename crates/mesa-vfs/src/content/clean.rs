//! A complete local file with clean content, as handed to an open node.

use std::sync::Arc;

use mesa_types::{ContentRef, FileId};

use crate::fs::Backing;

/// A complete local file with clean content, held by one node while it is open. Two nodes never
/// share one, so that a node opened for writing later can turn its file into a work file.
#[derive(Debug)]
pub struct CleanFile {
    pub(crate) file: FileId,
    pub(crate) content: ContentRef,
    pub(crate) backing: Arc<Backing>,
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
