//! Whole files and parts of them by path.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use mesa_vfs::fs::{AttrChange, Filesystem};

use crate::{
    core::{Core, Op},
    error::{Code, Result},
    file::again,
    filesystem::FileSystem,
    open_options::OpenOptions,
    walk::{Last, done},
};

impl Core {
    pub async fn read_part(
        self: &Arc<Self>,
        path: &Path,
        offset: u64,
        length: Option<u64>,
    ) -> Op<Bytes> {
        let file = self.open(path, &OpenOptions::reading()).await?;
        let size = file.stat().await?.size;
        let length = length.unwrap_or(u64::MAX).min(size.saturating_sub(offset));
        let length = usize::try_from(length).map_err(|_| Code::TooBig)?;
        let bytes = file.read(offset, length).await?;
        file.close().await?;
        Ok(bytes)
    }

    pub async fn write_whole(
        self: &Arc<Self>,
        path: &Path,
        data: &[u8],
        options: &OpenOptions,
    ) -> Op<()> {
        let file = self.open(path, options).await?;
        let written = file.write(0, data).await;
        let closed = file.close().await;
        written.and(closed)
    }

    async fn truncate(&self, path: &Path, size: u64) -> Op<()> {
        let held = self.find_node(path, Last::FOLLOW, Code::IsDir).await?;
        if held.is_dir() {
            return Err(Code::IsDir);
        }
        let change = AttrChange {
            size: Some(size),
            ..AttrChange::default()
        };
        done(self.mount.setattr(self.caller(), held.node, None, change)).await?;
        Ok(())
    }
}

impl FileSystem {
    /// A file's bytes.
    pub async fn read(&self, path: impl AsRef<Path>) -> Result<Bytes> {
        let path = path.as_ref();
        let read = self.core.read_part(path, 0, None);
        self.core.call("open", path, read).await
    }

    /// At most `length` bytes from `offset`; fewer only at the end of the file.
    pub async fn read_range(
        &self,
        path: impl AsRef<Path>,
        offset: u64,
        length: u64,
    ) -> Result<Bytes> {
        let path = path.as_ref();
        let read = self.core.read_part(path, offset, Some(length));
        self.core.call("open", path, read).await
    }

    /// Makes a file or replaces what is in it.
    pub async fn write(&self, path: impl AsRef<Path>, data: &[u8]) -> Result<()> {
        self.write_with(path, data, &OpenOptions::writing()).await
    }

    /// Writes to the end of a file, which is made if it is not there.
    pub async fn append(&self, path: impl AsRef<Path>, data: &[u8]) -> Result<()> {
        self.write_with(path, data, &OpenOptions::appending()).await
    }

    /// Writes to the start of a file (or its end, when appending) opened so.
    pub async fn write_with(
        &self,
        path: impl AsRef<Path>,
        data: &[u8],
        options: &OpenOptions,
    ) -> Result<()> {
        let path = path.as_ref();
        let write = self.core.write_whole(path, data, options);
        self.core.call("open", path, write).await
    }

    /// Cuts a file or fills it up with zeros.
    pub async fn truncate(&self, path: impl AsRef<Path>, size: u64) -> Result<()> {
        let path = path.as_ref();
        let work = async { again!(self.core.truncate(path, size)) };
        self.core.call("truncate", path, work).await
    }
}
