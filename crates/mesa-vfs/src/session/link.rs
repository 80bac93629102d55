//! Keeping the stream to the server up.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use mesa_client::{SyncError, SyncErrorKind};
use mesa_proto::v1::{self, client_message::Kind, server_message};
use tokio::sync::mpsc;

use super::{
    ClientSeq, Connection, HeadSeq, LeaseState, Reload, Session, away, core::Outgoing,
    handle::COMPANY_WAIT, inbound, lost, open::timed_out, queue::CLIENT_SEQ_MAX, switch,
};
use crate::fs::FsError;

/// Longest wait for HelloAck.
const HELLO: Duration = Duration::from_secs(15);
/// A stream that lasted this long counts as good: the next backoff starts small.
const GOOD: Duration = Duration::from_secs(5);
/// Attempts while the credential is refused.
const REFUSED: Duration = Duration::from_secs(5);

/// Why a stream is over.
#[derive(Debug)]
pub(super) enum End {
    /// This client wants it.
    Closed,
    /// Lost, refused or never made.
    Failed(SyncError),
    /// The session ended on the server.
    Fenced(v1::Fenced),
    /// Another one is to take its place.
    Switch,
}

impl From<SyncError> for End {
    fn from(error: SyncError) -> Self {
        Self::Failed(error)
    }
}

type Inbound = BoxStream<'static, Result<v1::ServerMessage, SyncError>>;

/// Runs until the session is closed.
pub(super) async fn run(session: Arc<Session>) {
    let tuning = &session.config.tuning;
    let mut delay = tuning.backoff_min;
    while !session.is_closing() {
        let giving_up = session.core.lock().giving_up;
        if giving_up {
            if let Err(error) = lost::reopen(&session).await {
                let time = note(&session, &error, delay);
                wait(&session, jitter(&session, time)).await;
                delay = (delay * 2).min(tuning.backoff_max);
            }
            continue;
        }
        let began = tokio::time::Instant::now();
        let end = attached(&session).await;
        let was_attached = session.core.lock().connection == Connection::Attached;
        detach(&session);
        if began.elapsed() >= GOOD {
            delay = tuning.backoff_min;
        }
        let wait = match end {
            End::Closed => break,
            End::Switch => {
                switch::run(&session).await;
                continue;
            }
            End::Fenced(fenced) => match lost::replace(&session, fenced).await {
                Ok(()) => continue,
                Err(error) => note(&session, &error, delay),
            },
            // What the old credential was refused says nothing of the new one.
            End::Failed(error) if session.core.lock().has_new_credential() => {
                if was_attached && !denied(&error) {
                    away::store(&session).await;
                }
                delay = tuning.backoff_min;
                continue;
            }
            End::Failed(error) => {
                if gone(&error) {
                    match lost::reopen(&session).await {
                        Ok(()) => {
                            // A server that says yes to OpenHead and no to Hello must not be
                            // asked in a tight loop.
                            wait(&session, jitter(&session, delay)).await;
                            delay = (delay * 2).min(tuning.backoff_max);
                            continue;
                        }
                        Err(error) => note(&session, &error, delay),
                    }
                } else {
                    if was_attached {
                        away::store(&session).await;
                    }
                    note(&session, &error, delay)
                }
            }
        };
        self::wait(&session, jitter(&session, wait)).await;
        delay = (delay * 2).min(tuning.backoff_max);
    }
    session.wanted.lock().take();
    session.core.lock().connection = Connection::Closed;
    session.bump();
}

async fn wait(session: &Arc<Session>, time: Duration) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = session.wake_link.notified() => {}
        () = session.wake_switch.notified() => switch::run(session).await,
    }
}

/// Half to all of `time`.
fn jitter(session: &Session, time: Duration) -> Duration {
    let part = f64::from((session.config.random)()) / f64::from(u32::MAX);
    time.mul_f64(0.5 + 0.5 * part)
}

/// Whether the server does not know the session by this token any more.
fn gone(error: &SyncError) -> bool {
    matches!(
        error.kind,
        SyncErrorKind::Conflict | SyncErrorKind::NotFound
    )
}

fn denied(error: &SyncError) -> bool {
    matches!(
        error.kind,
        SyncErrorKind::Unauthenticated | SyncErrorKind::Forbidden
    )
}

