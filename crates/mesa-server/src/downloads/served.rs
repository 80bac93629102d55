//! Bytes that are handed out: of a file, or in memory.

use std::{
    fs::File,
    io::{self, Read, Seek},
    ops::Range,
    os::unix::fs::FileExt,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, stream};
use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, OwnedSemaphorePermit};

/// Bytes read from a file at once.
const STEP: u64 = 256 * 1024;
/// Who has not read everything by then is cut off.
const SEND_TIMEOUT: Duration = Duration::from_mins(10);

/// Something with a size and a checksum.
#[derive(Debug)]
pub struct Served {
    source: Source,
    size: u64,
    modified: u32,
    sha256: OnceCell<String>,
}

#[derive(Debug)]
enum Source {
    /// Open all the time, so that replacing the file changes nothing that was promised.
    File(Arc<File>),
    Pieces([Bytes; 3]),
}

impl Served {
    /// Of an open file.
    pub fn file(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            source: Source::File(Arc::new(file)),
            size: metadata.len(),
            modified: super::modified(&metadata),
            sha256: OnceCell::new(),
        })
    }

    /// Of memory.
    pub fn pieces(pieces: [Bytes; 3]) -> Self {
        Self {
            size: pieces.iter().map(|piece| piece.len() as u64).sum(),
            source: Source::Pieces(pieces),
            modified: 0,
            sha256: OnceCell::new(),
        }
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Seconds since 1970.
    pub(super) fn modified(&self) -> u32 {
        self.modified
    }

    /// Hex SHA-256, worked out once.
    pub async fn sha256(&self) -> io::Result<&str> {
        let work = || async {
            let source = match &self.source {
                Source::File(file) => Source::File(Arc::clone(file)),
                Source::Pieces(pieces) => Source::Pieces(pieces.clone()),
            };
            let hash = move || source.hash();
            tokio::task::spawn_blocking(hash)
                .await
                .map_err(io::Error::other)?
        };
        self.sha256.get_or_try_init(work).await.map(String::as_str)
    }

    /// Everything.
    pub(super) fn whole(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.size).map_err(io::Error::other)?];
        match &self.source {
            Source::File(file) => file.read_exact_at(&mut bytes, 0)?,
            Source::Pieces(pieces) => bytes = pieces.concat(),
        }
        Ok(bytes)
    }

    /// A part, piece by piece; the permit is given back at its end.
    pub(crate) fn stream(
        &self,
        range: Range<u64>,
        permit: OwnedSemaphorePermit,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let parts = match &self.source {
            Source::File(file) => Parts::File(Arc::clone(file), range),
            Source::Pieces(pieces) => Parts::Pieces(cut(pieces, range)),
        };
        let end = tokio::time::Instant::now() + SEND_TIMEOUT;
        stream::try_unfold((parts, permit), move |(parts, permit)| async move {
            if tokio::time::Instant::now() > end {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let next = parts.next().await?;
            Ok(next.map(|(bytes, rest)| (bytes, (rest, permit))))
        })
    }
}

impl Source {
    fn hash(&self) -> io::Result<String> {
        let mut hash = Sha256::new();
        match self {
            Self::Pieces(pieces) => pieces.iter().for_each(|piece| hash.update(piece)),
            Self::File(file) => {
                // A position of its own is not needed: nobody else reads by position.
                let mut reader = &**file;
                reader.rewind()?;
                let mut buffer = vec![0; STEP as usize];
                loop {
                    let read = reader.read(&mut buffer)?;
                    if read == 0 {
                        break;
                    }
                    hash.update(&buffer[..read]);
                }
            }
        }
        Ok(hex::encode(hash.finalize()))
    }
}

/// What is still to be sent.
enum Parts {
    File(Arc<File>, Range<u64>),
    Pieces(Vec<Bytes>),
}

impl Parts {
    async fn next(self) -> io::Result<Option<(Bytes, Self)>> {
        match self {
            Self::Pieces(mut pieces) => Ok(pieces.pop().map(|piece| (piece, Self::Pieces(pieces)))),
            Self::File(_, range) if range.is_empty() => Ok(None),
            Self::File(file, range) => {
                let end = range.end.min(range.start + STEP);
                let (reader, start) = (Arc::clone(&file), range.start);
                let read = move || {
                    let mut bytes = vec![0; (end - start) as usize];
                    reader.read_exact_at(&mut bytes, start)?;
                    io::Result::Ok(Bytes::from(bytes))
                };
                let bytes = tokio::task::spawn_blocking(read)
                    .await
                    .map_err(io::Error::other)??;
                Ok(Some((bytes, Self::File(file, end..range.end))))
            }
        }
    }
}

/// The part of the pieces, last one first.
fn cut(pieces: &[Bytes], range: Range<u64>) -> Vec<Bytes> {
    let (mut at, mut parts) = (0_u64, Vec::new());
    for piece in pieces {
        let end = at + piece.len() as u64;
        let (from, to) = (range.start.clamp(at, end), range.end.clamp(at, end));
        if from < to {
            parts.push(piece.slice((from - at) as usize..(to - at) as usize));
        }
        at = end;
    }
    parts.reverse();
    parts
}

#[cfg(test)]
mod tests {
    use std::{io::Write, sync::Arc};

    use futures::TryStreamExt;
    use tokio::sync::Semaphore;

    use super::*;

    async fn read(served: &Served, range: Range<u64>) -> Vec<u8> {
        let slots = Arc::new(Semaphore::new(1));
        let permit = Arc::clone(&slots).acquire_owned().await.unwrap();
        let pieces: Vec<Bytes> = served.stream(range, permit).try_collect().await.unwrap();
        assert_eq!(slots.available_permits(), 1);
        pieces.concat()
    }

    #[tokio::test]
    async fn parts_of_files_and_of_memory() {
        let content: Vec<u8> = (0..600_000_u32).map(|n| n as u8 ^ (n >> 8) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let bytes = Bytes::from(content.clone());
        let pieces = [
            bytes.slice(..10),
            bytes.slice(10..300_000),
            bytes.slice(300_000..),
        ];
        for served in [Served::file(file).unwrap(), Served::pieces(pieces)] {
            assert_eq!(served.size(), 600_000);
            assert_eq!(served.whole().unwrap(), content);
            assert_eq!(
                served.sha256().await.unwrap(),
                hex::encode(Sha256::digest(&content))
            );
            for range in [
                0..600_000,
                5..12,
                9..10,
                10..10,
                299_999..300_001,
                599_999..600_000,
            ] {
                let wanted = &content[range.start as usize..range.end as usize];
                assert_eq!(read(&served, range.clone()).await, wanted, "{range:?}");
            }
        }
    }
}
