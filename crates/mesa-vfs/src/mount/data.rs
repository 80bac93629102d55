//! Bytes of open files that come through us: read, write, fallocate, seek, copy.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use mesa_types::ContentRef;
use rustix::{
    fs::{FallocateFlags, SeekFrom},
    io::Errno,
};

use super::{
    open::wait,
    repo::{Repo, State, Stop, Try},
};
use crate::{
    content::WorkFile,
    fs::{Backing, FsError, FsResult, Handle, NodeId, SeekKind, Step},
    session::{Actor, ClientSeq, Durability},
};

/// Times a file may be replaced under one read.
const REPLACED_MAX: usize = 20;

/// What an open descriptor reads from.
enum Source {
    File(Arc<Backing>),
    Content(ContentRef),
}

/// The place of what was written, and the file it is in.
type Written = (ClientSeq, Option<Arc<WorkFile>>);

/// Errors of the local filesystem that callers may see as they are.
pub fn local_error(error: Errno) -> FsError {
    match error {
        Errno::NOSPC | Errno::DQUOT => FsError::NoSpace,
        Errno::FBIG => FsError::TooBig,
        Errno::INVAL => FsError::Invalid,
        Errno::NXIO => FsError::NoSuchExtent,
        Errno::OPNOTSUPP | Errno::NOSYS => FsError::NotSupported,
        Errno::INTR => FsError::Interrupted,
        _ => FsError::Io,
    }
}

impl Repo {
    fn source(state: &mut State, handle: Handle) -> FsResult<Source> {
        let file = Self::file_of(state, handle)?;
        if let Some(work) = &file.work {
            if let Some(backing) = &file.backing {
                return Ok(Source::File(Arc::clone(backing)));
            }
            let backing = work.backing()?;
            file.backing = Some(Arc::clone(&backing));
            return Ok(Source::File(backing));
        }
        match &file.clean {
            Some(clean) => Ok(Source::File(Arc::clone(clean.backing()))),
            None => Ok(Source::Content(file.content)),
        }
    }

    /// The local file behind a descriptor open for writing.
    fn target(&self, node: NodeId, handle: Handle) -> FsResult<(Arc<Backing>, bool)> {
        self.with(|state| {
            if state.files.handle(handle).is_none() {
                return Ok((self.former_work(state, node)?.backing()?, false));
            }
            let open = state.files.handle(handle).ok_or(FsError::BadHandle)?;
            if !open.write {
                return Err(FsError::BadHandle);
            }
            let append = open.append;
            state.check_lost(handle)?;
            match Self::source(state, handle)? {
                Source::File(backing) => Ok((backing, append)),
                Source::Content(_) => Err(FsError::BadHandle),
            }
        })
    }

    fn source_of(&self, state: &mut State, node: NodeId, handle: Handle) -> FsResult<Source> {
        match Self::source(state, handle) {
            Err(FsError::BadHandle) => self.source_of_node(state, node),
            found => found,
        }
    }

    /// What a descriptor opened by a former process of the daemon reads from.
    fn source_of_node(&self, state: &State, node: NodeId) -> FsResult<Source> {
        let id = self.live(state, node)?;
        match state.files.work(id) {
            Some(work) => Ok(Source::File(work.backing()?)),
            None => Ok(Source::Content(
                state.tree.content(id).ok_or(FsError::Stale)?,
            )),
        }
    }

    pub fn read_data(
        self: &Arc<Self>,
        node: NodeId,
        handle: Handle,
        offset: u64,
        size: u32,
    ) -> Step<Bytes> {
        let source = self.with(|state| self.source_of(state, node, handle));
        match source {
            Err(error) => Step::Done(Err(error)),
            Ok(Source::File(backing)) => {
                if let Some(data) = read_cached(&backing, offset, size as usize) {
                    return Step::Done(Ok(data));
                }
                // The disk is not waited for where others wait for answers.
                let read = move || read_file(&backing, offset, size as usize);
                let read = self.env.config.runtime.spawn_blocking(read);
                Step::Later(Box::pin(
                    async move { read.await.unwrap_or(Err(FsError::Io)) },
                ))
            }
            Ok(Source::Content(content)) => {
                match self.session.content().read(content, offset, size) {
                    Step::Later(read) => {
                        let repo = Arc::clone(self);
                        Step::Later(Box::pin(async move {
                            match read.await {
                                Err(FsError::Stale) => {
                                    repo.read_present(node, content, offset, size).await
                                }
                                read => read,
                            }
                        }))
                    }
                    done @ Step::Done(_) => done,
                }
            }
        }
    }

