//! Attributes.

use napi::{
    Env, Result,
    bindgen_prelude::{Buffer, Object, Uint8Array},
};
use napi_derive::napi;

use crate::{
    filesystem::MesaFileSystem,
    promise::{plain, promise},
    stat::time,
};

#[napi]
impl MesaFileSystem {
    /// Changes permission bits.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn chmod<'env>(&self, env: &'env Env, path: String, mode: u32) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        plain(env, &self.fs, async move { fs.chmod(path, mode).await })
    }

    /// Changes owner and group.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn chown<'env>(
        &self,
        env: &'env Env,
        path: String,
        uid: u32,
        gid: u32,
    ) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        plain(env, &self.fs, async move {
            fs.chown(path, Some(uid), Some(gid)).await
        })
    }

    /// Changes times, given in milliseconds since 1970.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn utimes<'env>(
        &self,
        env: &'env Env,
        path: String,
        atime: f64,
        mtime: f64,
    ) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        plain(env, &self.fs, async move {
            fs.set_times(path, time(atime), time(mtime)).await
        })
    }

    /// The same of a symlink itself.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn lutimes<'env>(
        &self,
        env: &'env Env,
        path: String,
        atime: f64,
        mtime: f64,
    ) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        plain(env, &self.fs, async move {
            fs.set_link_times(path, time(atime), time(mtime)).await
        })
    }

    /// An extended attribute.
    #[napi(ts_return_type = "Promise<Buffer>")]
    pub fn get_xattr<'env>(
        &self,
        env: &'env Env,
        path: String,
        name: String,
    ) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        let get = async move { fs.get_xattr(path, name.as_bytes()).await };
        promise(env, &self.fs, get, |bytes| Buffer::from(Vec::from(bytes)))
    }

    /// Sets an extended attribute.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn set_xattr<'env>(
        &self,
        env: &'env Env,
        path: String,
        name: String,
        value: Uint8Array,
    ) -> Result<Object<'env>> {
        let (fs, value) = (self.fs.clone(), value.to_vec());
        plain(env, &self.fs, async move {
            fs.set_xattr(path, name.as_bytes(), &value).await
        })
    }

    /// Names of the extended attributes.
    #[napi(ts_return_type = "Promise<string[]>")]
    pub fn list_xattrs<'env>(&self, env: &'env Env, path: String) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        let list = async move { fs.list_xattrs(path).await };
        promise(env, &self.fs, list, |names| {
            let text = |name: Vec<u8>| String::from_utf8_lossy(&name).into_owned();
            names.into_iter().map(text).collect::<Vec<_>>()
        })
    }

    /// Removes an extended attribute.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn remove_xattr<'env>(
        &self,
        env: &'env Env,
        path: String,
        name: String,
    ) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        plain(env, &self.fs, async move {
            fs.remove_xattr(path, name.as_bytes()).await
        })
    }
}
