//! Starting and stopping.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    ServerOptions,
    listener::{self, tls},
    routes,
    state::App,
};

/// Why a server did not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data directory cannot be used.
    #[error("cannot use the data directory {}", path.display())]
    DataDir {
        /// The directory or a file in it.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Another server runs on the data directory.
    #[error("another server uses the data directory {}", .0.display())]
    InUse(PathBuf),
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

/// Starts servers.
#[derive(Debug, Clone, Copy)]
pub struct Server;

impl Server {
    /// Opens the data directory (completing the first start if it was interrupted) and listens.
    /// When this returns the server answers.
    pub async fn start(options: ServerOptions) -> Result<RunningServer, StartError> {
        let tls = options.tls.as_ref().map(tls::acceptor).transpose()?;
        let stop = CancellationToken::new();
        let app = App::new(options.limits, stop.clone());
        let listen_error = |source| StartError::Listen {
            addr: options.listen,
            source,
        };
        let listener = TcpListener::bind(options.listen)
            .await
            .map_err(listen_error)?;
        let addr = listener.local_addr().map_err(listen_error)?;
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
        let connections = TaskTracker::new();
        let accepting = tokio::spawn(listener::serve(
            listener,
            tls,
            routes::router(app.clone()),
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
        })
    }
}

/// A server that answers until [`RunningServer::shutdown`].
#[derive(Debug)]
pub struct RunningServer {
    addr: SocketAddr,
    public_url: String,
    stop: CancellationToken,
    accepting: tokio::task::JoinHandle<()>,
    connections: TaskTracker,
    grace: Duration,
}

impl RunningServer {
    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address clients use, without a trailing slash.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// Stops accepting, lets requests and sessions end within the grace period, and closes the
    /// stores. Bounded: what does not end in time is cut off, which loses nothing acknowledged.
    pub async fn shutdown(self) {
        self.stop.cancel();
        let _ended = self.accepting.await;
        self.connections.close();
        if tokio::time::timeout(self.grace, self.connections.wait())
            .await
            .is_err()
        {
            tracing::warn!(open = self.connections.len(), "connections cut off");
        }
        tracing::info!("stopped");
    }
}
