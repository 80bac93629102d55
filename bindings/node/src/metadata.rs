//! Metadata.

use std::collections::{BTreeMap, HashMap};

use napi::{Env, Result, bindgen_prelude::Object};
use napi_derive::napi;

use crate::{
    filesystem::MesaFileSystem,
    promise::{plain, promise},
};

#[napi]
impl MesaFileSystem {
    /// Sets metadata; null and nothing remove a key.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn set_metadata<'env>(
        &self,
        env: &'env Env,
        path: String,
        entries: HashMap<String, Option<String>>,
    ) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        let entries: BTreeMap<String, Option<String>> = entries.into_iter().collect();
        plain(env, &self.fs, async move {
            fs.set_metadata(path, &entries).await
        })
    }

    /// Metadata of a path.
    #[napi(ts_return_type = "Promise<Record<string, string>>")]
    pub fn get_metadata<'env>(&self, env: &'env Env, path: String) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        let get = async move { fs.metadata(path).await };
        promise(env, &self.fs, get, |entries| {
            entries.into_iter().collect::<HashMap<_, _>>()
        })
    }

    /// Removes all metadata of a path.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn clear_metadata<'env>(&self, env: &'env Env, path: String) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        plain(env, &self.fs, async move { fs.clear_metadata(path).await })
    }
}
