//! Attributes: getattr, setattr, access, readlink.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use mesa_proto::{
    convert::owner_to_wire,
    v1::{self, op::Kind},
};
use mesa_types::{FileId, Nanos, NodeKind};

use super::repo::{Change, Plan, Repo, State, Try};
use crate::{
    content::WorkStat,
    fs::{AttrChange, Caller, Entry, FileAttr, FsError, FsResult, Handle, NodeId, Step, TimeOrNow},
    tree::{Node, Resolved, perm},
};

/// Size of a directory as shown.
const DIR_SIZE: u64 = 4096;
/// Access times kept for callers that set them; more are forgotten at once.
const ATIMES_MAX: usize = 10_000;

impl Repo {
    /// Attributes of a node as shown.
    pub fn attr(&self, state: &State, id: FileId) -> FsResult<FileAttr> {
        let node = state.tree.get(id).ok_or(FsError::Stale)?;
        let stat = match state.files.work(id) {
            Some(work) => Some(work.stat()?),
            None => None,
        };
        Ok(self.shown(state, node, stat))
    }

    fn shown(&self, state: &State, node: &Node, stat: Option<WorkStat>) -> FileAttr {
        let size = match node.kind {
            NodeKind::Dir | NodeKind::Gitlink => DIR_SIZE,
            NodeKind::Symlink => node.target().len() as u64,
            NodeKind::File => stat.map_or(node.content.size(), |s| s.size),
            NodeKind::Fifo | NodeKind::Socket => 0,
        };
        let (mtime, ctime) = times(node, stat);
        let atime = state.atimes.get(&node.id).copied().unwrap_or(mtime);
        FileAttr {
            ino: node.id.0,
            kind: node.kind,
            mode: node.mode,
            nlink: node.shown_nlink(),
            uid: self.env.shown_uid(node.uid),
            gid: self.env.shown_gid(node.gid),
            size,
            blocks: stat.map_or(size.div_ceil(512), |s| s.blocks),
            atime: system_time(atime),
            mtime: system_time(mtime),
            ctime: system_time(ctime),
        }
    }

    /// The entry given to the kernel, counted as a lookup.
    pub fn entry(&self, state: &mut State, id: FileId) -> FsResult<Entry> {
        let attr = self.attr(state, id)?;
        state.tree.looked_up(id);
        Ok(Entry {
            node: state.tree.node_id(id),
            attr,
        })
    }

    /// Search permission on a directory and everything above it. (The kernel does not ask for
    /// what it has cached.)
    pub fn check_search(&self, state: &State, dir: FileId, caller: Caller) -> FsResult<()> {
        if caller.uid == 0 {
            return Ok(());
        }
        let mut at = dir;
        loop {
            let Some(node) = state.tree.get(at) else {
                return Ok(());
            };
            self.check(node, caller, perm::EXEC)?;
            if at == state.tree.root() || node.orphan {
                return Ok(());
            }
            at = node.parent;
        }
    }

    /// Search permission on what leads to a node.
    pub fn check_way(&self, state: &State, id: FileId, caller: Caller) -> FsResult<()> {
        match state.tree.get(id) {
            Some(node) if caller.uid != 0 && !node.orphan && id != state.tree.root() => {
                self.check_search(state, node.parent, caller)
            }
            _ => Ok(()),
        }
    }

    /// Permission on the node itself.
    pub fn check(&self, node: &Node, caller: Caller, mask: u32) -> FsResult<()> {
        perm::check(
            self.env.subject(node),
            caller,
            mask,
            &*self.env.config.groups,
        )
    }

    pub fn getattr(self: &Arc<Self>, node: NodeId, handle: Option<Handle>) -> Step<FileAttr> {
        self.read(move |repo, state| {
            if let Resolved::Old(id) = state.tree.resolve(node) {
                return Ok(repo.old_attr(state, id, node)?);
            }
            let id = repo.live(state, node)?;
            // A handle of the present version shows the same.
            let _ = handle;
            Ok(repo.attr(state, id)?)
        })
    }

    fn old_attr(&self, state: &State, id: FileId, number: NodeId) -> FsResult<FileAttr> {
        let node = state.tree.get(id).ok_or(FsError::Stale)?;
        let version = state.files.old(number);
        let stat = match version.and_then(|v| v.work.as_ref()) {
            Some(work) => Some(work.stat()?),
            None => None,
        };
        let mut attr = self.shown(state, node, stat);
        if stat.is_none()
            && let Some(version) = version
        {
            attr.size = version.content.size();
            attr.blocks = attr.size.div_ceil(512);
        }
        Ok(attr)
    }

