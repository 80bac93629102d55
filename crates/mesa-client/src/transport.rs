//! Connections: TLS roots, proxies, time-outs; shared by gRPC and REST.

pub mod proxy;
pub mod roots;

use std::{path::PathBuf, time::Duration};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::origin::Origin;

/// How to reach servers.
#[derive(Debug, Clone)]
pub struct TransportOptions {
    /// PEM file with further CA certificates (`ca-file`).
    pub ca_file: Option<PathBuf>,
    /// Longest time to make a connection.
    pub connect_timeout: Duration,
    /// Sent with every call, e.g. `mesa/0.1.0`.
    pub user_agent: String,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            ca_file: None,
            connect_timeout: Duration::from_secs(10),
            user_agent: concat!("mesa/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Why a client could not be made (nothing was sent yet).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The CA file cannot be read.
    #[error("cannot read the CA file {path}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The CA file has no usable certificate.
    #[error("{path} has no CA certificate in PEM form")]
    CaEmpty {
        /// The file.
        path: PathBuf,
    },
    /// The HTTP stack refused the settings.
    #[error("cannot set up connections to {origin}")]
    Setup {
        /// The server.
        origin: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A gRPC channel: HTTP/2 with prior knowledge or TLS, connects on first use and again after a
/// loss.
pub(crate) fn channel(
    origin: &Origin,
    options: &TransportOptions,
) -> Result<Channel, TransportError> {
    let setup = |source: Box<dyn std::error::Error + Send + Sync>| TransportError::Setup {
        origin: origin.to_string(),
        source,
    };
    let mut endpoint = Endpoint::from_shared(origin.to_string())
        .map_err(|e| setup(e.into()))?
        .user_agent(options.user_agent.clone())
        .map_err(|e| setup(e.into()))?
        .connect_timeout(options.connect_timeout)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(false);
    if origin.is_tls() {
        let mut tls = ClientTlsConfig::new().with_webpki_roots();
        for pem in roots::extra_pem(options)? {
            tls = tls.ca_certificate(Certificate::from_pem(pem));
        }
        endpoint = endpoint.tls_config(tls).map_err(|e| setup(e.into()))?;
    }
    let proxy = proxy::for_origin(origin);
    let timeout = options.connect_timeout;
    let connector = tower::service_fn(move |target: Uri| {
        let proxy = proxy.clone();
        async move {
            match tokio::time::timeout(timeout, proxy::connect(target, proxy)).await {
                Ok(result) => result.map(TokioIo::<TcpStream>::new),
                Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut)),
            }
        }
    });
    Ok(endpoint.connect_with_connector_lazy(connector))
}

/// Flow control windows: one bulk stream fills a 1 Gbit/s link at 60 ms.
const STREAM_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 32 * 1024 * 1024;
