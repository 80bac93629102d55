//! Writes that the server makes itself: file operations of the REST interface, merges, undo.
//!
//! They go through the head like any session's: as one atomic append, in the head's order, pushed
//! to every mount. While a session holds the exclusive lease it is recalled first.

pub(crate) mod content;
pub(crate) mod plan;

use bytes::Bytes;
use mesa_meta::{Key, Version};
use mesa_object::tree::NodeRecord;
use mesa_repo::{Actor, Signature};
use mesa_types::{BookmarkName, ChangeId, CommitOid, ContentRef, EntryName, Nanos, NodeKind};
use mesa_vcs::tree::TreePath;

use crate::{
    rows::{IdSpan, UndoneAction},
    versions::table::Table,
};

/// A path from the repo's root; at least one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilePath(Vec<EntryName>);

/// A path that names nothing a repo can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the path is not a list of names divided by single slashes")]
pub struct BadPath;

impl FilePath {
    /// Parses `a/b/c`: no leading, trailing or double slash, no `.` and `..`.
    pub fn parse(path: &[u8]) -> Result<Self, BadPath> {
        if path.len() > mesa_types::limits::PATH_MAX {
            return Err(BadPath);
        }
        path.split(|&b| b == b'/')
            .map(|name| EntryName::new(name).map_err(|_| BadPath))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The names from the root down.
    pub fn names(&self) -> &[EntryName] {
        &self.0
    }

    /// The bytes with slashes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let names: Vec<&[u8]> = self.0.iter().map(EntryName::as_bytes).collect();
        names.join(&b'/')
    }
}

/// What a path becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMode {
    /// A file; an existing one keeps what it has.
    Keep,
    /// A file that is not executable.
    Regular,
    /// An executable file.
    Executable,
    /// A symlink; the content is its target.
    Symlink,
}

/// One file operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileEdit {
    /// A file or symlink with this content, made with its parent directories or overwritten.
    Put {
        /// Where.
        path: FilePath,
        /// The whole content.
        content: Bytes,
        /// What.
        mode: FileMode,
    },
    /// Removes a file, or a directory with everything below it; parents left empty go too.
    Delete {
        /// What.
        path: FilePath,
    },
    /// Moves a file or directory; replaces a file at the new place, makes its parents.
    Move {
        /// The present path.
        from: FilePath,
        /// The new path.
        to: FilePath,
    },
}

/// What a change says about itself; what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Describe {
    /// Description.
    pub message: Option<String>,
    /// Author.
    pub author: Option<Signature>,
    /// Further authors, in order; they go with the author.
    pub coauthors: Vec<Signature>,
    /// Committer.
    pub committer: Option<Signature>,
}

impl Describe {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A file operation whose content is on its way or in packs.
#[derive(Debug, Clone)]
pub(crate) enum Prepared {
    Put {
        path: FilePath,
        kind: NodeKind,
        exec: Option<bool>,
        content: ContentRef,
        inline: Bytes,
        target: Bytes,
    },
    Delete {
        path: FilePath,
    },
    Move {
        from: FilePath,
        to: FilePath,
    },
    /// Whatever is there goes; parents stay.
    Remove {
        path: FilePath,
    },
    /// Moves a node to where it came from; its old directory stays.
    Shift {
        from: FilePath,
        to: FilePath,
    },
    /// Another name for the node at `source`.
    Link {
        path: FilePath,
        source: FilePath,
    },
    /// A modification time.
    Times {
        path: FilePath,
        mtime: Nanos,
    },
    /// A node with these attributes; its content is in packs, or here.
    Node {
        path: FilePath,
        record: Box<NodeRecord>,
        inline: Bytes,
    },
}

impl Prepared {
    /// The path that it makes something at.
    pub fn made(&self) -> Option<Vec<u8>> {
        match self {
            Self::Put { path, .. }
            | Self::Move { to: path, .. }
            | Self::Shift { to: path, .. }
            | Self::Link { path, .. }
            | Self::Node { path, .. } => Some(path.to_bytes()),
            Self::Delete { .. } | Self::Remove { .. } | Self::Times { .. } => None,
        }
    }
}

/// What must hold when the write happens.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expect {
    /// The head's change.
    pub change: Option<ChangeId>,
    /// Its commit, with nothing written since.
    pub commit: Option<CommitOid>,
    /// Its last operation.
    pub seq: Option<u64>,
    /// What names it: the bookmark the write goes by.
    pub bookmark: Option<BookmarkName>,
    /// The head's change does not exist yet, so that nothing was written on top of its parent.
    pub pending: bool,
}

/// A write of the server's.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    /// Unique: tells a write that was committed, but not answered, from a new one.
    pub id: String,
    /// Paths are found in the head's present tree.
    pub files: Vec<Prepared>,
    /// New file ids.
    pub ids: IdSpan,
    pub actor: Actor,
    /// Program, for the log; may be empty.
    pub origin: &'static str,
    pub describe: Describe,
    pub expect: Expect,
    /// A commit is wanted even if nothing differs.
    pub commit: bool,
    /// What it undoes.
    pub undone: Option<Undone>,
    /// What it does to the conflicts.
    pub conflicts: ConflictEdit,
    /// With it the change is made on other commits.
    pub rebase: Option<Rebase>,
}

/// The commits that a change is made on from a write on.
#[derive(Debug, Clone)]
pub(crate) struct Rebase {
    /// Its parents' commits.
    pub commits: Vec<CommitOid>,
    /// Generation of its next commit.
    pub generation: u64,
    /// The parents' records: while they are these.
    pub parents: Vec<(Key, Version)>,
}

/// What an undo undoes.
#[derive(Debug, Clone)]
pub(crate) struct Undone {
    pub action: UndoneAction,
    /// At all of its paths: nothing of it is left to be undone.
    pub whole: bool,
}

/// What a write does to the conflicts of a head, beyond what follows from the files.
#[derive(Debug, Clone, Default)]
pub(crate) enum ConflictEdit {
    /// Nothing.
    #[default]
    Keep,
    /// These are all there are.
    Set(Box<Table>),
    /// These paths are resolved.
    Resolve(Vec<TreePath>),
}

/// A write that is in the head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edited {
    pub change: ChangeId,
    /// The change exists: it did, or there was something to write.
    pub exists: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_lists_of_names() {
        for good in ["a", "a/b", "a b/ü", ".hidden", "a/..b"] {
            let path = FilePath::parse(good.as_bytes()).unwrap();
            assert_eq!(path.to_bytes(), good.as_bytes());
        }
        let long = "x".repeat(256);
        for bad in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\0", &long,
        ] {
            assert_eq!(FilePath::parse(bad.as_bytes()), Err(BadPath), "{bad:?}");
        }
    }
}
