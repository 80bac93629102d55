//! A session's state behind its lock.

use std::{path::PathBuf, sync::Arc};

use mesa_proto::v1;
use mesa_types::Nanos;
use prost::Message;

use super::{
    Actor, ClientSeq, Connection, LeaseState, Moved, Refused,
    identity::Identity,
    ids::IdReserve,
    queue::{BatchLimits, Body, Pending, Queue},
    way,
};
use crate::{
    fs::FsError,
    journal::{Journal, OpRecord, Record},
};

/// The right to change the head, as far as this client knows.
#[derive(Debug)]
pub(super) struct Lease {
    pub state: LeaseState,
    /// Number of the exclusive grant; 0 otherwise.
    pub number: u64,
    /// Recalled: nothing more is decided under it.
    pub returning: bool,
    /// Somebody waits for a grant.
    pub wanted: bool,
    /// It was asked for on this stream.
    pub asked: bool,
    /// A lease that the server counts as ours and we do not hold: to be given back.
    pub unknown: Option<u64>,
}

impl Lease {
    pub const NONE: Self = Self {
        state: LeaseState::None,
        number: 0,
        returning: false,
        wanted: false,
        asked: false,
        unknown: None,
    };
}

/// Operations that are not acknowledged were decided on a state that is not the head's past any
/// more, as far as this client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Behind {
    /// Head sequence they were decided at.
    pub at: u64,
    /// The last of them.
    pub up_to: ClientSeq,
    /// The head has another base since: what they name may not be there.
    pub moved: bool,
    /// So many times the tree is being read again; [`Core::catch_up`] follows each.
    pub reading: u32,
}

/// What can be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    Local,
    Shared,
    Wait,
    Refused(FsError),
}

/// Bounds of [`Core`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub ops: u64,
    pub bytes: u64,
    /// Ids in reserve below which more are asked for.
    pub ids_low: u32,
}

/// The state.
pub(super) struct Core {
    pub journal: Journal,
    pub queue: Queue,
    pub lease: Lease,
    pub ids: IdReserve,
    pub identity: Identity,
    pub limits: v1::Limits,
    pub bounds: Bounds,
    pub read_only: bool,
    pub connection: Connection,
    /// No new operations, for this reason.
    pub refused: Option<FsError>,
    /// Counts credentials; the stream was begun with the one of this number.
    pub credential: u64,
    pub attached_with: u64,
    /// The stream was told that its credential is good no more.
    pub ended_key: bool,
    pub head_seq: u64,
    /// Set until what was decided before is on the server, and the tree is read again.
    pub behind: Option<Behind>,
    /// The session cannot go on in its head: another one is to take its place.
    pub giving_up: bool,
    /// It was lost, and the tree does not know yet which one took its place.
    pub replacing: bool,
    /// The last answer to OpenHead.
    pub answer: v1::OpenHeadResponse,
    pub last_error: Option<(i64, String)>,
    /// When the last operation was queued in shared mode.
    pub last_shared: Nanos,
    /// Counts sessions in this state directory; places of another one mean nothing.
    pub generation: u64,
    last_actor: (Actor, Arc<v1::Actor>),
}

impl Core {
    pub fn new(
        journal: Journal,
        identity: Identity,
        acked: ClientSeq,
        limits: v1::Limits,
        bounds: Bounds,
    ) -> Self {
        Self {
            journal,
            queue: Queue::new(acked),
            lease: Lease::NONE,
            ids: IdReserve::default(),
            identity,
            limits,
            bounds,
            read_only: false,
            connection: Connection::Starting,
            refused: None,
            credential: 0,
            attached_with: 0,
            ended_key: false,
            head_seq: 0,
            behind: None,
            giving_up: false,
            replacing: false,
            answer: v1::OpenHeadResponse::default(),
            last_error: None,
            last_shared: Nanos(0),
            generation: 0,
            last_actor: Default::default(),
        }
    }

    /// Whether a credential came after the stream's.
    pub fn has_new_credential(&self) -> bool {
        self.credential != self.attached_with
    }

    /// The head went on without this client, perhaps from another base. `reading`: all metadata is
    /// about to be read again.
    pub fn fall_behind(&mut self, moved: bool, reading: bool) {
        let at = self.head_seq;
        let up_to = self.queue.last();
        let behind = self.behind.get_or_insert(Behind {
            at,
            up_to,
            moved,
            reading: 0,
        });
        behind.up_to = up_to;
        behind.moved |= moved;
        behind.reading += u32::from(reading);
    }

