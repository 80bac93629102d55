//! The directories above the repos: the mount's root and the orgs.

use std::sync::Arc;

use bytes::Bytes;
use mesa_types::{FileId, Nanos, NodeKind};

use super::{
    Inner,
    attr::system_time,
    names::{Budget, check_name},
    org::{Org, Slot},
};
use crate::{
    fs::{Caller, DirEntry, Entry, FileAttr, Found, FsError, FsResult, Handle, NodeId, Step},
    session::Later,
    tree::perm,
};

/// A listing of the root or of an org, as it was at the start of the pass.
#[derive(Default)]
pub struct RootListing {
    entries: Option<Arc<Vec<Listed>>>,
}

struct Listed {
    name: Bytes,
    ino: u64,
    slot: Option<Arc<Slot>>,
    org: Option<Arc<Org>>,
}

impl Inner {
    fn dir_attr(&self, ino: u64, mode: u16, time: Nanos) -> FileAttr {
        let time = system_time(time);
        FileAttr {
            ino,
            kind: NodeKind::Dir,
            mode,
            nlink: 2,
            uid: self.env.config.uid,
            gid: self.env.config.gid,
            size: 4096,
            blocks: 8,
            atime: time,
            mtime: time,
            ctime: time,
        }
    }

    pub fn root_attr(&self) -> FileAttr {
        self.dir_attr(NodeId::ROOT.0, 0o755, self.started)
    }

    pub fn org_attr(&self, org: &Org) -> FileAttr {
        self.dir_attr(org.node.0, 0o755, self.started)
    }

    /// A repo's root: as the repo has it, or (not opened yet) what the listing tells.
    fn slot_entry(&self, slot: &Slot) -> FsResult<Entry> {
        if let Some(repo) = slot.repo() {
            return repo.with(|state| {
                let root = state.tree.root();
                repo.entry(state, root)
            });
        }
        let ino = FileId::root_of(slot.info.tag).0;
        Ok(Entry {
            node: slot.root(),
            attr: self.dir_attr(ino, 0o755, Nanos(slot.info.created_ns)),
        })
    }

    pub fn lookup_org(&self, name: &[u8]) -> FsResult<Found> {
        check_name(name)?;
        let orgs = self.orgs.read();
        let org = orgs
            .iter()
            .find(|o| o.config.slug.as_str().as_bytes() == name);
        match org {
            Some(org) => Ok(Found::Entry(Entry {
                node: org.node,
                attr: self.org_attr(org),
            })),
            None => Ok(Found::Absent),
        }
    }

    pub fn lookup_repo(self: &Arc<Self>, org: &Arc<Org>, name: &[u8]) -> Step<Found> {
        if let Err(error) = check_name(name) {
            return Step::Done(Err(error));
        }
        if let Some(slot) = org.slot(name) {
            return Step::Done(self.slot_entry(&slot).map(Found::Entry));
        }
        let text = std::str::from_utf8(name).unwrap_or("");
        if text.parse::<mesa_types::RepoName>().is_err() {
            // No repo can have this name.
            return Step::Done(Ok(Found::Absent));
        }
        let listing = org.list(&self.tags());
        let (inner, org, name) = (Arc::clone(self), Arc::clone(org), name.to_vec());
        Step::Later(Box::pin(async move {
            listing.await?;
            match org.slot(&name) {
                Some(slot) => inner.slot_entry(&slot).map(Found::Entry),
                // Not `Absent`: nobody would tell the kernel when the repo is made.
                None => Err(FsError::NotFound),
            }
        }))
    }

    /// Whether a name is there already decides between "exists" and "read-only".
    pub fn refuse_create(&self, org: Option<&Arc<Org>>, name: &[u8]) -> FsError {
        if let Err(error) = check_name(name) {
            return error;
        }
        let present = match org {
            Some(org) => org.slot(name).is_some(),
            None => matches!(self.lookup_org(name), Ok(Found::Entry(_))),
        };
        if present {
            FsError::Exists
        } else {
            FsError::ReadOnly
        }
    }

