//! From paths to what they name.

use std::{
    collections::VecDeque,
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use mesa_types::NodeKind;
use mesa_vfs::{
    fs::{Entry, FileAttr, Filesystem, Found, FsError, FsResult, NodeId, Step},
    mount::Mount,
};

use crate::{
    core::{Core, Op},
    error::Code,
    places::{Child, Places},
};

/// Symlinks followed in one path, as Linux does.
const LINKS_MAX: u32 = 40;
/// Longest path in bytes, as Linux has it.
const PATH_MAX: usize = 4096;

/// The answer of a step.
pub async fn done<T>(step: Step<T>) -> FsResult<T> {
    match step {
        Step::Done(answer) => answer,
        Step::Later(answer) => answer.await,
    }
}

/// A node the client core knows to be in use.
pub struct Held {
    mount: Mount,
    pub node: NodeId,
    pub attr: FileAttr,
    pub level: Level,
}

/// How deep a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// An org's directory.
    Org,
    /// A repo's root.
    Repo,
    /// In a repo.
    Below,
}

impl Held {
    pub fn new(mount: &Mount, entry: &Entry, level: Level) -> Self {
        Self {
            mount: mount.clone(),
            node: entry.node,
            attr: entry.attr,
            level,
        }
    }

    pub fn is_dir(&self) -> bool {
        matches!(self.attr.kind, NodeKind::Dir | NodeKind::Gitlink)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.mount.forget(self.node, 1);
    }
}

/// What a path names.
#[derive(Clone)]
pub enum Spot {
    /// A directory above the repos.
    Place(usize),
    /// Anything else.
    Node(Arc<Held>),
}

impl Spot {
    /// The node, if it is one of the client core's.
    pub fn node(&self) -> Option<&Held> {
        match self {
            Self::Place(_) => None,
            Self::Node(held) => Some(held),
        }
    }

    pub fn is_dir(&self) -> bool {
        self.node().is_none_or(Held::is_dir)
    }
}

/// What becomes of the last name of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    /// Symlinks are followed there too.
    pub follow: bool,
    /// It need not be there.
    pub may_lack: bool,
}

impl Last {
    pub const FOLLOW: Self = Self {
        follow: true,
        may_lack: false,
    };
    pub const KEEP: Self = Self {
        follow: false,
        may_lack: false,
    };
}

/// The way to what a path names.
pub struct Walked {
    steps: Vec<(Vec<u8>, Spot)>,
    /// The last name, if nothing has it.
    pub missing: Option<Vec<u8>>,
}

impl Walked {
    /// What was found; with a name missing, the directory it would be in.
    pub fn spot(&self) -> Spot {
        match self.steps.last() {
            Some((_, spot)) => spot.clone(),
            None => Spot::Place(Places::ROOT),
        }
    }

    /// The path without symlinks, `.` and `..`.
    pub fn path(&self) -> PathBuf {
        let mut path = PathBuf::from("/");
        let names = self.steps.iter().map(|(name, _)| name);
        for name in names.chain(&self.missing) {
            path.push(OsString::from_vec(name.clone()));
        }
        path
    }
}

/// The directory and name of an entry to be made, removed or renamed.
pub struct Parent {
    pub dir: Spot,
    pub name: Vec<u8>,
    /// The path ended in a slash: only a directory will do.
    pub slash: bool,
}

