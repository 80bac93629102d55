//! Names and attributes.

use std::time::SystemTime;

use bytes::Bytes;
use mesa_types::NodeKind;
use mesa_vfs::fs::{
    AttrChange, Caller, DirEntry, Entry, FileAttr, Found, FsError, FsResult, Handle, NodeId,
    RenameFlags,
};
use rustix::fs::{Timespec, Timestamps};

use super::memfs::{MemFs, State, node, resolve};

const NAME_MAX: usize = 255;

impl MemFs {
    pub fn found(&self, parent: NodeId, name: &[u8]) -> FsResult<Found> {
        if name.len() > NAME_MAX {
            return Err(FsError::NameTooLong);
        }
        let mut state = self.state.lock();
        match state.child(parent, name) {
            Ok(child) => state.entry(child).map(Found::Entry),
            Err(FsError::NotFound) => Ok(Found::Absent),
            Err(error) => Err(error),
        }
    }

    pub fn forgotten(&self, node: NodeId, count: u64) {
        let mut state = self.state.lock();
        if let Ok(found) = state.get_mut(node) {
            found.lookups = found
                .lookups
                .checked_sub(count)
                .expect("more forgets than lookups");
        }
        self.drop_if_unused(&mut state, node);
    }

    pub fn drop_if_unused(&self, state: &mut State, node: NodeId) {
        let unused = |found: &super::memfs::Node| {
            found.attr.nlink == 0 && found.lookups == 0 && found.opens == 0
        };
        if state.get(node).is_ok_and(unused) {
            state.nodes.remove(&node.0);
            let _ = std::fs::remove_file(self.backing_path(node.0));
        }
    }

    pub fn attr(&self, node: NodeId) -> FsResult<FileAttr> {
        let mut state = self.state.lock();
        let found = state.get_mut(node)?;
        found.refresh();
        Ok(found.attr)
    }

    pub fn change(&self, node: NodeId, change: AttrChange) -> FsResult<FileAttr> {
        let now = SystemTime::now();
        let mut state = self.state.lock();
        let found = state.get_mut(node)?;
        found.refresh();
        let attr = &mut found.attr;
        attr.mode = change.mode.unwrap_or(attr.mode);
        attr.uid = change.uid.unwrap_or(attr.uid);
        attr.gid = change.gid.unwrap_or(attr.gid);
        attr.atime = resolve(change.atime, now).unwrap_or(attr.atime);
        attr.ctime = now;
        if change.kill_suid_gid {
            attr.mode &= !0o6000;
        }
        let path = self.backing_path(node.0);
        if let Some(size) = change.size {
            let file = std::fs::File::options()
                .write(true)
                .open(&path)
                .map_err(|_| FsError::Io)?;
            file.set_len(size).map_err(|_| FsError::TooBig)?;
            attr.size = size;
            attr.mtime = now;
        }
        if let Some(mtime) = resolve(change.mtime, now) {
            attr.mtime = mtime;
            if attr.kind == NodeKind::File {
                // The open file's time would win otherwise.
                let (secs, nanos) = match mtime.duration_since(SystemTime::UNIX_EPOCH) {
                    Ok(since) => (since.as_secs() as i64, since.subsec_nanos()),
                    Err(_) => (0, 0),
                };
                let time = Timespec {
                    tv_sec: secs,
                    tv_nsec: i64::from(nanos),
                };
                let times = Timestamps {
                    last_access: time,
                    last_modification: time,
                };
                let _ = rustix::fs::utimensat(
                    rustix::fs::CWD,
                    &path,
                    &times,
                    rustix::fs::AtFlags::empty(),
                );
            }
        }
        Ok(found.attr)
    }

