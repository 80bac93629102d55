//! Operations that are not acknowledged yet, in order.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use mesa_proto::v1;
use mesa_types::Nanos;
use prost::Message;
use tokio::sync::oneshot;

use super::{Applied, ClientSeq, NodeTimes, way};
use crate::{
    content::{WorkFile, WorkId},
    fs::FsResult,
};

/// Appends on their way beyond which small ones wait.
const FEW_FLIGHTS: usize = 2;
/// No session gets that far; what a server says beyond it is not believed.
pub(super) const CLIENT_SEQ_MAX: u64 = 1 << 62;

/// Operations that make an Append not small.
const COMPANY: usize = 64;
/// Bytes of unacknowledged operations beyond which no more contents are read.
const READ_BYTES_MAX: u64 = 32 << 20;

/// Content of files from this size on is read and uploaded alone, beside everything else.
pub(crate) const BULK: u64 = 8 << 20;
/// Files read together.
const GROUP: usize = 256;

/// What is to be sent for a place in the order.
pub(crate) enum Body {
    /// The operation.
    Ready(v1::Op),
    /// A content operation whose bytes are still to be read from the work file.
    Content(ContentJob),
    /// Its content moved to a later place; this will be sent here once that is known everywhere.
    Moving(v1::Op),
}

/// Where a content operation is in the order: it may move to a later place while its bytes are
/// read and uploaded.
#[derive(Debug, Clone)]
pub(crate) struct Place(Arc<AtomicU64>);

impl Place {
    pub fn new(seq: ClientSeq) -> Self {
        Self(Arc::new(AtomicU64::new(seq.0)))
    }

    /// The place now; it only changes under the lock of the queue.
    pub fn now(&self) -> ClientSeq {
        ClientSeq(self.0.load(Ordering::Acquire))
    }

    pub(super) fn set(&self, seq: ClientSeq) {
        self.0.store(seq.0, Ordering::Release);
    }
}

/// A content operation before its bytes are known.
#[derive(Clone)]
pub(crate) struct ContentJob {
    /// Operation without content; `time_ns` and `mtime_ns` are filled in from the work file.
    pub op: v1::Op,
    /// The bytes.
    pub work: Arc<WorkFile>,
    /// The node's times at that place.
    pub times: NodeTimes,
    /// Do not trust what is believed to be on the server.
    pub force: bool,
    /// Somebody works on it.
    pub started: bool,
    /// Somebody waits for it: it keeps its place.
    pub held: bool,
    /// Somebody waits for it and for no other content: it goes first.
    pub urgent: bool,
    /// Size of the work file when it was queued.
    pub size: u64,
    /// Where it is.
    pub place: Place,
}

/// How many groups of content operations may be begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Groups of smaller files.
    pub small: usize,
    /// Large files.
    pub bulk: usize,
}

/// Content operations to work on together.
pub(crate) struct Group {
    pub lane: Lane,
    pub jobs: Vec<ContentJob>,
}

/// What a group takes room of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Nothing: somebody waits for it.
    Urgent,
    Small,
    Bulk,
}

/// One operation with its place.
pub(crate) struct Pending {
    pub seq: ClientSeq,
    pub lease: u64,
    pub actor: Arc<v1::Actor>,
    pub body: Body,
    /// The work file, kept until the acknowledgement.
    pub work: Option<(Arc<WorkFile>, NodeTimes)>,
    /// Who waits for the server's decision.
    pub reply: Option<oneshot::Sender<FsResult<Applied>>>,
    /// An undecided entry operation: local decisions wait for it.
    pub blocking: bool,
    pub bytes: u64,
    pub since: Nanos,
}

/// What may be in one Append.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLimits {
    pub ops: usize,
    pub bytes: usize,
    pub in_flight: usize,
}

/// Unacknowledged operations.
pub(crate) struct Queue {
    items: VecDeque<Pending>,
    /// Place the next operation gets.
    next: u64,
    acked: u64,
    sent: u64,
    /// The highest `sent` there ever was.
    reach: u64,
    bytes: u64,
    blocking: usize,
    /// Last places of the Appends on their way.
    flights: VecDeque<u64>,
    /// Places of content operations whose bytes are not known yet.
    unread: BTreeSet<u64>,
    /// Of those that nobody began to read, the last one of each work file.
    unstarted: HashMap<WorkId, u64>,
}

