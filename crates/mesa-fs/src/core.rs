//! What all clones of a filesystem share.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mesa_client::{Credentials, GrpcSync, Origin, SyncApi, TransportOptions};
use mesa_types::{ChangeId, OrgSlug, RepoName, time::SystemClock};
use mesa_vfs::{
    fs::Caller,
    mount::{Mount, MountConfig, OrgConfig, Prefetch, RepoConfig, RepoDefaults},
    session::{SessionTarget, Tuning},
    tree::perm::ProcGroups,
};
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::watch, task::AbortHandle};

use crate::{
    api::{Authorised, Failures},
    credential::{Credential, Keeper},
    directories::{Cache, StateDir},
    error::{Code, Error, Result},
    options::{At, MountOptions, RepoMount},
    places::Places,
    runtime::{self, Inside},
    versions::Plane,
};

/// Result of what runs below the public calls, which add what was called with what.
pub type Op<T> = std::result::Result<T, Code>;

/// The call that makes a mount, in errors.
const MOUNT: &str = "mount";
/// Entries of a repo read ahead.
const PREFETCH_MAX: u32 = 50_000;
/// Clean files up to this many bytes are read from memory, without a local file.
const SERVED_BYTES_MAX: u64 = 64 * 1024;
/// How long a mount that nobody closed may take to send what is left.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// A mount.
pub struct Core {
    pub mount: Mount,
    pub places: Arc<Places>,
    pub runtime: Handle,
    pub keepers: Vec<Arc<Keeper>>,
    pub failures: Arc<Failures>,
    pub plane: Plane,
    /// The repos that were named.
    pub repos: Vec<(OrgSlug, RepoName)>,
    umask: u32,
    uid: u32,
    gid: u32,
    closed: AtomicBool,
    /// Tells watchers.
    pub closing: watch::Sender<bool>,
    tasks: Mutex<Vec<AbortHandle>>,
    directories: Mutex<Option<(StateDir, Cache)>>,
}

fn failed(message: impl std::fmt::Display) -> Error {
    Error::new(Code::Invalid, MOUNT).saying(message.to_string())
}

fn local(what: &str, error: &std::io::Error) -> Error {
    let code = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Code::Access,
        std::io::ErrorKind::StorageFull => Code::NoSpace,
        std::io::ErrorKind::WouldBlock => Code::Busy,
        _ => Code::Io,
    };
    Error::new(code, MOUNT).saying(format!("{what}: {error}"))
}

