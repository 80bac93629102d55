//! The task that owns a head.

use std::{sync::Arc, time::Duration};

use mesa_meta::Table;
use mesa_proto::v1::{self, client_message, server_message::Kind};
use mesa_types::{Nanos, SessionId};
use tokio::sync::mpsc;

use super::{
    Head, State,
    command::{Access, Command, HeadFacts, Joined, Reply, Resumed, SealedAt, wire_range},
    fanout::{Attached, Subscriber},
    recent::last_seq,
    session::{Session, Token, token_hash},
    turn::Turn,
};
use crate::{
    error::{HeadError, HeadErrorKind, Result},
    rows::{self, IdSpan, SessionRow},
    wire,
};

/// Commands that may wait.
pub(crate) const COMMANDS_MAX: usize = 256;
/// Longest sleep, so that a head driven by another clock than the runtime's is never late by more.
const NAP_MAX: Duration = Duration::from_millis(500);

/// Runs a head until it is idle, stopped or lost. `gone` is called before the last answer.
pub(crate) async fn run(
    head: Arc<Head>,
    mut inbox: mpsc::Receiver<Command>,
    gone: impl FnOnce() + Send,
) {
    let mut waiting: Vec<(u64, Reply<SealedAt>)> = Vec::new();
    let mut stopping: Vec<Reply<()>> = Vec::new();
    loop {
        let nap = nap(&head).await;
        let first = tokio::select! {
            command = inbox.recv() => match command {
                Some(command) => Some(command),
                None => break,
            },
            () = tokio::time::sleep(nap) => None,
        };
        let mut state = head.state.write().await;
        let outcome = turn(
            &head,
            &mut state,
            first,
            &mut inbox,
            &mut waiting,
            &mut stopping,
        )
        .await;
        match outcome {
            Ok(false) => {}
            Ok(true) => {
                drop(state);
                break;
            }
            Err(error) => {
                tracing::warn!(head = %head.id, %error, "head dropped from memory");
                for session in state.sessions.values_mut() {
                    if let Some(subscriber) = session.subscriber.take() {
                        subscriber.end(HeadError::gone());
                    }
                }
                drop(state);
                break;
            }
        }
    }
    inbox.close();
    gone();
    for reply in stopping {
        let _ = reply.send(Ok(()));
    }
    // Commands that were queued are dropped: their callers see the reply channel close and load
    // the head again.
}

/// One turn. Answers whether the head is to leave memory.
async fn turn(
    head: &Arc<Head>,
    state: &mut State,
    first: Option<Command>,
    inbox: &mut mpsc::Receiver<Command>,
    waiting: &mut Vec<(u64, Reply<SealedAt>)>,
    stopping: &mut Vec<Reply<()>>,
) -> Result<bool> {
    let mut turn = Turn::new(head, state);
    let mut failed = false;
    let mut next = first;
    while let Some(command) = next {
        turn.state.idle_since = turn.now;
        match command {
            Command::Seal(reply) => waiting.push((turn.state.row.seq, reply)),
            Command::Stop(reply) => stopping.push(reply),
            Command::Built(built) => {
                if let Some(error) = built.as_ref().as_ref().err() {
                    // Who waits is told; the head itself tries again later.
                    for (_, reply) in waiting.drain(..) {
                        turn.answer(reply, Err(error.again()));
                    }
                    failed = true;
                }
                turn.finish_seal(*built).await?;
            }
            other => turn.run(other).await?,
        }
        next = if turn.is_full() {
            None
        } else {
            inbox.try_recv().ok()
        };
    }
    turn.check_recall();
    turn.drop_closed_streams();
    turn.run_parked().await?;

    let sealed = turn.state.row.sealed_seq;
    for (seq, reply) in std::mem::take(waiting) {
        if seq <= sealed {
            let at = turn.state.sealed_at();
            turn.answer(reply, Ok(at));
        } else if reply.is_closed() {
            // The caller gave up.
        } else {
            waiting.push((seq, reply));
        }
    }
    let wanted = !waiting.is_empty() || !stopping.is_empty();
    let due = turn.state.seal_due(head).is_some_and(|due| due <= turn.now);
    if due || (wanted && turn.state.seal_after <= turn.now) {
        turn.start_seal();
    }
    let at_rest = turn.state.sealing.is_none() && !turn.state.is_unsealed();
    let idle = turn.is_idle() && turn.now.0 - turn.state.idle_since.0 >= head.config.idle.0;
    let stopping = !stopping.is_empty();
    // A head that is stopped while it cannot be sealed leaves all the same: the log has it all.
    turn.stop = (at_rest && waiting.is_empty() && (idle || stopping)) || (stopping && failed);
    if turn.stop {
        turn.end_all();
    }
    turn.commit().await
}