impl Queue {
    /// Empty, with everything up to `acked` done.
    pub fn new(acked: ClientSeq) -> Self {
        Self {
            items: VecDeque::new(),
            next: acked.0 + 1,
            acked: acked.0,
            sent: acked.0,
            reach: acked.0,
            bytes: 0,
            blocking: 0,
            flights: VecDeque::new(),
            unread: BTreeSet::new(),
            unstarted: HashMap::new(),
        }
    }

    /// The place [`Queue::push`] gives next.
    pub fn next_seq(&self) -> ClientSeq {
        ClientSeq(self.next)
    }

    /// Place of the last operation.
    pub fn last(&self) -> ClientSeq {
        ClientSeq(self.next - 1)
    }

    /// The newest place that may ever have been sent, on any stream.
    pub fn reach(&self) -> ClientSeq {
        ClientSeq(self.reach)
    }

    /// Operations up to `seq` may have been sent by a former process.
    pub fn reached(&mut self, seq: ClientSeq) {
        self.reach = self.reach.max(seq.0);
    }

    pub fn acked(&self) -> ClientSeq {
        ClientSeq(self.acked)
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The same with the contents that are still to be read.
    pub fn lag_bytes(&self) -> u64 {
        let unread = self.unread.iter().map(|&seq| self.unread_size(seq));
        self.bytes + unread.sum::<u64>()
    }

    fn unread_size(&self, seq: u64) -> u64 {
        let item = self.items.get((seq - self.acked - 1) as usize);
        match item.map(|item| &item.body) {
            Some(Body::Content(job)) => job.size,
            _ => 0,
        }
    }

    /// When the oldest operation was queued.
    pub fn oldest(&self) -> Option<Nanos> {
        self.items.front().map(|p| p.since)
    }

    /// Whether undecided entry operations are left.
    pub fn is_blocked(&self) -> bool {
        self.blocking > 0
    }

    /// Whether undecided entry operations are left up to `seq`.
    pub fn blocks_up_to(&self, seq: ClientSeq) -> bool {
        self.blocking > 0 && self.items.iter().any(|p| p.blocking && p.seq <= seq)
    }

    /// Whether operations decided under a lease are left.
    pub fn has_decided(&self) -> bool {
        self.items.iter().any(|p| p.lease != 0)
    }

    /// Adds an operation; its `seq` must be [`Queue::next_seq`].
    pub fn push(&mut self, item: Pending) {
        debug_assert_eq!(item.seq.0, self.next);
        self.next = item.seq.0 + 1;
        self.bytes += item.bytes;
        self.blocking += usize::from(item.blocking);
        if let Body::Content(job) = &item.body {
            self.unread.insert(item.seq.0);
            if !job.started {
                self.unstarted.insert(job.work.id(), item.seq.0);
            }
        }
        self.items.push_back(item);
    }

    /// The item at a place.
    pub fn get_mut(&mut self, seq: ClientSeq) -> Option<&mut Pending> {
        let index = seq.0.checked_sub(self.acked + 1)?;
        self.items.get_mut(usize::try_from(index).ok()?)
    }

    /// Content operations nobody works on; each is marked as started. At most one per work file,
    /// so that later ones see the outcome of earlier ones.
    pub fn start_content(&mut self, room: Room) -> Vec<Group> {
        // Contents that are read wait in memory. What is first in the order is never held back.
        let first = self
            .unread
            .first()
            .is_some_and(|&seq| seq == self.acked + 1);
        let full = self.bytes >= READ_BYTES_MAX && !first;
        let mut busy = HashSet::new();
        let (mut urgent, mut small) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        let mut groups = Vec::new();
        for &seq in &self.unread {
            let index = (seq - self.acked - 1) as usize;
            let Some(Pending {
                body: Body::Content(job),
                ..
            }) = self.items.get_mut(index)
            else {
                continue;
            };
            if !busy.insert(job.work.id()) || job.started {
                continue;
            }
            let bulk = job.size >= BULK;
            let lane = match (job.urgent, bulk) {
                (true, _) => Lane::Urgent,
                (false, true) if !full && groups.len() < room.bulk => Lane::Bulk,
                (false, false) if !full && room.small > 0 && small.len() < GROUP => {
                    // A group has at least one.
                    if bytes + job.size > BULK && !small.is_empty() {
                        continue;
                    }
                    bytes += job.size;
                    Lane::Small
                }
                _ => continue,
            };
            job.started = true;
            if self.unstarted.get(&job.work.id()) == Some(&seq) {
                self.unstarted.remove(&job.work.id());
            }
            let job = job.clone();
            match lane {
                Lane::Urgent => urgent.push(job),
                Lane::Small => small.push(job),
                Lane::Bulk => groups.push(Group {
                    lane,
                    jobs: vec![job],
                }),
            }
        }
        // Alone each: none waits for another's upload.
        groups.extend(urgent.into_iter().map(|job| Group {
            lane: Lane::Urgent,
            jobs: vec![job],
        }));
        if !small.is_empty() {
            groups.push(Group {
                lane: Lane::Small,
                jobs: small,
            });
        }
        groups
    }

    /// A content operation that was taken for a small one turned out large: it is begun again.
    pub fn put_back(&mut self, place: &Place, size: u64) {
        let seq = place.now();
        if let Some(Pending {
            body: Body::Content(job),
            ..
        }) = self.get_mut(seq)
        {
            job.started = false;
            job.size = size;
            let work = job.work.id();
            self.unstarted.entry(work).or_insert(seq.0);
        }
    }

    /// The content operation of a work file that nobody began to read yet: what is in the file now
    /// goes with it.
    pub fn unstarted(&mut self, work: &Arc<WorkFile>) -> Option<&mut ContentJob> {
        let seq = *self.unstarted.get(&work.id())?;
        match &mut self.get_mut(ClientSeq(seq))?.body {
            Body::Content(job) if !job.started && Arc::ptr_eq(&job.work, work) => Some(job),
            _ => None,
        }
    }

    /// Somebody waits for every content up to `seq`: it keeps its place.
    pub fn hold(&mut self, seq: ClientSeq) {
        self.mark(seq, |job| job.held = true);
    }

    /// Somebody waits for the content of one work file up to `seq`.
    pub fn hurry(&mut self, seq: ClientSeq, work: &Arc<WorkFile>) {
        self.mark(seq, |job| {
            if Arc::ptr_eq(&job.work, work) {
                (job.held, job.urgent) = (true, true);
            }
        });
    }

    fn mark(&mut self, up_to: ClientSeq, mut mark: impl FnMut(&mut ContentJob)) {
        for &seq in self.unread.range(..=up_to.0) {
            let index = (seq - self.acked - 1) as usize;
            if let Some(Pending {
                body: Body::Content(job),
                ..
            }) = self.items.get_mut(index)
            {
                mark(job);
            }
        }
    }

    /// See [`way::bulk`].
    pub(super) fn bulk(&self, up_to: ClientSeq, whom: way::For) -> Vec<ClientSeq> {
        let waiting = self
            .unread
            .range(..=up_to.0)
            .map(|&seq| self.unread_size(seq));
        if whom.spares(waiting) {
            return Vec::new();
        }
        way::bulk(self.items.iter(), up_to, whom)
    }

    /// The content at `from` gets the next place instead of its own, where `nothing` will be sent
    /// after [`Queue::moved`].
    pub fn move_last(&mut self, from: ClientSeq, lease: u64, nothing: v1::Op) -> Option<ClientSeq> {
        let to = self.next_seq();
        let item = self.get_mut(from)?;
        if !matches!(item.body, Body::Content(_)) {
            return None;
        }
        let Body::Content(job) = std::mem::replace(&mut item.body, Body::Moving(nothing)) else {
            return None;
        };
        job.place.set(to);
        let moved = Pending {
            seq: to,
            lease,
            actor: Arc::clone(&item.actor),
            work: item.work.take(),
            body: Body::Content(job),
            reply: None,
            blocking: false,
            bytes: item.bytes,
            since: item.since,
        };
        self.unread.remove(&from.0);
        self.push(moved);
        Some(to)
    }

    /// Everybody knows where the content of `from` is now.
    pub fn moved(&mut self, from: ClientSeq) {
        if let Some(item) = self.get_mut(from)
            && let Body::Moving(op) = &mut item.body
        {
            let op = std::mem::take(op);
            item.body = Body::Ready(op);
        }
    }

    /// The content of a content operation is known and on the server.
    pub fn resolve(&mut self, place: &Place, op: v1::Op) -> Option<ClientSeq> {
        let bytes = op.encoded_len() as u64;
        let seq = place.now();
        let item = self.get_mut(seq)?;
        let before = std::mem::replace(&mut item.bytes, bytes);
        item.body = Body::Ready(op);
        self.bytes = self.bytes - before + bytes;
        self.unread.remove(&seq.0);
        Some(seq)
    }

    /// The next Append, if one may be sent. `undecided`: operations with lease 0 may be sent now.
    pub fn next_append(&mut self, limits: BatchLimits, undecided: bool) -> Option<v1::Append> {
        if self.flights.len() >= limits.in_flight {
            return None;
        }
        let from = usize::try_from(self.sent - self.acked).ok()?;
        let first = self.items.get(from)?;
        let lease = first.lease;
        if lease == 0 && !undecided {
            return None;
        }
        let max = if lease == 0 { 1 } else { limits.ops.max(1) };
        let mut actors: Vec<Arc<v1::Actor>> = Vec::new();
        let mut ops = Vec::new();
        let mut bytes = 0;
        for item in self.items.range(from..).take(max) {
            let Body::Ready(op) = &item.body else { break };
            let size = item.bytes as usize + 64;
            if item.lease != lease || (!ops.is_empty() && bytes + size > limits.bytes) {
                break;
            }
            bytes += size;
            let mut op = op.clone();
            op.actor = actor_index(&mut actors, &item.actor);
            ops.push(op);
        }
        // A few operations wait for company while others are on their way: every Append costs the
        // server a commit.
        let alone = lease != 0 && ops.len() < COMPANY && ops.len() < max;
        if ops.is_empty() || (alone && self.flights.len() >= FEW_FLIGHTS) {
            return None;
        }
        let first_client_seq = self.sent + 1;
        self.sent += ops.len() as u64;
        self.reach = self.reach.max(self.sent);
        self.flights.push_back(self.sent);
        Some(v1::Append {
            first_client_seq,
            digest: mesa_proto::append_digest(&ops).to_vec().into(),
            ops,
            actors: actors.iter().map(|a| (**a).clone()).collect(),
            lease,
        })
    }

    /// Takes out everything up to `seq`.
    pub fn ack(&mut self, seq: ClientSeq) -> Vec<Pending> {
        let mut done = Vec::new();
        while self.items.front().is_some_and(|p| p.seq <= seq) {
            let Some(item) = self.items.pop_front() else {
                break;
            };
            self.acked = item.seq.0;
            if let Body::Content(job) = &item.body {
                self.unread.remove(&item.seq.0);
                if self.unstarted.get(&job.work.id()) == Some(&item.seq.0) {
                    self.unstarted.remove(&job.work.id());
                }
            }
            self.bytes -= item.bytes;
            self.blocking -= usize::from(item.blocking);
            done.push(item);
        }
        self.sent = self.sent.max(self.acked);
        self.reach = self.reach.max(self.acked);
        while self.flights.front().is_some_and(|&last| last <= self.acked) {
            self.flights.pop_front();
        }
        done
    }

    /// The server has everything up to `seq`, though perhaps this client does not know the
    /// operations any more (a journal lost its tail): places go on behind it.
    pub fn skip_to(&mut self, seq: ClientSeq) {
        if self.items.is_empty() && seq.0 >= self.next {
            self.next = seq.0 + 1;
            self.acked = seq.0;
            self.sent = seq.0;
            self.reach = self.reach.max(seq.0);
        }
    }

    /// Everything not acknowledged is to be sent again (another stream).
    pub fn rewind(&mut self) {
        self.sent = self.acked;
        self.flights.clear();
    }

    /// `seq` lacks chunks: read its bytes again. The server dropped the whole Append it was in and
    /// drops later ones until that comes again.
    pub fn retry_content(&mut self, seq: ClientSeq) -> bool {
        let Some(item) = self.get_mut(seq) else {
            return false;
        };
        let Some((work, times)) = &item.work else {
            return false;
        };
        if let Body::Ready(op) = &item.body {
            let job = ContentJob {
                op: op.clone(),
                work: Arc::clone(work),
                times: *times,
                force: true,
                started: false,
                held: false,
                urgent: false,
                size: content_size(op),
                place: Place::new(seq),
            };
            item.body = Body::Content(job);
            self.unread.insert(seq.0);
        }
        self.rewind();
        true
    }

    /// Takes out everything (the session ends).
    pub fn drain(&mut self) -> Vec<Pending> {
        self.bytes = 0;
        self.blocking = 0;
        self.flights.clear();
        self.unread.clear();
        self.unstarted.clear();
        self.items.drain(..).collect()
    }
}

fn content_size(op: &v1::Op) -> u64 {
    match &op.kind {
        Some(v1::op::Kind::SetContent(set)) => set.content.as_ref().map_or(0, |c| c.size),
        _ => 0,
    }
}

fn actor_index(actors: &mut Vec<Arc<v1::Actor>>, actor: &Arc<v1::Actor>) -> u32 {
    if actor.pid == 0 && actor.exe.is_empty() {
        return 0;
    }
    let known = actors
        .iter()
        .position(|a| Arc::ptr_eq(a, actor) || a == actor);
    let index = known.unwrap_or_else(|| {
        actors.push(Arc::clone(actor));
        actors.len() - 1
    });
    index as u32 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BatchLimits = BatchLimits {
        ops: 3,
        bytes: 1 << 20,
        in_flight: 2,
    };

    fn item(queue: &Queue, lease: u64) -> Pending {
        Pending {
            seq: queue.next_seq(),
            lease,
            actor: Arc::new(v1::Actor {
                pid: 1,
                ..v1::Actor::default()
            }),
            body: Body::Ready(v1::Op::default()),
            work: None,
            reply: None,
            blocking: false,
            bytes: 10,
            since: Nanos(0),
        }
    }

    fn filled(leases: &[u64]) -> Queue {
        let mut queue = Queue::new(ClientSeq(0));
        for &lease in leases {
            let item = item(&queue, lease);
            queue.push(item);
        }
        queue
    }

    #[test]
    fn batches_are_bounded_by_count_lease_and_flights() {
        let mut queue = filled(&[1, 1, 1, 1, 0, 0]);
        let first = queue.next_append(LIMITS, true).unwrap();
        assert_eq!(
            (first.first_client_seq, first.ops.len(), first.lease),
            (1, 3, 1)
        );
        assert_eq!(first.actors.len(), 1);
        let second = queue.next_append(LIMITS, true).unwrap();
        assert_eq!((second.first_client_seq, second.ops.len()), (4, 1));
        assert!(
            queue.next_append(LIMITS, true).is_none(),
            "two are on their way"
        );
        assert_eq!(queue.ack(ClientSeq(3)).len(), 3);
        assert!(
            queue.next_append(LIMITS, false).is_none(),
            "undecided must wait"
        );
        let third = queue.next_append(LIMITS, true).unwrap();
        assert_eq!(
            (third.first_client_seq, third.ops.len(), third.lease),
            (5, 1, 0)
        );
    }

    #[test]
    fn a_new_stream_sends_from_the_acknowledged_place() {
        let mut queue = filled(&[1, 1, 1, 1]);
        queue.next_append(LIMITS, true).unwrap();
        queue.next_append(LIMITS, true).unwrap();
        queue.ack(ClientSeq(2));
        queue.rewind();
        let again = queue.next_append(LIMITS, true).unwrap();
        assert_eq!((again.first_client_seq, again.ops.len()), (3, 2));
        queue.ack(ClientSeq(4));
        assert!(queue.is_empty());
        assert_eq!(queue.bytes(), 0);
        assert_eq!(queue.next_seq(), ClientSeq(5));
        queue.skip_to(ClientSeq(9));
        assert_eq!(queue.next_seq(), ClientSeq(10));
    }

    #[test]
    fn a_batch_stops_at_the_byte_limit_but_takes_one() {
        let mut queue = filled(&[1, 1]);
        let tight = BatchLimits { bytes: 1, ..LIMITS };
        assert_eq!(queue.next_append(tight, true).unwrap().ops.len(), 1);
        assert_eq!(queue.next_append(tight, true).unwrap().ops.len(), 1);
    }
}
