//! Whose operations belong together.

use mesa_proto::v1;
use mesa_types::Nanos;

/// Longest pause within an action, by the clock of who made the operations.
const PAUSE_MAX: i64 = 2_000_000_000;
/// The same by the server's clock, on which uploads count too. It bounds how far one looks for
/// more of an action.
pub(super) const RECEIVED_PAUSE_MAX: i64 = 60_000_000_000;

/// Who made an operation: a session, and a process group or program in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Who {
    session: String,
    program: ProgramKey,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum ProgramKey {
    Unknown,
    Group(u32),
    Exe(String),
    Pid(u32),
}

impl Who {
    /// Who made `entry.ops[index]`.
    pub fn of(entry: &v1::LogEntry, index: usize) -> Self {
        let program = match actor(entry, index) {
            Some(actor) if actor.group != 0 => ProgramKey::Group(actor.group),
            Some(actor) if !actor.exe.is_empty() => ProgramKey::Exe(actor.exe.clone()),
            Some(actor) if actor.pid != 0 => ProgramKey::Pid(actor.pid),
            _ => ProgramKey::Unknown,
        };
        Self {
            session: entry.session.clone(),
            program,
        }
    }
}

/// The actor of `entry.ops[index]`, if the client named one.
pub(super) fn actor(entry: &v1::LogEntry, index: usize) -> Option<&v1::Actor> {
    let number = entry.ops.get(index)?.actor as usize;
    entry.actors.get(number.checked_sub(1)?)
}

/// The two clocks of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    /// The maker's.
    pub made: Nanos,
    /// The server's.
    pub received: Nanos,
}

impl Times {
    pub fn of(entry: &v1::LogEntry, index: usize) -> Self {
        Self {
            made: Nanos(entry.ops.get(index).map_or(0, |op| op.time_ns)),
            received: Nanos(entry.received_ns),
        }
    }

    /// Whether an operation at this time and the next one of the same maker are one action.
    pub fn joins(self, next: Self) -> bool {
        next.made.0.saturating_sub(self.made.0) < PAUSE_MAX && !self.is_far_before(next.received)
    }

    /// Whether no operation received at `received` or later joins this one.
    pub fn is_far_before(self, received: Nanos) -> bool {
        received.0.saturating_sub(self.received.0) >= RECEIVED_PAUSE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(actors: &[(u32, &str, u32)]) -> v1::LogEntry {
        v1::LogEntry {
            session: "s".to_owned(),
            ops: (0..=actors.len() as u32)
                .map(|actor| v1::Op {
                    actor,
                    ..v1::Op::default()
                })
                .collect(),
            actors: actors
                .iter()
                .map(|&(pid, exe, group)| v1::Actor {
                    pid,
                    exe: exe.to_owned(),
                    uid: 0,
                    group,
                })
                .collect(),
            ..v1::LogEntry::default()
        }
    }

    #[test]
    fn a_process_group_is_one_program() {
        let entry = entry(&[
            (7, "/bin/sh", 7),
            (8, "/bin/cp", 7),
            (9, "/bin/cp", 9),
            (10, "/bin/mv", 0),
            (11, "/bin/mv", 0),
        ]);
        let who = |n| Who::of(&entry, n);
        assert_eq!(who(1), who(2));
        assert_ne!(who(2), who(3));
        assert_eq!(who(4), who(5), "the same program without a known group");
        assert_ne!(who(0), who(1));
    }

    #[test]
    fn pauses_end_actions() {
        let at = |made: i64, received: i64| Times {
            made: Nanos(made * 1_000_000),
            received: Nanos(received * 1_000_000),
        };
        assert!(at(0, 0).joins(at(1999, 1999)));
        assert!(!at(0, 0).joins(at(2000, 2000)));
        assert!(at(0, 0).joins(at(100, 59_000)), "a long upload");
        assert!(!at(0, 0).joins(at(100, 60_000)));
        assert!(at(5000, 0).joins(at(0, 0)), "clocks step back");
    }
}
