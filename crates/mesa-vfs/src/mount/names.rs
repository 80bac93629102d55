//! Finding and listing entries: lookup, forget, opendir, readdir.

use std::sync::Arc;

use bytes::Bytes;
use mesa_types::{EntryName, FileId, NodeKind};

use super::{
    files::{DirHandle, ListedName},
    repo::{Repo, State, Stop, Try},
};
use crate::{
    fs::{Caller, DirEntry, Found, FsError, FsResult, Handle, NodeId, Step},
    tree::{Name, Node, Resolved, perm},
};

/// Bytes of a plain entry besides its name (header of the kernel's format, padding included).
const PLAIN_BYTES: usize = 24 + 7;
/// Bytes of an entry with attributes besides its name.
const PLUS_BYTES: usize = PLAIN_BYTES + 128;

/// Checks a name given by a caller.
pub fn check_name(name: &[u8]) -> FsResult<()> {
    match EntryName::check(name) {
        Ok(()) => Ok(()),
        Err(mesa_types::NameError::TooLong(_)) => Err(FsError::NameTooLong),
        Err(_) => Err(FsError::Invalid),
    }
}

/// Counts the bytes of a listing handed to the presenter.
pub struct Budget {
    left: usize,
    plus: bool,
    any: bool,
}

impl Budget {
    pub fn new(bytes: usize, plus: bool) -> Self {
        Self {
            left: bytes,
            plus,
            any: false,
        }
    }

    /// Whether one more entry is to be added: at least one always is.
    pub fn take(&mut self, name: &[u8]) -> bool {
        let cost = name.len() + if self.plus { PLUS_BYTES } else { PLAIN_BYTES };
        let fits = cost <= self.left || !self.any;
        self.any = true;
        self.left = self.left.saturating_sub(cost);
        fits
    }
}

impl Repo {
    /// The directory a number names, with its listing in memory.
    pub fn dir(&self, state: &State, node: NodeId) -> Try<FileId> {
        let id = self.live(state, node)?;
        let node = state.tree.get(id).ok_or(FsError::Stale)?;
        if !node.is_dir() {
            return Err(FsError::NotDir.into());
        }
        if !state.tree.is_loaded(id) {
            return Err(Stop::Load(id));
        }
        Ok(id)
    }

    pub fn lookup(self: &Arc<Self>, caller: Caller, parent: NodeId, name: &[u8]) -> Step<Found> {
        if let Err(error) = check_name(name) {
            return Step::Done(Err(error));
        }
        let name = Name::new(name);
        self.read(move |repo, state| {
            let dir = repo.dir(state, parent)?;
            repo.check_search(state, dir, caller)?;
            match state.tree.child(dir, name.as_bytes()) {
                Some(id) => Ok(Found::Entry(repo.entry(state, id)?)),
                None => Ok(Found::Absent),
            }
        })
    }

    pub fn forget(&self, node: NodeId, count: u64) {
        self.with(|state| {
            let id = self.live(state, node);
            state.tree.forget(node, count);
            let Ok(id) = id else { return };
            if state.tree.get(id).is_some_and(|node| node.lookups > 0) {
                return;
            }
            self.end_former(state, id);
        });
    }

    /// The presenter may know a file under this number as it was before others changed it.
    pub fn unforgotten(&self, node: NodeId) {
        self.with(|state| {
            if let Resolved::Live(id) = state.tree.resolve(node)
                && state.tree.get(id).is_some_and(|node| node.lookups > 0)
            {
                state.tree.new_version(id);
            }
        });
    }

    pub fn opendir(self: &Arc<Self>, caller: Caller, node: NodeId) -> Step<Handle> {
        self.read(move |repo, state| {
            let id = repo.live(state, node)?;
            let dir = state.tree.get(id).ok_or(FsError::Stale)?;
            if !dir.is_dir() {
                return Err(FsError::NotDir.into());
            }
            repo.check_way(state, id, caller)?;
            repo.check(dir, caller, perm::READ)?;
            let handle = repo.env.next_handle();
            state.dirs.insert(handle, DirHandle::default());
            Ok(handle)
        })
    }

    pub fn releasedir(&self, handle: Handle) {
        self.with(|state| state.dirs.remove(&handle));
    }

