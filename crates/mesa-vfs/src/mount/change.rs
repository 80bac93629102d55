//! Operations on entries: create, mknod, mkdir, symlink, link, unlink, rmdir, rename, tmpfile.

use std::sync::Arc;

use mesa_proto::{
    convert::{content_to_wire, owner_to_wire},
    v1::{self, op::Kind},
};
use mesa_types::{
    FileId, NodeKind, Owner,
    limits::{PATH_MAX, SYMLINK_MAX},
};

use super::{
    names::check_name,
    open::wait,
    repo::{Change, Plan, Repo, State, Stop, Try},
};
use crate::{
    fs::{Caller, Entry, FsError, FsResult, NodeId, OpenFlags, Opened, RenameFlags, Step},
    tree::{Name, Node, perm},
};

/// Links one file may have, as on ext4.
const LINKS_MAX: u32 = 65_000;
/// Times a file may come and go while somebody opens or creates it.
const ATTEMPTS_MAX: usize = 100;

/// A new entry.
#[derive(Clone)]
struct New {
    kind: NodeKind,
    /// Permission bits before the umask.
    mode: u32,
    target: bytes::Bytes,
}

/// What became of an open that may create.
enum Created {
    /// The file was made, and is open.
    Made(Entry, Opened),
    /// There is one.
    There(NodeId),
}

impl Repo {
    /// A directory in which `caller` may change entries.
    fn writable_dir(&self, state: &State, node: NodeId, caller: Caller) -> Try<FileId> {
        let id = self.dir(state, node)?;
        let dir = state.tree.get(id).ok_or(FsError::Stale)?;
        if dir.orphan && id != state.tree.root() {
            return Err(FsError::NotFound.into());
        }
        self.check_search(state, id, caller)?;
        if self.read_only {
            return Err(FsError::ReadOnly.into());
        }
        Ok(id)
    }

    fn check_dir_write(&self, state: &State, dir: FileId, caller: Caller) -> FsResult<()> {
        let node = state.tree.get(dir).ok_or(FsError::Stale)?;
        self.check(node, caller, perm::WRITE | perm::EXEC)
    }

    /// Path of an entry-to-be's directory, within the limit on whole paths.
    fn entry_path(state: &State, dir: FileId, name: &[u8]) -> FsResult<Vec<u8>> {
        let path = state.tree.path(dir).ok_or(FsError::Stale)?;
        if path.len() + 1 + name.len() > PATH_MAX {
            Err(FsError::NameTooLong)
        } else {
            Ok(path)
        }
    }

    /// Owner and mode of something made in `dir` by `caller`.
    fn birth(&self, dir: &Node, caller: Caller, kind: NodeKind, mode: u32) -> (Owner, Owner, u32) {
        let mut mode = mode & 0o7777;
        if kind == NodeKind::Symlink {
            mode = 0o777;
        } else {
            mode &= !(caller.umask & 0o777);
        }
        let uid = self.env.stored_uid(caller.uid);
        let mut gid = self.env.stored_gid(caller.gid);
        if dir.mode & 0o2000 != 0 {
            gid = dir.gid;
            if kind == NodeKind::Dir {
                mode |= 0o2000;
            } else if mode & 0o2010 == 0o2010
                && caller.uid != 0
                && !self.env.in_group(caller, self.env.shown_gid(gid))
            {
                mode &= !0o2000;
            }
        }
        (uid, gid, mode)
    }

    /// The operation that makes `new` at `(dir, name)`, after all checks.
    fn plan_create(
        &self,
        state: &State,
        caller: Caller,
        dir: FileId,
        name: &Name,
        new: &New,
    ) -> Try<(v1::Create, Vec<u8>)> {
        if state.tree.child(dir, name.as_bytes()).is_some() {
            return Err(FsError::Exists.into());
        }
        self.check_dir_write(state, dir, caller)?;
        let path = Self::entry_path(state, dir, name.as_bytes())?;
        let id = self.session.next_id().ok_or(Stop::Again)?;
        let parent = state.tree.get(dir).ok_or(FsError::Stale)?;
        let (uid, gid, mode) = self.birth(parent, caller, new.kind, new.mode);
        let create = v1::Create {
            parent: dir.0,
            name: name.as_bytes().to_vec().into(),
            id: id.0,
            kind: new.kind as u32,
            mode,
            uid: owner_to_wire(uid),
            gid: owner_to_wire(gid),
            target: new.target.clone(),
            ..v1::Create::default()
        };
        Ok((create, path))
    }

