//! Answers to what is no request.
//!
//! The HTTP library itself answers what it cannot read (400, 414, 431), with a status and nothing
//! else, and no layer of ours sees it. [`Refusals`] lies between it and the connection and gives
//! such an answer the envelope and the id that all refusals have. It can be told apart exactly: it
//! is written when no request is open and everything before it was flushed.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    edge::RequestId,
    error::{ApiError, status_of},
};

/// Longer than any answer that the library makes by itself.
const OWN_BYTES_MAX: usize = 512;

/// Counts the requests of a connection that are not answered to their last byte.
#[derive(Debug, Clone, Default)]
pub struct Open(Arc<AtomicUsize>);

impl Open {
    /// Counts one until the answer is dropped.
    pub fn begin(&self) -> Request {
        self.0.fetch_add(1, Ordering::AcqRel);
        Request(Arc::clone(&self.0))
    }
}

/// An open request.
#[derive(Debug)]
pub struct Request(Arc<AtomicUsize>);

impl Drop for Request {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A connection whose bare refusals are completed.
#[derive(Debug)]
pub struct Refusals<S> {
    stream: S,
    open: Open,
    /// Something was written that is not flushed.
    midway: bool,
    /// Of an answer put in another's place, what is not written yet.
    rest: Bytes,
}

impl<S> Refusals<S> {
    /// Completes the refusals on a connection whose requests are counted in `open`.
    pub fn new(stream: S, open: Open) -> Self {
        Self {
            stream,
            open,
            midway: false,
            rest: Bytes::new(),
        }
    }

    /// Another answer in place of these bytes, if they are a bare refusal.
    fn instead(&self, bytes: &[u8]) -> Option<Bytes> {
        if self.midway || self.open.0.load(Ordering::Acquire) > 0 {
            return None;
        }
        completed(bytes)
    }
}

impl<S: AsyncWrite + Unpin> Refusals<S> {
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.rest.has_remaining() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.rest.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

/// The library's head with our envelope; `None` if it is not one of its own refusals.
fn completed(bytes: &[u8]) -> Option<Bytes> {
    if bytes.len() > OWN_BYTES_MAX || !bytes.starts_with(b"HTTP/1.") {
        return None;
    }
    let head = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse::<u16>().ok()?;
    let status = StatusCode::from_u16(status).ok()?;
    let kept: Vec<&str> = lines
        .filter(|line| !line.to_ascii_lowercase().starts_with("content-length:"))
        .collect();
    if !status.is_client_error() || kept.iter().any(|line| line.starts_with("x-request-id:")) {
        return None;
    }
    let error = ApiError::of_status(status);
    let status = status_of(error.code());
    let id = RequestId::of(&HeaderMap::new());
    tracing::debug!(%id, status = status.as_u16(), "what came is no request");
    let body = serde_json::to_string(&error.envelope(id.as_str())).ok()?;
    let headers: String = kept.iter().flat_map(|line| [*line, "\r\n"]).collect();
    let answer = format!(
        "HTTP/1.1 {status}\r\n{headers}x-request-id: {id}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    Some(answer.into())
}

impl<S: AsyncRead + Unpin> AsyncRead for Refusals<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Refusals<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_rest(cx))?;
        if let Some(answer) = self.instead(bytes) {
            self.rest = answer;
            // Taken whole; what cannot be written now goes before anything else.
            let _ = self.poll_rest(cx)?;
            return Poll::Ready(Ok(bytes.len()));
        }
        self.midway = true;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A refusal is a head alone.
        let mut filled = bufs.iter().filter(|buf| !buf.is_empty());
        if let (Some(only), None) = (filled.next(), filled.next()) {
            return self.poll_write(cx, only);
        }
        ready!(self.poll_rest(cx))?;
        self.midway = true;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_rest(cx))?;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.midway = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_rest(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const BARE: &[u8] = b"HTTP/1.1 431 Request Header Fields Too Large\r\n\
        connection: close\r\ncontent-length: 0\r\ndate: today\r\n\r\n";

    async fn passed(parts: &[&[u8]], open: Open) -> Vec<u8> {
        // Smaller than the answer: it goes in pieces.
        let (mut far, near) = tokio::io::duplex(40);
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            all
        });
        let mut stream = Refusals::new(near, open);
        for part in parts {
            stream.write_all(part).await.unwrap();
        }
        stream.shutdown().await.unwrap();
        drop(stream);
        reading.await.unwrap()
    }

    #[tokio::test]
    async fn a_bare_refusal_gets_a_body_and_everything_else_stays() {
        let answer = String::from_utf8(passed(&[BARE], Open::default()).await).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        assert!(head.contains("connection: close") && head.contains("date: today"));
        assert!(head.contains(&format!("content-length: {}", body.len())));
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"]["code"], "BAD_REQUEST");
        let id = body["trace_id"].as_str().unwrap();
        assert!(head.contains(&format!("x-request-id: {id}")), "{head}");

        let ours = b"HTTP/1.1 404 Not Found\r\nx-request-id: a\r\ncontent-length: 0\r\n\r\n";
        for same in [
            &ours[..],
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"PRI",
            BARE.split_at(9).0,
        ] {
            assert_eq!(passed(&[same], Open::default()).await, same);
        }
        // Content that reads like a refusal is content.
        let open = Open::default();
        let request = open.begin();
        assert_eq!(passed(&[BARE], open.clone()).await, BARE);
        drop(request);
        let after_a_head = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], BARE];
        assert_eq!(passed(&after_a_head, open).await, after_a_head.concat());
    }
}