impl Core {
    /// A mount over the connection to the server that the options name, or over `api`.
    pub fn new(options: &MountOptions, api: Option<Arc<dyn SyncApi>>) -> Result<Arc<Self>> {
        let runtime = match &options.runtime {
            Some(runtime) => runtime.clone(),
            None => runtime::shared().map_err(|error| local("no threads", &error))?,
        };
        let _entered = runtime.enter();
        let origin: Origin = options.server.parse().map_err(failed)?;
        let control = match &options.control_plane {
            Some(address) => address.parse().map_err(failed)?,
            None => origin.clone(),
        };
        let transport = TransportOptions {
            ca_file: options.ca_file.clone(),
            user_agent: options.user_agent.clone(),
            ..TransportOptions::default()
        };
        let credentials = Credentials::default();
        let inner = match api {
            Some(api) => api,
            None => {
                Arc::new(GrpcSync::new(origin, credentials.clone(), &transport).map_err(failed)?)
            }
        };
        let named = Named::new(options)?;
        let failures = Arc::new(Failures::default());
        let state = StateDir::new(options.state_dir.as_deref())
            .map_err(|error| local("cannot use the state directory", &error))?;
        let cache = Cache::open(
            options.cache_dir.as_deref(),
            options.cache_disk_bytes_max,
            options.cache_memory_bytes_max,
        )
        .map_err(|error| local("cannot use the cache directory", &error))?;
        let mut keepers = Vec::new();
        let mut orgs = Vec::new();
        for (slug, all, repos) in named.orgs {
            let keeper = Arc::new(Keeper::new(
                slug.as_str(),
                credentials.clone(),
                options.credential.clone(),
            ));
            orgs.push(OrgConfig {
                slug,
                api: Arc::new(Authorised {
                    inner: Arc::clone(&inner),
                    keeper: Arc::clone(&keeper),
                    failures: Arc::clone(&failures),
                }),
                all,
                repos,
                defaults: RepoDefaults {
                    isolate: options.isolate,
                    read_only: options.read_only,
                },
            });
            keepers.push(keeper);
        }
        let (uid, gid) = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        let config = MountConfig {
            orgs,
            uid,
            gid,
            squash: false,
            durability: options.durability,
            prefetch: Prefetch {
                enabled: options.prefetch,
                nodes_max: PREFETCH_MAX,
                ..Prefetch::default()
            },
            served_max: SERVED_BYTES_MAX,
            content: Arc::clone(&cache.store),
            state_dir: state.path().to_owned(),
            client: format!("{} in-process", options.user_agent),
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            clock: Arc::new(SystemClock),
            random: Arc::new(|| getrandom::u32().unwrap_or(0)),
            // Local files are written to through this mount's descriptors only, which the client
            // core counts itself: no mapping and no kernel has one.
            quiet: Some(Arc::new(|_| true)),
            former_unseen: false,
            groups: Arc::new(ProcGroups),
            tuning: Tuning {
                deadline: options.deadline,
                ..Tuning::default()
            },
            runtime: runtime.clone(),
        };
        // There is no kernel with caches to keep right.
        let (mount, _) = Mount::new(config);
        let core = Arc::new(Self {
            plane: Plane::new(control, transport),
            mount,
            places: Arc::new(named.places),
            runtime: runtime.clone(),
            keepers,
            failures,
            repos: named.repos,
            umask: options.umask & 0o777,
            uid,
            gid,
            closed: AtomicBool::new(false),
            closing: watch::Sender::new(false),
            tasks: Mutex::default(),
            directories: Mutex::new(Some((state, cache))),
        });
        core.keep_credentials();
        Ok(core)
    }

    /// Renews tokens for as long as the mount is open.
    fn keep_credentials(&self) {
        let mut tasks = self.tasks.lock();
        for keeper in &self.keepers {
            let Ok(org) = keeper.org().parse::<OrgSlug>() else {
                continue;
            };
            let (keeper, mount) = (Arc::clone(keeper), self.mount.clone());
            let keeping = async move { keeper.keep(|| mount.credential_changed(&org)).await };
            tasks.push(self.runtime.spawn(keeping).abort_handle());
        }
    }

    /// Replaces the credential of every org.
    pub fn set_credential(&self, credential: &Credential) {
        for keeper in &self.keepers {
            keeper.replace(credential.clone());
            if let Ok(org) = keeper.org().parse() {
                self.mount.credential_changed(&org);
            }
        }
    }

    /// Who calls: this process.
    pub fn caller(&self) -> Caller {
        Caller {
            uid: self.uid,
            gid: self.gid,
            pid: std::process::id(),
            umask: self.umask,
        }
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Sends everything and ends the sessions. Calls that come later fail.
    pub async fn close(&self) -> Op<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Err(Code::BadHandle);
        }
        let outcome = self.mount.unmount().await;
        if outcome.is_err() {
            self.mount.abandon();
        }
        self.end();
        Ok(outcome?)
    }

    fn end(&self) {
        self.closing.send_replace(true);
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
        *self.directories.lock() = None;
    }

    /// Runs a public call: says what was called with what if it fails.
    pub async fn call<T>(
        &self,
        syscall: &'static str,
        path: &Path,
        work: impl Future<Output = Op<T>>,
    ) -> Result<T> {
        if self.is_closed() {
            let closed = Error::new(Code::BadHandle, syscall).at(path);
            return Err(closed.saying("the filesystem is closed"));
        }
        let before = self.failures.count();
        match Inside::new(&self.runtime, work).await {
            Ok(answer) => Ok(answer),
            Err(code) => Err(self.explain(code, syscall, before).at(path)),
        }
    }

    /// The same for a call with two paths.
    pub async fn call_two<T>(
        &self,
        syscall: &'static str,
        path: &Path,
        dest: &Path,
        work: impl Future<Output = Op<T>>,
    ) -> Result<T> {
        let outcome = self.call(syscall, path, work).await;
        outcome.map_err(|error| error.to(dest))
    }

    /// An error with the server's reason, if there is one: calls failed since `before`, or none has
    /// succeeded since one did.
    pub fn explain(&self, code: Code, syscall: &'static str, before: u64) -> Error {
        let error = Error::new(code, syscall);
        let from_server = matches!(
            code,
            Code::Access | Code::Io | Code::TimedOut | Code::NotFound
        );
        match self.failures.last().filter(|_| from_server) {
            // Something else is not there.
            Some(_) if code == Code::NotFound && self.failures.count() == before => error,
            Some(reason) => {
                let known = Error::of_sync(&reason, syscall);
                match (code, known.code()) {
                    // More precise than what the core tells.
                    (Code::Io, Code::Unreachable | Code::TimedOut | Code::Again) => known,
                    (code, of_reason) if code == of_reason => known,
                    _ => error,
                }
            }
            None => error,
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if self.is_closed() {
            return;
        }
        // Nobody waits; what can be sent is sent all the same.
        let mount = self.mount.clone();
        let directories = self.directories.lock().take();
        self.runtime.spawn(async move {
            let sent = tokio::time::timeout(FORGOTTEN, mount.unmount()).await;
            if !matches!(sent, Ok(Ok(()))) {
                tracing::warn!("a filesystem was dropped, and not everything in it was sent");
                mount.abandon();
            }
            drop(directories);
        });
        self.end();
    }
}

