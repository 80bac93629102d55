//! A served mount: the client core, its kernel side, and the credentials both use.

mod working;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use mesa_client::{
    CERTIFICATE_REFUSED, Credentials, GrpcSync, Origin, SyncApi, SyncErrorKind, TransportOptions,
    credential::Place,
};
use mesa_fuse::{Feature, Mode, MountHandle, MountOptions, Parts};
use mesa_proto::v1;
use mesa_types::{OrgSlug, RepoName, Secret, time::SystemClock};
use mesa_vfs::{
    content::{ContentConfig, ContentStore},
    fs::{FsError, Notice},
    mount::{Mount, MountConfig, OrgConfig, Prefetch, RepoConfig, RepoDefaults},
    session::{Durability, SessionTarget, Tuning},
    tree::perm::ProcGroups,
};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    launch::gave_up,
    plan::{OrgPlan, Plan, RepoPlan},
    status,
};
use crate::{
    context::client_name,
    error::{CliError, CliResult, Exit},
};

/// Requests to a mount that is taken over wait this long for a server that does not answer.
const RESTORE_MAX: Duration = Duration::from_secs(10);

/// How long the kernel may take to say that a mount is gone after it was removed.
const LETTING_GO: Duration = Duration::from_secs(1);

struct Answering<'a>(&'a tokio::sync::watch::Sender<usize>);

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// A mount that is being served.
pub struct Service {
    plan: Mutex<Plan>,
    credentials: Credentials,
    api: Arc<GrpcSync>,
    content: Arc<ContentStore>,
    mount: Mount,
    handle: MountHandle,
    /// It was told to end, and has; how.
    stopped: tokio::sync::watch::Sender<Option<CliResult>>,
    /// Commands being answered.
    commands: tokio::sync::watch::Sender<usize>,
}

impl Service {
    /// Connects, checks every org and mounts (or takes the mount of `parts` over). Waits for an
    /// unreachable server until the plan's deadline.
    pub async fn start(plan: Plan, parts: Option<Parts>) -> CliResult<Self> {
        let end = Instant::now() + Duration::from_millis(plan.start_timeout_ms);
        let origin: Origin = plan
            .server
            .parse()
            .map_err(|e| CliError::usage(format!("bad server address: {e}")))?;
        let credentials = Credentials::default();
        if let Some(token) = &plan.global_token {
            credentials.put(Place::Global, Secret::new(token));
        }
        for org in &plan.orgs {
            put_credentials(&credentials, org);
        }
        let options = TransportOptions {
            ca_file: plan.ca_file.clone(),
            user_agent: client_name(),
            ..TransportOptions::default()
        };
        let api = Arc::new(GrpcSync::new(origin, credentials.clone(), &options)?);
        // A worker that replaces another serves what it can: its mount is in use.
        if parts.is_none() {
            for org in &plan.orgs {
                usable(&api, &org.slug, end).await?;
            }
        }
        let content = open_cache(&plan)?;
        let mut config = config(&plan, &api, &content)?;
        let former = parts.as_ref().map(|parts| parts.state.mode());
        config.former_unseen = former == Some(Mode::Writeback);
        let (mount, notices) = Mount::new(config);
        if parts.is_some() {
            // Requests wait in the kernel meanwhile; an answer now would be that nothing is there.
            mount.restore(RESTORE_MAX).await;
        }
        let handle = {
            let notices = forward(notices)?;
            let fs = Arc::new(mount.clone());
            let options = options_of(&plan);
            let serve = move || match parts {
                None => mesa_fuse::mount(options, fs, notices),
                Some(parts) => mesa_fuse::resume(options, parts, fs, notices),
            };
            // Mounting waits for the kernel, which may ask this process in turn.
            tokio::task::spawn_blocking(serve)
                .await
                .map_err(|e| CliError::failure("mounting failed").caused_by(&e))??
        };
        Ok(Self {
            plan: Mutex::new(plan),
            credentials,
            api,
            content,
            mount,
            handle,
            stopped: tokio::sync::watch::Sender::new(None),
            commands: tokio::sync::watch::Sender::new(0),
        })
    }

