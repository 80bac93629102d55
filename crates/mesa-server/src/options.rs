//! What a server is started with.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use mesa_types::OrgSlug;

use crate::DownloadOptions;

/// Everything [`crate::Server::start`] needs. All of it is decided by the caller: nothing is read
/// from the environment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Holds `meta.sqlite`, `objects/`, `server.key` and `admin.key`; made if absent.
    pub data_dir: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The address clients reach this server at, without a trailing slash; absent: the listener's.
    pub public_url: Option<String>,
    /// The org made at the first start.
    pub bootstrap_org: OrgSlug,
    /// What machines install mesa from.
    pub downloads: DownloadOptions,
    /// TLS on the listener; absent: plain HTTP.
    pub tls: Option<TlsOptions>,
    /// Bounds on what clients may ask of the server.
    pub limits: Limits,
    /// Whether webhooks may go to addresses that are not public.
    pub webhooks_allow_private: bool,
    /// How long audit records are kept.
    pub audit_kept: Duration,
    /// How long single operations are kept.
    pub operations_kept: Duration,
    /// How long sealed states are kept for looking back by time.
    pub commits_kept: Duration,
    /// How long [`crate::RunningServer::shutdown`] waits for requests and sessions to end.
    pub shutdown_grace: Duration,
    /// Every REST request fails, for tests of what clients do then. Released programs lack it.
    #[cfg(debug_assertions)]
    pub failing: bool,
}

impl ServerOptions {
    /// Options with every default: plain HTTP on `127.0.0.1:7117`, first org `my-org`.
    pub fn new(data_dir: impl Into<PathBuf>, bootstrap_org: OrgSlug) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 7117)),
            public_url: None,
            bootstrap_org,
            downloads: DownloadOptions::default(),
            tls: None,
            limits: Limits::default(),
            webhooks_allow_private: false,
            audit_kept: Duration::from_hours(365 * 24),
            operations_kept: Duration::from_hours(24),
            commits_kept: Duration::from_hours(30 * 24),
            shutdown_grace: Duration::from_secs(10),
            #[cfg(debug_assertions)]
            failing: false,
        }
    }
}

/// Certificate and key as PEM files.
#[derive(Debug, Clone)]
pub struct TlsOptions {
    /// The certificate chain, leaf first.
    pub cert: PathBuf,
    /// The private key (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
}

/// Bounds on what clients may ask.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Limits {
    /// Connections open at the same time; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// Largest JSON body in bytes.
    pub json_body_bytes_max: usize,
    /// Largest JSON body of a request that carries files.
    pub files_body_bytes_max: usize,
    /// Bodies of requests in memory at the same time, in bytes; small ones do not count.
    pub bodies_bytes_max: usize,
    /// How long a request body may take to arrive.
    pub body_timeout: Duration,
    /// REST requests one credential may make in a burst.
    pub rate_burst: u32,
    /// REST requests per second one credential may make in the long run; 0 = no limit.
    pub rate_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            json_body_bytes_max: 1024 * 1024,
            files_body_bytes_max: 96 * 1024 * 1024,
            bodies_bytes_max: 512 * 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            rate_burst: 2000,
            rate_per_second: 500,
        }
    }
}