/// Records a failure and says how long to wait.
fn note(session: &Session, error: &SyncError, delay: Duration) -> Duration {
    tracing::info!(%error, kind = ?error.kind, "not attached");
    session.note_error(error.message.clone());
    let denied = denied(error);
    let wait = match (denied, error.retry_after_ms) {
        (true, _) => REFUSED,
        (false, Some(ms)) => Duration::from_millis(ms).min(session.config.tuning.backoff_max),
        (false, None) => delay,
    };
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    session.core.lock().connection = if denied {
        Connection::Refused
    } else {
        Connection::Waiting(millis)
    };
    if denied {
        key_state(session, false);
    }
    session.bump();
    wait
}

/// The credential works, or does not.
pub(super) fn key_state(session: &Session, good: bool) {
    let changed = {
        let mut core = session.core.lock();
        let before = core.refused;
        match (good, before) {
            (false, None) => core.refused = Some(FsError::Access),
            (true, Some(FsError::Access)) => core.refused = None,
            _ => {}
        }
        before != core.refused
    };
    if changed {
        session.bump();
        if let Some(sink) = session.sink() {
            sink.on_key(good);
        }
    }
}

fn detach(session: &Session) {
    let mut core = session.core.lock();
    core.queue.rewind();
    core.ids.reconnected();
    core.lease.asked = false;
    if core.lease.state == LeaseState::Shared {
        // What happened meanwhile is told after the next HelloAck, the grant comes again.
        core.lease.state = LeaseState::None;
        core.lease.wanted = true;
    }
    core.connection = Connection::Waiting(0);
}

/// One stream from Hello to its end.
async fn attached(session: &Arc<Session>) -> End {
    match serve(session).await {
        Ok(end) | Err(end) => end,
    }
}

async fn serve(session: &Arc<Session>) -> Result<End, End> {
    let hello = {
        let mut core = session.core.lock();
        core.attached_with = core.credential;
        core.ended_key = false;
        v1::Hello {
            session: core.identity.session.clone(),
            resume_token: core.identity.token().into(),
            head_seq: core.head_seq,
            last_client_seq: core.queue.reach().0,
        }
    };
    let org = session.config.org.as_str();
    let begin = async {
        let mut stream = session.config.api.attach(org, hello).await?;
        let ack = first(&mut stream.from_server).await?;
        Ok::<_, End>((stream, ack))
    };
    let (stream, ack) = match tokio::time::timeout(HELLO, begin).await {
        Ok(begun) => begun?,
        Err(_) => return Err(End::Failed(timed_out())),
    };
    greeted(session, &ack).await?;
    let head_seq = session.core.lock().head_seq;
    let confirm = Kind::Heartbeat(v1::Heartbeat { head_seq });
    send(&stream.to_server, confirm).await?;
    session.core.lock().connection = Connection::Attached;
    key_state(session, true);
    session.bump();
    let end = tokio::select! {
        end = read(session, stream.from_server) => end,
        end = write(session, stream.to_server) => end,
        () = new_credential(session) => End::Failed(ended()),
        () = session.wake_switch.notified() => End::Switch,
    };
    Ok(end)
}

/// Ends when a new credential came and the stream's is refused.
async fn new_credential(session: &Session) {
    loop {
        session.wake_link.notified().await;
        let core = session.core.lock();
        if core.has_new_credential() && core.ended_key {
            return;
        }
    }
}

async fn first(stream: &mut Inbound) -> Result<v1::HelloAck, End> {
    match stream.next().await {
        Some(Ok(message)) => match message.kind {
            Some(server_message::Kind::HelloAck(ack)) => Ok(ack),
            Some(server_message::Kind::Fenced(fenced)) => Err(End::Fenced(fenced)),
            _ => Err(End::Failed(invalid("the first answer is no HelloAck"))),
        },
        Some(Err(error)) => Err(End::Failed(error)),
        None => Err(End::Failed(ended())),
    }
}

