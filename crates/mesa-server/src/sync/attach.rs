//! A session's two-way stream.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt};
use mesa_head::{Access, Attached, AttachedSender, HeadError, HeadErrorKind, Heads};
use mesa_proto::v1::{self, client_message, server_message::Kind};
use mesa_repo::{CatalogEvent, Principal};
use mesa_types::Nanos;
use tokio::sync::{broadcast, mpsc};
use tonic::{Status, Streaming};

use super::{auth::Auth, status::to_status};
use crate::metrics::Metrics;

/// How long the first message may take.
const HELLO_WAIT: Duration = Duration::from_secs(10);
/// How often the credential of a quiet stream is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Reads Hello, attaches the session, and connects both directions.
pub(super) async fn attach(
    heads: &Heads,
    auth: &Auth,
    caller: Principal,
    counting: Counting,
    mut inbound: Streaming<v1::ClientMessage>,
) -> Result<impl Stream<Item = Result<v1::ServerMessage, Status>> + Send + use<>, Status> {
    // Before the stream begins, so that no revocation falls in between.
    let events = auth.catalog().subscribe();
    let first = tokio::time::timeout(HELLO_WAIT, inbound.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no Hello came"))??;
    let Some(client_message::Kind::Hello(hello)) = first.and_then(|message| message.kind) else {
        return Err(Status::invalid_argument("the first message must be Hello"));
    };
    let attached = heads.attach(&caller, hello).await.map_err(to_status)?;
    auth.recheck(&caller).await.map_err(to_status)?;
    let (end, ended) = mpsc::channel(1);
    let receiver = Receiver {
        auth: auth.clone(),
        caller,
        grace: heads.config().expiry_grace,
        head: attached.sender(),
        events,
        end,
        metrics: Arc::clone(&counting.metrics),
    };
    tokio::spawn(receiver.run(inbound));
    Ok(outbound(attached, ended, counting))
}

/// The server's messages until the head, the client or the credential ends them.
fn outbound(
    attached: Attached,
    ended: mpsc::Receiver<Last>,
    counting: Counting,
) -> impl Stream<Item = Result<v1::ServerMessage, Status>> + Send {
    futures::stream::unfold(Some((attached, ended, counting)), |open| async move {
        let (mut attached, mut ended, mut counting) = open?;
        tokio::select! {
            biased;
            message = attached.next() => match message? {
                Ok(message) => {
                    counting.sent(&message);
                    Some((Ok(message), Some((attached, ended, counting))))
                }
                Err(error) => Some((Err(to_status(error)), None)),
            },
            last = ended.recv() => match last? {
                Last::Notice(notice) => {
                    let kind = Some(Kind::KeyNotice(notice));
                    Some((Ok(v1::ServerMessage { kind }), Some((attached, ended, counting))))
                }
                Last::Error(error) => Some((Err(to_status(error)), None)),
            },
        }
    })
}

/// Counts what a stream does, and the stream itself while it lasts.
pub(super) struct Counting {
    metrics: Arc<Metrics>,
    /// Operations acknowledged so far.
    acked: u64,
}

impl Counting {
    /// For a stream that begins now.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        metrics.sessions_open.add(1);
        Self { metrics, acked: 0 }
    }

    fn sent(&mut self, message: &v1::ServerMessage) {
        match &message.kind {
            Some(Kind::HelloAck(hello)) => self.acked = hello.acked_client_seq,
            Some(Kind::Ack(ack)) => {
                self.metrics
                    .ops_acked
                    .add(ack.client_seq.saturating_sub(self.acked));
                self.acked = self.acked.max(ack.client_seq);
            }
            Some(Kind::Reject(_)) => self.metrics.ops_rejected.add(1),
            _ => {}
        }
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.metrics.sessions_open.add(-1);
    }
}

/// What the receiving side says on the sending one.
enum Last {
    Notice(v1::KeyNotice),
    Error(HeadError),
}

/// The client's direction.
struct Receiver {
    auth: Auth,
    caller: Principal,
    grace: Nanos,
    head: AttachedSender,
    events: broadcast::Receiver<CatalogEvent>,
    end: mpsc::Sender<Last>,
    metrics: Arc<Metrics>,
}

