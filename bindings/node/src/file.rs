//! Open files.

use mesa_fs::{File, FileSystem};
use napi::{
    Env, Result,
    bindgen_prelude::{Buffer, Object, Uint8Array},
};
use napi_derive::napi;

use crate::{
    promise::{plain, promise},
    stat::{FileStat, time},
};

/// An open file.
#[napi]
pub struct MesaFile {
    fs: FileSystem,
    file: File,
}

impl MesaFile {
    pub(crate) fn new(fs: FileSystem, file: File) -> Self {
        Self { fs, file }
    }
}

#[napi]
impl MesaFile {
    /// At most `length` bytes from `offset`; fewer only at the end.
    #[napi(ts_return_type = "Promise<Buffer>")]
    pub fn read<'env>(&self, env: &'env Env, offset: f64, length: u32) -> Result<Object<'env>> {
        let file = self.file.clone();
        let read = async move { file.read_at(offset as u64, length as usize).await };
        promise(env, &self.fs, read, |bytes| Buffer::from(Vec::from(bytes)))
    }

    /// Writes all of it.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn write<'env>(
        &self,
        env: &'env Env,
        offset: f64,
        content: Uint8Array,
    ) -> Result<Object<'env>> {
        let (file, bytes) = (self.file.clone(), content.to_vec());
        plain(env, &self.fs, async move {
            file.write_at(offset as u64, &bytes).await
        })
    }

    /// Its attributes.
    #[napi(ts_return_type = "Promise<FileStat>")]
    pub fn stat<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let file = self.file.clone();
        let stat = async move { file.stat().await };
        promise(env, &self.fs, stat, FileStat::from)
    }

    /// Cuts it or fills it up with zeros.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn truncate<'env>(&self, env: &'env Env, size: f64) -> Result<Object<'env>> {
        let file = self.file.clone();
        plain(
            env,
            &self.fs,
            async move { file.set_size(size as u64).await },
        )
    }

    /// Changes its permission bits.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn chmod<'env>(&self, env: &'env Env, mode: u32) -> Result<Object<'env>> {
        let file = self.file.clone();
        plain(env, &self.fs, async move { file.chmod(mode).await })
    }

    /// Changes its times, given in milliseconds since 1970.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn utimes<'env>(&self, env: &'env Env, atime: f64, mtime: f64) -> Result<Object<'env>> {
        let file = self.file.clone();
        plain(env, &self.fs, async move {
            file.set_times(time(atime), time(mtime)).await
        })
    }

    /// Resolves when what was written is on the server.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn sync<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let file = self.file.clone();
        plain(env, &self.fs, async move { file.sync().await })
    }

    /// Closes it.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn close<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let file = self.file.clone();
        plain(env, &self.fs, async move { file.close().await })
    }
}