    pub fn add(
        &self,
        state: &mut State,
        caller: Caller,
        parent: NodeId,
        name: Option<&[u8]>,
        kind: NodeKind,
        mode: u32,
    ) -> FsResult<NodeId> {
        let id = state.next;
        state.next += 1;
        let dir = state.dir(parent)?;
        if let Some(name) = name {
            if name.len() > NAME_MAX {
                return Err(FsError::NameTooLong);
            }
            if dir.attr.nlink == 0 {
                return Err(FsError::NotFound);
            }
            if dir.entries.contains_key(name) {
                return Err(FsError::Exists);
            }
            dir.entries.insert(Bytes::copy_from_slice(name), id);
            touch(dir);
            if kind == NodeKind::Dir {
                dir.attr.nlink += 1;
            }
        }
        let (uid, gid) = (caller.uid, caller.gid);
        let mut new = node(parent.0, id + self.ino_offset, kind, mode, uid, gid);
        if name.is_none() {
            new.attr.nlink = 0;
        }
        state.nodes.insert(id, new);
        Ok(NodeId(id))
    }

    pub fn made(
        &self,
        caller: Caller,
        parent: NodeId,
        name: &[u8],
        kind: NodeKind,
        mode: u32,
        target: &[u8],
    ) -> FsResult<Entry> {
        let mut state = self.state.lock();
        let id = self.add(&mut state, caller, parent, Some(name), kind, mode)?;
        let new = state.get_mut(id)?;
        new.target = Bytes::copy_from_slice(target);
        new.attr.size = target.len() as u64;
        if kind == NodeKind::File {
            std::fs::File::create(self.backing_path(id.0)).map_err(|_| FsError::Io)?;
        }
        state.entry(id)
    }

    pub fn linked(&self, node: NodeId, parent: NodeId, name: &[u8]) -> FsResult<Entry> {
        let mut state = self.state.lock();
        if state.get(node)?.attr.kind == NodeKind::Dir {
            return Err(FsError::NotPermitted);
        }
        let dir = state.dir(parent)?;
        if dir.entries.contains_key(name) {
            return Err(FsError::Exists);
        }
        dir.entries.insert(Bytes::copy_from_slice(name), node.0);
        touch(dir);
        let found = state.get_mut(node)?;
        found.attr.nlink += 1;
        found.attr.ctime = SystemTime::now();
        state.entry(node)
    }

    pub fn removed(&self, parent: NodeId, name: &[u8], dir: bool) -> FsResult<()> {
        let mut state = self.state.lock();
        let child = state.child(parent, name)?;
        Self::check_removable(&state, child, dir)?;
        self.unlink(&mut state, parent, name, child)
    }

    fn check_removable(state: &State, child: NodeId, dir: bool) -> FsResult<()> {
        let found = state.get(child)?;
        match (found.attr.kind == NodeKind::Dir, dir) {
            (true, false) => Err(FsError::IsDir),
            (false, true) => Err(FsError::NotDir),
            (true, true) if !found.entries.is_empty() => Err(FsError::NotEmpty),
            _ => Ok(()),
        }
    }

    fn unlink(
        &self,
        state: &mut State,
        parent: NodeId,
        name: &[u8],
        child: NodeId,
    ) -> FsResult<()> {
        let is_dir = state.get(child)?.attr.kind == NodeKind::Dir;
        let dir = state.dir(parent)?;
        dir.entries.remove(name);
        touch(dir);
        if is_dir {
            dir.attr.nlink -= 1;
        }
        let found = state.get_mut(child)?;
        found.attr.nlink = if is_dir { 0 } else { found.attr.nlink - 1 };
        found.attr.ctime = SystemTime::now();
        self.drop_if_unused(state, child);
        Ok(())
    }

