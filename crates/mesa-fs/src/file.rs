//! Open files.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use bytes::{Bytes, BytesMut};
use mesa_vfs::fs::{AttrChange, Filesystem, Handle, NodeId, TimeOrNow};

use crate::{
    core::{Core, Op},
    error::{Code, Result},
    filesystem::FileSystem,
    open_options::OpenOptions,
    stat::Stat,
    walk::{Held, Last, Level, done},
};

/// Bytes moved at once between calls of the client core.
pub const PIECE: usize = 1 << 20;

/// Runs something again when what it found by name was replaced before it could be used.
macro_rules! again {
    ($work:expr) => {{
        let mut left = $crate::file::STALE_MAX;
        loop {
            match $work.await {
                Err($crate::error::Code::Stale) if left > 0 => left -= 1,
                outcome => break outcome,
            }
        }
    }};
}
pub(crate) use again;

/// Times a name is followed anew.
pub const STALE_MAX: u32 = 20;

/// An open file. Clones share it; dropping the last one closes it without waiting.
///
/// Positions are given with each call, so any number of tasks can use it at once.
#[derive(Clone)]
pub struct File {
    open: Arc<Open>,
}

/// A descriptor of the client core.
pub struct Open {
    pub core: Arc<Core>,
    pub node: NodeId,
    pub handle: Handle,
    pub path: PathBuf,
    durable: bool,
    closed: AtomicBool,
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            // Ends of files start tasks.
            let _entered = self.core.runtime.enter();
            self.core.mount.release(self.node, self.handle);
        }
    }
}

impl Open {
    fn check(&self) -> Op<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Code::BadHandle);
        }
        Ok(())
    }

    /// At most `length` bytes; fewer only at the end.
    pub async fn read(&self, offset: u64, length: usize) -> Op<Bytes> {
        self.check()?;
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        while first.len() + all.len() < length {
            let at = first.len() + all.len();
            let wanted = (length - at).min(PIECE) as u32;
            let read = self
                .core
                .mount
                .read(self.node, self.handle, offset + at as u64, wanted);
            let piece = done(read).await?;
            if piece.is_empty() {
                break;
            }
            if at == 0 {
                // Most often all there is.
                first = piece;
                continue;
            }
            if all.is_empty() {
                all.reserve(length.min(16 * PIECE));
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&piece);
            tokio::task::yield_now().await;
        }
        Ok(if all.is_empty() { first } else { all.freeze() })
    }

    pub async fn write(&self, offset: u64, data: &[u8]) -> Op<()> {
        self.check()?;
        let mut at = offset;
        for piece in data.chunks(PIECE) {
            if at != offset {
                tokio::task::yield_now().await;
            }
            let write = self.core.mount.write(self.node, self.handle, at, piece);
            done(write).await?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    pub async fn stat(&self) -> Op<Stat> {
        self.check()?;
        let mount = &self.core.mount;
        let attr = mount.getattr(self.core.caller(), self.node, Some(self.handle));
        Ok(Stat::of(&done(attr).await?))
    }

    pub async fn sync(&self) -> Op<()> {
        self.check()?;
        let sync = self.core.mount.fsync(self.node, self.handle, false);
        Ok(done(sync).await?)
    }

    /// The file is closed whatever comes out.
    pub async fn close(&self) -> Op<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Err(Code::BadHandle);
        }
        let closing = Closing(self);
        let mount = &self.core.mount;
        let mut outcome = Ok(());
        if self.durable {
            outcome = done(mount.fsync(self.node, self.handle, false)).await;
        }
        let flushed = done(mount.flush(self.node, self.handle)).await;
        drop(closing);
        Ok(outcome.and(flushed)?)
    }
}

/// Ends a descriptor, also when whoever waits for its closing goes away.
struct Closing<'o>(&'o Open);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let open = self.0;
        let _entered = open.core.runtime.enter();
        open.core.mount.release(open.node, open.handle);
    }
}

impl Core {
    /// Opens a file by path.
    pub async fn open(self: &Arc<Self>, path: &Path, options: &OpenOptions) -> Op<Open> {
        again!(self.try_open(path, options))
    }