    /// What a replacement needs.
    pub fn parts(&self) -> CliResult<Parts> {
        self.handle
            .parts()
            .map_err(|e| CliError::failure("cannot share the kernel connection").caused_by(&e))
    }

    /// The plan with what was added since the start.
    pub fn plan(&self) -> Plan {
        self.plan.lock().clone()
    }

    /// A command is being answered until the guard is dropped.
    pub fn answering(&self) -> impl Drop + '_ {
        self.commands.send_modify(|count| *count += 1);
        Answering(&self.commands)
    }

    /// Waits until no command is being answered.
    pub async fn answered(&self, limit: Duration) {
        let mut commands = self.commands.subscribe();
        let none = commands.wait_for(|count| *count == 0);
        if tokio::time::timeout(limit, none).await.is_err() {
            tracing::debug!("commands were cut off");
        }
    }

    /// Where it is mounted.
    pub fn mount_point(&self) -> &Path {
        self.handle.mount_point()
    }

    /// Returns when the mount was removed from outside.
    pub async fn ended(&self) {
        self.handle.ended().await;
    }

    /// Returns when the mount was ended by [`Service::stop`], with what came of it. The kernel may
    /// never say so: another mount namespace may have a copy of the mount.
    pub async fn stopped(&self) -> CliResult {
        let mut stopped = self.stopped.subscribe();
        match stopped.wait_for(Option::is_some).await {
            Ok(how) => how.clone().unwrap_or(Ok(())),
            // The sender lives as long as this.
            Err(_) => Ok(()),
        }
    }

    /// For `mesa status`.
    pub fn status(&self) -> Value {
        status::status(&self.plan.lock(), &self.mount.status(), &self.handle)
    }

    /// For `mesa stats`.
    pub fn stats(&self) -> Value {
        status::stats(&self.mount.status(), &self.handle, self.content.stats())
    }

    /// Everything done so far is on the server when this returns, except what earlier sessions
    /// could not send: where that is kept.
    pub async fn sync(&self, limit: Duration) -> CliResult<Vec<PathBuf>> {
        match tokio::time::timeout(limit, self.mount.sync_all()).await {
            Ok(Ok(())) => Ok(status::lag(&self.mount.status()).kept),
            Ok(Err(error)) => Err(self.not_synced(Some(error))),
            Err(_) => Err(self.not_synced(None)),
        }
    }

    fn not_synced(&self, error: Option<FsError>) -> CliError {
        let lag = status::lag(&self.mount.status());
        let mut failure = CliError::new(Exit::NotSynced, lag.describe())
            .hint("what was done is kept on this machine; `mesa status` shows each repo");
        failure.causes.extend(lag.last_error);
        if let Some(error) = error {
            failure = failure.caused_by(&error);
        }
        failure
    }

    /// Whether every org answers with its credential.
    pub async fn check(&self, limit: Duration) -> CliResult {
        let end = Instant::now() + limit;
        let orgs: Vec<String> = self
            .plan
            .lock()
            .orgs
            .iter()
            .map(|o| o.slug.clone())
            .collect();
        for org in orgs {
            usable(&self.api, &org, end).await?;
            if let Ok(slug) = org.parse() {
                self.mount.credential_changed(&slug);
            }
        }
        Ok(())
    }

    /// Adds orgs, or replaces the credentials of known ones; the number of new orgs.
    pub fn add_orgs(&self, orgs: Vec<OrgPlan>) -> CliResult<usize> {
        let mut added = 0;
        let mut plan = self.plan.lock();
        for org in orgs {
            put_credentials(&self.credentials, &org);
            let slug = slug_of(&org.slug)?;
            if let Some(known) = plan.orgs.iter_mut().find(|o| o.slug == org.slug) {
                known.token = org.token.or(known.token.take());
                known.expires_at_s = org.expires_at_s;
                self.mount.credential_changed(&slug);
            } else {
                self.mount.add_org(org_config(&org, &plan, &self.api)?);
                plan.orgs.push(org);
                added += 1;
            }
        }
        Ok(added)
    }

    /// A new credential, used at once.
    pub fn set_key(&self, org: Option<&str>, repo: Option<&str>, token: &str) -> CliResult {
        let secret = Secret::new(token);
        let mut plan = self.plan.lock();
        match (org, repo) {
            (None, _) => {
                self.credentials.put(Place::Global, secret);
                plan.global_token = Some(token.to_owned());
            }
            (Some(org), None) => {
                self.credentials.put(Place::Org(org.to_owned()), secret);
                if let Some(known) = plan.orgs.iter_mut().find(|o| o.slug == org) {
                    known.token = Some(token.to_owned());
                    known.expires_at_s = None;
                }
            }
            (Some(org), Some(repo)) => {
                self.credentials
                    .put(Place::Repo(org.to_owned(), repo.to_owned()), secret);
                if let Some(known) = plan.orgs.iter_mut().find(|o| o.slug == org) {
                    known.repo_tokens.retain(|(name, _)| name != repo);
                    known.repo_tokens.push((repo.to_owned(), token.to_owned()));
                }
            }
        }
        for known in &plan.orgs {
            if org.is_none_or(|org| org == known.slug) {
                self.mount.credential_changed(&slug_of(&known.slug)?);
            }
        }
        Ok(())
    }

    /// Names of the repos shown for an org.
    pub fn repos(&self, org: &str) -> Vec<String> {
        let status = self.mount.status();
        let of_org = status.orgs.into_iter().filter(|o| o.org == org);
        of_org.flat_map(|o| o.repos).map(|r| r.repo).collect()
    }

    /// Shows a repo of an explicit org.
    pub async fn open_repo(&self, org: &str, repo: &str) -> CliResult {
        {
            let mut plan = self.plan.lock();
            let isolate = plan.isolate;
            let known = known_org(&mut plan, org)?;
            if !known.repos.iter().any(|r| r.name == repo) {
                known.repos.push(RepoPlan {
                    name: repo.to_owned(),
                    bookmark: None,
                    change: None,
                    isolate,
                    read_only: false,
                });
            }
        }
        self.show_planned(org).await?;
        if self.repos(org).iter().any(|name| name == repo) {
            Ok(())
        } else {
            let message = format!("the server has no repo '{repo}' in org '{org}' for this key");
            Err(CliError::new(Exit::NotFound, message))
        }
    }

    /// Makes the mount show what the plan says.
    async fn show_planned(&self, org: &str) -> CliResult {
        let repos = {
            let mut plan = self.plan.lock();
            let known = known_org(&mut plan, org)?.clone();
            org_config(&known, &plan, &self.api)?.repos
        };
        self.mount
            .set_repos(&slug_of(org)?, repos)
            .await
            .map_err(|e| CliError::failure("the repos cannot be listed").caused_by(&e))
    }

    /// Stops showing a repo of an explicit org.
    pub async fn close_repo(&self, org: &str, repo: &str) -> CliResult {
        let name: RepoName = repo
            .parse()
            .map_err(|e| CliError::usage(format!("the repo name '{repo}' {e}")))?;
        known_org(&mut self.plan.lock(), org)?
            .repos
            .retain(|r| r.name != repo);
        match self.mount.close_repo(&slug_of(org)?, &name).await {
            Ok(()) | Err(FsError::NotFound) => self.show_planned(org).await,
            Err(error) => Err(self.not_synced(Some(error))),
        }
    }

    /// Sends everything, removes the mount, ends all sessions. Without `force` it stops with an
    /// error while files are open or something could not be sent, and goes on serving.
    pub async fn stop(&self, force: bool, limit: Duration) -> CliResult {
        let synced = self.sync(limit).await.map(drop);
        if synced.is_err() && !force {
            return synced;
        }
        if self.handle.is_alive() {
            self.unmount(force).await?;
        }
        let ended = self
            .finish(if synced.is_ok() {
                limit
            } else {
                Duration::from_secs(2)
            })
            .await;
        if tokio::time::timeout(LETTING_GO, self.handle.ended())
            .await
            .is_err()
        {
            // Nobody answers there any more.
            tracing::info!("another mount namespace holds the mount: disconnecting");
            self.handle.abort();
        }
        self.stopped.send_replace(Some(ended.clone()));
        if force { Ok(()) } else { ended }
    }

    async fn unmount(&self, force: bool) -> CliResult {
        let point = self.handle.mount_point().to_owned();
        // Writes that the kernel still holds come back to this process: off the runtime's threads.
        let gently = {
            let point = point.clone();
            tokio::task::spawn_blocking(move || mesa_fuse::unmount(&point, false))
        };
        match gently.await {
            Ok(Ok(()) | Err(mesa_fuse::UnmountError::NotMounted(_))) => Ok(()),
            Ok(Err(error)) if !force => Err(error.into()),
            _ => {
                let lazily = tokio::task::spawn_blocking(move || mesa_fuse::unmount(&point, true));
                if !matches!(lazily.await, Ok(Ok(()))) {
                    self.handle.abort();
                }
                Ok(())
            }
        }
    }

    /// Sends what is left after the mount is gone and ends all sessions.
    pub async fn finish(&self, limit: Duration) -> CliResult {
        match tokio::time::timeout(limit, self.mount.unmount()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.not_synced(Some(error))),
            Err(_) => Err(self.not_synced(None)),
        }
    }
}

