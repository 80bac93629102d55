//! Starting and stopping.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use mesa_head::{Heads, HeadsConfig};
use mesa_meta::{Key, SqliteOptions, SqliteStore};
use mesa_repo::{Catalog, PageRequest, Secret, ServerKey, auth::ServerKeyError, bootstrap};
use mesa_store::{LocalStore, PackStore, PackStoreConfig};
use mesa_types::{
    Nanos,
    random::SystemRandom,
    time::{Clock, SystemClock},
};

use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    ServerOptions,
    data_dir::{DataDir, DataDirError},
    downloads::Downloads,
    edge::idempotency,
    hooks,
    listener::{self, tls},
    routes,
    state::{App, Outward},
    storage,
};

/// Why a server did not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data directory cannot be used.
    #[error("the data directory cannot be used")]
    DataDir(#[from] DataDirError),
    /// The server key cannot be used.
    #[error("the server key cannot be used")]
    ServerKey(#[from] ServerKeyError),
    /// The metadata store cannot be opened.
    #[error("the metadata store cannot be opened")]
    Meta(#[from] mesa_meta::sqlite::OpenError),
    /// The object store cannot be opened.
    #[error("the object store cannot be opened")]
    Objects(#[from] mesa_store::StoreError),
    /// The task that opens the stores died.
    #[error("opening the stores broke off")]
    Opening(#[from] tokio::task::JoinError),
    /// The first start could not be completed; the next start goes on with it.
    #[error("the first org and key could not be made")]
    FirstStart(#[source] mesa_repo::Error),
    /// The records cannot be read or do not fit this server.
    #[error("the records in {} cannot be used", path.display())]
    Records {
        /// The database.
        path: PathBuf,
        /// The cause.
        #[source]
        source: mesa_repo::Error,
    },
    /// The files to hand out cannot be used.
    #[error("the files for installers cannot be used")]
    Downloads(#[source] io::Error),
    /// The HTTP client for webhooks cannot be made.
    #[error("the HTTP client for webhooks cannot be made")]
    Webhooks(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The certificate or key cannot be used.
    #[error("TLS")]
    Tls(#[from] tls::TlsError),
}

impl StartError {
    /// Whether another server uses the data directory.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Meta(mesa_meta::sqlite::OpenError::InUse(_)))
    }

    /// Whether stored data is damaged or a part of it is gone: a backup helps.
    pub fn is_damaged(&self) -> bool {
        use mesa_meta::sqlite::OpenError;
        let corrupt = |e: &mesa_repo::Error| {
            e.kind == mesa_repo::ErrorKind::Corrupt && e.code != "SERVER_KEY_MISMATCH"
        };
        match self {
            Self::DataDir(DataDirError::Incomplete(_) | DataDirError::NoRecords(_))
            | Self::Meta(OpenError::Damaged { .. }) => true,
            Self::FirstStart(source) | Self::Records { source, .. } => corrupt(source),
            _ => false,
        }
    }

    /// Whether a file or directory cannot be made, read or written.
    pub fn is_unusable(&self) -> bool {
        use mesa_meta::sqlite::OpenError;
        matches!(
            self,
            Self::DataDir(DataDirError::Io { .. })
                | Self::Meta(OpenError::Io { .. })
                | Self::ServerKey(ServerKeyError::Io { .. })
                | Self::Objects(_)
        )
    }
}

/// Starts servers.
#[derive(Debug, Clone, Copy)]
pub struct Server;

impl Server {
    /// Opens the data directory (completing the first start if it was interrupted) and listens.
    /// When this returns the server answers.
    pub async fn start(options: ServerOptions) -> Result<RunningServer, StartError> {
        Self::start_with_clock(options, Arc::new(SystemClock)).await
    }

    /// The same with another clock, for tests of what expires.
    pub async fn start_with_clock(
        options: ServerOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<RunningServer, StartError> {
        let tls = options.tls.as_ref().map(tls::acceptor).transpose()?;
        // Before anything is made: a first start that nobody sees would hide the admin key.
        let listen_error = |source| StartError::Listen {
            addr: options.listen,
            source,
        };
        let listener = TcpListener::bind(options.listen)
            .await
            .map_err(listen_error)?;
        let addr = listener.local_addr().map_err(listen_error)?;
        let downloads = options.downloads.clone();
        let downloads = tokio::task::spawn_blocking(move || Downloads::open(downloads))
            .await?
            .map_err(StartError::Downloads)?;
        let data = DataDir::open(&options.data_dir)?;
        let server_key = ServerKey::load_or_create(&data.server_key(), &SystemRandom)?;
        let (meta, objects) = open_stores(&data).await?;
        let catalog = Catalog::new(meta.clone(), clock, Arc::new(SystemRandom), server_key);
        let records = |source| StartError::Records {
            path: data.metadata(),
            source,
        };
        let used = data.is_used()?;
        if used && !bootstrap::is_complete(&catalog).await.map_err(records)? {
            return Err(DataDirError::NoRecords(data.metadata()).into());
        }
        let new_admin_key = first_start(&catalog, &data, &options).await?;
        if !used {
            // The records go into the database file itself before anything relies on them.
            meta.checkpoint().await.map_err(|e| records(e.into()))?;
            data.set_used()?;
        }
        let stop = CancellationToken::new();
        let packs = PackStore::new(objects, meta.clone(), PackStoreConfig::default());
        let samples = storage::samples(meta, packs.clone());
        let nanos = |life: Duration| Nanos(i64::try_from(life.as_nanos()).unwrap_or(i64::MAX / 4));
        let config = HeadsConfig {
            log_life: nanos(options.operations_kept),
            commits_life: nanos(options.commits_kept),
            ..HeadsConfig::default()
        };
        let heads = Heads::new(catalog, packs, config);
        if tls.is_none() && !addr.ip().is_loopback() {
            tracing::warn!(
                "listening on {addr} without TLS: keys and files travel in the clear; \
                 use --tls-cert and --tls-key or a proxy that ends TLS"
            );
        }
        let scheme = if tls.is_some() { "https" } else { "http" };
        let public_url = options
            .public_url
            .clone()
            .unwrap_or_else(|| format!("{scheme}://{addr}"));
        let outward = Outward {
            public_url: public_url.clone(),
            named_url: options.public_url.clone(),
            webhooks_allow_private: options.webhooks_allow_private,
        };
        let app = App::new(
            options.limits,
            heads,
            samples,
            stop.clone(),
            outward,
            downloads,
        );
        let sender =
            hooks::Sender::new(options.webhooks_allow_private).map_err(StartError::Webhooks)?;
        let catalog = app.catalog().clone();
        catalog.load_webhooks().await.map_err(records)?;
        let connections = TaskTracker::new();
        let routes = routes::routes(&app);
        #[cfg(debug_assertions)]
        let routes = if options.failing {
            routes.layer(axum::middleware::from_fn(crate::edge::failpoint::fail))
        } else {
            routes
        };
        let router = routes::in_edge(routes, app.clone());
        tokio::spawn(collecting(app.clone(), stop.clone()));
        tokio::spawn(housekeeping(app.clone(), options.audit_kept, stop.clone()));
        tokio::spawn(hooks::run(app.clone(), sender, stop.clone()));
        let accepting = tokio::spawn(listener::serve(
            listener,
            tls,
            router,
            app.clone(),
            stop.clone(),
            connections.clone(),
        ));
        tracing::info!(%addr, public_url, "listening");
        Ok(RunningServer {
            addr,
            public_url,
            stop,
            accepting,
            connections,
            grace: options.shutdown_grace,
            new_admin_key,
            admin_key_path: data.admin_key(),
            app,
        })
    }
}

/// Forgets answers kept for repeated requests, and deliveries and audit records that are kept no
/// longer, once an hour.
async fn housekeeping(app: App, audit_kept: Duration, stop: CancellationToken) {
    const ROWS_MAX: usize = 10_000;
    let mut hours = tokio::time::interval(Duration::from_hours(1));
    let mut from = Key(bytes::Bytes::new());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = hours.tick() => {}
        }
        match idempotency::purge(&app, from.clone(), ROWS_MAX).await {
            Ok(next) => from = next,
            Err(error) => tracing::warn!("old answers were not deleted: {}", error.message()),
        }
        if let Err(error) = hooks::purge(&app).await {
            tracing::warn!("old deliveries were not deleted: {error}");
        }
        if let Err(error) = purge_audit(&app, audit_kept).await {
            tracing::warn!("old audit records were not deleted: {error}");
        }
    }
}

/// Deletes audit records older than this, of every org and of the server.
async fn purge_audit(app: &App, kept: Duration) -> Result<(), mesa_repo::Error> {
    const STEP: usize = 1000;
    let catalog = app.catalog();
    let kept = i64::try_from(kept.as_nanos()).unwrap_or(i64::MAX);
    let before = Nanos(catalog.now().0.saturating_sub(kept));
    while catalog.purge_audit(None, before, STEP).await? > 0 {}
    let mut page = PageRequest::default();
    loop {
        let orgs = catalog.list_orgs(&page).await?;
        for org in &orgs.items {
            while catalog.purge_audit(Some(&org.id), before, STEP).await? > 0 {}
        }
        page.cursor = orgs.next;
        if page.cursor.is_none() {
            return Ok(());
        }
    }
}

/// Removes rows of the live layer that nobody needs, a bounded number each minute.
async fn collecting(app: App, stop: CancellationToken) {
    const ROWS_MAX: usize = 1000;
    let mut minutes = tokio::time::interval(Duration::from_mins(1));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = minutes.tick() => {}
        }
        if let Err(error) = app.heads().collect(ROWS_MAX).await {
            tracing::warn!(%error, "old rows were not removed");
        }
    }
}

async fn open_stores(data: &DataDir) -> Result<(Arc<SqliteStore>, Arc<LocalStore>), StartError> {
    let (meta, objects) = (data.path().to_owned(), data.objects());
    let opening = tokio::task::spawn_blocking(move || {
        let meta = SqliteStore::open(&meta, &SqliteOptions::default())?;
        let objects = LocalStore::open(objects)?;
        Ok((Arc::new(meta), Arc::new(objects)))
    });
    opening.await?
}

/// Makes the first org and its admin key, unless that was done. Interrupted at any point, the next
/// start revokes what key there is and makes another, so that exactly one works.
async fn first_start(
    catalog: &Catalog,
    data: &DataDir,
    options: &ServerOptions,
) -> Result<Option<Secret>, StartError> {
    let made = bootstrap::first_start(catalog, &options.bootstrap_org, None)
        .await
        .map_err(StartError::FirstStart)?;
    let Some(made) = made else {
        return Ok(None);
    };
    data.write_admin_key(made.admin.secret.expose())?;
    bootstrap::complete(catalog)
        .await
        .map_err(StartError::FirstStart)?;
    tracing::info!(org = %made.org.slug, key = %made.admin.key.id, "first start: org and key made");
    Ok(Some(made.admin.secret))
}

/// A server that answers until [`RunningServer::shutdown`].
pub struct RunningServer {
    addr: SocketAddr,
    public_url: String,
    stop: CancellationToken,
    accepting: tokio::task::JoinHandle<()>,
    connections: TaskTracker,
    grace: Duration,
    new_admin_key: Option<Secret>,
    admin_key_path: PathBuf,
    app: App,
}

impl std::fmt::Debug for RunningServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningServer")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

impl RunningServer {
    /// The operator's key, if this start made it: to be shown once.
    pub fn new_admin_key(&self) -> Option<&Secret> {
        self.new_admin_key.as_ref()
    }

    /// The server's parts, for programs that hold a server within themselves.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The file with the operator's key.
    pub fn admin_key_path(&self) -> &Path {
        &self.admin_key_path
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address clients use, without a trailing slash.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    async fn flush(&self) {
        match tokio::time::timeout(self.grace, self.app.heads().flush_all()).await {
            Ok(0) => {}
            Ok(heads) => tracing::warn!(heads, "not sealed; their logs hold everything"),
            Err(_) => tracing::warn!("sealing took too long; the logs hold everything"),
        }
    }

    /// Stops accepting, lets requests and sessions end within the grace period, and closes the
    /// stores. Bounded: what does not end in time is cut off, which loses nothing acknowledged.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        let _ended = (&mut self.accepting).await;
        self.connections.close();
        // Ends the streams of mounts, which would not end by themselves.
        self.flush().await;
        if tokio::time::timeout(self.grace, self.connections.wait())
            .await
            .is_err()
        {
            tracing::warn!(open = self.connections.len(), "connections cut off");
        }
        // What requests that were under way brought back.
        self.flush().await;
        if let Err(error) = self.app.catalog().meta().close().await {
            tracing::warn!("closing the metadata store: {error}");
        }
        tracing::info!("stopped");
    }
}