    /// The tree was read again after everything decided before was on the server.
    pub fn catch_up(&mut self) {
        let Some(behind) = self.behind.as_mut().filter(|_| !self.giving_up) else {
            return;
        };
        behind.reading = behind.reading.saturating_sub(1);
        if behind.reading == 0 {
            self.behind = None;
        }
    }

    /// Where the head was when what is not acknowledged was decided.
    pub fn decided_at(&self) -> u64 {
        self.behind.map_or(self.head_seq, |behind| behind.at)
    }

    /// Whether a refusal of the operation at `seq` means that its file went with the former base:
    /// the content has no other place than a change on top of that.
    pub fn is_displaced(&mut self, seq: ClientSeq, code: &str) -> bool {
        let moved = self.behind.is_some_and(|behind| behind.moved);
        moved
            && code == "ENOENT"
            && self.queue.get_mut(seq).is_some_and(|item| {
                item.work.is_some() && matches!(item.body, Body::Ready(_)) && item.reply.is_none()
            })
    }

    /// Another session takes the place of the present one. Answers file ids left over.
    pub fn replace(
        &mut self,
        journal: Journal,
        identity: Identity,
        answer: &v1::OpenHeadResponse,
        bounds: Bounds,
    ) -> Option<v1::IdRange> {
        let unused = self.ids.clear();
        self.journal = journal;
        self.queue = Queue::new(ClientSeq(0));
        self.lease = Lease::NONE;
        if let Some(ids) = &answer.ids {
            self.ids.grant(ids);
        }
        self.identity = identity;
        self.limits = answer.limits.unwrap_or_default();
        self.bounds = bounds;
        self.read_only = answer.read_only;
        self.head_seq = answer.head_seq;
        self.behind = None;
        self.giving_up = false;
        self.answer = answer.clone();
        self.generation += 1;
        self.refused = None;
        unused
    }

    /// What can be done now. Remembers that a lease is wanted.
    pub fn readiness(&mut self) -> Readiness {
        if self.read_only {
            return Readiness::Refused(FsError::ReadOnly);
        }
        if let Some(error) = self.refused {
            return Readiness::Refused(error);
        }
        if self.is_full(1) || self.ids.is_empty() {
            return Readiness::Wait;
        }
        match self.lease.state {
            LeaseState::Exclusive if !self.lease.returning && !self.queue.is_blocked() => {
                Readiness::Local
            }
            LeaseState::Shared => Readiness::Shared,
            LeaseState::Exclusive => Readiness::Wait,
            LeaseState::None => {
                self.lease.wanted = true;
                Readiness::Wait
            }
        }
    }

    /// Whether so many times the bounds are reached.
    pub fn is_full(&self, times: u64) -> bool {
        self.queue.len() as u64 >= self.bounds.ops.saturating_mul(times)
            || self.queue.bytes() >= self.bounds.bytes.saturating_mul(times)
    }

    /// The wire form of an actor, shared between operations of one.
    pub fn actor(&mut self, actor: &Actor) -> Arc<v1::Actor> {
        if self.last_actor.0 != *actor {
            let wire = v1::Actor {
                pid: actor.pid,
                exe: actor.exe.to_string(),
                uid: actor.uid,
                group: actor.group,
            };
            self.last_actor = (actor.clone(), Arc::new(wire));
        }
        Arc::clone(&self.last_actor.1)
    }

    /// Journals and queues a locally decided operation, with `mark` in the same write.
    pub fn append(
        &mut self,
        op: v1::Op,
        actor: &Actor,
        mark: Option<&Record>,
        now: Nanos,
    ) -> Result<ClientSeq, Refused> {
        match self.readiness() {
            Readiness::Local => {}
            Readiness::Shared | Readiness::Wait => return Err(Refused::Retry),
            Readiness::Refused(error) => return Err(Refused::Failed(error)),
        }
        let actor = self.actor(actor);
        let seq = self.queue.next_seq();
        let lease = self.lease.number;
        let op = self.journal_op(seq, lease, &actor, op, mark)?;
        self.push(seq, lease, actor, op, now);
        Ok(seq)
    }

