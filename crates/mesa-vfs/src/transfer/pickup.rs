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
    content::{BuiltContent, Sparse, of_slice, of_sparse},
};
use mesa_types::Nanos;

use crate::{
    content::{WorkFile, WorkStat, store},
    fs::{FsError, FsResult},
    session::{QuietProbe, TICK_NS},
};

/// Files up to this size are read at once and kept in memory until they are sent.
const IN_MEMORY: u64 = 8 << 20;

/// What a work file held at some time.
pub(super) struct Pick {
    /// Attributes just before it was read.
    pub stat: WorkStat,
    /// Every later change shows in the attributes.
    pub sure: bool,
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
    let open = work.writers() > u32::from(work.is_inherited()) || work.is_open_unseen();
    let settled = !open && quiet.is_some_and(|quiet| quiet(file.as_fd()));
    if settled {
        work.end_inherited();
    }
    let protected = (!settled).then(|| protect(work, &file)).flatten();
    let mut pick = read(key, file)?;
    if settled {
        work.settle(changes, pick.stat);
    }
    pick.sure = settled || is_sure(protected, pick.stat);
    Ok(pick)
}

/// Reads a copy of a work file, which nobody writes to; blocks.
pub(super) fn pick_copy(key: &OrgKey, work: &Arc<WorkFile>) -> FsResult<Pick> {
    let file = work.directory().open_read(work.id());
    let file = File::from(file.map_err(|error| store::local(&error))?);
    let protected = protect(work, &file);
    let stat = stat(&file)?;
    let (id, copy) = work
        .directory()
        .create()
        .map_err(|error| store::local(&error))?;
    work.directory().remove_later(id);
    store::copy(&file, &copy, stat.size).map_err(|error| store::local(&error))?;
    let mut pick = read(key, copy.into())?;
    pick.stat = stat;
    pick.sure = is_sure(protected, stat);
    Ok(pick)
}

/// See [`crate::content::protect`].
fn protect(work: &WorkFile, file: &File) -> Option<Nanos> {
    work.directory().protection().protect(file.as_fd())
}

/// Whether what happened after the attributes were taken shows in them. A page may become writable
/// between the two: then ctime is not before the time of the protection, and the store that made it
/// so may come after the reading.
fn is_sure(protected: Option<Nanos>, stat: WorkStat) -> bool {
    protected.is_some_and(|since| stat.ctime.0.saturating_add(TICK_NS) < since.0)
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
                sure: false,
                built,
                bytes: Some(bytes.into()),
                file,
            });
        }
    }
    let mut source = Holes {
        file: &file,
        size: stat.size,
        known: (0..0, 0),
    };
    let built = of_sparse(key, &mut source).map_err(local)?;
    Ok(Pick {
        stat,
        sure: false,
        built,
        bytes: None,
        file,
    })
}

/// A file read from its data, not from its holes.
struct Holes<'a> {
    file: &'a File,
    size: u64,
    /// A range and the hole that follows it: no zeros are known in the first, up to the second
    /// number everything behind it is zero.
    known: (std::ops::Range<u64>, u64),
}

impl Sparse for Holes<'_> {
    fn read_at(&mut self, into: &mut [u8], offset: u64) -> std::io::Result<usize> {
        FileExt::read_at(self.file, into, offset)
    }

    fn zeros_at(&mut self, offset: u64) -> std::io::Result<u64> {
        use rustix::{
            fs::{SeekFrom, seek},
            io::Errno,
        };
        let (data, hole_end) = &self.known;
        if !(data.start..*hole_end).contains(&offset) {
            // Behind the end, or holes are not known: everything counts as data.
            let at = |whence| match seek(self.file, whence) {
                Err(Errno::NXIO) => Ok(self.size),
                Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(u64::MAX),
                other => other,
            };
            let data_end = match at(SeekFrom::Data(offset))? {
                first if first > offset && first != u64::MAX => offset,
                _ => at(SeekFrom::Hole(offset))?,
            };
            let hole_end = if data_end < self.size {
                at(SeekFrom::Data(data_end))?.max(data_end + 1)
            } else {
                u64::MAX
            };
            self.known = (offset..data_end, hole_end);
        }
        let (data, hole_end) = &self.known;
        if data.contains(&offset) {
            return Ok(0);
        }
        Ok(hole_end.min(&self.size).saturating_sub(offset))
    }
}

fn stat(file: &File) -> FsResult<WorkStat> {
    let stat = rustix::fs::fstat(file).map_err(|_| FsError::Io)?;
    Ok(WorkStat::of(&stat))
}

#[cfg(test)]
mod tests {
    use mesa_types::ContentRef;

    use super::*;

    fn pick_file(file: File) -> Pick {
        read(&OrgKey::new([1; 32]), file).unwrap()
    }

    #[test]
    fn a_huge_hole_costs_nothing() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(64 << 30).unwrap();
        file.write_all_at(b"in the middle", 3 << 30).unwrap();
        let pick = pick_file(file);
        assert_eq!(pick.built.content.size(), 64 << 30);
        let ids: std::collections::HashSet<_> = pick.built.chunks.iter().map(|c| c.id).collect();
        assert!(ids.len() <= 4, "{} kinds of chunks", ids.len());
    }

    #[test]
    fn data_and_holes_make_the_chunks_of_their_bytes() {
        let mut bytes = vec![0; 40 << 20];
        for (at, len) in [(5 << 20, 3 << 20), (20 << 20, 10), (30 << 20, 10 << 20)] {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&[len as u8, (at >> 20) as u8]);
            hasher.finalize_xof().fill(&mut bytes[at..at + len]);
        }
        let file = tempfile::tempfile().unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        for (index, block) in bytes.chunks(4096).enumerate() {
            if block.iter().any(|&byte| byte != 0) {
                file.write_all_at(block, index as u64 * 4096).unwrap();
            }
        }
        let pick = pick_file(file);
        let want = of_slice(&OrgKey::new([1; 32]), &bytes);
        assert_eq!(pick.built, want);
        assert!(matches!(pick.built.content, ContentRef::Manifest { .. }));
    }
}
