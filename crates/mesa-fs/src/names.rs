//! Names: what is there, making, renaming, linking.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use mesa_vfs::fs::{Filesystem, NodeId, RenameFlags};

use crate::{
    core::{Core, Op},
    error::{Code, Result},
    file::again,
    filesystem::FileSystem,
    places::Child,
    stat::{DirEntry, FileKind, Stat},
    walk::{Held, Last, Level, Parent, Spot, done},
};

/// Bytes of a listing asked for at once.
const LISTING_BYTES: usize = 64 * 1024;

/// Ends a listing also when nobody waits for it any more.
struct Listing<'c> {
    core: &'c Core,
    node: NodeId,
    handle: mesa_vfs::fs::Handle,
}

impl Drop for Listing<'_> {
    fn drop(&mut self) {
        self.core.mount.releasedir(self.node, self.handle);
    }
}

impl Core {
    pub async fn stat_of(&self, path: &Path, last: Last) -> Op<Stat> {
        let node = match self.find(path, last).await? {
            Spot::Place(index) => {
                let attr = done(self.mount.getattr(self.caller(), NodeId::ROOT, None)).await?;
                let mut stat = Stat::of(&attr);
                stat.ino += index as u64;
                return Ok(stat);
            }
            Spot::Node(held) if held.is_dir() && held.level != Level::Below => held.node,
            Spot::Node(held) => return Ok(Stat::of(&held.attr)),
        };
        // Of a repo that is not open yet too little is known.
        let attr = done(self.mount.getattr(self.caller(), node, None)).await?;
        Ok(Stat::of(&attr))
    }

