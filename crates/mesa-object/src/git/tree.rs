//! Trees.

use std::cmp::Ordering;

use mesa_types::GitOid;

use super::{Collision, blob::object_oid};

/// What git distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// A regular file.
    File,
    /// A regular file its owner may execute.
    Executable,
    /// A symlink.
    Symlink,
    /// A directory.
    Tree,
    /// A submodule.
    Gitlink,
}

impl Mode {
    /// As written in a tree.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Symlink => "120000",
            Self::Tree => "40000",
            Self::Gitlink => "160000",
        }
    }

    /// As read from a tree.
    pub fn from_bytes(mode: &[u8]) -> Option<Self> {
        let all = [
            Self::File,
            Self::Executable,
            Self::Symlink,
            Self::Tree,
            Self::Gitlink,
        ];
        all.into_iter().find(|m| m.as_str().as_bytes() == mode)
    }
}

/// An entry of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeLine<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The type.
    pub mode: Mode,
    /// What it names.
    pub oid: GitOid,
}

/// Encodes a tree from entries in any order; returns its bytes (without git's type header) and
/// its oid.
pub fn encode_tree(lines: &[TreeLine<'_>]) -> Result<(Vec<u8>, GitOid), Collision> {
    let mut sorted: Vec<&TreeLine<'_>> = lines.iter().collect();
    sorted.sort_by(|a, b| git_order(a, b));
    let mut out = Vec::with_capacity(lines.iter().map(|l| l.name.len() + 28).sum());
    for line in sorted {
        out.extend_from_slice(line.mode.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(line.name);
        out.push(0);
        out.extend_from_slice(&line.oid.0);
    }
    let oid = object_oid("tree", &out)?;
    Ok((out, oid))
}

/// The entries of a tree's bytes (without git's type header), in their order; `None` for what is not
/// a tree, or has modes that nobody writes any more.
pub fn decode_tree(bytes: &[u8]) -> Option<Vec<TreeLine<'_>>> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let space = rest.iter().position(|&b| b == b' ')?;
        let nul = rest.iter().position(|&b| b == 0).filter(|&n| n > space)?;
        let (oid, more) = rest[nul + 1..].split_first_chunk()?;
        lines.push(TreeLine {
            name: &rest[space + 1..nul],
            mode: Mode::from_bytes(&rest[..space])?,
            oid: GitOid(*oid),
        });
        rest = more;
    }
    Some(lines)
}

/// Git sorts directories as if their names ended in `/`.
fn git_order(a: &TreeLine<'_>, b: &TreeLine<'_>) -> Ordering {
    fn key<'a>(line: &'a TreeLine<'_>) -> impl Iterator<Item = u8> + 'a {
        let slash = (line.mode == Mode::Tree).then_some(b'/');
        line.name.iter().copied().chain(slash)
    }
    key(a).cmp(key(b))
}