    /// Journals and queues an operation for the server to decide.
    pub fn append_undecided(
        &mut self,
        op: v1::Op,
        actor: &Actor,
        reply: tokio::sync::oneshot::Sender<crate::fs::FsResult<super::Applied>>,
        now: Nanos,
    ) -> Result<ClientSeq, Refused> {
        match self.readiness() {
            Readiness::Shared => {}
            Readiness::Local | Readiness::Wait => return Err(Refused::Retry),
            Readiness::Refused(error) => return Err(Refused::Failed(error)),
        }
        let actor = self.actor(actor);
        let seq = self.queue.next_seq();
        let op = self.journal_op(seq, 0, &actor, op, None)?;
        self.last_shared = now;
        self.queue.push(Pending {
            seq,
            lease: 0,
            actor,
            bytes: op.encoded_len() as u64,
            body: Body::Ready(op),
            work: None,
            reply: Some(reply),
            blocking: true,
            since: now,
        });
        Ok(seq)
    }

    /// Journals and queues a content operation; its bytes follow. What nobody began to read yet
    /// will be read as it is then, so that a second operation is not needed.
    pub fn append_content(
        &mut self,
        job: super::queue::ContentJob,
        actor: &Actor,
        now: Nanos,
    ) -> Result<ClientSeq, Refused> {
        let decided = match self.readiness() {
            Readiness::Local => true,
            Readiness::Wait if self.is_full(2) => return Err(Refused::Retry),
            Readiness::Shared | Readiness::Wait => false,
            Readiness::Refused(error) => return Err(Refused::Failed(error)),
        };
        if let Some(waiting) = self.queue.unstarted(&job.work) {
            waiting.size = job.size;
            return Ok(waiting.place.now());
        }
        let lease = if decided { self.lease.number } else { 0 };
        let actor = self.actor(actor);
        let seq = self.queue.next_seq();
        job.place.set(seq);
        let record = Record::Content {
            op: OpRecord {
                seq,
                lease,
                actor: (*actor).clone(),
                op: job.op.clone(),
            },
            file: job.work.file(),
            work: job.work.id(),
        };
        self.write(&[&record])?;
        if !decided {
            self.last_shared = now;
        }
        self.queue.push(Pending {
            seq,
            lease,
            actor,
            bytes: job.op.encoded_len() as u64,
            work: Some((Arc::clone(&job.work), job.times)),
            body: Body::Content(job),
            reply: None,
            blocking: false,
            since: now,
        });
        Ok(seq)
    }

    /// Moves content that is not known yet out of the way of operations at `up_to`: see
    /// [`super::way`]. Nothing is sent in the old places before [`Core::moved`].
    pub fn make_way(&mut self, up_to: ClientSeq, whom: way::For) -> Vec<Moved> {
        let places = self.queue.bulk(up_to, whom);
        if places.is_empty() {
            return Vec::new();
        }
        let lease = match self.readiness() {
            Readiness::Local => self.lease.number,
            Readiness::Shared | Readiness::Wait => 0,
            Readiness::Refused(_) => return Vec::new(),
        };
        let mut records = Vec::with_capacity(places.len() * 2);
        let mut nothings = Vec::with_capacity(places.len());
        let next = self.queue.next_seq().0;
        for (seq, &from) in (next..).map(ClientSeq).zip(&places) {
            let Some(item) = self.queue.get_mut(from) else {
                return Vec::new();
            };
            let Body::Content(job) = &item.body else {
                return Vec::new();
            };
            let nothing = way::nothing(job);
            let actor = (*item.actor).clone();
            records.push(Record::Content {
                op: OpRecord {
                    seq,
                    lease,
                    actor: actor.clone(),
                    op: job.op.clone(),
                },
                file: job.work.file(),
                work: job.work.id(),
            });
            records.push(Record::Instead(OpRecord {
                seq: from,
                lease: item.lease,
                actor,
                op: nothing.clone(),
            }));
            nothings.push(nothing);
        }
        if self.write(&records.iter().collect::<Vec<_>>()).is_err() {
            return Vec::new();
        }
        let mut moved = Vec::with_capacity(places.len());
        for (from, nothing) in places.into_iter().zip(nothings) {
            if let Some(to) = self.queue.move_last(from, lease, nothing) {
                moved.push(Moved { from, to });
            }
        }
        moved
    }

    /// Everybody knows where these contents are now.
    pub fn moved(&mut self, moved: &[Moved]) {
        for Moved { from, .. } in moved {
            self.queue.moved(*from);
        }
    }

    fn journal_op(
        &mut self,
        seq: ClientSeq,
        lease: u64,
        actor: &Arc<v1::Actor>,
        op: v1::Op,
        mark: Option<&Record>,
    ) -> Result<v1::Op, Refused> {
        let record = Record::Op(OpRecord {
            seq,
            lease,
            actor: (**actor).clone(),
            op,
        });
        match mark {
            Some(mark) => self.write(&[&record, mark])?,
            None => self.write(&[&record])?,
        }
        match record {
            Record::Op(record) => Ok(record.op),
            _ => Err(Refused::Failed(FsError::Io)),
        }
    }