    pub async fn list(&self, path: &Path) -> Op<Vec<DirEntry>> {
        let mut entries = match self.find(path, Last::FOLLOW).await? {
            Spot::Place(index) => self.list_place(index),
            Spot::Node(held) => self.list_node(&held).await?,
        };
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn list_place(&self, index: usize) -> Vec<DirEntry> {
        let children = self.places.get(index).children.iter();
        let entry = |(name, child): (&Vec<u8>, &Child)| DirEntry {
            name: OsString::from_vec(name.clone()),
            kind: FileKind::Dir,
            ino: match child {
                Child::Place(index) => NodeId::ROOT.0 + *index as u64,
                Child::Org(_) | Child::Repo(..) => 0,
            },
        };
        children.map(entry).collect()
    }

    pub async fn list_node(&self, held: &Held) -> Op<Vec<DirEntry>> {
        if !held.is_dir() {
            return Err(Code::NotDir);
        }
        let (mount, caller) = (&self.mount, self.caller());
        let listing = Listing {
            core: self,
            node: held.node,
            handle: done(mount.opendir(caller, held.node)).await?,
        };
        let mut entries = Vec::new();
        let mut from = 0;
        loop {
            let read = mount.readdir(
                caller,
                listing.node,
                listing.handle,
                from,
                LISTING_BYTES,
                false,
            );
            let page = done(read).await?;
            let Some(last) = page.last() else {
                return Ok(entries);
            };
            from = last.next;
            let named = page
                .into_iter()
                .filter(|e| e.name != b"."[..] && e.name != b".."[..]);
            entries.extend(named.map(|entry| DirEntry {
                name: OsStr::from_bytes(&entry.name).to_owned(),
                kind: entry.kind.into(),
                ino: entry.ino,
            }));
        }
    }

    /// The directory something is to be made in. Above the repos nothing is.
    async fn birthplace(&self, path: &Path) -> Op<(std::sync::Arc<Held>, Vec<u8>)> {
        let Parent { dir, name, .. } = self.parent(path, Code::Exists).await?;
        match dir {
            Spot::Node(held) => Ok((held, name)),
            Spot::Place(index) => Err(self.refuse(index, &name, Code::Exists, Code::ReadOnly)),
        }
    }

    fn refuse(&self, place: usize, name: &[u8], there: Code, absent: Code) -> Code {
        if self.places.get(place).children.contains_key(name) {
            there
        } else {
            absent
        }
    }

    async fn access_to(&self, path: &Path, mask: u32) -> Op<()> {
        let spot = self.find(path, Last::FOLLOW).await?;
        let node = spot.node().map_or(NodeId::ROOT, |held| held.node);
        Ok(done(self.mount.access(self.caller(), node, mask)).await?)
    }

    pub async fn make_dir(&self, path: &Path, mode: u32) -> Op<()> {
        let (dir, name) = self.birthplace(path).await?;
        let make = self
            .mount
            .mkdir(self.caller(), dir.node, &name, mode & 0o7777);
        Held::new(&self.mount, &done(make).await?, Level::Below);
        Ok(())
    }

    async fn make_dirs(&self, path: &Path, mode: u32) -> Op<Option<PathBuf>> {
        let mut lacking = Vec::new();
        for above in path.ancestors() {
            match self.find(above, Last::FOLLOW).await {
                Ok(spot) if spot.is_dir() => break,
                // As mkdir(2) of a name that is there.
                Ok(_) if lacking.is_empty() => return Err(Code::Exists),
                Ok(_) => return Err(Code::NotDir),
                Err(Code::NotFound) => lacking.push(above),
                Err(error) => return Err(error),
            }
        }
        let first = lacking.last().map(|path| (*path).to_owned());
        for path in lacking.into_iter().rev() {
            match again!(self.make_dir(path, mode)) {
                // Somebody else just made it.
                Err(Code::Exists) if self.find(path, Last::FOLLOW).await?.is_dir() => {}
                outcome => outcome?,
            }
        }
        Ok(first)
    }

    /// A directory with an entry in it that is to be removed or renamed.
    pub async fn deathbed(&self, path: &Path) -> Op<(std::sync::Arc<Held>, Vec<u8>, bool)> {
        let Parent { dir, name, slash } = self.parent(path, Code::Busy).await?;
        match dir {
            Spot::Node(held) => Ok((held, name, slash)),
            Spot::Place(index) => Err(self.refuse(index, &name, Code::Busy, Code::NotFound)),
        }
    }

    async fn unlink(&self, path: &Path) -> Op<()> {
        let (dir, name, slash) = self.deathbed(path).await?;
        if slash {
            return Err(match self.find(path, Last::KEEP).await {
                Ok(_) => Code::IsDir,
                Err(error) => error,
            });
        }
        Ok(done(self.mount.unlink(self.caller(), dir.node, &name)).await?)
    }

    async fn rmdir(&self, path: &Path) -> Op<()> {
        let (dir, name, _) = self.deathbed(path).await?;
        Ok(done(self.mount.rmdir(self.caller(), dir.node, &name)).await?)
    }

    pub async fn rename_once(&self, from: &Path, to: &Path) -> Op<()> {
        let (dir, name, slash) = self.deathbed(from).await?;
        let Parent {
            dir: to_dir,
            name: to_name,
            slash: to_slash,
        } = self.parent(to, Code::Busy).await?;
        let to_dir = match to_dir {
            Spot::Node(held) => held,
            Spot::Place(index) => {
                return Err(self.refuse(index, &to_name, Code::Busy, Code::CrossDevice));
            }
        };
        if slash || to_slash {
            // Only directories have names that end so.
            let found = self.child(&Spot::Node(dir.clone()), &name).await?;
            if !found.ok_or(Code::NotFound)?.is_dir() {
                return Err(Code::NotDir);
            }
        }
        let flags = RenameFlags::default();
        let rename =
            self.mount
                .rename(self.caller(), dir.node, &name, to_dir.node, &to_name, flags);
        Ok(done(rename).await?)
    }

    pub async fn make_symlink(&self, target: &Path, path: &Path) -> Op<()> {
        let (dir, name) = self.birthplace(path).await?;
        let target = target.as_os_str().as_bytes();
        let make = self.mount.symlink(self.caller(), dir.node, &name, target);
        Held::new(&self.mount, &done(make).await?, Level::Below);
        Ok(())
    }

    pub async fn target_of(&self, path: &Path) -> Op<bytes::Bytes> {
        let link = self.find_node(path, Last::KEEP, Code::Invalid).await?;
        self.target(&link).await
    }

    async fn make_link(&self, existing: &Path, path: &Path) -> Op<()> {
        let node = self
            .find_node(existing, Last::KEEP, Code::NotPermitted)
            .await?;
        let (dir, name) = self.birthplace(path).await?;
        let make = self.mount.link(self.caller(), node.node, dir.node, &name);
        Held::new(&self.mount, &done(make).await?, Level::Below);
        Ok(())
    }
}

impl FileSystem {
    /// Attributes of what a path names, symlinks followed.
    pub async fn stat(&self, path: impl AsRef<Path>) -> Result<Stat> {
        let path = path.as_ref();
        let work = async { again!(self.core.stat_of(path, Last::FOLLOW)) };
        self.core.call("stat", path, work).await
    }