    /// Reads what the file holds now instead of `gone`, which nobody has any more.
    async fn read_present(
        self: Arc<Self>,
        node: NodeId,
        mut gone: ContentRef,
        offset: u64,
        size: u32,
    ) -> FsResult<Bytes> {
        for _ in 0..REPLACED_MAX {
            let id = self.with(|state| self.live(state, node))?;
            self.content_gone(id, gone).await?;
            let present = self.with(|state| state.tree.content(id));
            gone = present.ok_or(FsError::Io)?;
            match wait(self.session.content().read(gone, offset, size)).await {
                Err(FsError::Stale) => {}
                read => return read,
            }
        }
        Err(FsError::Io)
    }

    pub fn write_data(
        self: &Arc<Self>,
        node: NodeId,
        handle: Handle,
        offset: u64,
        data: &[u8],
    ) -> Step<u32> {
        let end = offset.checked_add(data.len() as u64);
        if end.is_none_or(|end| end > self.info().file_bytes_max) {
            return Step::Done(Err(FsError::TooBig));
        }
        let room = self.session.check_quota();
        let target = room.and_then(|()| self.target(node, handle));
        if self.lacks_work(node, handle, &target) {
            let (repo, data) = (Arc::clone(self), Bytes::copy_from_slice(data));
            return Step::Later(Box::pin(async move {
                repo.open_former(node).await?;
                wait(repo.write_data(node, handle, offset, &data)).await
            }));
        }
        let written = target;
        let written = written.and_then(|(backing, append)| {
            write_file(&backing, offset, data, append)?;
            Ok(data.len() as u32)
        });
        if self.env.durability() == Durability::Write && written.is_ok() {
            let repo = Arc::clone(self);
            return Step::Later(Box::pin(async move {
                repo.write_through(node, handle).await?;
                written
            }));
        }
        Step::Done(written)
    }

    /// Class `write`: every write waits for the server.
    async fn write_through(&self, node: NodeId, handle: Handle) -> FsResult<()> {
        loop {
            match self.queue_written(node, handle) {
                Ok(Some((seq, work))) => {
                    return self.session.wait_file(seq, work.as_ref()).await;
                }
                Ok(None) => return Ok(()),
                Err(Stop::Error(error)) => return Err(error),
                // The queue is full.
                Err(_) => self.session.wait_room().await?,
            }
        }
    }

    fn queue_written(&self, node: NodeId, handle: Handle) -> Try<Option<Written>> {
        self.with(|state| {
            let (id, actor, work) = if let Some(open) = state.files.handle(handle).cloned() {
                let work = Self::file_of(state, handle)?.work.clone();
                (open.id, open.actor, work)
            } else {
                let work = self.former_work(state, node)?;
                (work.file(), Actor::default(), Some(work))
            };
            let seq = self.append_content(state, id, &actor)?;
            Ok(seq.map(|seq| (seq, work)))
        })
    }

    pub fn fallocate(
        self: &Arc<Self>,
        node: NodeId,
        handle: Handle,
        mode: i32,
        offset: u64,
        length: u64,
    ) -> Step<()> {
        let end = offset.checked_add(length);
        if end.is_none_or(|end| end > self.info().file_bytes_max) {
            return Step::Done(Err(FsError::TooBig));
        }
        let Some(flags) = u32::try_from(mode).ok().and_then(FallocateFlags::from_bits) else {
            return Step::Done(Err(FsError::NotSupported));
        };
        let target = self.target(node, handle);
        if self.lacks_work(node, handle, &target) {
            let repo = Arc::clone(self);
            return Step::Later(Box::pin(async move {
                repo.open_former(node).await?;
                wait(repo.fallocate(node, handle, mode, offset, length)).await
            }));
        }
        let done = target.and_then(|(backing, _)| {
            rustix::fs::fallocate(&backing.file, flags, offset, length).map_err(local_error)
        });
        Step::Done(done)
    }

    pub fn seek(&self, node: NodeId, handle: Handle, offset: u64, kind: SeekKind) -> Step<u64> {
        let found = match self.with(|state| self.source_of(state, node, handle)) {
            Err(error) => Err(error),
            Ok(Source::Content(content)) => {
                // Served from memory: one run of data.
                match (offset < content.size(), kind) {
                    (false, _) => Err(FsError::NoSuchExtent),
                    (true, SeekKind::Data) => Ok(offset),
                    (true, SeekKind::Hole) => Ok(content.size()),
                }
            }
            Ok(Source::File(backing)) => seek_file(&backing, offset, kind),
        };
        Step::Done(found)
    }