impl Receiver {
    async fn run(mut self, mut inbound: Streaming<v1::ClientMessage>) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Expiry ends writing at once, as revocation does.
        let expiry = tokio::time::sleep(self.left());
        tokio::pin!(expiry);
        let mut is_due = self.caller.expires.is_some();
        let mut told_expired = false;
        let error = loop {
            tokio::select! {
                message = inbound.message() => match message {
                    Ok(Some(message)) => {
                        if let Err(error) = self.take(message).await {
                            break Some(error);
                        }
                    }
                    Ok(None) | Err(_) => break None,
                },
                event = self.events.recv() => {
                    if let Err(error) = self.heard(event).await {
                        break Some(error);
                    }
                }
                () = &mut expiry, if is_due => {
                    is_due = false;
                    if let Err(error) = self.look(&mut told_expired).await {
                        break Some(error);
                    }
                }
                _ = look.tick() => {
                    if let Err(error) = self.look(&mut told_expired).await {
                        break Some(error);
                    }
                }
                () = self.end.closed() => break None,
            }
        };
        if let Some(error) = error {
            let state = match error.code {
                "CREDENTIAL_REVOKED" => "revoked",
                "CREDENTIAL_EXPIRED" => "expired",
                _ => "",
            };
            if !state.is_empty() {
                self.notice(state).await;
            }
            // The stream may have ended by itself.
            let _ = self.end.send(Last::Error(error)).await;
        }
    }

    /// How long the credential is good by its own date.
    fn left(&self) -> Duration {
        let left = self.caller.expires.map_or(i64::MAX, |end| {
            end.0.saturating_sub(self.auth.now().0).saturating_add(1)
        });
        Duration::from_nanos(u64::try_from(left).unwrap_or(0))
    }

    /// Whether the credential is still good; that it expired is told once.
    async fn look(&self, told_expired: &mut bool) -> Result<(), HeadError> {
        match self.access().await {
            Ok(Access::Expired { .. }) if !*told_expired => {
                *told_expired = true;
                self.notice("expired").await;
                Ok(())
            }
            Err(error) if error.kind != HeadErrorKind::Unavailable => Err(error),
            _ => Ok(()),
        }
    }

    /// What this stream may do now.
    async fn access(&self) -> Result<Access, HeadError> {
        self.auth
            .access(&self.caller, self.head.repo(), self.grace)
            .await
    }

    async fn take(&self, message: v1::ClientMessage) -> Result<(), HeadError> {
        let access = self.access().await?;
        if matches!(access, Access::Expired { .. })
            && matches!(
                message.kind,
                Some(client_message::Kind::LeaseRequest(_) | client_message::Kind::IdRequest(_))
            )
        {
            return Err(HeadError::new(
                HeadErrorKind::Unauthenticated,
                "CREDENTIAL_EXPIRED",
                "the credential has expired",
            ));
        }
        if matches!(message.kind, Some(client_message::Kind::Append(_))) {
            self.metrics.appends.add(1);
        }
        self.head.send(access, message).await
    }

    async fn heard(
        &self,
        event: Result<CatalogEvent, broadcast::error::RecvError>,
    ) -> Result<(), HeadError> {
        match event {
            Ok(CatalogEvent::KeyRevoked { key, .. }) if key != self.caller.key => Ok(()),
            Ok(CatalogEvent::RepoDeleted { repo, .. }) if repo == *self.head.repo() => {
                Err(HeadError::new(
                    HeadErrorKind::NotFound,
                    "REPO_NOT_FOUND",
                    "the repo was deleted",
                ))
            }
            Ok(CatalogEvent::KeyRevoked { .. }) | Err(broadcast::error::RecvError::Lagged(_)) => {
                self.access().await.map(|_| ())
            }
            Ok(_) | Err(broadcast::error::RecvError::Closed) => Ok(()),
        }
    }

    async fn notice(&self, state: &str) {
        let notice = v1::KeyNotice {
            state: state.to_owned(),
        };
        // The stream may have ended by itself.
        let _ = self.end.send(Last::Notice(notice)).await;
    }
}
