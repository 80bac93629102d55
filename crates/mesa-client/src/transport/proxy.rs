//! `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` for gRPC connections (HTTP CONNECT). REST has the
//! same through its HTTP client.

use std::io;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::origin::Origin;

/// A proxy to go through.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    host: String,
    port: u16,
    /// `Proxy-Authorization` value.
    authorization: Option<String>,
}

/// Longest answer header of a proxy in bytes.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// The proxy the environment names for this server. Servers on this machine have none.
pub(crate) fn for_origin(origin: &Origin) -> Option<Proxy> {
    if origin.is_loopback() {
        return None;
    }
    let target: Uri = origin.as_str().parse().ok()?;
    let intercept = Matcher::from_env().intercept(&target)?;
    let uri = intercept.uri();
    let authorization = intercept
        .basic_auth()
        .and_then(|v| v.to_str().ok())
        .map(ToOwned::to_owned)
        .or_else(|| {
            let (user, password) = intercept.raw_auth()?;
            Some(format!(
                "Basic {}",
                STANDARD.encode(format!("{user}:{password}"))
            ))
        });
    Some(Proxy {
        host: uri.host()?.to_owned(),
        port: uri.port_u16().unwrap_or(80),
        authorization,
    })
}

/// A connection to the target's host, through the proxy if there is one.
pub(crate) async fn connect(target: Uri, proxy: Option<Proxy>) -> io::Result<TcpStream> {
    let host = target
        .host()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let default = if target.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let port = target.port_u16().unwrap_or(default);
    let stream = match proxy {
        None => TcpStream::connect((host.trim_matches(['[', ']']), port)).await?,
        Some(proxy) => tunnel(host, port, &proxy).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn tunnel(host: &str, port: u16, proxy: &Proxy) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect((proxy.host.as_str(), proxy.port)).await?;
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    if let Some(value) = &proxy.authorization {
        request.extend(["Proxy-Authorization: ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= ANSWER_BYTES_MAX {
            return Err(io::Error::other("the proxy's answer is too long"));
        }
        // Byte by byte: whatever follows the header belongs to the tunnel.
        answer.push(stream.read_u8().await?);
    }
    let line = answer.split(|b| *b == b'\r').next().unwrap_or_default();
    let status = line.split(|b| *b == b' ').nth(1).unwrap_or_default();
    if status.first() == Some(&b'2') {
        Ok(stream)
    } else {
        Err(io::Error::other(format!(
            "the proxy {}:{} refused: {}",
            proxy.host,
            proxy.port,
            String::from_utf8_lossy(line)
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tunnels_through_a_proxy() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") {
                seen.push(stream.read_u8().await.unwrap());
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\n\r\nhello")
                .await
                .unwrap();
            String::from_utf8(seen).unwrap()
        });
        let proxy = Proxy {
            host: "127.0.0.1".into(),
            port,
            authorization: Some("Basic eDp5".into()),
        };
        let target = "https://mesa.example".parse().unwrap();
        let mut stream = connect(target, Some(proxy)).await.unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "hello");
        let seen = served.await.unwrap();
        assert!(
            seen.starts_with("CONNECT mesa.example:443 HTTP/1.1\r\n"),
            "{seen}"
        );
        assert!(
            seen.contains("Proxy-Authorization: Basic eDp5\r\n"),
            "{seen}"
        );
    }

    #[tokio::test]
    async fn a_refusing_proxy_is_an_error() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = [0; 512];
            let _ = stream.read(&mut seen).await;
            let _ = stream.write_all(b"HTTP/1.1 403 No\r\n\r\n").await;
        });
        let proxy = Proxy {
            host: "127.0.0.1".into(),
            port,
            authorization: None,
        };
        let error = connect("http://mesa.example:1".parse().unwrap(), Some(proxy))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("403"), "{error}");
    }
}
