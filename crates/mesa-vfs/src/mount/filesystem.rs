//! [`Filesystem`] for [`Mount`]: finds the place, opens the repo, hands on.

use std::sync::Arc;

use bytes::Bytes;
use mesa_types::NodeKind;

use super::{Inner, Mount, Place, org::Slot, repo::Repo};
use crate::fs::{
    AttrChange, Caller, DirEntry, Entry, FileAttr, Filesystem, Found, FsError, FsResult, Handle,
    NodeId, OpenFlags, Opened, RenameFlags, SeekKind, StatFs, Step,
};

async fn wait<T>(step: Step<T>) -> FsResult<T> {
    match step {
        Step::Done(answer) => answer,
        Step::Later(answer) => answer.await,
    }
}

async fn opened(slot: Arc<Slot>) -> FsResult<Arc<Repo>> {
    slot.open().await?;
    slot.repo().ok_or(FsError::Io)
}

/// Runs a call in a repo, at once if it is open. The named byte strings are copied for a call that
/// has to wait for it.
macro_rules! in_repo {
    ($slot:expr, [$($bytes:ident),*], $repo:ident => $call:expr) => {{
        let slot = $slot;
        match slot.repo() {
            Some($repo) => $call,
            None => {
                $(let $bytes = $bytes.to_vec();)*
                Step::Later(Box::pin(async move {
                    let $repo = opened(slot).await?;
                    $(let $bytes = &$bytes[..];)*
                    let step = $call;
                    wait(step).await
                }))
            }
        }
    }};
}

macro_rules! place {
    ($self:ident, $node:expr) => {
        match $self.inner.place($node) {
            Ok(place) => place,
            Err(error) => return Step::Done(Err(error)),
        }
    };
}

impl Mount {
    /// The open repo a descriptor belongs to.
    fn held(&self, node: NodeId) -> FsResult<Arc<Repo>> {
        match self.inner.place(node)? {
            Place::Repo(slot) => slot.repo().ok_or(FsError::BadHandle),
            Place::Root | Place::Org(_) => Err(FsError::BadHandle),
        }
    }

    /// A descriptor of a former process may come before its repo is open again.
    fn in_held<T: Send + 'static>(
        &self,
        node: NodeId,
        call: impl FnOnce(&Arc<Repo>) -> Step<T> + Send + 'static,
    ) -> Step<T> {
        match self.inner.place(node) {
            Ok(Place::Repo(slot)) => match slot.repo() {
                Some(repo) => call(&repo),
                None => Step::Later(Box::pin(async move {
                    let repo = opened(slot).await?;
                    wait(call(&repo)).await
                })),
            },
            Ok(Place::Root | Place::Org(_)) => Step::Done(Err(FsError::BadHandle)),
            Err(error) => Step::Done(Err(error)),
        }
    }
}

impl Filesystem for Mount {
    fn lookup(&self, caller: Caller, parent: NodeId, name: &[u8]) -> Step<Found> {
        match place!(self, parent) {
            Place::Root => Step::Done(self.inner.lookup_org(name)),
            Place::Org(org) => self.inner.lookup_repo(&org, name),
            Place::Repo(slot) => in_repo!(slot, [name], repo => repo.lookup(caller, parent, name)),
        }
    }

    fn forget(&self, node: NodeId, count: u64) {
        if let Ok(repo) = self.held(node) {
            repo.forget(node, count);
        }
    }

    fn unknown(&self, node: NodeId) {
        if let Ok(repo) = self.held(node) {
            repo.unknown(node);
        }
    }

    fn unforgotten(&self, node: NodeId) {
        if let Ok(repo) = self.held(node) {
            repo.unforgotten(node);
        }
    }

    fn getattr(&self, _: Caller, node: NodeId, handle: Option<Handle>) -> Step<FileAttr> {
        match place!(self, node) {
            Place::Root => Step::Done(Ok(self.inner.root_attr())),
            Place::Org(org) => Step::Done(Ok(self.inner.org_attr(&org))),
            Place::Repo(slot) => in_repo!(slot, [], repo => repo.getattr(node, handle)),
        }
    }

