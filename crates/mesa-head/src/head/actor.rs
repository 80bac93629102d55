//! The task that owns a head.

use std::{sync::Arc, time::Duration};

use mesa_meta::Table;
use mesa_proto::v1::{self, client_message, server_message::Kind};
use mesa_types::{ChangeId, Nanos, SessionId};
use tokio::sync::mpsc;

use super::{
    Head, State,
    command::{Access, Command, Joined, Reply, SealedAt, wire_range},
    edit::moved_on,
    roll::Closing,
    session::Session,
    turn::Turn,
};
use crate::{
    error::{HeadError, HeadErrorKind, Result},
    rows,
};

/// Commands that may wait.
pub(crate) const COMMANDS_MAX: usize = 64;
/// Longest sleep, so that a head driven by another clock than the runtime's is never late by more.
const NAP_MAX: Duration = Duration::from_millis(500);

/// Somebody who waits for a seal.
struct Sealing {
    /// Of this change and no other.
    change: Option<ChangeId>,
    /// Everything up to here is to be in it.
    seq: u64,
    reply: Reply<SealedAt>,
}

/// Runs a head until it is idle, stopped or lost. `gone` is called before the last answer.
pub(crate) async fn run(
    head: Arc<Head>,
    mut inbox: mpsc::Receiver<Command>,
    gone: impl FnOnce() + Send,
) {
    let mut waiting: Vec<Sealing> = Vec::new();
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
                        // A full disk is worth telling; everything else is a reason to come back.
                        subscriber.end(match error.kind {
                            HeadErrorKind::Full => error.again(),
                            _ => HeadError::gone(),
                        });
                    }
                }
                drop(state);
                break;
            }
        }
    }
    inbox.close();
    head.state.write().await.turn_away();
    gone();
    for reply in stopping {
        let _ = reply.send(Ok(()));
    }
    // Commands that were queued, and replies that waited here, are dropped: their callers see the
    // reply channel close and load the head again.
}