    /// Both descriptors are in this repo.
    pub fn copy_file_range(
        self: &Arc<Self>,
        from: (NodeId, Handle),
        from_offset: u64,
        to: (NodeId, Handle),
        to_offset: u64,
        length: u64,
    ) -> Step<u64> {
        let end = to_offset.checked_add(length);
        if end.is_none_or(|end| end > self.info().file_bytes_max) {
            return Step::Done(Err(FsError::TooBig));
        }
        let target = self.target(to.0, to.1);
        if self.lacks_work(to.0, to.1, &target) {
            let repo = Arc::clone(self);
            return Step::Later(Box::pin(async move {
                repo.open_former(to.0).await?;
                wait(repo.copy_file_range(from, from_offset, to, to_offset, length)).await
            }));
        }
        let target = match target {
            Ok((backing, _)) => backing,
            Err(error) => return Step::Done(Err(error)),
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        match self.with(|state| self.source_of(state, from.0, from.1)) {
            Err(error) => Step::Done(Err(error)),
            Ok(Source::File(source)) => {
                Step::Done(copy_files(&source, from_offset, &target, to_offset, length))
            }
            Ok(Source::Content(content)) => {
                let size = u32::try_from(length.min(1 << 20)).unwrap_or(1 << 20);
                let store = move |data: FsResult<Bytes>| {
                    let data = data?;
                    write_file(&target, to_offset, &data, false)?;
                    Ok(data.len() as u64)
                };
                match self.session.content().read(content, from_offset, size) {
                    Step::Done(data) => Step::Done(store(data)),
                    Step::Later(data) => Step::Later(Box::pin(async move { store(data.await) })),
                }
            }
        }
    }
}

/// What is in memory; `None` if it is not, or the filesystem cannot tell.
fn read_cached(backing: &Backing, offset: u64, size: usize) -> Option<Bytes> {
    let mut buffer = BytesMut::zeroed(size);
    let mut filled = 0;
    while filled < size {
        let part = &mut [std::io::IoSliceMut::new(&mut buffer[filled..])];
        let at = offset + filled as u64;
        match rustix::io::preadv2(&backing.file, part, at, rustix::io::ReadWriteFlags::NOWAIT) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    buffer.truncate(filled);
    Some(buffer.freeze())
}

fn read_file(backing: &Backing, offset: u64, size: usize) -> FsResult<Bytes> {
    let mut buffer = BytesMut::zeroed(size);
    let mut filled = 0;
    while filled < size {
        match rustix::io::pread(&backing.file, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(local_error(error)),
        }
    }
    buffer.truncate(filled);
    Ok(buffer.freeze())
}

fn write_file(backing: &Backing, offset: u64, mut data: &[u8], append: bool) -> FsResult<()> {
    let mut at = offset;
    while !data.is_empty() {
        let written = if append {
            let parts = [std::io::IoSlice::new(data)];
            rustix::io::pwritev2(
                &backing.file,
                &parts,
                u64::MAX,
                rustix::io::ReadWriteFlags::APPEND,
            )
        } else {
            rustix::io::pwrite(&backing.file, data, at)
        };
        match written {
            Ok(0) => return Err(FsError::Io),
            Ok(count) => {
                at += count as u64;
                data = data.get(count..).unwrap_or_default();
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(local_error(error)),
        }
    }
    Ok(())
}

fn seek_file(backing: &Backing, offset: u64, kind: SeekKind) -> FsResult<u64> {
    // The position of this descriptor is used by nobody.
    let whence = match kind {
        SeekKind::Data => SeekFrom::Data(offset),
        SeekKind::Hole => SeekFrom::Hole(offset),
    };
    rustix::fs::seek(&backing.file, whence).map_err(local_error)
}

fn copy_files(
    source: &Backing,
    mut from: u64,
    target: &Backing,
    mut to: u64,
    length: usize,
) -> FsResult<u64> {
    match rustix::fs::copy_file_range(
        &source.file,
        Some(&mut from),
        &target.file,
        Some(&mut to),
        length,
    ) {
        Ok(count) => Ok(count as u64),
        Err(Errno::XDEV | Errno::NOSYS | Errno::OPNOTSUPP) => {
            let data = read_file(source, from, length.min(1 << 20))?;
            write_file(target, to, &data, false)?;
            Ok(data.len() as u64)
        }
        Err(error) => Err(local_error(error)),
    }
}
