//! The one listener: HTTP/1.1 and HTTP/2 (prior knowledge, or ALPN under TLS) on one port.

mod refused;
pub mod tls;

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::Request;
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use tower::ServiceExt;

use self::refused::{Open, Refusals};
use crate::{edge::Peer, state::App};

/// A client must send a request's head, and end a TLS handshake, within this time.
const HEAD_TIMEOUT: Duration = Duration::from_mins(1);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// And its first byte within this one: who says nothing keeps nobody else out.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(5);
/// HTTP/2 connections are pinged at this interval and dropped when no answer comes.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const STREAMS_MAX: u32 = 256;
const HEADERS_BYTES_MAX: u32 = 64 * 1024;
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// Accepts and serves until `stop`; the connections run in `connections` and end in good order
/// after `stop`.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    app: App,
    stop: CancellationToken,
    connections: TaskTracker,
) {
    let slots = Arc::new(Semaphore::new(app.limits().connections_max));
    loop {
        let slot = tokio::select! {
            () = stop.cancelled() => break,
            slot = slots.clone().acquire_owned() => slot,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                // Out of descriptors, or a client that is already gone: both pass.
                tracing::warn!("cannot accept a connection: {e}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (tls, router, app, stop) = (tls.clone(), router.clone(), app.clone(), stop.clone());
        connections.spawn(async move {
            let _slot = slot;
            let _open = app.metrics().connections_open.hold();
            if let Err(e) = connection(stream, Peer(peer), tls, router, stop).await {
                tracing::debug!("connection ended: {e}");
            }
        });
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn connection(
    stream: TcpStream,
    peer: Peer,
    tls: Option<TlsAcceptor>,
    router: Router,
    stop: CancellationToken,
) -> Result<(), BoxError> {
    stream.set_nodelay(true)?;
    tokio::time::timeout(FIRST_BYTE_TIMEOUT, stream.readable()).await??;
    match tls {
        None => http(stream, peer, router, stop).await,
        Some(acceptor) => {
            let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream));
            http(handshake.await??, peer, router, stop).await
        }
    }
}

async fn http<S>(
    stream: S,
    peer: Peer,
    router: Router,
    stop: CancellationToken,
) -> Result<(), BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let open = Open::default();
    let stream = Refusals::new(stream, open.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        let (answer, open) = (router.clone().oneshot(request), open.begin());
        async move {
            let answer = answer.await?;
            Ok::<_, std::convert::Infallible>(answer.map(|body| {
                body.map_frame(move |frame| {
                    // Open until the body is gone.
                    let _ = &open;
                    frame
                })
            }))
        }
    });
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        done = serving.as_mut() => return done,
        () = stop.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    serving.await
}