    fn setattr(
        &self,
        caller: Caller,
        node: NodeId,
        handle: Option<Handle>,
        change: AttrChange,
    ) -> Step<FileAttr> {
        match place!(self, node) {
            Place::Root | Place::Org(_) => Step::Done(Err(FsError::ReadOnly)),
            Place::Repo(slot) => {
                in_repo!(slot, [], repo => repo.setattr(caller, node, handle, change))
            }
        }
    }

    fn access(&self, caller: Caller, node: NodeId, mask: u32) -> Step<()> {
        match place!(self, node) {
            Place::Root | Place::Org(_) => Step::Done(Inner::access_above(caller, mask)),
            Place::Repo(slot) => in_repo!(slot, [], repo => repo.access(caller, node, mask)),
        }
    }

    fn readlink(&self, _: Caller, node: NodeId) -> Step<Bytes> {
        match place!(self, node) {
            Place::Root | Place::Org(_) => Step::Done(Err(FsError::Invalid)),
            Place::Repo(slot) => in_repo!(slot, [], repo => repo.readlink(node)),
        }
    }

    fn create(
        &self,
        caller: Caller,
        parent: NodeId,
        name: &[u8],
        mode: u32,
        flags: OpenFlags,
    ) -> Step<(Entry, Opened)> {
        match place!(self, parent) {
            Place::Root => Step::Done(Err(self.inner.refuse_create(None, name))),
            Place::Org(org) => Step::Done(Err(self.inner.refuse_create(Some(&org), name))),
            Place::Repo(slot) => {
                in_repo!(slot, [name], repo => repo.create(caller, parent, name, mode, flags))
            }
        }
    }

    fn mknod(
        &self,
        caller: Caller,
        parent: NodeId,
        name: &[u8],
        kind: NodeKind,
        mode: u32,
    ) -> Step<Entry> {
        match place!(self, parent) {
            Place::Root => Step::Done(Err(self.inner.refuse_create(None, name))),
            Place::Org(org) => Step::Done(Err(self.inner.refuse_create(Some(&org), name))),
            Place::Repo(slot) => {
                in_repo!(slot, [name], repo => repo.mknod(caller, parent, name, kind, mode))
            }
        }
    }

    fn mkdir(&self, caller: Caller, parent: NodeId, name: &[u8], mode: u32) -> Step<Entry> {
        match place!(self, parent) {
            Place::Root => Step::Done(Err(self.inner.refuse_create(None, name))),
            Place::Org(org) => Step::Done(Err(self.inner.refuse_create(Some(&org), name))),
            Place::Repo(slot) => {
                in_repo!(slot, [name], repo => repo.mkdir(caller, parent, name, mode))
            }
        }
    }

    fn symlink(&self, caller: Caller, parent: NodeId, name: &[u8], target: &[u8]) -> Step<Entry> {
        match place!(self, parent) {
            Place::Root => Step::Done(Err(self.inner.refuse_create(None, name))),
            Place::Org(org) => Step::Done(Err(self.inner.refuse_create(Some(&org), name))),
            Place::Repo(slot) => in_repo!(
                slot, [name, target], repo => repo.symlink(caller, parent, name, target)
            ),
        }
    }

    fn link(&self, caller: Caller, node: NodeId, parent: NodeId, name: &[u8]) -> Step<Entry> {
        let (from, to) = (place!(self, node), place!(self, parent));
        match (from, to) {
            (Place::Repo(from), Place::Repo(slot)) if Arc::ptr_eq(&from, &slot) => {
                in_repo!(slot, [name], repo => repo.link(caller, node, parent, name))
            }
            _ => Step::Done(Err(FsError::CrossDevice)),
        }
    }

    fn unlink(&self, caller: Caller, parent: NodeId, name: &[u8]) -> Step<()> {
        match place!(self, parent) {
            Place::Root | Place::Org(_) => Step::Done(Err(FsError::IsDir)),
            Place::Repo(slot) => in_repo!(slot, [name], repo => repo.unlink(caller, parent, name)),
        }
    }