    pub fn access(self: &Arc<Self>, caller: Caller, node: NodeId, mask: u32) -> Step<()> {
        self.read(move |repo, state| {
            let id = repo.live(state, node)?;
            let node = state.tree.get(id).ok_or(FsError::Stale)?;
            repo.check_way(state, id, caller)?;
            repo.check(node, caller, mask)?;
            let writes = mask & perm::WRITE != 0;
            let special = matches!(node.kind, NodeKind::Fifo | NodeKind::Socket);
            if writes && repo.read_only && !special {
                return Err(FsError::ReadOnly.into());
            }
            Ok(())
        })
    }

    pub fn readlink(self: &Arc<Self>, node: NodeId) -> Step<Bytes> {
        self.read(move |repo, state| {
            let id = repo.live(state, node)?;
            let node = state.tree.get(id).ok_or(FsError::Stale)?;
            match node.kind {
                NodeKind::Symlink => Ok(node.target()),
                _ => Err(FsError::Invalid.into()),
            }
        })
    }

    pub fn setattr(
        self: &Arc<Self>,
        caller: Caller,
        node: NodeId,
        handle: Option<Handle>,
        change: AttrChange,
    ) -> Step<FileAttr> {
        let Some(size) = change.size else {
            return self.set_attrs(caller, node, change);
        };
        // The size first: it may need the content, the rest is one operation.
        let rest = AttrChange {
            size: None,
            ..change
        };
        let more = rest.mode.is_some()
            || rest.uid.is_some()
            || rest.gid.is_some()
            || rest.atime.is_some()
            || rest.mtime.is_some()
            || rest.kill_suid_gid;
        match self.truncate(caller, node, handle, size) {
            Step::Done(Err(error)) => Step::Done(Err(error)),
            Step::Done(Ok(())) if more => self.set_attrs(caller, node, rest),
            Step::Done(Ok(())) => self.getattr(node, handle),
            Step::Later(truncated) => {
                let repo = Arc::clone(self);
                Step::Later(Box::pin(async move {
                    truncated.await?;
                    let then = if more {
                        repo.set_attrs(caller, node, rest)
                    } else {
                        repo.getattr(node, handle)
                    };
                    match then {
                        Step::Done(answer) => answer,
                        Step::Later(answer) => answer.await,
                    }
                }))
            }
        }
    }

    fn set_attrs(
        self: &Arc<Self>,
        caller: Caller,
        number: NodeId,
        change: AttrChange,
    ) -> Step<FileAttr> {
        self.change(caller, move |repo, state| {
            let id = repo.live(state, number)?;
            repo.check_way(state, id, caller)?;
            repo.plan_attrs(state, id, caller, &change)
        })
    }

    /// The end of a descriptor, with what follows from what was written.
    pub fn released(self: &Arc<Self>, node: NodeId, handle: Handle) {
        let Some(node) = self.release_of(node, handle) else {
            return;
        };
        let change = AttrChange {
            kill_suid_gid: true,
            ..AttrChange::default()
        };
        let root = Caller {
            uid: 0,
            gid: 0,
            pid: 0,
            umask: 0,
        };
        if let Step::Later(later) = self.set_attrs(root, node, change) {
            self.env.config.runtime.spawn(later);
        }
    }