    /// Orgs and repos are not removed or renamed here.
    pub fn refuse_remove(&self, org: Option<&Arc<Org>>, name: &[u8]) -> FsError {
        match self.refuse_create(org, name) {
            FsError::Exists => FsError::Busy,
            FsError::ReadOnly => FsError::NotFound,
            other => other,
        }
    }

    pub fn access_above(caller: Caller, mask: u32) -> FsResult<()> {
        match mask & perm::WRITE != 0 {
            // Root too: nothing can be made here.
            true if caller.uid == 0 => Err(FsError::ReadOnly),
            true => Err(FsError::Access),
            false => Ok(()),
        }
    }

    pub fn opendir_above(self: &Arc<Self>, org: Option<&Arc<Org>>) -> Step<Handle> {
        let handle = self.env.next_handle();
        let inner = Arc::clone(self);
        let opened = move || {
            inner.dirs.lock().insert(handle, RootListing::default());
            Ok(handle)
        };
        let listing: Option<Later<FsResult<()>>> = match org {
            Some(org) if !org.is_fresh() => {
                let listing = org.list(&self.tags());
                Some(Box::pin(listing))
            }
            _ => None,
        };
        match listing {
            None => Step::Done(opened()),
            Some(listing) => Step::Later(Box::pin(async move {
                listing.await?;
                opened()
            })),
        }
    }

    pub fn readdir_above(
        &self,
        org: Option<&Arc<Org>>,
        handle: Handle,
        from: u64,
        bytes: usize,
        plus: bool,
    ) -> FsResult<Vec<DirEntry>> {
        let kept = {
            // One that a former process opened is not known: those few names are listed anew.
            let mut dirs = self.dirs.lock();
            let open = dirs.entry(handle).or_default();
            open.entries.clone().filter(|_| from != 0)
        };
        let listing = if let Some(listing) = kept {
            listing
        } else {
            let listing = Arc::new(self.list_above(org));
            if let Some(open) = self.dirs.lock().get_mut(&handle) {
                open.entries = Some(Arc::clone(&listing));
            }
            listing
        };
        let own = org.map_or(NodeId::ROOT.0, |o| o.node.0);
        let mut budget = Budget::new(bytes, plus);
        let mut entries = Vec::new();
        for (at, name, ino) in [(0, &b"."[..], own), (1, b"..", NodeId::ROOT.0)] {
            if from <= at && budget.take(name) {
                entries.push(DirEntry {
                    name: Bytes::from_static(if at == 0 { b"." } else { b".." }),
                    ino,
                    kind: NodeKind::Dir,
                    next: at + 1,
                    entry: None,
                });
            }
        }
        let skip = usize::try_from(from.saturating_sub(2)).unwrap_or(usize::MAX);
        for (next, listed) in (from.max(2).saturating_add(1)..).zip(listing.iter().skip(skip)) {
            if !budget.take(&listed.name) {
                break;
            }
            let entry = match (plus, &listed.slot, &listed.org) {
                (true, Some(slot), _) => Some(self.slot_entry(slot)?),
                (true, None, Some(org)) => Some(Entry {
                    node: org.node,
                    attr: self.org_attr(org),
                }),
                _ => None,
            };
            entries.push(DirEntry {
                name: listed.name.clone(),
                ino: listed.ino,
                kind: NodeKind::Dir,
                next,
                entry,
            });
        }
        Ok(entries)
    }

    fn list_above(&self, org: Option<&Arc<Org>>) -> Vec<Listed> {
        if let Some(org) = org {
            let listed = |slot: Arc<Slot>| Listed {
                name: Bytes::copy_from_slice(slot.name.as_str().as_bytes()),
                ino: FileId::root_of(slot.info.tag).0,
                slot: Some(slot),
                org: None,
            };
            return org.slots().into_iter().map(listed).collect();
        }
        let orgs = self.orgs.read();
        let listed = |org: &Arc<Org>| Listed {
            name: Bytes::copy_from_slice(org.config.slug.as_str().as_bytes()),
            ino: org.node.0,
            slot: None,
            org: Some(Arc::clone(org)),
        };
        orgs.iter().map(listed).collect()
    }

    pub fn releasedir_above(&self, handle: Handle) {
        self.dirs.lock().remove(&handle);
    }
}