/// Stores the new token before anything else is sent, and takes out what the server has.
async fn greeted(session: &Arc<Session>, ack: &v1::HelloAck) -> Result<(), End> {
    if ack.acked_client_seq > CLIENT_SEQ_MAX {
        return Err(End::Failed(invalid("HelloAck acknowledges what cannot be")));
    }
    let identity = {
        let mut core = session.core.lock();
        if !core.queue.is_empty() {
            // What others did meanwhile is told before the server judges it.
            core.fall_behind(false, false);
        }
        if let Some(behind) = &mut core.behind {
            behind.moved |= ack.moved_seq > behind.at;
        }
        let head_seq = core.decided_at();
        core.identity.set_token(&ack.resume_token);
        core.identity.head_seq = head_seq;
        core.identity.reach = None;
        core.identity.clone()
    };
    let me = Arc::clone(session);
    let stored = tokio::task::spawn_blocking(move || me.dir.store(&identity)).await;
    match stored {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            return Err(End::Failed(invalid(&format!(
                "cannot store the resume token: {error}"
            ))));
        }
        Err(_) => return Err(End::Closed),
    }
    away::remove(session.dir.path());
    let acked = ClientSeq(ack.acked_client_seq);
    // Their place among other sessions' operations is not told: read everything again.
    let unplaced = session.core.lock().queue.blocks_up_to(acked);
    inbound::acknowledged(session, acked, None, &[]);
    let given_up = {
        let mut core = session.core.lock();
        core.queue.skip_to(acked);
        core.forget_lease()
    };
    if given_up {
        session.bump();
        if let Some(sink) = session.sink() {
            sink.on_lease(LeaseState::None);
        }
    }
    if !ack.replay_events || unplaced {
        {
            let mut core = session.core.lock();
            let moved = ack.moved_seq > core.head_seq;
            core.fall_behind(moved, true);
            core.head_seq = ack.head_seq;
        }
        if let Some(sink) = session.sink() {
            sink.on_reload(&Reload::EventsGone, HeadSeq(ack.head_seq));
        }
    }
    Ok(())
}

async fn read(session: &Arc<Session>, mut stream: Inbound) -> End {
    let heartbeat = heartbeat(session);
    let silence = (heartbeat * 6).max(Duration::from_secs(15));
    loop {
        match tokio::time::timeout(silence, stream.next()).await {
            Err(_) => return End::Failed(timed_out()),
            Ok(None) => return End::Failed(ended()),
            Ok(Some(Err(error))) => return End::Failed(error),
            Ok(Some(Ok(message))) => {
                if let Some(end) = inbound::handle(session, message) {
                    return end;
                }
                session.wake_writer.ring();
            }
        }
    }
}

fn heartbeat(session: &Session) -> Duration {
    match session.core.lock().limits.heartbeat_ms {
        0 => Duration::from_secs(5),
        ms => Duration::from_millis(u64::from(ms).clamp(100, 60_000)),
    }
}

async fn write(session: &Arc<Session>, to: mpsc::Sender<v1::ClientMessage>) -> End {
    let tuning = &session.config.tuning;
    let idle_ms = i64::try_from(tuning.idle_return.as_millis()).unwrap_or(i64::MAX);
    let mut beat = tokio::time::interval(heartbeat(session));
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    beat.tick().await;
    loop {
        if session.is_closing() {
            return End::Closed;
        }
        let now = session.now();
        let messages = session
            .core
            .lock()
            .outgoing(tuning.in_flight_max, now, idle_ms);
        for message in messages {
            if let Some(lease) = given_back(&message)
                && let Some(sink) = session.sink()
            {
                session.bump();
                sink.on_lease(lease);
            }
            if let Err(end) = send(&to, wire(message, tuning.ids_batch)).await {
                return end;
            }
        }
        tokio::select! {
            () = session.wake_writer.wait(COMPANY_WAIT) => {}
            _ = beat.tick() => {
                let head_seq = session.core.lock().head_seq;
                let beat = Kind::Heartbeat(v1::Heartbeat { head_seq });
                if let Err(end) = send(&to, beat).await {
                    return end;
                }
            }
        }
    }
}

fn given_back(message: &Outgoing) -> Option<LeaseState> {
    matches!(message, Outgoing::LeaseReturn(..)).then_some(LeaseState::None)
}

fn wire(message: Outgoing, ids: u32) -> Kind {
    match message {
        Outgoing::IdRequest => Kind::IdRequest(v1::IdRequest { count: ids }),
        Outgoing::LeaseRequest => Kind::LeaseRequest(v1::LeaseRequest {}),
        Outgoing::LeaseReturn(lease, idle) => Kind::LeaseReturn(v1::LeaseReturn { lease, idle }),
        Outgoing::Append(append) => Kind::Append(append),
    }
}

async fn send(to: &mpsc::Sender<v1::ClientMessage>, kind: Kind) -> Result<(), End> {
    let message = v1::ClientMessage { kind: Some(kind) };
    // A server that does not read is met by the reader's silence limit.
    to.send(message).await.map_err(|_| End::Failed(ended()))
}

fn ended() -> SyncError {
    SyncError {
        kind: SyncErrorKind::Unreachable,
        code: String::new(),
        message: "the server ended the stream".to_owned(),
        retry_after_ms: None,
    }
}

pub(super) fn invalid(message: &str) -> SyncError {
    SyncError {
        kind: SyncErrorKind::Invalid,
        code: String::new(),
        message: message.to_owned(),
        retry_after_ms: None,
    }
}
