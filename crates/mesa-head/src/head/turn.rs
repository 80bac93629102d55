//! One turn of a head: commands applied to the state in memory, one batch of rows, and what is
//! said after the batch has committed.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use mesa_meta::{Batch, Committed, Table};
use mesa_proto::v1::{self, server_message::Kind};
use mesa_repo::CatalogEvent;
use mesa_types::{BookmarkName, ChangeId, Nanos, SessionId};
use parking_lot::Mutex;

use super::{Head, State, fanout::too_slow, session::Session};
use crate::{
    error::{HeadError, Result},
    rows::{self, SessionRow},
    seal::SealInput,
};

/// Rows of one batch after which a turn is committed although more commands wait.
const ROWS_MAX: usize = 512;
/// The same in bytes.
const BYTES_MAX: usize = 8 << 20;

/// Changes not committed yet.
pub(crate) struct Turn<'a> {
    pub head: &'a Arc<Head>,
    pub state: &'a mut State,
    pub now: Nanos,
    pub batch: Batch,
    batch_bytes: usize,
    head_changed: bool,
    sessions_changed: BTreeSet<SessionId>,
    /// Sessions that end with this turn.
    pub sessions_gone: BTreeSet<SessionId>,
    outbox: Vec<Out>,
    pub events: Vec<CatalogEvent>,
    /// Bookmarks that this turn moves, and where.
    pub moves: HashMap<BookmarkName, ChangeId>,
    pub stop: bool,
    /// The head's row goes with this turn.
    pub discarded: bool,
    /// The change's record is in the batch: another write of it has to wait for the next turn.
    pub change_written: bool,
    /// A seal that begins with the commit.
    pub seal: Option<SealInput>,
}

enum Out {
    /// A message for one session's stream.
    Send(SessionId, Box<Kind>),
    /// The end of a stream.
    End(SessionId, u64, HeadError),
    /// An answer to a call.
    Answer(Answer),
}

/// Sends an answer. The lock is for `Sync` alone: a turn is shared between await points.
type Answer = Mutex<Box<dyn FnOnce() + Send>>;

impl<'a> Turn<'a> {
    pub fn new(head: &'a Arc<Head>, state: &'a mut State) -> Self {
        Self {
            now: head.now(),
            head,
            state,
            batch: Batch::new(),
            batch_bytes: 0,
            head_changed: false,
            sessions_changed: BTreeSet::new(),
            sessions_gone: BTreeSet::new(),
            outbox: Vec::new(),
            events: Vec::new(),
            moves: HashMap::new(),
            stop: false,
            discarded: false,
            change_written: false,
            seal: None,
        }
    }

    /// Whether the batch is large enough to be committed now.
    pub fn is_full(&self) -> bool {
        self.batch.writes.len() >= ROWS_MAX || self.batch_bytes >= BYTES_MAX
    }

    /// The head's row differs from the stored one.
    pub fn touch_head(&mut self) {
        self.head_changed = true;
    }

    /// A session's row differs from the stored one.
    pub fn touch_session(&mut self, session: &SessionId) {
        self.sessions_changed.insert(session.clone());
    }

    /// Adds a log entry's row.
    pub fn put_entry(&mut self, entry: &v1::LogEntry) {
        let key = rows::log_key(self.head.org(), &self.head.id, entry.first_seq);
        let value = rows::encode(entry);
        self.batch_bytes += value.len();
        self.batch.put(Table::OpLog, key, value);
    }

    /// A message for a session, after the commit.
    pub fn send(&mut self, session: &SessionId, kind: Kind) {
        self.outbox.push(Out::Send(session.clone(), Box::new(kind)));
    }

    /// A message for every attached session but one, after the commit.
    pub fn broadcast(&mut self, except: Option<&SessionId>, kind: &Kind) {
        let attached: Vec<_> = self
            .state
            .sessions
            .iter()
            .filter(|(id, s)| s.subscriber.is_some() && Some(*id) != except)
            .map(|(id, _)| id.clone())
            .collect();
        for id in attached {
            self.send(&id, kind.clone());
        }
    }