    /// Attributes of what a path names; of the symlink itself, if it is one.
    pub async fn lstat(&self, path: impl AsRef<Path>) -> Result<Stat> {
        let path = path.as_ref();
        let work = async { again!(self.core.stat_of(path, Last::KEEP)) };
        self.core.call("lstat", path, work).await
    }

    /// Whether a path names something, symlinks followed. Only that nothing is there is an answer;
    /// anything else that is in the way is an error.
    pub async fn exists(&self, path: impl AsRef<Path>) -> Result<bool> {
        let path = path.as_ref();
        let work = async {
            match again!(self.core.stat_of(path, Last::FOLLOW)) {
                Ok(_) => Ok(true),
                Err(Code::NotFound | Code::NotDir | Code::Loop) => Ok(false),
                Err(error) => Err(error),
            }
        };
        self.core.call("access", path, work).await
    }

    /// Whether this process may read (4), write (2) or run and search (1) what a path names.
    pub async fn access(&self, path: impl AsRef<Path>, mask: u32) -> Result<()> {
        let path = path.as_ref();
        let work = async { again!(self.core.access_to(path, mask)) };
        self.core.call("access", path, work).await
    }

    /// What is in a directory, by name, without `.` and `..`.
    pub async fn read_dir(&self, path: impl AsRef<Path>) -> Result<Vec<DirEntry>> {
        let path = path.as_ref();
        let work = async { again!(self.core.list(path)) };
        self.core.call("scandir", path, work).await
    }

    /// Makes a directory.
    pub async fn mkdir(&self, path: impl AsRef<Path>, mode: u32) -> Result<()> {
        let path = path.as_ref();
        let work = async { again!(self.core.make_dir(path, mode)) };
        self.core.call("mkdir", path, work).await
    }

    /// Makes a directory and those it is in. Answers the first that was made; `None` when the
    /// directory was there.
    pub async fn mkdir_all(&self, path: impl AsRef<Path>, mode: u32) -> Result<Option<PathBuf>> {
        let path = path.as_ref();
        let whole = Path::new("/").join(path);
        let work = async { again!(self.core.make_dirs(&whole, mode)) };
        self.core.call("mkdir", path, work).await
    }

    /// Removes a name of anything but a directory.
    pub async fn unlink(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let work = async { again!(self.core.unlink(path)) };
        self.core.call("unlink", path, work).await
    }

    /// Removes an empty directory.
    pub async fn rmdir(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let work = async { again!(self.core.rmdir(path)) };
        self.core.call("rmdir", path, work).await
    }

    /// Gives something another name, in place of what has it. `EXDEV` between repos.
    pub async fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
        let (from, to) = (from.as_ref(), to.as_ref());
        let work = async { again!(self.core.rename_once(from, to)) };
        self.core.call_two("rename", from, to, work).await
    }

    /// Makes a symlink at `path`. A target that is absolute begins at the mount's root.
    pub async fn symlink(&self, target: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<()> {
        let (target, path) = (target.as_ref(), path.as_ref());
        let work = async { again!(self.core.make_symlink(target, path)) };
        self.core.call_two("symlink", target, path, work).await
    }

    /// A symlink's target.
    pub async fn read_link(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let path = path.as_ref();
        let work = async {
            let target = again!(self.core.target_of(path))?;
            Ok(PathBuf::from(OsStr::from_bytes(&target)))
        };
        self.core.call("readlink", path, work).await
    }

    /// Gives a file another name in the same repo.
    pub async fn link(&self, existing: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<()> {
        let (existing, path) = (existing.as_ref(), path.as_ref());
        let work = async { again!(self.core.make_link(existing, path)) };
        self.core.call_two("link", existing, path, work).await
    }

    /// The path without symlinks, `.` and `..`.
    pub async fn real_path(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let path = path.as_ref();
        let work = async { again!(self.core.walk(path, Last::FOLLOW)) };
        let walked = self.core.call("realpath", path, work).await?;
        Ok(walked.path())
    }
}