    async fn try_open(self: &Arc<Self>, path: &Path, options: &OpenOptions) -> Op<Open> {
        let last = Last {
            follow: !options.create_new,
            may_lack: options.creates(),
        };
        let walked = self.walk(path, last).await?;
        let spot = walked.spot();
        let flags = options.flags();
        if let Some(name) = &walked.missing {
            // Nothing is made above the repos.
            let dir = spot.node().ok_or(Code::ReadOnly)?;
            let mode = options.mode & 0o7777;
            let make = self
                .mount
                .create(self.caller(), dir.node, name, mode, flags);
            let (entry, opened) = done(make).await?;
            let held = Held::new(&self.mount, &entry, Level::Below);
            return Ok(self.opened(held.node, opened.handle, path, options));
        }
        if options.create_new {
            return Err(Code::Exists);
        }
        let node = spot
            .node()
            .filter(|held| !held.is_dir())
            .ok_or(Code::IsDir)?;
        let opened = done(self.mount.open(self.caller(), node.node, flags)).await?;
        Ok(self.opened(node.node, opened.handle, path, options))
    }

    fn opened(
        self: &Arc<Self>,
        node: NodeId,
        handle: Handle,
        path: &Path,
        options: &OpenOptions,
    ) -> Open {
        Open {
            core: Arc::clone(self),
            node,
            handle,
            path: path.to_owned(),
            durable: options.durable && options.writes(),
            closed: AtomicBool::new(false),
        }
    }
}

impl FileSystem {
    /// Opens a file.
    pub async fn open_file(&self, path: impl AsRef<Path>, options: &OpenOptions) -> Result<File> {
        let path = path.as_ref();
        let open = self.core.call("open", path, self.core.open(path, options));
        Ok(File {
            open: Arc::new(open.await?),
        })
    }
}

impl File {
    /// What it was opened by.
    pub fn path(&self) -> &Path {
        &self.open.path
    }

    async fn call<T>(&self, syscall: &'static str, work: impl Future<Output = Op<T>>) -> Result<T> {
        self.open.core.call(syscall, &self.open.path, work).await
    }

    /// At most `length` bytes from `offset`; fewer only at the end of the file.
    pub async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes> {
        self.call("read", self.open.read(offset, length)).await
    }

    /// Writes all of it. A file opened for appending takes it at its end.
    pub async fn write_at(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.call("write", self.open.write(offset, data)).await
    }

    /// Its attributes.
    pub async fn stat(&self) -> Result<Stat> {
        self.call("fstat", self.open.stat()).await
    }

    /// Cuts it or fills it up with zeros.
    pub async fn set_size(&self, size: u64) -> Result<()> {
        let change = AttrChange {
            size: Some(size),
            ..AttrChange::default()
        };
        self.change("ftruncate", change).await
    }

    /// Changes its permission bits.
    pub async fn chmod(&self, mode: u32) -> Result<()> {
        let change = AttrChange {
            mode: Some((mode & 0o7777) as u16),
            ..AttrChange::default()
        };
        self.change("fchmod", change).await
    }

    /// Changes its times; `None` keeps one.
    pub async fn set_times(
        &self,
        accessed: Option<SystemTime>,
        modified: Option<SystemTime>,
    ) -> Result<()> {
        let change = AttrChange {
            atime: accessed.map(TimeOrNow::Time),
            mtime: modified.map(TimeOrNow::Time),
            ..AttrChange::default()
        };
        self.change("futime", change).await
    }

    async fn change(&self, syscall: &'static str, change: AttrChange) -> Result<()> {
        let open = &self.open;
        let work = async {
            open.check()?;
            let handle = Some(open.handle);
            let set = open
                .core
                .mount
                .setattr(open.core.caller(), open.node, handle, change);
            done(set).await?;
            Ok(())
        };
        self.call(syscall, work).await
    }

    /// What was written, and every earlier operation on names, is on the server when this returns
    /// (with [`crate::Durability::Local`]: on this machine's disk).
    pub async fn sync(&self) -> Result<()> {
        self.call("fsync", self.open.sync()).await
    }

    /// Closes it for all clones. With [`crate::Durability::Close`] and
    /// [`crate::Durability::Write`], and if it was opened [`OpenOptions::durable`], what was written
    /// is on the server when this returns. An error says that it may not be; the file is closed
    /// all the same.
    pub async fn close(&self) -> Result<()> {
        self.call("close", self.open.close()).await
    }
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File")
            .field("path", &self.open.path)
            .finish_non_exhaustive()
    }
}