    fn push(&mut self, seq: ClientSeq, lease: u64, actor: Arc<v1::Actor>, op: v1::Op, now: Nanos) {
        self.queue.push(Pending {
            seq,
            lease,
            actor,
            bytes: op.encoded_len() as u64,
            body: Body::Ready(op),
            work: None,
            reply: None,
            blocking: false,
            since: now,
        });
    }

    /// Writes records; on failure nothing was written.
    pub fn write(&mut self, records: &[&Record]) -> Result<(), Refused> {
        self.journal.append(records).map_err(|error| {
            tracing::error!(%error, "cannot write the journal");
            let full = error.kind() == std::io::ErrorKind::StorageFull
                || error.kind() == std::io::ErrorKind::QuotaExceeded;
            Refused::Failed(if full { FsError::NoSpace } else { FsError::Io })
        })
    }

    /// Everything up to `seq` is acknowledged. Returns what was, and journal files to delete.
    pub fn ack(&mut self, seq: ClientSeq) -> (Vec<Pending>, Vec<PathBuf>) {
        let done = self.queue.ack(seq);
        let acked = self.queue.acked();
        let is_past = |behind: Behind| behind.reading == 0 && behind.up_to <= acked;
        if self.behind.is_some_and(is_past) {
            self.behind = None;
        }
        (done, self.journal.acked(seq))
    }

    /// After a reconnect: the exclusive lease may have ended meanwhile. Where nothing depends on it
    /// it is asked for again; operations decided under it go up with its number, and the server
    /// judges them.
    pub fn forget_lease(&mut self) -> bool {
        let free = self.lease.state == LeaseState::Exclusive && !self.queue.has_decided();
        if free {
            self.lease = Lease::NONE;
        }
        free
    }

    /// What is to be sent now, in order.
    pub fn outgoing(&mut self, in_flight: usize, now: Nanos, idle_ms: i64) -> Vec<Outgoing> {
        let mut out = Vec::new();
        if self.connection != Connection::Attached {
            return out;
        }
        if self.ids.should_ask(self.ids_low()) {
            out.push(Outgoing::IdRequest);
        }
        self.lease.wanted |= self.lease.state == LeaseState::None && !self.queue.is_empty();
        if self.lease.wanted && !self.lease.asked && self.lease.state == LeaseState::None {
            self.lease.asked = true;
            out.push(Outgoing::LeaseRequest);
        }
        let undecided = match self.lease.state {
            LeaseState::Shared => true,
            LeaseState::Exclusive => !self.lease.returning,
            LeaseState::None => false,
        };
        let limits = BatchLimits {
            ops: self.limits.append_ops_max.max(1) as usize,
            bytes: (self.limits.append_bytes_max as usize).max(1 << 16),
            in_flight,
        };
        while let Some(append) = self.queue.next_append(limits, undecided) {
            out.push(Outgoing::Append(append));
        }
        if self.lease.state != LeaseState::Exclusive
            && !self.queue.has_decided()
            && let Some(number) = self.lease.unknown.take()
        {
            out.push(Outgoing::LeaseReturn(number, false));
            // The return alone brings a grant only while somebody waits for the lease.
            if self.lease.state == LeaseState::None {
                out.push(Outgoing::LeaseRequest);
                self.lease.wanted = true;
                self.lease.asked = true;
            }
        }
        if self.lease.returning && !self.queue.has_decided() {
            out.push(Outgoing::LeaseReturn(self.lease.number, false));
            // Whoever recalled it may be gone by now: asking again is what brings a grant then.
            out.push(Outgoing::LeaseRequest);
            self.lease = Lease {
                wanted: true,
                asked: true,
                ..Lease::NONE
            };
        }
        let idle = now.millis() - self.last_shared.millis() >= idle_ms;
        if self.lease.state == LeaseState::Shared && self.queue.is_empty() && idle {
            out.push(Outgoing::LeaseReturn(0, true));
            self.lease = Lease::NONE;
        }
        out
    }

    fn ids_low(&self) -> u32 {
        if self.read_only {
            0
        } else {
            self.bounds.ids_low
        }
    }
}

/// A message for the server.
#[derive(Debug)]
pub(super) enum Outgoing {
    IdRequest,
    LeaseRequest,
    LeaseReturn(u64, bool),
    Append(v1::Append),
}