    fn make(
        self: &Arc<Self>,
        caller: Caller,
        parent: NodeId,
        name: &[u8],
        new: New,
    ) -> Step<Entry> {
        if let Err(error) = check_name(name) {
            return Step::Done(Err(error));
        }
        let name = Name::new(name);
        self.change(caller, move |repo, state| {
            let dir = repo.writable_dir(state, parent, caller)?;
            let (create, path) = repo.plan_create(state, caller, dir, &name, &new)?;
            let id = FileId(create.id);
            let finish = move |repo: &Self, state: &mut State| repo.entry(state, id);
            let now = repo.env.now();
            Ok(Plan::Op(Change::new(
                Kind::Create(create),
                path,
                now,
                finish,
            )))
        })
    }

    pub fn mknod(
        self: &Arc<Self>,
        caller: Caller,
        parent: NodeId,
        name: &[u8],
        kind: NodeKind,
        mode: u32,
    ) -> Step<Entry> {
        if !matches!(kind, NodeKind::File | NodeKind::Fifo | NodeKind::Socket) {
            return Step::Done(Err(FsError::NotPermitted));
        }
        let target = bytes::Bytes::new();
        self.make(caller, parent, name, New { kind, mode, target })
    }

    pub fn mkdir(
        self: &Arc<Self>,
        caller: Caller,
        parent: NodeId,
        name: &[u8],
        mode: u32,
    ) -> Step<Entry> {
        let new = New {
            kind: NodeKind::Dir,
            mode: mode & 0o1777,
            target: bytes::Bytes::new(),
        };
        self.make(caller, parent, name, new)
    }

    pub fn symlink(
        self: &Arc<Self>,
        caller: Caller,
        parent: NodeId,
        name: &[u8],
        target: &[u8],
    ) -> Step<Entry> {
        if target.is_empty() || target.contains(&0) {
            return Step::Done(Err(FsError::NotFound));
        }
        if target.len() > SYMLINK_MAX {
            return Step::Done(Err(FsError::NameTooLong));
        }
        let new = New {
            kind: NodeKind::Symlink,
            mode: 0o777,
            target: bytes::Bytes::copy_from_slice(target),
        };
        self.make(caller, parent, name, new)
    }

    pub fn create(
        self: &Arc<Self>,
        caller: Caller,
        parent: NodeId,
        name: &[u8],
        mode: u32,
        flags: OpenFlags,
    ) -> Step<(Entry, Opened)> {
        if let Err(error) = check_name(name) {
            return Step::Done(Err(error));
        }
        let name = Name::new(name);
        match self.create_or_find(caller, parent, &name, mode, flags) {
            Step::Done(Err(error)) => Step::Done(Err(error)),
            Step::Done(Ok(Created::Made(entry, opened))) => Step::Done(Ok((entry, opened))),
            found => {
                let repo = Arc::clone(self);
                Step::Later(Box::pin(async move {
                    let mut found = wait(found).await?;
                    for _ in 0..ATTEMPTS_MAX {
                        let node = match found {
                            Created::Made(entry, opened) => return Ok((entry, opened)),
                            Created::There(node) => node,
                        };
                        match wait(repo.open(caller, node, flags)).await {
                            Ok(opened) => {
                                if let Some(entry) = repo.entry_of_opened(&opened)? {
                                    return Ok((entry, opened));
                                }
                            }
                            // Gone again.
                            Err(FsError::Stale) => {}
                            Err(error) => return Err(error),
                        }
                        let again = repo.create_or_find(caller, parent, &name, mode, flags);
                        found = wait(again).await?;
                    }
                    Err(FsError::Stale)
                }))
            }
        }
    }

    fn create_or_find(
        self: &Arc<Self>,
        caller: Caller,
        parent: NodeId,
        name: &Name,
        mode: u32,
        flags: OpenFlags,
    ) -> Step<Created> {
        let name = name.clone();
        self.change(caller, move |repo, state| {
            repo.plan_create_open(state, caller, parent, &name, mode, flags)
        })
    }

