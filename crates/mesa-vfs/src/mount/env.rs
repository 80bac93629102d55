//! What all repos of a mount share.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
};

use mesa_types::{Nanos, Owner};
use parking_lot::Mutex;

use super::{config::MountConfig, watch::Changes};
use crate::{
    fs::{Caller, Handle, Notice},
    session::{Actor, Durability},
    tree::{
        Node,
        perm::{self, Subject},
    },
};

/// Programs remembered by process id; more are forgotten at once.
const ACTORS_MAX: usize = 1024;
/// A process id may belong to another program after this long.
const ACTOR_AGE: i64 = 2_000_000_000;

/// Settings and services shared by a mount's repos.
pub struct Env {
    /// The mount's settings (the orgs in it are the first ones).
    pub config: MountConfig,
    notices: mpsc::Sender<Notice>,
    /// For programs in this process.
    pub changes: Changes,
    handles: AtomicU64,
    actors: Mutex<HashMap<u32, (Nanos, Actor)>>,
}

impl Env {
    pub fn new(config: MountConfig, notices: mpsc::Sender<Notice>) -> Self {
        // Not what a former process gave out and the kernel still holds: that made fewer handles
        // than nanoseconds went by.
        let first = u64::try_from(config.clock.now().0).unwrap_or(1).max(1);
        Self {
            config,
            notices,
            changes: Changes::default(),
            handles: AtomicU64::new(first),
            actors: Mutex::new(HashMap::new()),
        }
    }

    /// The present.
    pub fn now(&self) -> Nanos {
        self.config.clock.now()
    }

    /// A handle number that was never used.
    pub fn next_handle(&self) -> Handle {
        Handle(self.handles.fetch_add(1, Ordering::Relaxed))
    }

    /// Sends notices to the presenter. No lock may be held.
    pub fn notify(&self, notices: Vec<Notice>) {
        for notice in notices {
            // Without a receiver there is no cache to keep right.
            let _ = self.notices.send(notice);
        }
    }

    /// Durability class.
    pub fn durability(&self) -> Durability {
        self.config.durability
    }

    /// A stored user as shown.
    pub fn shown_uid(&self, owner: Owner) -> u32 {
        if self.config.squash {
            self.config.uid
        } else {
            owner.resolve(self.config.uid)
        }
    }

    /// A stored group as shown.
    pub fn shown_gid(&self, owner: Owner) -> u32 {
        if self.config.squash {
            self.config.gid
        } else {
            owner.resolve(self.config.gid)
        }
    }

    /// A user to store.
    pub fn stored_uid(&self, uid: u32) -> Owner {
        Owner::store(uid, self.config.uid)
    }

    /// A group to store.
    pub fn stored_gid(&self, gid: u32) -> Owner {
        Owner::store(gid, self.config.gid)
    }

    /// What permission checks look at.
    pub fn subject(&self, node: &Node) -> Subject {
        Subject {
            uid: self.shown_uid(node.uid),
            gid: self.shown_gid(node.gid),
            mode: node.mode,
            dir: node.is_dir(),
        }
    }

    /// Whether the caller is in group `gid`.
    pub fn in_group(&self, caller: Caller, gid: u32) -> bool {
        perm::in_group(caller, gid, &*self.config.groups)
    }

    /// Who calls, for the operation log.
    pub fn actor(&self, caller: Caller) -> Actor {
        let now = self.now();
        let mut actors = self.actors.lock();
        if let Some((seen, actor)) = actors.get(&caller.pid)
            && now.0.wrapping_sub(seen.0) < ACTOR_AGE
            && actor.uid == caller.uid
        {
            return actor.clone();
        }
        let exe = match caller.pid {
            0 => None,
            pid => std::fs::read_link(format!("/proc/{pid}/exe")).ok(),
        };
        let actor = Actor {
            pid: caller.pid,
            exe: Arc::from(exe.as_ref().map_or("", |p| p.to_str().unwrap_or(""))),
            uid: caller.uid,
            group: match caller.pid {
                0 => 0,
                pid => std::fs::read_to_string(format!("/proc/{pid}/stat"))
                    .ok()
                    .and_then(|stat| process_group(&stat))
                    .unwrap_or(0),
            },
        };
        if actors.len() >= ACTORS_MAX {
            actors.clear();
        }
        actors.insert(caller.pid, (now, actor.clone()));
        actor
    }
}

/// The process group in the text of `/proc/PID/stat`. The program's name before it may hold anything.
fn process_group(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_group_follows_a_name_with_anything_in_it() {
        assert_eq!(process_group("12 (a) b (c)) S 1 77 5 0 -1"), Some(77));
        assert_eq!(process_group("12 (a"), None);
    }
}