    fn rmdir(&self, caller: Caller, parent: NodeId, name: &[u8]) -> Step<()> {
        match place!(self, parent) {
            Place::Root => Step::Done(Err(self.inner.refuse_remove(None, name))),
            Place::Org(org) => Step::Done(Err(self.inner.refuse_remove(Some(&org), name))),
            Place::Repo(slot) => in_repo!(slot, [name], repo => repo.rmdir(caller, parent, name)),
        }
    }

    fn rename(
        &self,
        caller: Caller,
        parent: NodeId,
        name: &[u8],
        new_parent: NodeId,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Step<()> {
        let (from, to) = (place!(self, parent), place!(self, new_parent));
        match (from, to) {
            (Place::Repo(from), Place::Repo(slot)) if Arc::ptr_eq(&from, &slot) => in_repo!(
                slot,
                [name, new_name],
                repo => repo.rename(caller, parent, name, new_parent, new_name, flags)
            ),
            (Place::Repo(_), _) | (_, Place::Repo(_)) => Step::Done(Err(FsError::CrossDevice)),
            (Place::Root, _) => Step::Done(Err(self.inner.refuse_remove(None, name))),
            (Place::Org(org), _) => Step::Done(Err(self.inner.refuse_remove(Some(&org), name))),
        }
    }

    fn tmpfile(
        &self,
        caller: Caller,
        parent: NodeId,
        mode: u32,
        flags: OpenFlags,
    ) -> Step<(Entry, Opened)> {
        match place!(self, parent) {
            Place::Root | Place::Org(_) => Step::Done(Err(FsError::ReadOnly)),
            Place::Repo(slot) => {
                in_repo!(slot, [], repo => repo.tmpfile(caller, parent, mode, flags))
            }
        }
    }

    fn open(&self, caller: Caller, node: NodeId, flags: OpenFlags) -> Step<Opened> {
        match place!(self, node) {
            Place::Root | Place::Org(_) => Step::Done(Err(FsError::IsDir)),
            Place::Repo(slot) => in_repo!(slot, [], repo => repo.open(caller, node, flags)),
        }
    }

    fn read(&self, node: NodeId, handle: Handle, offset: u64, size: u32) -> Step<Bytes> {
        self.in_held(node, move |repo| repo.read_data(node, handle, offset, size))
    }

    fn write(&self, node: NodeId, handle: Handle, offset: u64, data: &[u8]) -> Step<u32> {
        if let Ok(repo) = self.held(node) {
            return repo.write_data(node, handle, offset, data);
        }
        let data = data.to_vec();
        self.in_held(node, move |repo| {
            repo.write_data(node, handle, offset, &data)
        })
    }

    fn flush(&self, node: NodeId, handle: Handle) -> Step<()> {
        self.in_held(node, move |repo| repo.flush(node, handle))
    }

    fn release(&self, node: NodeId, handle: Handle) {
        if let Ok(repo) = self.held(node) {
            repo.released(node, handle);
        } else if let Step::Later(later) = self.in_held(node, move |repo| {
            repo.released(node, handle);
            Step::Done(Ok(()))
        }) {
            self.inner.env.config.runtime.spawn(later);
        }
    }

    fn fsync(&self, node: NodeId, handle: Handle, _: bool) -> Step<()> {
        self.in_held(node, move |repo| repo.fsync(node, handle))
    }

    fn fallocate(
        &self,
        node: NodeId,
        handle: Handle,
        mode: i32,
        offset: u64,
        length: u64,
    ) -> Step<()> {
        self.in_held(node, move |repo| {
            repo.fallocate(node, handle, mode, offset, length)
        })
    }

    fn seek(&self, node: NodeId, handle: Handle, offset: u64, kind: SeekKind) -> Step<u64> {
        self.in_held(node, move |repo| repo.seek(node, handle, offset, kind))
    }

    fn copy_file_range(
        &self,
        from: (NodeId, Handle),
        from_offset: u64,
        to: (NodeId, Handle),
        to_offset: u64,
        length: u64,
    ) -> Step<u64> {
        match (self.held(from.0), self.held(to.0)) {
            (Ok(source), Ok(target)) if Arc::ptr_eq(&source, &target) => {
                target.copy_file_range(from, from_offset, to, to_offset, length)
            }
            // The caller falls back to reading and writing.
            (Ok(_), Ok(_)) => Step::Done(Err(FsError::CrossDevice)),
            (Err(error), _) | (_, Err(error)) => Step::Done(Err(error)),
        }
    }

    fn opendir(&self, caller: Caller, node: NodeId) -> Step<Handle> {
        match place!(self, node) {
            Place::Root => self.inner.opendir_above(None),
            Place::Org(org) => self.inner.opendir_above(Some(&org)),
            Place::Repo(slot) => in_repo!(slot, [], repo => repo.opendir(caller, node)),
        }
    }

    fn readdir(
        &self,
        _: Caller,
        node: NodeId,
        handle: Handle,
        from: u64,
        bytes: usize,
        plus: bool,
    ) -> Step<Vec<DirEntry>> {
        let above = |org| self.inner.readdir_above(org, handle, from, bytes, plus);
        match place!(self, node) {
            Place::Root => Step::Done(above(None)),
            Place::Org(org) => Step::Done(above(Some(&org))),
            Place::Repo(slot) => {
                let up = slot.org.0;
                in_repo!(slot, [], repo => repo.readdir(node, handle, from, bytes, plus, up))
            }
        }
    }

    fn releasedir(&self, node: NodeId, handle: Handle) {
        match self.inner.place(node) {
            Ok(Place::Repo(slot)) => {
                if let Some(repo) = slot.repo() {
                    repo.releasedir(handle);
                }
            }
            _ => self.inner.releasedir_above(handle),
        }
    }

    fn fsyncdir(&self, node: NodeId, _: Handle) -> Step<()> {
        match place!(self, node) {
            Place::Root | Place::Org(_) => Step::Done(Ok(())),
            Place::Repo(slot) => in_repo!(slot, [], repo => repo.fsyncdir()),
        }
    }

    fn getxattr(&self, caller: Caller, node: NodeId, name: &[u8]) -> Step<Bytes> {
        match place!(self, node) {
            Place::Root | Place::Org(_) => Step::Done(Err(FsError::NoXattr)),
            Place::Repo(slot) => in_repo!(slot, [name], repo => repo.getxattr(caller, node, name)),
        }
    }

    fn setxattr(
        &self,
        caller: Caller,
        node: NodeId,
        name: &[u8],
        value: &[u8],
        flags: u32,
    ) -> Step<()> {
        match place!(self, node) {
            Place::Root | Place::Org(_) => Step::Done(Err(FsError::ReadOnly)),
            Place::Repo(slot) => in_repo!(
                slot, [name, value], repo => repo.setxattr(caller, node, name, value, flags)
            ),
        }
    }

    fn listxattr(&self, caller: Caller, node: NodeId) -> Step<Bytes> {
        match place!(self, node) {
            Place::Root | Place::Org(_) => Step::Done(Ok(Bytes::new())),
            Place::Repo(slot) => in_repo!(slot, [], repo => repo.listxattr(caller, node)),
        }
    }

    fn removexattr(&self, caller: Caller, node: NodeId, name: &[u8]) -> Step<()> {
        match place!(self, node) {
            Place::Root | Place::Org(_) => Step::Done(Err(FsError::ReadOnly)),
            Place::Repo(slot) => {
                in_repo!(slot, [name], repo => repo.removexattr(caller, node, name))
            }
        }
    }

    fn statfs(&self, _: NodeId) -> Step<StatFs> {
        let dir = &self.inner.env.config.state_dir;
        let Ok(found) = rustix::fs::statvfs(dir) else {
            return Step::Done(Err(FsError::Io));
        };
        Step::Done(Ok(StatFs {
            blocks: found.f_blocks,
            blocks_free: found.f_bfree,
            blocks_available: found.f_bavail,
            files: found.f_files,
            files_free: found.f_ffree,
            block_size: u32::try_from(found.f_frsize).unwrap_or(4096),
            name_max: 255,
        }))
    }
}