    /// One journal write makes the entry and marks its work file.
    fn plan_create_open(
        &self,
        state: &mut State,
        caller: Caller,
        parent: NodeId,
        name: &Name,
        mode: u32,
        flags: OpenFlags,
    ) -> Try<Plan<Created>> {
        let dir = self.writable_dir(state, parent, caller)?;
        if let Some(id) = state.tree.child(dir, name.as_bytes()) {
            if flags.exclusive {
                return Err(FsError::Exists.into());
            }
            // Made by somebody else since the kernel looked.
            return match state.tree.get(id).ok_or(FsError::Stale)?.kind {
                NodeKind::File => Ok(Plan::Answer(Created::There(state.tree.node_id(id)))),
                NodeKind::Dir | NodeKind::Gitlink => Err(FsError::IsDir.into()),
                // It looks again, and does with them what is to be done.
                NodeKind::Symlink | NodeKind::Fifo | NodeKind::Socket => Err(FsError::Stale.into()),
            };
        }
        let new = New {
            kind: NodeKind::File,
            mode,
            target: bytes::Bytes::new(),
        };
        let (create, path) = self.plan_create(state, caller, dir, name, &new)?;
        let id = FileId(create.id);
        let now = self.env.now();
        let work = self.session.create_work(id, now)?;
        let served = Arc::clone(&work);
        let actor = self.env.actor(caller);
        let finish = move |repo: &Self, state: &mut State| {
            let opened = repo.add_work_handle(state, id, served, flags, actor)?;
            let entry = repo.entry(state, id)?;
            Ok(Created::Made(entry, opened))
        };
        let mut change = Change::new(Kind::Create(create), path, now, finish);
        change.work = Some(work);
        change.work_is_new = true;
        Ok(Plan::Op(change))
    }

    pub fn tmpfile(
        self: &Arc<Self>,
        caller: Caller,
        parent: NodeId,
        mode: u32,
        flags: OpenFlags,
    ) -> Step<(Entry, Opened)> {
        self.change(caller, move |repo, state| {
            let dir = repo.writable_dir(state, parent, caller)?;
            repo.check_dir_write(state, dir, caller)?;
            let id = repo.session.next_id().ok_or(Stop::Again)?;
            let now = repo.env.now();
            let parent = state.tree.get(dir).ok_or(FsError::Stale)?;
            let (uid, gid, mode) = repo.birth(parent, caller, NodeKind::File, mode);
            let work = repo.session.create_unnamed(id, now)?;
            state.tree.add_orphan(Node {
                id,
                kind: NodeKind::File,
                mode: (mode & 0o7777) as u16,
                conflicted: false,
                stale: false,
                orphan: true,
                pending: 0,
                uid,
                gid,
                nlink: 0,
                pages: 0,
                lookups: 0,
                mtime: now,
                ctime: now,
                as_of: 0,
                parent: dir,
                name: Name::new(b""),
                content: mesa_types::ContentRef::Empty,
                extra: None,
            });
            let actor = repo.env.actor(caller);
            let opened = repo.add_work_handle(state, id, work, flags, actor)?;
            Ok(Plan::Answer((repo.entry(state, id)?, opened)))
        })
    }