    pub fn renamed(
        &self,
        (from, name): (NodeId, &[u8]),
        (to, new_name): (NodeId, &[u8]),
        flags: RenameFlags,
    ) -> FsResult<()> {
        let mut state = self.state.lock();
        let moved = state.child(from, name)?;
        if new_name.len() > NAME_MAX {
            return Err(FsError::NameTooLong);
        }
        let is_dir = state.get(moved)?.attr.kind == NodeKind::Dir;
        let mut above = to.0;
        while is_dir && above != 1 {
            if above == moved.0 {
                return Err(FsError::Invalid);
            }
            above = state.get(NodeId(above))?.parent;
        }
        match state.child(to, new_name) {
            Ok(_) if flags.no_replace => return Err(FsError::Exists),
            Ok(other) if flags.exchange => {
                let other_dir = state.get(other)?.attr.kind == NodeKind::Dir;
                state
                    .dir(from)?
                    .entries
                    .insert(Bytes::copy_from_slice(name), other.0);
                state
                    .dir(to)?
                    .entries
                    .insert(Bytes::copy_from_slice(new_name), moved.0);
                state.get_mut(moved)?.parent = to.0;
                state.get_mut(other)?.parent = from.0;
                if is_dir != other_dir {
                    state.dir(if is_dir { from } else { to })?.attr.nlink -= 1;
                    state.dir(if is_dir { to } else { from })?.attr.nlink += 1;
                }
                return Ok(());
            }
            Ok(same) if same == moved => return Ok(()),
            Ok(target) => {
                Self::check_removable(&state, target, is_dir)?;
                self.unlink(&mut state, to, new_name, target)?;
            }
            Err(FsError::NotFound) if !flags.exchange => {}
            Err(error) => return Err(error),
        }
        let dir = state.dir(from)?;
        dir.entries.remove(name);
        touch(dir);
        dir.attr.nlink -= u32::from(is_dir);
        let dir = state.dir(to)?;
        dir.entries
            .insert(Bytes::copy_from_slice(new_name), moved.0);
        touch(dir);
        dir.attr.nlink += u32::from(is_dir);
        let found = state.get_mut(moved)?;
        found.parent = to.0;
        found.attr.ctime = SystemTime::now();
        Ok(())
    }

    pub fn listed(&self, node: NodeId) -> FsResult<Handle> {
        let mut state = self.state.lock();
        let dir = state.dir(node)?;
        let mut listing = vec![(Bytes::from("."), node.0), (Bytes::from(".."), dir.parent)];
        listing.extend(dir.entries.iter().map(|(name, id)| (name.clone(), *id)));
        let handle = state.handle(node, None);
        state.handles.remove(&handle.0);
        state.listings.insert(handle.0, listing);
        Ok(handle)
    }

    pub fn entries(
        &self,
        node: NodeId,
        handle: Handle,
        from: u64,
        bytes: usize,
        plus: bool,
    ) -> FsResult<Vec<DirEntry>> {
        let mut state = self.state.lock();
        if from == 0 && state.listings.contains_key(&handle.0) {
            let dir = state.dir(node)?;
            let mut listing = vec![(Bytes::from("."), node.0), (Bytes::from(".."), dir.parent)];
            listing.extend(dir.entries.iter().map(|(name, id)| (name.clone(), *id)));
            state.listings.insert(handle.0, listing);
        }
        let listing = state.listings.get(&handle.0).ok_or(FsError::BadHandle)?;
        let cost = if plus { 152 } else { 24 };
        let mut left = bytes;
        let mut names = Vec::new();
        for (index, (name, id)) in listing.iter().enumerate().skip(from as usize) {
            names.push((index, name.clone(), *id));
            // One more than fits, so that handing lookups back is exercised.
            if left < cost + name.len() {
                break;
            }
            left -= cost + name.len();
        }
        let mut out = Vec::new();
        for (index, name, id) in names {
            let Ok(found) = state.get(NodeId(id)) else {
                continue;
            };
            let (ino, kind) = (found.attr.ino, found.attr.kind);
            let dots = matches!(&name[..], b"." | b"..");
            let entry = if plus && !dots {
                Some(state.entry(NodeId(id))?)
            } else {
                None
            };
            out.push(DirEntry {
                name,
                ino,
                kind,
                next: index as u64 + 1,
                entry,
            });
        }
        Ok(out)
    }
}

fn touch(dir: &mut super::memfs::Node) {
    let now = SystemTime::now();
    dir.attr.mtime = now;
    dir.attr.ctime = now;
}