/// Asks for the org's repos until the server answers or time is up.
async fn usable(api: &GrpcSync, org: &str, end: Instant) -> CliResult {
    let mut delay = Duration::from_millis(50);
    let mut last = None;
    loop {
        let request = v1::ListReposRequest {
            org: org.to_owned(),
            cursor: String::new(),
            limit: 1,
        };
        let left = end.saturating_duration_since(Instant::now());
        let error = match tokio::time::timeout(left, api.list_repos(request)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error,
            // What an attempt before was told says more than that time is up.
            Err(_) => {
                let silent = || gave_up(&format!("{} does not answer", api.origin()));
                return Err(last.map_or_else(silent, CliError::from));
            }
        };
        let retry = matches!(
            error.kind,
            SyncErrorKind::Unreachable | SyncErrorKind::TimedOut
        ) && error.code != CERTIFICATE_REFUSED;
        if !retry {
            return Err(CliError::from(error).context(format!("org '{org}' cannot be mounted")));
        }
        if Instant::now() + delay >= end {
            return Err(CliError::from(error));
        }
        last = Some(error);
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(Duration::from_secs(1));
    }
}

fn put_credentials(credentials: &Credentials, org: &OrgPlan) {
    if let Some(token) = &org.token {
        credentials.put(Place::Org(org.slug.clone()), Secret::new(token));
    }
    for (repo, token) in &org.repo_tokens {
        credentials.put(
            Place::Repo(org.slug.clone(), repo.clone()),
            Secret::new(token),
        );
    }
}

