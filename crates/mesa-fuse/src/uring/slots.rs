//! The memory a queue shares with the kernel.
//!
//! Every slot holds one request at a time: 288 bytes of headers and a payload buffer. A slot
//! belongs to the kernel from the submission of its command to the completion, and to the queue's
//! thread otherwise; the thread touches it only then.

#![allow(unsafe_code)] // Memory the kernel writes.

use std::ptr::NonNull;

use rustix::{
    io::Errno,
    mm::{MapFlags, ProtFlags},
};
use zerocopy::{FromBytes, IntoBytes};

use crate::{
    session::MAX_WRITE,
    wire::{reply::OutHeader, request::InHeader},
};

/// Requests a queue can hold, answered later or not yet. Buffers take memory only once used.
pub(super) const DEPTH: usize = 32;
/// What the kernel demands at least: its largest read or write.
const PAYLOAD: usize = MAX_WRITE;
const PAGE: usize = 4096;
/// Offsets within a slot's header page.
const IN_OUT: usize = 0;
const OP_IN: usize = 128;
const OP_IN_LEN: usize = 128;
const COMMIT_ID: usize = 264;
const PAYLOAD_SZ: usize = 272;
const HEADERS_LEN: usize = 288;
/// Ours, behind the kernel's part: two vectors naming headers and payload.
const IOVECS: usize = 512;
/// One more page behind the slots receives the wake-up counter.
const BYTES: usize = DEPTH * (PAGE + PAYLOAD) + PAGE;

/// A mapping of [`DEPTH`] slots.
pub(super) struct Slots {
    base: NonNull<u8>,
}

/// A request in a slot.
pub(super) struct Request<'a> {
    pub header: InHeader,
    /// The operation's own header.
    pub op: &'a [u8],
    pub payload: &'a [u8],
    pub commit_id: u64,
}

impl Slots {
    pub fn new() -> Result<Self, Errno> {
        // SAFETY: a new private mapping at an address the kernel chooses.
        let base = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }?;
        let slots = Self {
            base: NonNull::new(base.cast()).ok_or(Errno::NOMEM)?,
        };
        for slot in 0..DEPTH {
            let vectors = [
                slots.headers(slot) as usize,
                HEADERS_LEN,
                slots.payload(slot) as usize,
                PAYLOAD,
            ];
            // SAFETY: IOVECS and the four words behind it lie within the slot's header page.
            unsafe {
                slots
                    .iovecs(slot)
                    .cast::<[usize; 4]>()
                    .write_unaligned(vectors);
            }
        }
        Ok(slots)
    }

    fn headers(&self, slot: usize) -> *mut u8 {
        assert!(slot < DEPTH);
        // SAFETY: within the mapping.
        unsafe { self.base.as_ptr().add(slot * PAGE) }
    }

    fn payload(&self, slot: usize) -> *mut u8 {
        assert!(slot < DEPTH);
        // SAFETY: within the mapping.
        unsafe { self.base.as_ptr().add(DEPTH * PAGE + slot * PAYLOAD) }
    }

    /// Two `iovec`s that name a slot's parts; never written after [`Slots::new`].
    pub fn iovecs(&self, slot: usize) -> *mut u8 {
        // SAFETY: within the slot's header page.
        unsafe { self.headers(slot).add(IOVECS) }
    }

    /// Eight bytes nobody else uses.
    pub fn wake_counter(&self) -> *mut u8 {
        // SAFETY: the page behind all slots.
        unsafe { self.base.as_ptr().add(DEPTH * (PAGE + PAYLOAD)) }
    }

    /// The request that arrived in `slot`, or `None` if it makes no sense.
    ///
    /// # Safety
    /// The slot's command has completed and no other has been submitted since; the result is not
    /// used after the next one is.
    pub unsafe fn request(&self, slot: usize) -> Option<Request<'_>> {
        // SAFETY: by the contract the kernel does not write to the slot while this lives, and
        // HEADERS_LEN bytes are mapped.
        let headers = unsafe { std::slice::from_raw_parts(self.headers(slot), HEADERS_LEN) };
        let (header, _) = InHeader::read_from_prefix(&headers[IN_OUT..]).ok()?;
        let commit_id = u64::from_ne_bytes(headers[COMMIT_ID..COMMIT_ID + 8].try_into().ok()?);
        let payload_len =
            u32::from_ne_bytes(headers[PAYLOAD_SZ..PAYLOAD_SZ + 4].try_into().ok()?) as usize;
        let op_len = header
            .total()
            .checked_sub(size_of::<InHeader>() + payload_len)
            .filter(|len| *len <= OP_IN_LEN)?;
        if payload_len > PAYLOAD {
            return None;
        }
        // SAFETY: as above, for PAYLOAD bytes.
        let payload = unsafe { std::slice::from_raw_parts(self.payload(slot), payload_len) };
        Some(Request {
            header,
            op: &headers[OP_IN..OP_IN + op_len],
            payload,
            commit_id,
        })
    }

    /// Writes the answer into `slot`. A body that does not fit becomes an error.
    ///
    /// # Safety
    /// The slot's command has completed, no other has been submitted since, and nothing obtained
    /// from [`Slots::request`] for it is alive.
    pub unsafe fn answer(&self, slot: usize, unique: u64, outcome: Result<[&[u8]; 2], Errno>) {
        let (error, body): (i32, [&[u8]; 2]) = match outcome {
            Ok(body) if body[0].len() + body[1].len() <= PAYLOAD => (0, body),
            Ok(_) => (-Errno::IO.raw_os_error(), [&[], &[]]),
            Err(errno) => (-errno.raw_os_error(), [&[], &[]]),
        };
        let len = body[0].len() + body[1].len();
        let header = OutHeader {
            len: (size_of::<OutHeader>() + len) as u32,
            error,
            unique,
        };
        // SAFETY: by the contract nobody else accesses the slot; all ranges lie within it, and the
        // body lies elsewhere.
        unsafe {
            let headers = self.headers(slot);
            let bytes = header.as_bytes();
            headers
                .add(IN_OUT)
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            headers
                .add(PAYLOAD_SZ)
                .cast::<u32>()
                .write_unaligned(len as u32);
            let payload = self.payload(slot);
            payload.copy_from_nonoverlapping(body[0].as_ptr(), body[0].len());
            payload
                .add(body[0].len())
                .copy_from_nonoverlapping(body[1].as_ptr(), body[1].len());
        }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length; the ring, dropped before, has no command left.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), BYTES) };
    }
}