    pub fn link(
        self: &Arc<Self>,
        caller: Caller,
        node: NodeId,
        parent: NodeId,
        name: &[u8],
    ) -> Step<Entry> {
        if let Err(error) = check_name(name) {
            return Step::Done(Err(error));
        }
        let name = Name::new(name);
        let linked = self.change(caller, move |repo, state| {
            let dir = repo.writable_dir(state, parent, caller)?;
            let id = repo.live(state, node)?;
            repo.check_way(state, id, caller)?;
            let source = state.tree.get(id).ok_or(FsError::Stale)?;
            if state.tree.child(dir, name.as_bytes()).is_some() {
                return Err(FsError::Exists.into());
            }
            repo.check_dir_write(state, dir, caller)?;
            if source.is_dir() {
                return Err(FsError::NotPermitted.into());
            }
            if source.nlink >= LINKS_MAX {
                return Err(FsError::TooManyLinks.into());
            }
            let path = Self::entry_path(state, dir, name.as_bytes())?;
            let finish = move |repo: &Self, state: &mut State| repo.entry(state, id);
            let now = repo.env.now();
            if source.nlink == 0 {
                // Unlinked files stay so; unnamed ones get their first name.
                if !source.name.as_bytes().is_empty() {
                    return Err(FsError::NotFound.into());
                }
                let create = v1::Create {
                    parent: dir.0,
                    name: name.as_bytes().to_vec().into(),
                    id: id.0,
                    kind: source.kind as u32,
                    mode: u32::from(source.mode),
                    uid: owner_to_wire(source.uid),
                    gid: owner_to_wire(source.gid),
                    mtime_ns: source.mtime.0,
                    content: Some(content_to_wire(&source.content)),
                    ..v1::Create::default()
                };
                let mut change = Change::new(Kind::Create(create), path, now, finish);
                change.work = state.files.work(id).cloned();
                return Ok(Plan::Op(change));
            }
            let source_path = state.tree.path(id).unwrap_or_default();
            let link = v1::Link {
                id: id.0,
                parent: dir.0,
                name: name.as_bytes().to_vec().into(),
                source_path: source_path.into(),
            };
            let mut change = Change::new(Kind::Link(link), path, now, finish);
            change.content_first = Some(id);
            Ok(Plan::Op(change))
        });
        self.then_pick_up(linked, node, caller)
    }

    /// A file that just got its first name: its content goes right behind.
    fn then_pick_up(
        self: &Arc<Self>,
        step: Step<Entry>,
        node: NodeId,
        caller: Caller,
    ) -> Step<Entry> {
        let repo = Arc::clone(self);
        let pick_up = move || {
            let actor = repo.env.actor(caller);
            repo.with(|state| {
                if let Ok(id) = repo.live(state, node) {
                    // Anything it cannot take now is taken at the next look at the file.
                    let _ = repo.append_content(state, id, &actor);
                }
            });
        };
        match step {
            Step::Done(answer) => {
                if answer.is_ok() {
                    pick_up();
                }
                Step::Done(answer)
            }
            Step::Later(answer) => Step::Later(Box::pin(async move {
                let answer = answer.await?;
                pick_up();
                Ok(answer)
            })),
        }
    }

    pub fn unlink(self: &Arc<Self>, caller: Caller, parent: NodeId, name: &[u8]) -> Step<()> {
        self.remove(caller, parent, name, false)
    }

    pub fn rmdir(self: &Arc<Self>, caller: Caller, parent: NodeId, name: &[u8]) -> Step<()> {
        self.remove(caller, parent, name, true)
    }

    fn remove(
        self: &Arc<Self>,
        caller: Caller,
        parent: NodeId,
        name: &[u8],
        directory: bool,
    ) -> Step<()> {
        if let Err(error) = check_name(name) {
            return Step::Done(Err(error));
        }
        let name = Name::new(name);
        self.change(caller, move |repo, state| {
            let dir = repo.writable_dir(state, parent, caller)?;
            let id = state
                .tree
                .child(dir, name.as_bytes())
                .ok_or(FsError::NotFound)?;
            repo.check_dir_write(state, dir, caller)?;
            repo.check_sticky(state, dir, id, caller)?;
            let node = state.tree.get(id).ok_or(FsError::Stale)?;
            match (directory, node.is_dir()) {
                (true, false) => return Err(FsError::NotDir.into()),
                (false, true) => return Err(FsError::IsDir.into()),
                (true, true) => Self::check_empty(state, id)?,
                (false, false) => {}
            }
            let path = state.tree.path(dir).ok_or(FsError::Stale)?;
            let (parent, name) = (dir.0, name.as_bytes().to_vec().into());
            let op = if directory {
                Kind::Rmdir(v1::Rmdir {
                    parent,
                    name,
                    id: id.0,
                })
            } else {
                Kind::Unlink(v1::Unlink {
                    parent,
                    name,
                    id: id.0,
                })
            };
            Ok(Plan::Op(Change::new(op, path, repo.env.now(), |_, _| {
                Ok(())
            })))
        })
    }

