//! Changes of others.

use std::sync::Arc;

use mesa_fs::{Changed, FileSystem, Watch};
use napi::{Env, Result, bindgen_prelude::Object};
use napi_derive::napi;
use tokio::sync::{Mutex, Notify};

use crate::{filesystem::MesaFileSystem, promise::promise};

/// A path that others changed.
#[napi(object)]
pub struct ChangedPath {
    /// What.
    pub path: String,
    /// Anything below too.
    pub recursive: bool,
}

/// Changes of others, one by one.
#[napi]
pub struct MesaWatcher {
    fs: FileSystem,
    watch: Arc<Mutex<Option<Watch>>>,
    closing: Arc<Notify>,
}

#[napi]
impl MesaFileSystem {
    /// What others change from now on.
    #[napi]
    pub fn watch(&self) -> MesaWatcher {
        MesaWatcher {
            fs: self.fs.clone(),
            watch: Arc::new(Mutex::new(Some(self.fs.watch()))),
            closing: Arc::new(Notify::new()),
        }
    }
}

#[napi]
impl MesaWatcher {
    /// The next change; null at the end.
    #[napi(ts_return_type = "Promise<ChangedPath | null>")]
    pub fn next<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let (watch, closing) = (Arc::clone(&self.watch), Arc::clone(&self.closing));
        let next = async move {
            // Whoever closes need not wait for a change.
            let closed = closing.notified();
            let mut watch = watch.lock().await;
            let Some(changes) = watch.as_mut() else {
                return Ok(None);
            };
            tokio::select! {
                next = changes.next_change() => Ok(next),
                () = closed => Ok(None),
            }
        };
        promise(env, &self.fs, next, |changed: Option<Changed>| {
            changed.map(|changed| ChangedPath {
                path: changed.path.to_string_lossy().into_owned(),
                recursive: changed.recursive,
            })
        })
    }

    /// Ends it: a change that is waited for is null.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn close<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let (watch, closing) = (Arc::clone(&self.watch), Arc::clone(&self.closing));
        let close = async move {
            closing.notify_waiters();
            *watch.lock().await = None;
            Ok(())
        };
        promise(env, &self.fs, close, |()| ())
    }
}
