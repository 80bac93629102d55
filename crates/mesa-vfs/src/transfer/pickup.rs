//! Reading a work file into chunks.

use std::{
    fs::File,
    io::Read,
    os::{fd::AsFd, unix::fs::FileExt},
    sync::Arc,
};

use bytes::Bytes;
use mesa_object::{
    OrgKey,
    content::{BuiltContent, of_reader, of_slice},
};

use crate::{
    content::{WorkFile, WorkStat, store},
    fs::{FsError, FsResult},
    session::QuietProbe,
};

/// Files up to this size are read at once and kept in memory until they are sent.
const IN_MEMORY: u64 = 8 << 20;

/// What a work file held at some time.
pub(super) struct Pick {
    /// Attributes just before it was read.
    pub stat: WorkStat,
    pub built: BuiltContent,
    /// All of it, when it is small enough.
    pub bytes: Option<Bytes>,
    /// Where to read it again otherwise.
    file: File,
}

impl Pick {
    /// The bytes of one chunk. `None`: they changed since.
    pub fn chunk(
        &self,
        key: &OrgKey,
        offset: u64,
        chunk: mesa_object::content::ChunkRef,
    ) -> FsResult<Option<Bytes>> {
        if let Some(bytes) = &self.bytes {
            let at = offset as usize;
            return Ok(Some(bytes.slice(at..at + chunk.len as usize)));
        }
        let mut bytes = vec![0; chunk.len as usize];
        match self.file.read_exact_at(&mut bytes, offset) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(store::local(&error)),
        }
        Ok((key.chunk_id(&bytes) == chunk.id).then(|| Bytes::from(bytes)))
    }

    /// A range of it, if it still is that long.
    pub fn range(&self, offset: u64, len: u64) -> Option<Bytes> {
        if let Some(bytes) = &self.bytes {
            let end = usize::try_from(offset + len).ok()?;
            return (end <= bytes.len()).then(|| bytes.slice(offset as usize..end));
        }
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        Some(Bytes::from(bytes))
    }
}

/// Reads a work file; blocks. With `quiet` it finds out whether anybody can still change it.
pub(super) fn pick(
    key: &OrgKey,
    work: &Arc<WorkFile>,
    quiet: Option<&QuietProbe>,
) -> FsResult<Pick> {
    let file = work.directory().open_read(work.id());
    let file = File::from(file.map_err(|error| store::local(&error))?);
    let changes = work.changes();
    let settled = work.writers() == 0 && quiet.is_some_and(|quiet| quiet(file.as_fd()));
    let pick = read(key, file)?;
    if settled {
        work.settle(changes, pick.stat);
    }
    Ok(pick)
}

/// Reads a copy of a work file, which nobody writes to; blocks.
pub(super) fn pick_copy(key: &OrgKey, work: &Arc<WorkFile>) -> FsResult<Pick> {
    let file = work.directory().open_read(work.id());
    let file = File::from(file.map_err(|error| store::local(&error))?);
    let stat = stat(&file)?;
    let (id, copy) = work
        .directory()
        .create()
        .map_err(|error| store::local(&error))?;
    work.directory().remove_later(id);
    store::copy(&file, &copy, stat.size).map_err(|error| store::local(&error))?;
    let mut pick = read(key, copy.into())?;
    pick.stat = stat;
    Ok(pick)
}

fn read(key: &OrgKey, file: File) -> FsResult<Pick> {
    let stat = stat(&file)?;
    let local = |error: std::io::Error| store::local(&error);
    if stat.size <= IN_MEMORY {
        let mut bytes = Vec::with_capacity(stat.size as usize + 1);
        let limit = IN_MEMORY + 1;
        Read::take(&file, limit)
            .read_to_end(&mut bytes)
            .map_err(local)?;
        if bytes.len() as u64 <= IN_MEMORY {
            let built = of_slice(key, &bytes);
            return Ok(Pick {
                stat,
                built,
                bytes: Some(bytes.into()),
                file,
            });
        }
    }
    std::io::Seek::rewind(&mut &file).map_err(local)?;
    let built = of_reader(key, &file, |_, _| Ok::<_, std::io::Error>(())).map_err(local)?;
    Ok(Pick {
        stat,
        built,
        bytes: None,
        file,
    })
}

fn stat(file: &File) -> FsResult<WorkStat> {
    let stat = rustix::fs::fstat(file).map_err(|_| FsError::Io)?;
    Ok(WorkStat::of(&stat))
}