fn slug_of(slug: &str) -> CliResult<OrgSlug> {
    slug.parse()
        .map_err(|e| CliError::usage(format!("the org name '{slug}' {e}")))
}

fn known_org<'p>(plan: &'p mut Plan, org: &str) -> CliResult<&'p mut OrgPlan> {
    plan.orgs
        .iter_mut()
        .find(|o| o.slug == org)
        .ok_or_else(|| CliError::new(Exit::NotFound, format!("org '{org}' is not mounted")))
}

fn config(plan: &Plan, api: &Arc<GrpcSync>, content: &Arc<ContentStore>) -> CliResult<MountConfig> {
    let orgs = plan
        .orgs
        .iter()
        .map(|org| org_config(org, plan, api))
        .collect::<CliResult<_>>()?;
    Ok(MountConfig {
        orgs,
        uid: plan.uid,
        gid: plan.gid,
        squash: false,
        durability: durability(&plan.durability),
        prefetch: Prefetch {
            enabled: plan.prefetch.enabled,
            depth: plan.prefetch.depth_max.unwrap_or(u32::MAX),
            ..Prefetch::default()
        },
        served_max: SERVED_BYTES_MAX,
        content: Arc::clone(content),
        state_dir: plan.state_dir.clone(),
        client: format!("{} fuse", client_name()),
        host: host_name(),
        clock: Arc::new(SystemClock),
        random: Arc::new(|| getrandom::u32().unwrap_or(0)),
        quiet: mesa_fuse::quiet::probe(&plan.state_dir),
        former_unseen: false,
        groups: Arc::new(ProcGroups),
        tuning: Tuning::default(),
        runtime: tokio::runtime::Handle::current(),
    })
}

