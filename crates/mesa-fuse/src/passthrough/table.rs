//! Which files the kernel serves by itself, written down where the next process finds it.
//!
//! The kernel keeps serving open files when this process dies, and refuses a second registration
//! for them; so the process that takes over must know the numbers. They live in a mapped file:
//! writing costs no system call and survives the process, and the machine need not be survived,
//! since its death ends the mount too.
//!
//! Layout: [`SLOTS`] slots of four native u64: node number, backing id (low 32 bits) and opens
//! (high 32 bits), device and inode number of the file. A slot with no opens is free.

#![allow(unsafe_code)] // One mapping.

use std::{
    os::fd::AsFd,
    path::Path,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::{
    fs::{FallocateFlags, Mode, OFlags},
    io::Errno,
    mm::{MapFlags, ProtFlags},
};

use super::Identity;
use crate::device::BackingId;

/// Files that can be open at once and still be taken over; the rest is served but not recorded.
const SLOTS: usize = 1 << 16;
const WORDS: usize = 4;
const BYTES: usize = SLOTS * WORDS * size_of::<u64>();

/// The mapped file. Not `Sync` by itself: its owner holds a lock around every call.
pub(super) struct Table {
    words: NonNull<AtomicU64>,
    free: Vec<u32>,
}

// SAFETY: the mapping belongs to this value alone within the process and is only accessed
// through atomics.
unsafe impl Send for Table {}

/// Where an open node is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(u32);

/// An open node of a former process.
pub(super) struct Recorded {
    pub slot: Slot,
    pub node: u64,
    pub id: BackingId,
    pub opens: u32,
    pub identity: Identity,
}

impl Table {
    /// Maps the file, emptied first unless a former process is to be continued.
    pub fn open(path: &Path, keep: bool) -> Result<(Self, Vec<Recorded>), Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
        if !keep {
            rustix::fs::ftruncate(&file, 0)?;
        }
        rustix::fs::ftruncate(&file, BYTES as u64)?;
        // A page that the full disk has no room for would end this process.
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, BYTES as u64) {
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
        // SAFETY: a new mapping at an address the kernel chooses; the file has BYTES bytes and
        // only daemons of this state directory, which its lock admits one at a time, resize it.
        let address = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                file.as_fd(),
                0,
            )
        }?;
        let words = NonNull::new(address.cast()).ok_or(Errno::NOMEM)?;
        let mut table = Self {
            words,
            free: Vec::new(),
        };
        let mut recorded = Vec::new();
        for slot in (0..SLOTS as u32).rev().map(Slot) {
            let state = table.word(slot, 1).load(Ordering::Relaxed);
            let opens = (state >> 32) as u32;
            if opens == 0 {
                table.free.push(slot.0);
                continue;
            }
            recorded.push(Recorded {
                slot,
                node: table.word(slot, 0).load(Ordering::Relaxed),
                id: BackingId(state as u32 as i32),
                opens,
                identity: Identity {
                    dev: table.word(slot, 2).load(Ordering::Relaxed),
                    ino: table.word(slot, 3).load(Ordering::Relaxed),
                },
            });
        }
        Ok((table, recorded))
    }

    /// Writes down a first open; `None` if there is no room.
    pub fn insert(&mut self, node: u64, id: BackingId, identity: Identity) -> Option<Slot> {
        let slot = Slot(self.free.pop()?);
        self.word(slot, 0).store(node, Ordering::Relaxed);
        self.word(slot, 2).store(identity.dev, Ordering::Relaxed);
        self.word(slot, 3).store(identity.ino, Ordering::Relaxed);
        self.set_opens(slot, id, 1);
        Some(slot)
    }

    /// Writes down how many descriptors are open; 0 frees the slot.
    pub fn update(&mut self, slot: Slot, id: BackingId, opens: u32) {
        self.set_opens(slot, id, opens);
        if opens == 0 {
            self.free.push(slot.0);
        }
    }

    fn set_opens(&self, slot: Slot, id: BackingId, opens: u32) {
        let state = u64::from(id.0 as u32) | (u64::from(opens) << 32);
        // After the other words of the slot, so that a slot with opens is whole.
        self.word(slot, 1).store(state, Ordering::Release);
    }

    fn word(&self, slot: Slot, word: usize) -> &AtomicU64 {
        let index = slot.0 as usize * WORDS + word;
        assert!(index < SLOTS * WORDS);
        // SAFETY: the index is within the mapping, which lives as long as `self` and is aligned
        // to a page.
        unsafe { self.words.add(index).as_ref() }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: mapped in `open` with this length, and no reference outlives `self`.
        let _ = unsafe { rustix::mm::munmap(self.words.as_ptr().cast(), BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use super::{Identity, Table};
    use crate::device::BackingId;

    #[test]
    fn what_is_open_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("open");
        let identity = Identity { dev: 3, ino: 4 };
        let (mut table, none) = Table::open(&path, false).unwrap();
        assert!(none.is_empty());
        let kept = table.insert(7, BackingId(1), identity).unwrap();
        let closed = table.insert(8, BackingId(2), identity).unwrap();
        table.update(kept, BackingId(1), 2);
        table.update(closed, BackingId(2), 0);
        drop(table);

        let (table, found) = Table::open(&path, true).unwrap();
        assert_eq!(found.len(), 1);
        let found = &found[0];
        assert_eq!((found.node, found.id, found.opens), (7, BackingId(1), 2));
        assert_eq!((found.slot, found.identity), (kept, identity));
        drop(table);
        assert!(Table::open(&path, false).unwrap().1.is_empty());
    }
}