    fn plan_attrs(
        &self,
        state: &mut State,
        id: FileId,
        caller: Caller,
        change: &AttrChange,
    ) -> Try<Plan<FileAttr>> {
        let now = self.env.now();
        let node = state.tree.get(id).ok_or(FsError::Stale)?;
        let mut set = v1::SetAttr {
            id: id.0,
            ..v1::SetAttr::default()
        };
        let subject = self.env.subject(node);
        let owns = caller.uid == 0 || caller.uid == subject.uid;
        let mut mode = node.mode;
        if let Some(wanted) = change.mode {
            if !owns {
                return Err(FsError::NotPermitted.into());
            }
            mode = wanted & 0o7777;
            // Nobody hands a group's rights to a program by a file outside his groups.
            if caller.uid != 0 && !node.is_dir() && !self.env.in_group(caller, subject.gid) {
                mode &= !0o2000;
            }
        }
        if change.uid.is_some() || change.gid.is_some() {
            let uid = change.uid.unwrap_or(subject.uid);
            let gid = change.gid.unwrap_or(subject.gid);
            let allowed = caller.uid == 0
                || (owns
                    && uid == subject.uid
                    && (gid == subject.gid || self.env.in_group(caller, gid)));
            if !allowed {
                return Err(FsError::NotPermitted.into());
            }
            if !node.is_dir() && change.mode.is_none() {
                mode = without_suid(mode);
            }
            let keep_uid = uid == subject.uid;
            let keep_gid = gid == subject.gid;
            set.set_owner = true;
            set.uid = owner_to_wire(if keep_uid {
                node.uid
            } else {
                self.env.stored_uid(uid)
            });
            set.gid = owner_to_wire(if keep_gid {
                node.gid
            } else {
                self.env.stored_gid(gid)
            });
        }
        if change.kill_suid_gid && !node.is_dir() && change.mode.is_none() {
            mode = without_suid(mode);
        }
        if mode != node.mode || change.mode.is_some() {
            set.mode = Some(u32::from(mode));
        }
        let explicit = |t: Option<TimeOrNow>| matches!(t, Some(TimeOrNow::Time(_)));
        if change.atime.is_some() || change.mtime.is_some() {
            if (explicit(change.atime) || explicit(change.mtime)) && !owns {
                return Err(FsError::NotPermitted.into());
            }
            if !owns {
                self.check(node, caller, perm::WRITE)?;
            }
        }
        let at = |t: TimeOrNow| match t {
            TimeOrNow::Now => now,
            TimeOrNow::Time(time) => nanos(time),
        };
        let atime = change.atime.map(at);
        set.mtime_ns = change.mtime.map(|t| at(t).0);
        let nothing = set.mode.is_none() && !set.set_owner && set.mtime_ns.is_none();
        if nothing && atime.is_none() {
            return Ok(Plan::Answer(self.attr(state, id)?));
        }
        if self.read_only {
            return Err(FsError::ReadOnly.into());
        }
        let named = node.nlink > 0;
        let path = state.tree.path(id);
        let finish = move |repo: &Self, state: &mut State| {
            if let Some(atime) = atime {
                if state.atimes.len() >= ATIMES_MAX {
                    state.atimes.clear();
                }
                state.atimes.insert(id, atime);
            }
            if let (Some(mtime), Some(work)) = (set.mtime_ns, state.files.work(id)) {
                work.set_mtime(Nanos(mtime))?;
            }
            repo.attr(state, id)
        };
        let Some(path) = path.filter(|_| named && !nothing) else {
            // Without a name it is only here; access times are not stored on the server.
            if !nothing {
                let op = v1::Op {
                    time_ns: now.0,
                    kind: Some(Kind::SetAttr(set)),
                    ..v1::Op::default()
                };
                state.tree.apply(&op, crate::tree::Origin::Own);
            }
            return Ok(Plan::Answer(finish(self, state)?));
        };
        Ok(Plan::Op(Change::new(Kind::SetAttr(set), path, now, finish)))
    }
}

/// mtime and ctime of a node whose bytes may be in a work file. What was written there changed
/// both, unless the mtime is just the one that was set.
fn times(node: &Node, stat: Option<WorkStat>) -> (Nanos, Nanos) {
    match stat {
        Some(stat) if stat.mtime != node.mtime => (stat.mtime, node.ctime.max(stat.mtime)),
        _ => (node.mtime, node.ctime),
    }
}

/// What a change of content or owner leaves of the mode.
pub(super) fn without_suid(mode: u16) -> u16 {
    let mut mode = mode & !0o4000;
    if mode & 0o010 != 0 {
        mode &= !0o2000;
    }
    mode
}

/// To what the presenter takes.
pub(super) fn system_time(time: Nanos) -> SystemTime {
    let after = Duration::from_nanos(time.0.unsigned_abs());
    let shifted = if time.0 >= 0 {
        SystemTime::UNIX_EPOCH.checked_add(after)
    } else {
        SystemTime::UNIX_EPOCH.checked_sub(after)
    };
    shifted.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// From what the presenter gives, saturating.
pub(super) fn nanos(time: SystemTime) -> Nanos {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => Nanos(i64::try_from(after.as_nanos()).unwrap_or(i64::MAX)),
        Err(before) => Nanos(i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |n| -n)),
    }
}
