//! Open files and their data.

use std::{
    os::{fd::OwnedFd, unix::fs::FileExt},
    sync::Arc,
};

use bytes::Bytes;
use mesa_types::NodeKind;
use mesa_vfs::fs::{
    Backing, Caller, Entry, FsError, FsResult, Handle, NodeId, OpenFlags, Opened, SeekKind,
};
use rustix::{
    fs::{FallocateFlags, SeekFrom},
    io::Errno,
};

use super::memfs::{MemFs, State};

fn from_errno(errno: Errno) -> FsError {
    match errno {
        Errno::NXIO => FsError::NoSuchExtent,
        Errno::OPNOTSUPP => FsError::NotSupported,
        Errno::INVAL => FsError::Invalid,
        Errno::NOSPC => FsError::NoSpace,
        Errno::FBIG => FsError::TooBig,
        _ => FsError::Io,
    }
}

impl MemFs {
    pub fn created(
        &self,
        caller: Caller,
        parent: NodeId,
        name: Option<&[u8]>,
        mode: u32,
        flags: OpenFlags,
    ) -> FsResult<(Entry, Opened)> {
        let mut state = self.state.lock();
        let existing = name.and_then(|name| state.child(parent, name).ok());
        let node = match existing {
            Some(_) if flags.exclusive => return Err(FsError::Exists),
            Some(node) => node,
            None => {
                let node = self.add(&mut state, caller, parent, name, NodeKind::File, mode)?;
                std::fs::File::create(self.backing_path(node.0)).map_err(|_| FsError::Io)?;
                node
            }
        };
        let opened = self.open_locked(&mut state, node, flags)?;
        Ok((state.entry(node)?, opened))
    }

    pub fn opened(&self, node: NodeId, flags: OpenFlags) -> FsResult<Opened> {
        self.open_locked(&mut self.state.lock(), node, flags)
    }

    fn open_locked(&self, state: &mut State, node: NodeId, flags: OpenFlags) -> FsResult<Opened> {
        let found = state.get_mut(node)?;
        if found.attr.kind != NodeKind::File {
            return Err(FsError::IsDir);
        }
        let backing = if let Some(backing) = found.backing.upgrade() {
            backing
        } else {
            let file = std::fs::File::options()
                .read(true)
                .write(true)
                .open(self.backing_path(node.0))
                .map_err(|_| FsError::Io)?;
            Arc::new(Backing {
                file: OwnedFd::from(file),
            })
        };
        found.backing = Arc::downgrade(&backing);
        if flags.truncate {
            rustix::fs::ftruncate(&backing.file, 0).map_err(from_errno)?;
        }
        found.refresh();
        found.opens += 1;
        let mode = self.open_mode(backing.clone());
        Ok(Opened {
            handle: state.handle(node, Some(backing)),
            mode,
        })
    }

    pub fn released(&self, node: NodeId, handle: Handle) {
        let mut state = self.state.lock();
        let Some((id, backing)) = state.handles.remove(&handle.0) else {
            return;
        };
        assert_eq!(id, node.0, "a release names the node it opened");
        if let Ok(found) = state.get_mut(node) {
            found.refresh();
            found.opens -= 1;
        }
        drop(backing);
        self.drop_if_unused(&mut state, node);
    }

    fn file(&self, handle: Handle) -> FsResult<std::fs::File> {
        let backing = self.state.lock().backing(handle)?;
        backing
            .file
            .try_clone()
            .map(Into::into)
            .map_err(|_| FsError::Io)
    }

    pub fn read_at(&self, handle: Handle, offset: u64, size: u32) -> FsResult<Bytes> {
        let mut data = vec![0; size as usize];
        let len = self
            .file(handle)?
            .read_at(&mut data, offset)
            .map_err(|_| FsError::Io)?;
        data.truncate(len);
        Ok(data.into())
    }

    pub fn write_at(&self, handle: Handle, offset: u64, data: &[u8]) -> FsResult<u32> {
        self.file(handle)?
            .write_all_at(data, offset)
            .map_err(|_| FsError::Io)?;
        Ok(data.len() as u32)
    }

    pub fn synced(&self, handle: Handle) -> FsResult<()> {
        self.file(handle)?.sync_all().map_err(|_| FsError::Io)
    }

    pub fn allocated(&self, handle: Handle, mode: i32, offset: u64, length: u64) -> FsResult<()> {
        let flags = FallocateFlags::from_bits(mode as u32).ok_or(FsError::NotSupported)?;
        rustix::fs::fallocate(self.file(handle)?, flags, offset, length).map_err(from_errno)
    }

    pub fn sought(&self, handle: Handle, offset: u64, kind: SeekKind) -> FsResult<u64> {
        let whence = match kind {
            SeekKind::Data => SeekFrom::Data(offset),
            SeekKind::Hole => SeekFrom::Hole(offset),
        };
        rustix::fs::seek(self.file(handle)?, whence).map_err(from_errno)
    }

    pub fn copied(
        &self,
        from: Handle,
        mut from_offset: u64,
        to: Handle,
        mut to_offset: u64,
        length: u64,
    ) -> FsResult<u64> {
        rustix::fs::copy_file_range(
            self.file(from)?,
            Some(&mut from_offset),
            self.file(to)?,
            Some(&mut to_offset),
            length as usize,
        )
        .map(|copied| copied as u64)
        .map_err(from_errno)
    }
}