/// How long nothing will be due.
async fn nap(head: &Head) -> Duration {
    let state = head.state.read().await;
    let now = head.now();
    let recall = state.lease.exclusive.as_ref().and_then(|e| e.recalled);
    let idle = Nanos(state.idle_since.0 + head.config.idle.0);
    let next = [state.seal_due(head), recall, Some(idle)]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(idle);
    let nanos = u64::try_from(next.0.saturating_sub(now.0)).unwrap_or(0);
    Duration::from_nanos(nanos).clamp(Duration::from_millis(1), NAP_MAX)
}

impl Turn<'_> {
    async fn run(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Join(mut join, reply) => {
                self.adopt_ids(&mut join.row).await?;
                let session = Session::new(join.row, self.now);
                self.state.sessions.insert(join.session.clone(), session);
                self.touch_session(&join.session);
                let joined = Joined { at: self.facts() };
                self.answer(reply, Ok(joined));
            }
            Command::Resume {
                session,
                token,
                last_client_seq,
                reply,
            } => {
                let resumed = self.resume(&session, &token, last_client_seq).await?;
                self.answer(reply, resumed);
            }
            Command::Attach {
                session,
                hello,
                reply,
            } => {
                let attached = self.attach(&session, &hello).await?;
                self.answer(reply, attached);
            }
            Command::Message {
                session,
                stream,
                access,
                message,
            } => {
                let live = self.state.sessions.get_mut(&session);
                if let Some(live) = live.filter(|s| s.is_stream(stream)) {
                    if live.confirm_token() {
                        self.touch_session(&session);
                    }
                    self.message(&session, &access, message).await?;
                }
            }
            Command::Detach { session, stream } => self.detach(&session, Some(stream)),
            Command::Close {
                session,
                token,
                reply,
            } => {
                let closed = self.close(&session, &token).await?;
                self.answer(reply, closed);
            }
            Command::Recovered {
                session,
                number,
                reply,
            } => {
                if self.load_session(&session).await?
                    && let Some(found) = self.state.sessions.get_mut(&session)
                {
                    found.row.recoveries = found.row.recoveries.max(number);
                    self.touch_session(&session);
                }
                self.answer(reply, Ok(()));
            }
            Command::Built(_) | Command::Seal(_) | Command::Stop(_) => {}
        }
        Ok(())
    }

    async fn message(
        &mut self,
        id: &SessionId,
        access: &Access,
        message: v1::ClientMessage,
    ) -> Result<()> {
        use client_message::Kind as Message;
        match message.kind {
            Some(Message::Append(append)) => self.append(id, append, access).await?,
            Some(Message::Heartbeat(_)) => {
                let head_seq = self.state.row.seq;
                self.send(id, Kind::Heartbeat(v1::Heartbeat { head_seq }));
            }
            Some(Message::LeaseRequest(_)) => {
                let read_only = self
                    .state
                    .sessions
                    .get(id)
                    .is_none_or(|session| session.row.read_only);
                if read_only || !matches!(access, Access::Good { write: true, .. }) {
                    self.end_stream(
                        id,
                        HeadError::new(
                            HeadErrorKind::Forbidden,
                            "READ_ONLY",
                            "the session or its credential allows no writing",
                        ),
                    );
                } else {
                    self.lease_wanted(id);
                }
            }
            Some(Message::LeaseReturn(returned)) => self.lease_returned(id, &returned),
            Some(Message::IdRequest(request)) => {
                let count = match request.count {
                    0 => self.head.config.ids_default,
                    count => count.min(self.head.config.ids_max),
                };
                let span = self.new_ids(count).await?;
                if let Some(session) = self.state.sessions.get_mut(id) {
                    session.add_range(span);
                }
                self.touch_session(id);
                self.send(id, Kind::Ids(wire_range(&span)));
            }
            Some(Message::Hello(_)) | None => {
                self.end_stream(id, HeadError::invalid("an unknown or misplaced message"));
            }
        }
        Ok(())
    }

    /// In a recovery head, the ids of the lost session count.
    async fn adopt_ids(&mut self, row: &mut SessionRow) -> Result<()> {
        let Ok(lost) = self.state.row.adopts.parse::<SessionId>() else {
            return Ok(());
        };
        let key = rows::session_key(self.head.org(), &lost);
        let meta = self.head.catalog.meta();
        if let Some(stored) = meta.get(Table::Sessions, &key).await? {
            let lost: SessionRow = rows::decode(&stored.value)?;
            row.ranges.splice(0..0, lost.ranges);
        }
        Ok(())
    }

    async fn new_ids(&self, count: u32) -> Result<IdSpan> {
        let (org, catalog) = (self.head.org(), &self.head.catalog);
        let repo = catalog.living_repo(org, &self.head.repo).await?;
        let first = catalog.allocate_file_ids(org, &repo, count).await?;
        Ok(IdSpan {
            first: first.0,
            count: count.into(),
        })
    }

    async fn resume(
        &mut self,
        id: &SessionId,
        token: &[u8],
        last_client_seq: u64,
    ) -> Result<Result<Resumed>> {
        if !self.load_session(id).await? {
            return Ok(Err(HeadError::no_session()));
        }
        let reason = self.judge(id, token, last_client_seq);
        let facts = self.facts();
        let span = match self.state.sessions.get(id) {
            Some(session) if reason.is_none() && !session.row.read_only => {
                // Which ids of the old range the client gave away is not known for sure.
                Some(self.new_ids(self.head.config.ids_default).await?)
            }
            _ => None,
        };
        let Some(session) = self.state.sessions.get_mut(id) else {
            return Ok(Err(HeadError::no_session()));
        };
        if let Some(reason) = reason {
            let row = Box::new(session.row.clone());
            return Ok(Ok(Resumed::Lost { reason, row }));
        }
        if session.token(token) == Token::Next {
            session.confirm_token();
        }
        if let Some(span) = span {
            session.add_range(span);
        }
        let row = Box::new(session.row.clone());
        let acked_client_seq = row.acked_client_seq;
        self.touch_session(id);
        Ok(Ok(Resumed::InPlace {
            at: Box::new(facts),
            acked_client_seq,
            row,
        }))
    }

    /// Why a session cannot go on with this token; `None` if it can.
    fn judge(&self, id: &SessionId, token: &[u8], last_client_seq: u64) -> Option<&'static str> {
        let session = self.state.sessions.get(id)?;
        let life = self.head.config.session_life.0;
        if !session.row.fenced.is_empty() {
            return Some(match session.row.fenced.as_str() {
                "digest" | "forked" => "forked",
                _ => "head_moved",
            });
        }
        if session.token(token) == Token::Stale {
            return Some("forked");
        }
        if last_client_seq > 0 && last_client_seq < session.row.acked_client_seq {
            // The head has operations that this client never made: another copy of it did.
            return Some("forked");
        }
        (self.now.0 - session.row.seen_ns > life).then_some("expired")
    }

    async fn attach(&mut self, id: &SessionId, hello: &v1::Hello) -> Result<Result<Attached>> {
        if !self.load_session(id).await? {
            return Ok(Err(HeadError::no_session()));
        }
        if let Some(reason) = self.judge(id, &hello.resume_token, hello.last_client_seq) {
            let message = format!("the session cannot go on here: {reason}");
            return Ok(Err(HeadError::conflict("SESSION_LOST", message)));
        }
        self.end_stream_now(id);
        let mut fresh = [0; 32];
        self.head.catalog.random().fill(&mut fresh);
        self.state.streams += 1;
        let stream = self.state.streams;
        let config = &self.head.config;
        let (subscriber, attached) = Attached::pair(
            (id.clone(), self.head.repo.clone()),
            stream,
            self.head.commands.clone(),
            config.queue_messages,
            config.queue_bytes,
        );
        let head_seq = self.state.row.seq;
        let missed = (hello.head_seq <= head_seq)
            .then(|| self.state.recent.after(hello.head_seq))
            .flatten()
            .filter(|missed| missed.len() + 16 < config.queue_messages)
            .filter(|missed| missed.iter().map(|e| e.ops.len()).sum::<usize>() < 10_000);
        let now = self.now;
        let Some(session) = self.state.sessions.get_mut(id) else {
            return Ok(Err(HeadError::no_session()));
        };
        if session.token(&hello.resume_token) == Token::Next {
            session.confirm_token();
        }
        session.row.next_token = token_hash(&fresh);
        session.row.seen_ns = now.0;
        session.subscriber = Some(subscriber);
        session.resend_from = None;
        let acked_client_seq = session.row.acked_client_seq;
        self.touch_session(id);
        self.send(
            id,
            Kind::HelloAck(v1::HelloAck {
                resume_token: bytes::Bytes::copy_from_slice(&fresh),
                acked_client_seq,
                head_seq,
                replay_events: missed.is_some(),
            }),
        );
        for entry in missed.unwrap_or_default() {
            if entry.session != id.as_str() && last_seq(&entry) > hello.head_seq {
                let entry = Some((*entry).clone());
                self.send(id, Kind::Event(v1::Event { entry }));
            }
        }
        self.repeat_recall(id);
        Ok(Ok(attached))
    }

    async fn close(&mut self, id: &SessionId, token: &[u8]) -> Result<Result<()>> {
        if !self.load_session(id).await? {
            return Ok(Err(HeadError::no_session()));
        }
        let good = self
            .state
            .sessions
            .get(id)
            .is_some_and(|session| session.token(token) != Token::Stale);
        if !good {
            return Ok(Err(HeadError::conflict(
                "SESSION_LOST",
                "the token is not the session's newest",
            )));
        }
        self.end_stream_now(id);
        self.lease_freed(id);
        self.state.sessions.remove(id);
        let key = rows::session_key(self.head.org(), id);
        self.batch.delete(Table::Sessions, key);
        Ok(Ok(()))
    }

    /// What `OpenHead` says about this head.
    fn facts(&self) -> HeadFacts {
        let root = self.state.tree.root();
        HeadFacts {
            change: self.state.change(),
            epoch: self.state.row.epoch,
            head_seq: self.state.row.seq,
            root: self
                .state
                .tree
                .node(root)
                .map(|node| wire::node(node, self.state.tree.is_changed(root)))
                .unwrap_or_default(),
        }
    }

    /// A stream is gone. Without a number: whatever stream the session has.
    fn detach(&mut self, id: &SessionId, stream: Option<u64>) {
        let now = self.now;
        let Some(session) = self.state.sessions.get_mut(id) else {
            return;
        };
        if stream.is_some_and(|stream| !session.is_stream(stream)) {
            return;
        }
        session.subscriber = None;
        session.detached = now;
        session.parked.clear();
        session.resend_from = None;
        self.lease_detached(id);
    }

    /// Ends a session's stream in favour of another.
    fn end_stream_now(&mut self, id: &SessionId) {
        let now = self.now;
        if let Some(session) = self.state.sessions.get_mut(id)
            && let Some(old) = session.subscriber.take()
        {
            session.detached = now;
            session.parked.clear();
            old.end(HeadError::conflict(
                "ATTACHED_ELSEWHERE",
                "the session was attached again",
            ));
        }
    }

    fn drop_closed_streams(&mut self) {
        let closed = |s: &Session| s.subscriber.as_ref().is_some_and(Subscriber::is_closed);
        let ids: Vec<_> = self
            .state
            .sessions
            .iter()
            .filter(|(_, session)| closed(session))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            self.detach(&id, None);
        }
        // A slow reader loses its stream while messages are delivered, outside of any turn.
        let shared: Vec<_> = self
            .state
            .lease
            .shared
            .iter()
            .chain(&self.state.lease.waiting)
            .filter(|id| {
                let session = self.state.sessions.get(*id);
                session.is_none_or(|s| s.subscriber.is_none())
            })
            .cloned()
            .collect();
        for id in shared {
            self.lease_detached(&id);
        }
    }

    fn is_idle(&self) -> bool {
        let attached = |s: &Session| s.subscriber.is_some();
        !self.state.sessions.values().any(attached)
    }

    fn end_all(&mut self) {
        let ids: Vec<_> = self.state.sessions.keys().cloned().collect();
        for id in ids {
            self.end_stream(&id, HeadError::gone());
        }
    }
}