    /// Ends a session's present stream, after the commit.
    pub fn end_stream(&mut self, session: &SessionId, error: HeadError) {
        let stream = self
            .state
            .sessions
            .get(session)
            .and_then(|s| s.subscriber.as_ref())
            .map(|s| s.stream);
        if let Some(stream) = stream {
            self.outbox.push(Out::End(session.clone(), stream, error));
        }
    }

    /// Answers a call, after the commit.
    pub fn answer<T: Send + 'static>(&mut self, reply: super::command::Reply<T>, value: Result<T>) {
        let answer = move || {
            // The caller may have gone away.
            let _ = reply.send(value);
        };
        self.outbox.push(Out::Answer(Mutex::new(Box::new(answer))));
    }

    /// A session of this head, loaded if need be; `None` if there is no such session here.
    pub async fn load_session(&mut self, id: &SessionId) -> Result<bool> {
        if self.state.sessions.contains_key(id) {
            return Ok(true);
        }
        let key = rows::session_key(self.head.org(), id);
        let Some(row) = self.head.catalog.meta().get(Table::Sessions, &key).await? else {
            return Ok(false);
        };
        let row: SessionRow = rows::decode(&row.value)?;
        if row.head != self.head.id.as_str() {
            return Ok(false);
        }
        let session = Session::new(row, self.now);
        self.state.sessions.insert(id.clone(), session);
        Ok(true)
    }

    /// Commits the batch, then says everything that waits for it. Answers whether the head is to
    /// leave memory.
    pub async fn commit(mut self) -> Result<bool> {
        self.flush().await?;
        Ok(self.stop)
    }

    /// The same in the middle of a turn: what comes after it relies on what is stored.
    pub async fn flush(&mut self) -> Result<()> {
        let org = self.head.org().clone();
        for id in std::mem::take(&mut self.sessions_changed) {
            if let Some(session) = self.state.sessions.get(&id) {
                let value = rows::encode(&session.row);
                self.batch
                    .put(Table::Sessions, rows::session_key(&org, &id), value);
            }
        }
        let key = rows::head_key(&org, &self.head.id);
        if !self.state.taken_over && !self.batch.writes.is_empty() {
            self.state.row.epoch += 1;
            self.head_changed = true;
        }
        if self.discarded {
            self.batch.delete(Table::Heads, key.clone());
        } else if self.head_changed {
            // A commit in the making is none: whoever loads the head after a crash makes it.
            let mut row = self.state.row.clone();
            row.recommit |= self.state.recommitting;
            let value: Bytes = rows::encode(&row);
            self.batch.put(Table::Heads, key.clone(), value);
        }
        if !self.batch.writes.is_empty() {
            self.batch.is(Table::Heads, key, self.state.version);
            let batch = std::mem::take(&mut self.batch);
            match self.head.catalog.meta().commit(batch).await? {
                Committed::Yes(version) if self.head_changed => {
                    self.state.version = version;
                    self.state.taken_over = true;
                }
                Committed::Yes(_) => {}
                Committed::Conflict(_) => return Err(HeadError::gone()),
            }
        }
        if let Some(input) = self.seal.take() {
            super::seal::spawn(Arc::clone(self.head), input);
        }
        for event in std::mem::take(&mut self.events) {
            self.head.catalog.announce(event);
        }
        for out in std::mem::take(&mut self.outbox) {
            self.deliver(out);
        }
        self.head_changed = false;
        self.batch_bytes = 0;
        self.change_written = false;
        Ok(())
    }

    fn deliver(&mut self, out: Out) {
        match out {
            Out::Answer(answer) => answer.into_inner()(),
            Out::Send(id, kind) => {
                let Some(session) = self.state.sessions.get_mut(&id) else {
                    return;
                };
                let sent = session.subscriber.as_ref().map(|s| s.send(*kind));
                if sent == Some(false) {
                    end(session, self.now, too_slow());
                }
            }
            Out::End(id, stream, error) => {
                if let Some(session) = self.state.sessions.get_mut(&id)
                    && session.is_stream(stream)
                {
                    end(session, self.now, error);
                }
            }
        }
    }
}

fn end(session: &mut Session, now: Nanos, error: HeadError) {
    session.detached = now;
    session.parked.clear();
    session.resend_from = None;
    if let Some(subscriber) = session.subscriber.take() {
        subscriber.end(error);
    }
}