/// The options' names, checked.
struct Named {
    orgs: Vec<(OrgSlug, bool, Vec<RepoConfig>)>,
    repos: Vec<(OrgSlug, RepoName)>,
    places: Places,
}

impl Named {
    fn new(options: &MountOptions) -> Result<Self> {
        let mut named = Self {
            orgs: Vec::new(),
            repos: Vec::new(),
            places: Places::new(),
        };
        for org in &options.whole_orgs {
            let slug = slug(org)?;
            named.org(&slug).1 = true;
            named.places.add_org(&slug).map_err(failed)?;
        }
        for repo in &options.repos {
            named.add(repo, options)?;
        }
        if named.orgs.is_empty() {
            return Err(failed("a mount needs at least one repo or org"));
        }
        Ok(named)
    }

    fn org(&mut self, slug: &OrgSlug) -> &mut (OrgSlug, bool, Vec<RepoConfig>) {
        let at = self.orgs.iter().position(|(known, ..)| known == slug);
        let at = at.unwrap_or_else(|| {
            self.orgs.push((slug.clone(), false, Vec::new()));
            self.orgs.len() - 1
        });
        &mut self.orgs[at]
    }

    fn add(&mut self, repo: &RepoMount, options: &MountOptions) -> Result<()> {
        let slug = slug(&repo.org)?;
        let name: RepoName = repo
            .name
            .parse()
            .map_err(|error| failed(format!("the repo name '{}' {error}", repo.name)))?;
        let config = RepoConfig {
            name: name.clone(),
            target: target(&repo.at).map_err(failed)?,
            isolate: repo.isolate || options.isolate,
            read_only: repo.read_only || options.read_only,
        };
        let org = self.org(&slug);
        if org.2.iter().any(|known| known.name == name) {
            return Err(failed(format!("{slug}/{name} is named twice")));
        }
        org.2.push(config);
        match &repo.path {
            Some(path) => self.places.add_repo(&slug, &name, path),
            None => self.places.add_org(&slug),
        }
        .map_err(failed)?;
        self.repos.push((slug, name));
        Ok(())
    }
}

fn slug(org: &str) -> Result<OrgSlug> {
    org.parse()
        .map_err(|error| failed(format!("the org name '{org}' {error}")))
}

/// What a session joins.
pub fn target(at: &At) -> std::result::Result<SessionTarget, String> {
    Ok(match at {
        At::DefaultBookmark => SessionTarget::Bookmark(String::new()),
        At::Bookmark(name) => SessionTarget::Bookmark(name.clone()),
        At::Change(id) => {
            let parsed = id.parse::<ChangeId>();
            SessionTarget::Change(parsed.map_err(|_| format!("'{id}' is not a change id"))?)
        }
    })
}
