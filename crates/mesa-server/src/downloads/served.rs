//! Bytes that are handed out: of a file, or in memory.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{Stream, stream};
use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, OwnedSemaphorePermit};

/// Bytes read from a file at once.
const STEP: u64 = 256 * 1024;
/// Who has not read everything by then is cut off.
const SEND_TIMEOUT: Duration = Duration::from_mins(10);
/// Who has not taken the next piece by then is cut off as well.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Something with a size and a checksum.
#[derive(Debug)]
pub struct Served {
    source: Source,
    size: u64,
    modified: u32,
    sha256: Arc<OnceCell<String>>,
}

#[derive(Debug, Clone)]
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
            sha256: Arc::default(),
        })
    }

    /// Of memory.
    pub fn pieces(pieces: [Bytes; 3]) -> Self {
        Self {
            size: pieces.iter().map(|piece| piece.len() as u64).sum(),
            source: Source::Pieces(pieces),
            modified: 0,
            sha256: Arc::default(),
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

    /// Hex SHA-256, worked out once; whoever asks first may go away meanwhile.
    pub async fn sha256(&self) -> io::Result<&str> {
        if self.sha256.get().is_none() {
            let (cell, source) = (Arc::clone(&self.sha256), self.source.clone());
            let work = async move {
                let hash = || async {
                    let hash = tokio::task::spawn_blocking(move || source.hash());
                    hash.await.map_err(io::Error::other)?
                };
                cell.get_or_try_init(hash).await.map(|_| ())
            };
            tokio::spawn(work).await.map_err(io::Error::other)??;
        }
        let known = self.sha256.get().map(String::as_str);
        known.ok_or_else(|| io::Error::other("no checksum"))
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

    /// A part, piece by piece; the permit is given back at its end, or when nobody reads on.
    pub(crate) fn stream(
        &self,
        range: Range<u64>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let parts = match &self.source {
            Source::File(file) => Parts::File(Arc::clone(file), range),
            Source::Pieces(pieces) => Parts::Pieces(cut(pieces, range)),
        };
        let turn = Turn::begin(permit, STALL_TIMEOUT);
        stream::try_unfold((parts, turn), |(parts, turn)| async move {
            turn.goes_on()?;
            let next = parts.next().await?;
            Ok(next.map(|(bytes, rest)| (bytes, (rest, turn))))
        })
    }
}

/// The right to send, which ends by itself: a stream is only asked while somebody reads.
struct Turn(Mutex<Sending>);

struct Sending {
    permit: Option<OwnedSemaphorePermit>,
    asked: Instant,
    ended: bool,
}

impl Turn {
    fn begin(permit: Option<OwnedSemaphorePermit>, stall: Duration) -> Arc<Self> {
        let asked = Instant::now();
        let end = asked + SEND_TIMEOUT;
        let turn = Arc::new(Self(Mutex::new(Sending {
            permit,
            asked,
            ended: false,
        })));
        let watched = Arc::downgrade(&turn);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(stall / 4).await;
                let Some(turn) = watched.upgrade() else {
                    return;
                };
                let mut sending = turn.0.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                if now > end || now.duration_since(sending.asked) > stall {
                    sending.ended = true;
                    sending.permit = None;
                    return;
                }
            }
        });
        turn
    }

    fn goes_on(&self) -> io::Result<()> {
        let mut sending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sending.ended {
            return Err(io::ErrorKind::TimedOut.into());
        }
        sending.asked = Instant::now();
        Ok(())
    }
}

impl Source {
    fn hash(&self) -> io::Result<String> {
        let mut hash = Sha256::new();
        match self {
            Self::Pieces(pieces) => pieces.iter().for_each(|piece| hash.update(piece)),
            Self::File(file) => {
                let (mut at, mut buffer) = (0, vec![0; STEP as usize]);
                loop {
                    // The position of an open file is shared.
                    let read = file.read_at(&mut buffer, at)?;
                    if read == 0 {
                        break;
                    }
                    hash.update(&buffer[..read]);
                    at += read as u64;
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
        let stream = served.stream(range, Some(permit));
        let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
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

    #[tokio::test]
    async fn who_does_not_read_on_keeps_nobody_waiting() {
        let slots = Arc::new(Semaphore::new(1));
        let permit = Arc::clone(&slots).acquire_owned().await.unwrap();
        let turn = Turn::begin(Some(permit), Duration::from_millis(20));
        turn.goes_on().unwrap();
        // Nobody asks, and the turn is still held.
        let freed = slots.acquire().await.unwrap();
        let error = turn.goes_on().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(freed);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_checksum_is_right_whoever_stops_asking_for_it() {
        let content: Vec<u8> = (0..8_000_000_u32).map(|n| (n >> 9) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let whole = hex::encode(Sha256::digest(&content));
        for _ in 0..8 {
            let served = Served::file(file.try_clone().unwrap()).unwrap();
            {
                let mut first = std::pin::pin!(served.sha256());
                assert!(futures::poll!(&mut first).is_pending());
                tokio::task::yield_now().await;
            }
            // Two open files of one program have one position as well.
            let other = Served::file(file.try_clone().unwrap()).unwrap();
            let (one, two) = tokio::join!(served.sha256(), other.sha256());
            assert_eq!([one.unwrap(), two.unwrap()], [&whole, &whole]);
        }
    }
}
