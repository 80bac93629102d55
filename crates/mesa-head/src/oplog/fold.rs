//! Folding operations into actions, newest first.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    hash::{BuildHasher, RandomState},
};

use mesa_proto::v1;
use mesa_types::{ChangeId, Nanos};

use super::{
    operation::{OpCounts, OpSort, is_within, operation},
    who::{Times, Who, actor},
};

/// Paths an action lists.
const PATHS_MAX: usize = 100;
/// Paths an action counts.
const PATHS_COUNTED_MAX: usize = 1 << 20;

/// What one program did in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The change it was written to.
    pub change: ChangeId,
    /// Number of its first operation: the action's id.
    pub first: u64,
    /// Number of its last operation.
    pub last: u64,
    /// When the server took the first one.
    pub started: Nanos,
    /// When the server took the last one.
    pub ended: Nanos,
    /// What made it: `mount`, `rest`, `merge`, `undo`, `restore`.
    pub origin: String,
    /// First operation of the action it undid.
    pub undoes: Option<u64>,
    /// First operation of the undo in effect.
    pub undone_by: Option<u64>,
    /// Session, or the server's name for its own write.
    pub session: String,
    /// The key's id; empty = unknown.
    pub key: String,
    /// Host of the mount; empty = unknown.
    pub host: String,
    /// Network address it came from; empty = unknown.
    pub address: String,
    /// The program, if known.
    pub program: Option<Program>,
    /// Operations.
    pub operations: u64,
    /// Operations by sort.
    pub counts: OpCounts,
    /// The first of the paths touched, in order.
    pub paths: Vec<ActionPath>,
    /// How many paths were touched.
    pub path_count: usize,
    /// Operations that overwrote what another session had written meanwhile.
    pub overwrote: u64,
}

/// A program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its file; empty = unknown.
    pub exe: String,
    /// Process id.
    pub pid: u32,
    /// Process group; 0 = unknown.
    pub group: u32,
    /// Numeric user id.
    pub uid: u32,
}

/// A path an action touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionPath {
    /// The path, raw bytes.
    pub path: Vec<u8>,
    /// What happened there.
    pub sorts: BTreeSet<OpSort>,
    /// Where a rename came from.
    pub from: Option<Vec<u8>>,
}

/// What happened at a path, and where a rename came from.
type Touched = (BTreeSet<OpSort>, Option<Vec<u8>>);

#[derive(Debug)]
struct Growing {
    who: Who,
    times: Times,
    action: Action,
    paths: BTreeMap<Vec<u8>, Touched>,
    seen: HashSet<u64>,
    /// An operation of it is within the path asked for.
    wanted: bool,
    closed: bool,
}

/// Takes operations in descending order and gives out actions, the one with the newest last
/// operation first.
pub(crate) struct Fold {
    path: Option<Vec<u8>>,
    growing: Vec<Growing>,
    hasher: RandomState,
}

impl Fold {
    /// Actions that touch `path`, or all.
    pub fn new(path: Option<Vec<u8>>) -> Self {
        Self {
            path,
            growing: Vec::new(),
            hasher: RandomState::new(),
        }
    }

    /// Takes `entry.ops[index]`, which precedes everything taken before. With `begin` unset it
    /// only prolongs actions that have later operations.
    pub fn push(&mut self, change: ChangeId, entry: &v1::LogEntry, index: usize, begin: bool) {
        let (who, times) = (Who::of(entry, index), Times::of(entry, index));
        let known = self
            .growing
            .iter()
            .rposition(|growing| !growing.closed && growing.who == who);
        let joined = known.filter(|&at| times.joins(self.growing[at].times));
        let at = match (joined, known) {
            (Some(at), _) => at,
            (None, known) => {
                if let Some(at) = known {
                    self.growing[at].closed = true;
                }
                if !begin {
                    return;
                }
                self.growing.push(Growing::new(change, who, entry, index));
                self.growing.len() - 1
            }
        };
        let at = &mut self.growing[at];
        at.times = times;
        at.add(entry, index, self.path.as_deref(), &self.hasher);
        if entry.first_client_seq + index as u64 == 1 {
            // A session's first operation: nothing of it comes before. So writes of the server's,
            // each a session of its own, are complete at once, however many there are.
            for growing in &mut self.growing {
                growing.closed |= growing.action.session == entry.session;
            }
        }
    }