/// Clean files up to this many bytes are read from memory, without a local file.
const SERVED_BYTES_MAX: u64 = 64 * 1024;

fn org_config(org: &OrgPlan, plan: &Plan, api: &Arc<GrpcSync>) -> CliResult<OrgConfig> {
    let repos = org.repos.iter().map(|repo| {
        let target = match (&repo.bookmark, &repo.change) {
            (_, Some(change)) => SessionTarget::Change(
                change
                    .parse()
                    .map_err(|_| CliError::usage(format!("'{change}' is not a change id")))?,
            ),
            (bookmark, None) => SessionTarget::Bookmark(bookmark.clone().unwrap_or_default()),
        };
        let name = repo
            .name
            .parse()
            .map_err(|e| CliError::usage(format!("the repo name '{}' {e}", repo.name)))?;
        Ok(RepoConfig {
            name,
            target,
            isolate: repo.isolate || plan.isolate,
            read_only: repo.read_only || plan.read_only,
        })
    });
    Ok(OrgConfig {
        slug: slug_of(&org.slug)?,
        api: Arc::clone(api) as Arc<dyn SyncApi>,
        all: org.all,
        repos: repos.collect::<CliResult<_>>()?,
        defaults: RepoDefaults {
            isolate: plan.isolate,
            read_only: plan.read_only,
        },
    })
}

fn durability(word: &str) -> Durability {
    match word {
        "close" => Durability::Close,
        "write" => Durability::Write,
        "local" => Durability::Local,
        _ => Durability::Fsync,
    }
}

fn options_of(plan: &Plan) -> MountOptions {
    let runtime = tokio::runtime::Handle::current();
    let mut options = MountOptions::new(&plan.mount_point, &plan.state_dir, runtime);
    options.outside = vec![plan.cache.path.clone(), plan.runtime_dir.clone()];
    options.allow_other = plan.allow_other;
    options.read_only = plan.read_only;
    options.io_uring = match plan.io_uring.as_str() {
        "on" => Feature::Required,
        "auto" => Feature::Auto,
        _ => Feature::Off,
    };
    options.flush_on_close = matches!(plan.durability.as_str(), "close" | "write");
    if plan.durability == "write" {
        // Every write must be seen.
        options.passthrough = Feature::Off;
    }
    options
}

/// Caches tried when another daemon has the first.
const CACHES_MAX: u32 = 16;

fn open_cache(plan: &Plan) -> CliResult<Arc<ContentStore>> {
    let mut failure = None;
    for n in 1..=CACHES_MAX {
        let dir = match n {
            1 => plan.cache.path.clone(),
            n => plan.cache.path.join(format!("daemon-{n}")),
        };
        let mut config = ContentConfig::new(dir);
        config.ram_bytes_max = plan.cache.memory_bytes_max;
        config.prefetch_max = plan.prefetch.concurrency_max as usize;
        if let Some(max) = plan.cache.bytes_max {
            config.disk_bytes_max = max;
        }
        if !plan.cache.enabled {
            config.disk_bytes_max = 0;
        }
        match ContentStore::open(config) {
            Ok(store) => return Ok(store),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                failure = Some(error);
            }
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    let error = failure.unwrap_or_else(|| std::io::Error::from(std::io::ErrorKind::Other));
    Err(CliError::io(
        format!("cannot use the cache {}", plan.cache.path.display()),
        &error,
    ))
}

/// The core's notices on the kind of channel the kernel side reads.
fn forward(
    notices: std::sync::mpsc::Receiver<Notice>,
) -> CliResult<tokio::sync::mpsc::UnboundedReceiver<Notice>> {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    std::thread::Builder::new()
        .name("notices".to_owned())
        .spawn(move || {
            while let Ok(notice) = notices.recv() {
                if sender.send(notice).is_err() {
                    return;
                }
            }
        })
        .map_err(|e| CliError::io("cannot start a thread", &e))?;
    Ok(receiver)
}

fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