/// One turn. Answers whether the head is to leave memory.
async fn turn(
    head: &Arc<Head>,
    state: &mut State,
    first: Option<Command>,
    inbox: &mut mpsc::Receiver<Command>,
    waiting: &mut Vec<Sealing>,
    stopping: &mut Vec<Reply<()>>,
) -> Result<bool> {
    let mut turn = Turn::new(head, state);
    turn.drop_old_sessions();
    let mut failed = false;
    let mut next = first;
    while let Some(command) = next {
        turn.state.idle_since = turn.now;
        match command {
            Command::Seal { change, reply } => waiting.push(Sealing {
                change,
                seq: turn.state.row.seq,
                reply,
            }),
            Command::Stop(reply) => {
                // Without streams nothing new comes in that would have to be sealed.
                turn.state.stopping = true;
                turn.end_all();
                stopping.push(reply);
            }
            Command::Built(built) => {
                if let Some(error) = built.as_ref().as_ref().err() {
                    // Who waits is told; the head itself tries again later.
                    for sealing in waiting.drain(..) {
                        turn.answer(sealing.reply, Err(error.again()));
                    }
                    for closing in std::mem::take(&mut turn.state.closing) {
                        turn.answer(closing.reply, Err(error.again()));
                    }
                    for reply in std::mem::take(&mut turn.state.freezers) {
                        turn.answer(reply, Err(error.again()));
                    }
                    failed = true;
                }
                turn.finish_seal(*built).await?;
                // Contents are no longer in memory, and found in packs from now on: nothing that
                // reads them, the next seal least of all, may come before.
                turn.flush().await?;
            }
            other => turn.run(other).await?,
        }
        next = if turn.is_full() || turn.discarded {
            None
        } else {
            inbox.try_recv().ok()
        };
    }
    turn.check_recall();
    turn.drop_closed_streams();
    turn.run_parked().await?;
    // While the head still has the change they ask for.
    turn.answer_sealed(waiting);
    turn.close_changes().await?;
    turn.freeze_next();
    turn.answer_sealed(waiting);
    if !waiting.is_empty() || !turn.state.freezers.is_empty() {
        turn.want_commit();
    }
    let wanted = !waiting.is_empty()
        || !stopping.is_empty()
        || turn.state.close_needs_seal()
        || !turn.state.freezers.is_empty();
    let due = turn.state.seal_due(head).is_some_and(|due| due <= turn.now);
    if due || (wanted && turn.state.seal_after <= turn.now) {
        turn.start_seal();
    }
    let at_rest = turn.state.sealing.is_none() && !turn.state.needs_seal();
    let busy = turn.state.frozen.is_some()
        || !turn.state.edits.is_empty()
        || turn.state.leftovers.is_some()
        || !turn.state.closing.is_empty()
        || !turn.state.freezers.is_empty();
    let idle =
        turn.is_idle() && !busy && turn.now.0 - turn.state.idle_since.0 >= head.config.idle.0;
    let stopping = !stopping.is_empty();
    // A head that is stopped while it cannot be sealed leaves all the same: the log has it all.
    turn.stop = turn.discarded
        || (at_rest && waiting.is_empty() && (idle || stopping))
        || (stopping && failed);
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
    let held = state.frozen.as_ref().map(|held| held.until);
    // A close that has to wait for another turn.
    let close = (!state.closing.is_empty() && state.sealing.is_none()).then_some(now);
    // A write that has to.
    let free = state.frozen.is_none() && state.lease.exclusive.is_none();
    let edit = (!state.edits.is_empty() && free).then_some(now);
    let idle = Nanos(state.idle_since.0 + head.config.idle.0);
    let next = [state.seal_due(head), recall, held, close, edit, Some(idle)]
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
                if let Some(name) = join.follows.take() {
                    self.follow(&name);
                }
                let session = Session::new(join.row, self.now);
                self.state.sessions.insert(join.session.clone(), session);
                self.touch_session(&join.session);
                let member = rows::member_key(self.head.org(), &self.head.id, &join.session);
                self.batch.put(Table::Heads, member, bytes::Bytes::new());
                let joined = Joined { at: self.facts() };
                self.answer(reply, Ok(joined));
            }
            Command::Resume {
                session,
                token,
                last_client_seq,
                give_up,
                reply,
            } => {
                let resumed = self
                    .resume(&session, &token, last_client_seq, give_up)
                    .await?;
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
            Command::Edit(edit, reply) => self.edit(edit, reply).await?,
            Command::CloseChange {
                change,
                state,
                reply,
            } => {
                let seq = self.state.row.seq;
                self.state.closing.push(Closing {
                    change,
                    state,
                    seq,
                    reply,
                });
            }
            Command::Freeze(reply) => self.state.freezers.push_back(reply),
            Command::Thaw { token, thaw, reply } => self.thaw(token, thaw, reply).await?,
            Command::ThawWith { token, edit, reply } => {
                self.thaw_with(token, *edit, reply).await?;
            }
            Command::Expire { session, reply } => {
                let ended = self.expire(&session).await?;
                self.answer(reply, Ok(ended));
            }
            Command::Discard(reply) => {
                self.discard_unused().await?;
                let gone = self.discarded;
                self.answer(reply, Ok(gone));
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
            Command::Built(_) | Command::Seal { .. } | Command::Stop(_) => {}
        }
        Ok(())
    }

    /// Answers those whose seal is done, and those whose change the head left.
    fn answer_sealed(&mut self, waiting: &mut Vec<Sealing>) {
        let row = &self.state.row;
        let (current, sealed) = (self.state.change(), row.sealed_seq);
        let unsaid = row.recommit || self.state.recommitting || self.state.lacks_commit();
        for sealing in std::mem::take(waiting) {
            if sealing.change.is_some_and(|change| change != current) {
                self.answer(sealing.reply, Err(moved_on()));
            } else if sealing.seq <= sealed && !unsaid {
                let at = self.state.sealed_at();
                self.answer(sealing.reply, Ok(at));
            } else if !sealing.reply.is_closed() {
                waiting.push(sealing);
            }
        }
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
                let spare = self.state.sessions.get(id).map_or(0, Session::unused_ids);
                if spare >= u64::from(self.head.config.ids_max) * 2 {
                    self.end_stream(
                        id,
                        HeadError::new(
                            HeadErrorKind::Limited,
                            "TOO_MANY_IDS",
                            "the session has more unused file ids than it may hold",
                        ),
                    );
                    return Ok(());
                }
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