    /// Forgets complete actions that ended at `below` or later, which were given out already.
    /// Answers their first and last operations.
    pub fn drop_complete(&mut self, below: u64) -> Vec<(u64, u64)> {
        let mut dropped = Vec::new();
        self.growing.retain(|growing| {
            let drop = growing.closed && growing.action.last >= below;
            if drop {
                dropped.push((growing.action.first, growing.action.last));
            }
            !drop
        });
        dropped
    }

    /// Actions held that are not complete.
    pub fn open(&self) -> usize {
        let open = self.growing.iter().filter(|growing| !growing.closed);
        open.count()
    }

    /// Closes what nothing received at `received` or before belongs to.
    pub fn close_before(&mut self, received: Nanos) {
        for growing in &mut self.growing {
            let earlier = Times {
                made: growing.times.made,
                received,
            };
            growing.closed |= earlier.is_far_before(growing.times.received);
        }
    }

    /// Nothing comes any more.
    pub fn close(&mut self) {
        for growing in &mut self.growing {
            growing.closed = true;
        }
    }

    /// Whether every action taken so far is complete.
    pub fn is_closed(&self) -> bool {
        self.growing.iter().all(|growing| growing.closed)
    }

    /// Actions held.
    pub fn len(&self) -> usize {
        self.growing.len()
    }

    /// The last operation of the first action held.
    pub fn newest(&self) -> Option<u64> {
        self.growing.first().map(|growing| growing.action.last)
    }

    /// The next action in order, once it is complete, and whether it is wanted.
    pub fn next_complete(&mut self) -> Option<(Action, bool)> {
        let is_complete = self.growing.first().is_some_and(|growing| growing.closed);
        is_complete.then(|| self.growing.remove(0).finish())
    }
}

impl Growing {
    fn new(change: ChangeId, who: Who, entry: &v1::LogEntry, index: usize) -> Self {
        let seq = entry.first_seq + index as u64;
        Self {
            who,
            times: Times::of(entry, index),
            action: Action {
                change,
                first: seq,
                last: seq,
                started: Nanos(entry.received_ns),
                ended: Nanos(entry.received_ns),
                origin: entry.origin.clone(),
                undoes: entry.undone.as_ref().map(|undone| undone.first),
                undone_by: None,
                session: entry.session.clone(),
                key: entry.key.clone(),
                host: entry.host.clone(),
                address: entry.address.clone(),
                program: None,
                operations: 0,
                counts: OpCounts::default(),
                paths: Vec::new(),
                path_count: 0,
                overwrote: 0,
            },
            paths: BTreeMap::new(),
            seen: HashSet::new(),
            wanted: false,
            closed: false,
        }
    }

    fn add(&mut self, entry: &v1::LogEntry, index: usize, path: Option<&[u8]>, by: &RandomState) {
        let action = &mut self.action;
        action.first = entry.first_seq + index as u64;
        action.started = Nanos(entry.received_ns);
        action.operations += 1;
        // The one that began it speaks for all.
        let program = actor(entry, index).map(|actor| Program {
            exe: actor.exe.clone(),
            pid: actor.pid,
            group: actor.group,
            uid: actor.uid,
        });
        action.program = program.or(action.program.take());
        let Some(operation) = operation(entry, index) else {
            self.wanted |= path.is_none();
            return;
        };
        action.counts.add(operation.sort);
        action.overwrote += u64::from(operation.overwrote.is_some());
        self.wanted |= path.is_none_or(|wanted| {
            let moves = matches!(operation.sort, OpSort::Rename | OpSort::Delete);
            let places = [Some(&operation.path), operation.from.as_ref()];
            places
                .into_iter()
                .flatten()
                .any(|place| is_within(place, wanted) || (moves && is_within(wanted, place)))
        });
        if self.seen.len() < PATHS_COUNTED_MAX {
            self.seen.insert(by.hash_one(&operation.path));
        }
        let from = operation.from.filter(|_| operation.sort == OpSort::Rename);
        let (sorts, came) = self.paths.entry(operation.path).or_default();
        sorts.insert(operation.sort);
        if from.is_some() {
            *came = from;
        }
        if self.paths.len() > PATHS_MAX {
            self.paths.pop_last();
        }
    }

    fn finish(self) -> (Action, bool) {
        let paths = self
            .paths
            .into_iter()
            .map(|(path, (sorts, from))| ActionPath { path, sorts, from });
        let action = Action {
            paths: paths.collect(),
            path_count: self.seen.len(),
            ..self.action
        };
        (action, self.wanted)
    }
}
