//! Streams to clients: bounded queues; a reader that is too slow loses its stream and comes back.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use futures::Stream;
use mesa_proto::v1::{self, server_message::Kind};
use mesa_types::{RepoId, SessionId};
use prost::Message;
use tokio::sync::mpsc;

use super::command::{Access, Command};
use crate::error::{HeadError, HeadErrorKind, Result};

/// The head's end of a stream.
pub(crate) struct Subscriber {
    pub stream: u64,
    queue: mpsc::Sender<(Result<v1::ServerMessage>, usize)>,
    queued: Arc<AtomicUsize>,
    bytes_max: usize,
}

impl Subscriber {
    /// Queues a message. `false`: the reader is too slow or gone, the stream has ended.
    pub fn send(&self, kind: Kind) -> bool {
        let message = v1::ServerMessage { kind: Some(kind) };
        let bytes = message.encoded_len();
        let queued = self.queued.fetch_add(bytes, Ordering::Relaxed);
        // One message of any size always fits, so that the bound cannot starve a reader.
        if queued > 0 && queued + bytes > self.bytes_max {
            return false;
        }
        self.queue.try_send((Ok(message), bytes)).is_ok()
    }

    /// Queues the error that ends the stream, if there is room; without it the stream just ends.
    pub fn end(self, error: HeadError) {
        // Without room the reader learns of the end by the queue's closing.
        let _ = self.queue.try_send((Err(error), 0));
    }

    /// Whether nobody reads any more.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

/// What ends the stream of a reader that is too slow.
pub(crate) fn too_slow() -> HeadError {
    HeadError::new(
        HeadErrorKind::Limited,
        "SLOW_READER",
        "the stream was not read fast enough: attach again",
    )
}

/// An attached session, as the transport holds it: messages of the server as a [`Stream`], and
/// [`AttachedSender`] for the client's.
pub struct Attached {
    sender: AttachedSender,
    queue: mpsc::Receiver<(Result<v1::ServerMessage>, usize)>,
    queued: Arc<AtomicUsize>,
}

/// Hands the client's messages to the head, in order.
#[derive(Clone)]
pub struct AttachedSender {
    session: SessionId,
    repo: RepoId,
    stream: u64,
    commands: mpsc::Sender<Command>,
}

impl AttachedSender {
    /// The session.
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// The repo of its head.
    pub fn repo(&self) -> &RepoId {
        &self.repo
    }

    /// Hands over one message; waits while the head is busy. Problems with the message itself end
    /// the stream.
    pub async fn send(&self, access: Access, message: v1::ClientMessage) -> Result<()> {
        let command = Command::Message {
            session: self.session.clone(),
            stream: self.stream,
            access,
            message,
        };
        self.commands
            .send(command)
            .await
            .map_err(|_| HeadError::gone())
    }
}

impl Attached {
    /// Makes the two ends of a stream.
    pub(crate) fn pair(
        (session, repo): (SessionId, RepoId),
        stream: u64,
        commands: mpsc::Sender<Command>,
        messages_max: usize,
        bytes_max: usize,
    ) -> (Subscriber, Self) {
        let (queue, reader) = mpsc::channel(messages_max);
        let queued = Arc::new(AtomicUsize::new(0));
        let subscriber = Subscriber {
            stream,
            queue,
            queued: Arc::clone(&queued),
            bytes_max,
        };
        let sender = AttachedSender {
            session,
            repo,
            stream,
            commands,
        };
        let attached = Self {
            sender,
            queue: reader,
            queued,
        };
        (subscriber, attached)
    }

    /// The way to the head.
    pub fn sender(&self) -> AttachedSender {
        self.sender.clone()
    }
}

impl Stream for Attached {
    type Item = Result<v1::ServerMessage>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.queue.poll_recv(cx).map(|next| {
            let (message, bytes) = next?;
            self.queued.fetch_sub(bytes, Ordering::Relaxed);
            Some(message)
        })
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // A full queue only delays this: the head also looks for closed streams by itself.
        let _ = self.sender.commands.try_send(Command::Detach {
            session: self.sender.session.clone(),
            stream: self.sender.stream,
        });
    }
}
