//! Copying and moving, as cp(1) and mv(1) do.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::{FutureExt, future::BoxFuture};
use mesa_types::NodeKind;
use mesa_vfs::fs::{AttrChange, FileAttr, Filesystem, FsError, TimeOrNow};

use crate::{
    core::{Core, Op},
    error::{Code, Result},
    file::{PIECE, again},
    filesystem::FileSystem,
    open_options::OpenOptions,
    remove::RemoveOptions,
    walk::{Last, done},
};

/// How to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyOptions {
    /// Directories too, with everything in them.
    pub recursive: bool,
    /// What is in the way is replaced; otherwise it is an error (`EEXIST`).
    pub overwrite: bool,
    /// The copies get the times of the originals.
    pub preserve_times: bool,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            recursive: false,
            overwrite: true,
            preserve_times: false,
        }
    }
}

impl Core {
    async fn copy(self: &Arc<Self>, from: &Path, to: &Path, options: CopyOptions) -> Op<()> {
        let last = if options.recursive {
            Last::KEEP
        } else {
            Last::FOLLOW
        };
        let source = self.walk(from, last).await?;
        let target = Last {
            follow: true,
            may_lack: true,
        };
        let whole = self.walk(to, target).await?;
        let (source_path, target_path) = (source.path(), whole.path());
        if source.spot().is_dir() {
            if !options.recursive {
                return Err(Code::IsDir);
            }
            if target_path.starts_with(&source_path) {
                // It would never end.
                return Err(Code::Invalid);
            }
        } else if whole.missing.is_none() && source_path == target_path {
            return Err(Code::Invalid);
        }
        self.copy_entry(source_path, target_path, options).await
    }

    fn copy_entry(
        self: &Arc<Self>,
        from: PathBuf,
        to: PathBuf,
        options: CopyOptions,
    ) -> BoxFuture<'_, Op<()>> {
        async move {
            let spot = self.find(&from, Last::KEEP).await?;
            let attr = spot.node().map(|held| held.attr);
            match attr.map_or(NodeKind::Dir, |attr| attr.kind) {
                NodeKind::File => self.copy_file(&from, &to, attr.as_ref(), options).await?,
                NodeKind::Symlink => self.copy_symlink(&from, &to, options).await?,
                NodeKind::Dir | NodeKind::Gitlink => {
                    let mode = attr.map_or(0o755, |attr| u32::from(attr.mode));
                    match again!(self.make_dir(&to, mode | 0o700)) {
                        Err(Code::Exists) if self.find(&to, Last::FOLLOW).await?.is_dir() => {}
                        made => made?,
                    }
                    for entry in self.list(&from).await? {
                        let (from, to) = (from.join(&entry.name), to.join(&entry.name));
                        self.copy_entry(from, to, options).await?;
                    }
                    self.copy_attributes(&to, attr.as_ref(), options).await?;
                }
                // Nothing is in them.
                NodeKind::Fifo | NodeKind::Socket => return Err(Code::NotSupported),
            }
            Ok(())
        }
        .boxed()
    }

    async fn copy_file(
        self: &Arc<Self>,
        from: &Path,
        to: &Path,
        attr: Option<&FileAttr>,
        options: CopyOptions,
    ) -> Op<()> {
        let source = self.open(from, &OpenOptions::reading()).await?;
        // Under another name it is the same file, which opening for writing would empty.
        let there = self.find(to, Last::FOLLOW).await.ok();
        let there = there.and_then(|spot| spot.node().map(|held| held.attr.ino));
        if there.is_some() && there == attr.map(|attr| attr.ino) {
            return Err(Code::Invalid);
        }
        let target = OpenOptions {
            create_new: !options.overwrite,
            mode: attr.map_or(0o666, |attr| u32::from(attr.mode)),
            ..OpenOptions::writing()
        };
        let target = self.open(to, &target).await?;
        let mut at = 0;
        loop {
            let (read, written) = ((source.node, source.handle), (target.node, target.handle));
            let copy = self
                .mount
                .copy_file_range(read, at, written, at, PIECE as u64);
            let copied = match done(copy).await {
                Ok(count) => count,
                // From one repo to another.
                Err(FsError::CrossDevice | FsError::NotSupported) => {
                    let piece = source.read(at, PIECE).await?;
                    target.write(at, &piece).await?;
                    piece.len() as u64
                }
                Err(error) => return Err(error.into()),
            };
            if copied == 0 {
                break;
            }
            at += copied;
            tokio::task::yield_now().await;
        }
        target.close().await?;
        self.copy_attributes(to, attr, options).await
    }

    async fn copy_symlink(&self, from: &Path, to: &Path, options: CopyOptions) -> Op<()> {
        let target = self.target_of(from).await?;
        let target = Path::new(std::ffi::OsStr::from_bytes(&target));
        match again!(self.make_symlink(target, to)) {
            Err(Code::Exists) if options.overwrite => {
                let (dir, name, _) = self.deathbed(to).await?;
                done(self.mount.unlink(self.caller(), dir.node, &name)).await?;
                again!(self.make_symlink(target, to))
            }
            outcome => outcome,
        }
    }

    async fn copy_attributes(
        &self,
        to: &Path,
        attr: Option<&FileAttr>,
        options: CopyOptions,
    ) -> Op<()> {
        let Some(attr) = attr else { return Ok(()) };
        let held = self.find_node(to, Last::FOLLOW, Code::ReadOnly).await?;
        let time = |time| options.preserve_times.then_some(TimeOrNow::Time(time));
        let change = AttrChange {
            mode: (held.attr.mode != attr.mode).then_some(attr.mode),
            atime: time(attr.atime),
            mtime: time(attr.mtime),
            ..AttrChange::default()
        };
        if change.mode.is_some() || options.preserve_times {
            done(self.mount.setattr(self.caller(), held.node, None, change)).await?;
        }
        Ok(())
    }
}

impl FileSystem {
    /// Copies a file or, if it may, a directory with everything in it, permissions included.
    /// Without [`CopyOptions::recursive`] a symlink is followed, with it copied.
    pub async fn copy(
        &self,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        options: CopyOptions,
    ) -> Result<()> {
        let (from, to) = (from.as_ref(), to.as_ref());
        let work = async { again!(self.core.copy(from, to, options)) };
        self.core.call_two("cp", from, to, work).await
    }

    /// Renames; between repos it copies, and removes when everything is copied.
    pub async fn move_to(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
        let (from, to) = (from.as_ref(), to.as_ref());
        match self.rename(from, to).await {
            Err(error) if error.code() == Code::CrossDevice => {}
            outcome => return outcome,
        }
        let options = CopyOptions {
            recursive: true,
            preserve_times: true,
            ..CopyOptions::default()
        };
        self.copy(from, to, options).await?;
        let options = RemoveOptions {
            recursive: true,
            force: true,
        };
        self.remove(from, options).await
    }
}