    /// The listing of `handle`, taken at the start of each pass over it, and how many entries of it
    /// were read.
    fn snapshot(
        &self,
        state: &mut State,
        node: NodeId,
        handle: Handle,
        from: u64,
    ) -> Try<(Arc<Vec<ListedName>>, u64)> {
        let open = state.dirs.get(&handle);
        let known = open.is_some();
        if from != 0
            && let Some(listing) = open.and_then(|open| open.listing.as_ref())
        {
            return Ok((Arc::clone(listing), cookie::place(from)));
        }
        let id = self.live(state, node)?;
        let gone = state.tree.get(id).is_none_or(|n| n.orphan);
        let listing = if gone {
            Vec::new()
        } else {
            let id = self.dir(state, node)?;
            let children = state.tree.get(id).and_then(Node::dir).map(|d| &d.children);
            let listed = |(name, &id): (&Name, &FileId)| {
                let kind = state.tree.get(id)?.kind;
                Some(ListedName {
                    name: name.clone(),
                    id,
                    kind,
                })
            };
            children.into_iter().flatten().filter_map(listed).collect()
        };
        let place = if known {
            cookie::place(from)
        } else {
            cookie::place_in(&listing, from)
        };
        let listing = Arc::new(listing);
        state.dirs.entry(handle).or_default().listing = Some(Arc::clone(&listing));
        Ok((listing, place))
    }

    /// `above` is the inode shown as `..` of the root.
    pub fn readdir(
        self: &Arc<Self>,
        node: NodeId,
        handle: Handle,
        from: u64,
        bytes: usize,
        plus: bool,
        above: u64,
    ) -> Step<Vec<DirEntry>> {
        self.read(move |repo, state| {
            let (listing, from) = repo.snapshot(state, node, handle, from)?;
            let dir = repo.live(state, node)?;
            let parent = match state.tree.get(dir) {
                Some(node) if dir != state.tree.root() => node.parent.0,
                _ => above,
            };
            let mut budget = Budget::new(bytes, plus);
            let mut entries = Vec::new();
            for (at, name, ino) in [(0, &b"."[..], dir.0), (1, b"..", parent)] {
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
                let name = listed.name.as_bytes();
                // What the name stands for now; with attributes it becomes a cached entry.
                let now = if state.tree.is_loaded(dir) {
                    state.tree.child(dir, name)
                } else {
                    Some(listed.id)
                };
                let Some(id) = now else { continue };
                if !budget.take(name) {
                    break;
                }
                let entry = if plus {
                    Some(repo.entry(state, id)?)
                } else {
                    None
                };
                entries.push(DirEntry {
                    name: Bytes::copy_from_slice(name),
                    ino: id.0,
                    kind: state.tree.get(id).map_or(listed.kind, |n| n.kind),
                    next: cookie::after(next, name),
                    entry,
                });
            }
            Ok(entries)
        })
    }
}

/// Where a pass over a directory goes on: the number of entries read, and the name of the last one
/// for a process that does not have that listing, because a former one made it.
mod cookie {
    use super::ListedName;

    const PLACE_BITS: u32 = 32;
    /// `.` and `..` come first.
    const OWN: u64 = 2;

    pub(super) fn after(place: u64, name: &[u8]) -> u64 {
        place | u64::from(mark(name)) << PLACE_BITS
    }

    /// Never the sign bit: programs take it for an error.
    fn mark(name: &[u8]) -> u32 {
        crc32c::crc32c(name) >> 1
    }

    pub(super) fn place(cookie: u64) -> u64 {
        cookie & ((1 << PLACE_BITS) - 1)
    }

    /// In another listing. When the last name read is gone all are read again: better a name twice
    /// than one that is left out.
    pub(super) fn place_in(listing: &[ListedName], cookie: u64) -> u64 {
        let place = place(cookie);
        if place <= OWN {
            return place;
        }
        let last = cookie >> PLACE_BITS;
        let found = |listed: &ListedName| u64::from(mark(listed.name.as_bytes())) == last;
        let at = listing.iter().position(found);
        at.map_or(OWN, |at| at as u64 + OWN + 1)
    }

    #[cfg(test)]
    mod tests {
        use mesa_types::{FileId, NodeKind};

        use super::*;
        use crate::tree::Name;

        fn listing(names: &[&str]) -> Vec<ListedName> {
            let listed = |name: &&str| ListedName {
                name: Name::new(name.as_bytes()),
                id: FileId(1),
                kind: NodeKind::File,
            };
            names.iter().map(listed).collect()
        }

        #[test]
        fn a_pass_goes_on_behind_the_name_it_stopped_at() {
            let cookie = after(OWN + 2, b"b");
            assert!(i64::try_from(cookie).is_ok());
            assert_eq!(place(cookie), OWN + 2);
            assert_eq!(place_in(&listing(&["a", "b", "c"]), cookie), OWN + 2);
            assert_eq!(place_in(&listing(&["b", "c"]), cookie), OWN + 1);
            assert_eq!(place_in(&listing(&["0", "a", "b"]), cookie), OWN + 3);
            assert_eq!(place_in(&listing(&["a", "c"]), cookie), OWN);
            for few in 0..=OWN {
                assert_eq!(place_in(&listing(&["a"]), few), few);
            }
        }
    }
}
