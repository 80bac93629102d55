//! The class, and the mount as a whole.

use std::sync::Arc;

use mesa_fs::{Credential, FileSystem, Secret};
use napi::{
    Env, Result,
    bindgen_prelude::{Function, Object, Promise},
};
use napi_derive::napi;

use crate::{
    config::{self, MesaFileSystemConfig},
    credential::{AccessToken, JsProvider},
    live,
    log::{self, Listener, LogRecord},
    promise::{plain, rejection},
};

/// A mount in this process. Paths are `/<org>/<repo>/...`.
#[napi]
pub struct MesaFileSystem {
    pub(crate) fs: FileSystem,
    pub(crate) org: String,
    /// Told for as long as the mount is there.
    _listener: Option<Arc<Listener>>,
}

/// One repo's state.
#[napi(object)]
pub struct RepoState {
    /// Its org.
    pub org: String,
    /// Its name.
    pub repo: String,
    /// It was used, and is open.
    pub is_open: bool,
    /// `attached`, `waiting`, `refused`, `starting`, `fenced` or `closed`.
    pub connection: String,
    /// What is worked on.
    pub change_id: String,
    /// The bookmark followed; empty at a change.
    pub bookmark: String,
    /// Not to be written to.
    pub read_only: bool,
    /// Operations the server does not have yet.
    pub lag_operations: f64,
    /// Their bytes.
    pub lag_bytes: f64,
    /// Why it could not be opened, or the last failure.
    pub failure: Option<String>,
    /// Entries in memory.
    pub entries: f64,
    /// Open files.
    pub open_files: f64,
}

#[napi]
impl MesaFileSystem {
    /// Mounts; connects at the first use. `getToken` is asked for tokens instead of `apiKey`.
    #[napi(constructor)]
    pub fn new(
        env: &Env,
        config: MesaFileSystemConfig,
        on_log: Option<Function<'_, LogRecord, ()>>,
        get_token: Option<Function<'_, String, Promise<AccessToken>>>,
    ) -> Result<Self> {
        let credential = match (&get_token, &config.api_key) {
            (Some(ask), _) => Credential::Provider(Arc::new(JsProvider::new(ask)?)),
            (None, Some(key)) => Credential::Fixed(Secret::new(key)),
            (None, None) => {
                return Err(napi::Error::from_reason(
                    "a mount needs apiKey or a function for tokens",
                ));
            }
        };
        let level = config.telemetry.as_ref().and_then(|t| t.log_level.clone());
        let listener = on_log
            .map(|call| log::listen(&call, level.as_deref()))
            .transpose()?;
        let options = config::options(&config, credential).map_err(napi::Error::from_reason)?;
        let fs = FileSystem::open(options).map_err(|error| rejection(env, &error))?;
        live::remember(env, &fs)?;
        Ok(Self {
            fs,
            org: config.org,
            _listener: listener,
        })
    }

    /// Resolves when every named repo is open.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn ready<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        plain(env, &self.fs, async move { fs.ready().await })
    }

    /// Resolves when everything done so far is on the server.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn flush<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        plain(env, &self.fs, async move { fs.sync().await })
    }

    /// Sends everything and ends the mount.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn close<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let fs = self.fs.clone();
        plain(env, &self.fs, async move { fs.close().await })
    }

    /// Whether it was closed.
    #[napi(getter)]
    pub fn closed(&self) -> bool {
        self.fs.is_closed()
    }

    /// Another API key or token, used at once.
    #[napi]
    pub fn set_credential(&self, key: String) {
        let credential = Credential::Fixed(Secret::new(&key));
        self.fs.set_credential(&credential);
    }

    /// State of each repo.
    #[napi]
    pub fn status(&self) -> Vec<RepoState> {
        let orgs = self.fs.status().orgs.into_iter();
        let repos = orgs.flat_map(|org| {
            let name = org.org;
            org.repos.into_iter().map(move |repo| (name.clone(), repo))
        });
        repos.map(|(org, repo)| state(org, repo)).collect()
    }
}

fn state(org: String, repo: mesa_fs::RepoStatus) -> RepoState {
    use mesa_fs::Connection as C;
    let session = repo.session;
    let connection = session.as_ref().map_or("closed", |s| match s.connection {
        C::Starting => "starting",
        C::Attached => "attached",
        C::Waiting(_) => "waiting",
        C::Refused => "refused",
        C::Fenced => "fenced",
        C::Closed => "closed",
    });
    let last = session.as_ref().and_then(|s| s.last_error.clone());
    RepoState {
        org,
        repo: repo.repo,
        is_open: session.is_some(),
        connection: connection.to_owned(),
        change_id: session
            .as_ref()
            .map_or_else(String::new, |s| s.change_id.clone()),
        bookmark: session
            .as_ref()
            .map_or_else(String::new, |s| s.bookmark.clone()),
        read_only: session.as_ref().is_some_and(|s| s.read_only),
        lag_operations: session.as_ref().map_or(0.0, |s| s.lag_ops as f64),
        lag_bytes: session.as_ref().map_or(0.0, |s| s.lag_bytes as f64),
        failure: repo.failure.or(last.map(|(_, text)| text)),
        entries: repo.nodes as f64,
        open_files: repo.open_files as f64,
    }
}
