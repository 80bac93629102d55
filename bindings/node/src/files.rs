//! Whole files.

use mesa_fs::{FileSystem, OpenOptions};
use napi::{
    Env, Error, Result, Status,
    bindgen_prelude::{Buffer, Object, Uint8Array},
};
use napi_derive::napi;

use crate::{
    file::MesaFile,
    filesystem::MesaFileSystem,
    promise::{plain, promise},
    text::{Encoding, Unknown},
};

fn encoding(name: Option<&str>) -> Result<Encoding> {
    Encoding::named(name).map_err(|Unknown(name)| {
        Error::new(Status::InvalidArg, format!("there is no encoding '{name}'"))
    })
}

/// How a file is opened, by Node's words.
pub fn opening(
    flags: Option<&str>,
    mode: Option<u32>,
    durable: Option<bool>,
) -> Result<OpenOptions> {
    let flags = flags.unwrap_or("r");
    let mut options = OpenOptions::from_flags(flags).ok_or_else(|| {
        let why = format!("'{flags}' is no way to open a file");
        Error::new(Status::InvalidArg, why)
    })?;
    options.mode = mode.unwrap_or(options.mode);
    options.durable = durable.unwrap_or(false);
    Ok(options)
}

async fn put(
    fs: FileSystem,
    path: String,
    bytes: Vec<u8>,
    options: OpenOptions,
) -> mesa_fs::Result<()> {
    fs.write_with(path, &bytes, &options).await
}

#[napi]
impl MesaFileSystem {
    /// A file as text.
    #[napi(ts_return_type = "Promise<string>")]
    pub fn read_text<'env>(
        &self,
        env: &'env Env,
        path: String,
        encoding: Option<String>,
    ) -> Result<Object<'env>> {
        let encoding = self::encoding(encoding.as_deref())?;
        let fs = self.fs.clone();
        let read = async move { Ok(encoding.decode(&fs.read(path).await?)) };
        plain(env, &self.fs, read)
    }

    /// A file as bytes.
    #[napi(ts_return_type = "Promise<Buffer>")]
    pub fn read_bytes<'env>(&self, env: &'env Env, path: String) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        let read = async move { fs.read(path).await };
        promise(env, &self.fs, read, |bytes| Buffer::from(Vec::from(bytes)))
    }

    /// At most `length` bytes from `offset`.
    #[napi(ts_return_type = "Promise<Buffer>")]
    pub fn read_range<'env>(
        &self,
        env: &'env Env,
        path: String,
        offset: f64,
        length: f64,
    ) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        let read = async move { fs.read_range(path, offset as u64, length as u64).await };
        promise(env, &self.fs, read, |bytes| Buffer::from(Vec::from(bytes)))
    }

    /// Makes or replaces a file.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn write_text<'env>(
        &self,
        env: &'env Env,
        path: String,
        content: String,
        encoding: Option<String>,
    ) -> Result<Object<'env>> {
        let bytes = self::encoding(encoding.as_deref())?.encode(content);
        let write = put(self.fs.clone(), path, bytes, OpenOptions::writing());
        plain(env, &self.fs, write)
    }

    /// Makes or replaces a file.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn write_bytes<'env>(
        &self,
        env: &'env Env,
        path: String,
        content: Uint8Array,
    ) -> Result<Object<'env>> {
        let write = put(
            self.fs.clone(),
            path,
            content.to_vec(),
            OpenOptions::writing(),
        );
        plain(env, &self.fs, write)
    }

    /// Writes to the end of a file.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn append_text<'env>(
        &self,
        env: &'env Env,
        path: String,
        content: String,
        encoding: Option<String>,
    ) -> Result<Object<'env>> {
        let bytes = self::encoding(encoding.as_deref())?.encode(content);
        let write = put(self.fs.clone(), path, bytes, OpenOptions::appending());
        plain(env, &self.fs, write)
    }

    /// Writes to the end of a file.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn append_bytes<'env>(
        &self,
        env: &'env Env,
        path: String,
        content: Uint8Array,
    ) -> Result<Object<'env>> {
        let write = put(
            self.fs.clone(),
            path,
            content.to_vec(),
            OpenOptions::appending(),
        );
        plain(env, &self.fs, write)
    }

    /// Writes a file opened by these flags (`w`, `wx`, `a`, ...); `durable` resolves when it is on
    /// the server.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn write_file<'env>(
        &self,
        env: &'env Env,
        path: String,
        content: Uint8Array,
        flags: Option<String>,
        mode: Option<u32>,
        durable: Option<bool>,
    ) -> Result<Object<'env>> {
        let options = opening(flags.as_deref().or(Some("w")), mode, durable)?;
        let write = put(self.fs.clone(), path, content.to_vec(), options);
        plain(env, &self.fs, write)
    }

    /// Cuts a file or fills it up with zeros.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn truncate<'env>(&self, env: &'env Env, path: String, size: f64) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        plain(env, &self.fs, async move {
            fs.truncate(path, size as u64).await
        })
    }

    /// Opens a file by Node's flags.
    #[napi(ts_return_type = "Promise<MesaFile>")]
    pub fn open<'env>(
        &self,
        env: &'env Env,
        path: String,
        flags: Option<String>,
        mode: Option<u32>,
        durable: Option<bool>,
    ) -> Result<Object<'env>> {
        let options = opening(flags.as_deref(), mode, durable)?;
        let fs = self.fs.clone();
        let open = async move {
            let file = fs.open_file(path, &options).await?;
            Ok((fs, file))
        };
        promise(env, &self.fs, open, |(fs, file)| MesaFile::new(fs, file))
    }
}
