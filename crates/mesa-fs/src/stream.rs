//! Large files piece by piece.

use std::{
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{Stream, StreamExt, future::BoxFuture};

use crate::{
    error::{Error, Result},
    file::{File, PIECE},
    filesystem::FileSystem,
    open_options::OpenOptions,
};

/// What of a file is read, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadStreamOptions {
    /// Where to begin.
    pub start: u64,
    /// Where to end; `None` = at the end of the file.
    pub end: Option<u64>,
    /// Most bytes of one piece.
    pub piece: usize,
}

impl Default for ReadStreamOptions {
    fn default() -> Self {
        Self {
            start: 0,
            end: None,
            piece: PIECE,
        }
    }
}

/// A file's bytes, piece by piece. One piece is read at a time, when it is asked for; nothing comes
/// after an error. Dropping it closes the file.
pub struct ReadStream {
    file: File,
    at: u64,
    end: u64,
    piece: usize,
    reading: Option<BoxFuture<'static, Result<Bytes>>>,
}

impl ReadStream {
    /// The next piece; `None` at the end.
    pub async fn next_piece(&mut self) -> Result<Option<Bytes>> {
        self.next().await.transpose()
    }

    /// Bytes that are still to come, if nobody cuts the file.
    pub fn left(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }
}

impl Stream for ReadStream {
    type Item = Result<Bytes>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes>>> {
        let stream = &mut *self;
        if stream.at >= stream.end {
            return Poll::Ready(None);
        }
        let (file, at) = (&stream.file, stream.at);
        let length = usize::try_from(stream.end - at).map_or(stream.piece, |l| l.min(stream.piece));
        let reading = stream.reading.get_or_insert_with(|| {
            let file = file.clone();
            Box::pin(async move { file.read_at(at, length).await })
        });
        let Poll::Ready(piece) = reading.as_mut().poll(context) else {
            return Poll::Pending;
        };
        stream.reading = None;
        match piece {
            Ok(piece) if piece.is_empty() => {
                stream.end = stream.at;
                Poll::Ready(None)
            }
            Ok(piece) => {
                stream.at += piece.len() as u64;
                Poll::Ready(Some(Ok(piece)))
            }
            Err(error) => {
                stream.end = stream.at;
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

/// A file being written from start to end. What was written is there before it is finished, as with
/// any open file.
pub struct WriteStream {
    file: File,
    written: u64,
}

impl WriteStream {
    /// Writes all of it after what was written before.
    pub async fn write(&mut self, data: &[u8]) -> Result<()> {
        self.file.write_at(self.written, data).await?;
        self.written += data.len() as u64;
        Ok(())
    }

    /// Bytes written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Closes the file: see [`File::close`].
    pub async fn finish(self) -> Result<()> {
        self.file.close().await
    }
}

impl FileSystem {
    /// Reads a file piece by piece.
    pub async fn read_stream(
        &self,
        path: impl AsRef<Path>,
        options: ReadStreamOptions,
    ) -> Result<ReadStream> {
        let file = self.open_file(path, &OpenOptions::reading()).await?;
        let size = file.stat().await?.size;
        Ok(ReadStream {
            file,
            at: options.start,
            end: options.end.unwrap_or(u64::MAX).min(size),
            piece: options.piece.max(1),
            reading: None,
        })
    }

    /// Writes a file piece by piece, from its start (or end, when appending).
    pub async fn write_stream(
        &self,
        path: impl AsRef<Path>,
        options: &OpenOptions,
    ) -> Result<WriteStream> {
        Ok(WriteStream {
            file: self.open_file(path, options).await?,
            written: 0,
        })
    }
}

// Bindings keep these in objects of other languages.
const _: fn() = || {
    fn sent<T: Send + 'static>() {}
    fn shared<T: Send + Sync + 'static>() {}
    sent::<ReadStream>();
    sent::<WriteStream>();
    shared::<Error>();
    shared::<File>();
    shared::<FileSystem>();
    shared::<Arc<File>>();
};