    fn check_sticky(
        &self,
        state: &State,
        dir: FileId,
        entry: FileId,
        caller: Caller,
    ) -> FsResult<()> {
        let (dir, entry) = (state.tree.get(dir), state.tree.get(entry));
        let (dir, entry) = (dir.ok_or(FsError::Stale)?, entry.ok_or(FsError::Stale)?);
        perm::check_sticky(self.env.subject(dir), self.env.subject(entry), caller)
    }

    fn check_empty(state: &State, dir: FileId) -> Try<()> {
        let node = state.tree.get(dir).ok_or(FsError::Stale)?;
        if !state.tree.is_loaded(dir) {
            return Err(Stop::Load(dir));
        }
        if node.dir().is_some_and(|d| d.children.is_empty()) {
            Ok(())
        } else {
            Err(FsError::NotEmpty.into())
        }
    }

    pub fn rename(
        self: &Arc<Self>,
        caller: Caller,
        parent: NodeId,
        name: &[u8],
        new_parent: NodeId,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Step<()> {
        if flags.no_replace && flags.exchange {
            return Step::Done(Err(FsError::Invalid));
        }
        for name in [name, new_name] {
            if let Err(error) = check_name(name) {
                return Step::Done(Err(error));
            }
        }
        let (name, new_name) = (Name::new(name), Name::new(new_name));
        self.change(caller, move |repo, state| {
            let from = repo.writable_dir(state, parent, caller)?;
            let to = repo.writable_dir(state, new_parent, caller)?;
            repo.plan_rename(state, caller, (from, &name), (to, &new_name), flags)
        })
    }

    fn plan_rename(
        &self,
        state: &State,
        caller: Caller,
        (from, name): (FileId, &Name),
        (to, new_name): (FileId, &Name),
        flags: RenameFlags,
    ) -> Try<Plan<()>> {
        let tree = &state.tree;
        let id = tree.child(from, name.as_bytes()).ok_or(FsError::NotFound)?;
        let other = tree.child(to, new_name.as_bytes());
        if flags.no_replace && other.is_some() {
            return Err(FsError::Exists.into());
        }
        if flags.exchange && other.is_none() {
            return Err(FsError::NotFound.into());
        }
        let node = tree.get(id).ok_or(FsError::Stale)?;
        // A directory never goes below itself, nor (with exchange) above.
        if node.is_dir() && tree.is_below(to, id) {
            return Err(FsError::Invalid.into());
        }
        let target = other.and_then(|o| tree.get(o));
        if let Some(target) = target
            && target.is_dir()
            && tree.is_below(from, target.id)
        {
            return Err(if flags.exchange {
                FsError::Invalid.into()
            } else {
                FsError::NotEmpty.into()
            });
        }
        self.check_dir_write(state, from, caller)?;
        self.check_dir_write(state, to, caller)?;
        self.check_sticky(state, from, id, caller)?;
        if let Some(other) = other {
            if other == id {
                // Two names of one file: nothing happens.
                return Ok(Plan::Answer(()));
            }
            self.check_sticky(state, to, other, caller)?;
        }
        if let Some(target) = target
            && !flags.exchange
        {
            match (node.is_dir(), target.is_dir()) {
                (true, false) => return Err(FsError::NotDir.into()),
                (false, true) => return Err(FsError::IsDir.into()),
                (true, true) => Self::check_empty(state, target.id)?,
                (false, false) => {}
            }
        }
        // Moving a directory rewrites its `..`.
        if from != to && node.is_dir() {
            self.check(node, caller, perm::WRITE)?;
        }
        if from != to
            && flags.exchange
            && let Some(target) = target
            && target.is_dir()
        {
            self.check(target, caller, perm::WRITE)?;
        }
        let path = Self::entry_path(state, from, name.as_bytes())?;
        let new_path = Self::entry_path(state, to, new_name.as_bytes())?;
        let rename = v1::Rename {
            parent: from.0,
            name: name.as_bytes().to_vec().into(),
            id: id.0,
            new_parent: to.0,
            new_name: new_name.as_bytes().to_vec().into(),
            new_path: new_path.into(),
            replaced: other.map_or(0, |o| o.0),
            exchange: flags.exchange,
        };
        let now = self.env.now();
        let mut change = Change::new(Kind::Rename(rename), path, now, |_, _| Ok(()));
        change.content_first = Some(id);
        Ok(Plan::Op(change))
    }
}