impl Core {
    /// Follows a path.
    pub async fn walk(&self, path: &Path, last: Last) -> Op<Walked> {
        let bytes = path.as_os_str().as_bytes();
        if bytes.len() > PATH_MAX {
            return Err(Code::NameTooLong);
        }
        if bytes.contains(&0) {
            return Err(Code::Invalid);
        }
        let mut names = VecDeque::new();
        let mut slash = push_front(&mut names, bytes);
        let mut walked = Walked {
            steps: Vec::new(),
            missing: None,
        };
        let mut links = 0;
        while let Some(name) = names.pop_front() {
            let at = walked.spot();
            if !at.is_dir() {
                return Err(Code::NotDir);
            }
            if name == b".." {
                walked.steps.pop();
                continue;
            }
            let end = names.is_empty();
            let Some(found) = self.child(&at, &name).await? else {
                if end && last.may_lack && (!slash || !last.follow) {
                    walked.missing = Some(name);
                    return Ok(walked);
                }
                return Err(Code::NotFound);
            };
            let followed = !end || slash || last.follow;
            if let Spot::Node(held) = &found
                && held.attr.kind == NodeKind::Symlink
                && followed
            {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Code::Loop);
                }
                let target = done(self.mount.readlink(self.caller(), held.node)).await?;
                if target.starts_with(b"/") {
                    walked.steps.clear();
                }
                slash |= push_front(&mut names, &target) && end;
                continue;
            }
            walked.steps.push((name, found));
        }
        if slash && !walked.spot().is_dir() {
            return Err(Code::NotDir);
        }
        Ok(walked)
    }

    /// What a path names.
    pub async fn find(&self, path: &Path, last: Last) -> Op<Spot> {
        Ok(self.walk(path, last).await?.spot())
    }

    /// A node of the client core by path; nothing else can be changed or opened.
    pub async fn find_node(&self, path: &Path, last: Last, otherwise: Code) -> Op<Arc<Held>> {
        match self.find(path, last).await? {
            Spot::Node(held) => Ok(held),
            Spot::Place(_) => Err(otherwise),
        }
    }

    /// The directory of an entry and its name. `whole` is what a path without a name fails with.
    pub async fn parent(&self, path: &Path, whole: Code) -> Op<Parent> {
        let bytes = path.as_os_str().as_bytes();
        let trimmed = bytes.trim_ascii_end_matches(b'/');
        let at = trimmed.iter().rposition(|byte| *byte == b'/');
        let (dir, name) = match at {
            Some(at) => (&trimmed[..at], &trimmed[at + 1..]),
            None => (&b""[..], trimmed),
        };
        match name {
            b"" => return Err(whole),
            b"." | b".." => return Err(Code::Invalid),
            _ => {}
        }
        let dir = self.find(os(dir), Last::FOLLOW).await?;
        if !dir.is_dir() {
            return Err(Code::NotDir);
        }
        Ok(Parent {
            dir,
            name: name.to_vec(),
            slash: trimmed.len() < bytes.len(),
        })
    }

    /// The entry of a directory.
    pub async fn child(&self, at: &Spot, name: &[u8]) -> Op<Option<Spot>> {
        let (entry, level) = match at {
            Spot::Node(held) => {
                let level = match held.level {
                    Level::Org => Level::Repo,
                    Level::Repo | Level::Below => Level::Below,
                };
                (self.look(held.node, name).await?, level)
            }
            Spot::Place(index) => match self.places.get(*index).children.get(name) {
                None => return Ok(None),
                Some(Child::Place(index)) => return Ok(Some(Spot::Place(*index))),
                Some(Child::Org(org)) => {
                    let org = self.look(NodeId::ROOT, org.as_str().as_bytes()).await?;
                    (org, Level::Org)
                }
                Some(Child::Repo(org, repo)) => {
                    let Some(org) = self.look(NodeId::ROOT, org.as_str().as_bytes()).await? else {
                        return Ok(None);
                    };
                    let repo = self.look(org.node, repo.as_str().as_bytes()).await?;
                    (repo, Level::Repo)
                }
            },
        };
        Ok(entry.map(|entry| Spot::Node(Arc::new(Held::new(&self.mount, &entry, level)))))
    }

    async fn look(&self, dir: NodeId, name: &[u8]) -> Op<Option<Entry>> {
        match done(self.mount.lookup(self.caller(), dir, name)).await {
            Ok(Found::Entry(entry)) => Ok(Some(entry)),
            Ok(Found::Absent) | Err(FsError::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A symlink's target.
    pub async fn target(&self, held: &Held) -> Op<Bytes> {
        if held.attr.kind != NodeKind::Symlink {
            return Err(Code::Invalid);
        }
        Ok(done(self.mount.readlink(self.caller(), held.node)).await?)
    }
}

trait TrimEnd {
    fn trim_ascii_end_matches(&self, byte: u8) -> &[u8];
}

impl TrimEnd for [u8] {
    fn trim_ascii_end_matches(&self, byte: u8) -> &[u8] {
        let end = self.iter().rposition(|b| *b != byte).map_or(0, |at| at + 1);
        &self[..end]
    }
}

fn os(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// Puts a path's names before those that are left; whether it ends in a slash.
fn push_front(names: &mut VecDeque<Vec<u8>>, path: &[u8]) -> bool {
    let parts = path.split(|byte| *byte == b'/');
    for name in parts.rev().filter(|name| !matches!(*name, b"" | b".")) {
        names.push_front(name.to_vec());
    }
    path.len() > 1 && (path.ends_with(b"/") || path.ends_with(b"/."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_names_in_order() {
        let mut names = VecDeque::from([b"z".to_vec()]);
        assert!(!push_front(&mut names, b"//a/./b/../c"));
        let text: Vec<_> = names.iter().map(|n| String::from_utf8_lossy(n)).collect();
        assert_eq!(text, ["a", "b", "..", "c", "z"]);
        let mut names = VecDeque::new();
        assert!(push_front(&mut names, b"a/"));
        assert!(push_front(&mut names, b"a/."));
        assert!(!push_front(&mut names, b"/"));
        assert!(!push_front(&mut names, b""));
    }

    #[test]
    fn slashes_at_the_end() {
        assert_eq!(b"a//".trim_ascii_end_matches(b'/'), b"a");
        assert_eq!(b"//".trim_ascii_end_matches(b'/'), b"");
        assert_eq!(b"".trim_ascii_end_matches(b'/'), b"");
    }
}
