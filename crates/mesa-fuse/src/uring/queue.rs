//! The thread of one CPU's queue.

#![allow(unsafe_code)] // Submissions name memory.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::{Arc, mpsc},
};

use io_uring::{IoUring, opcode, squeue::Entry128, types::Fd};
use parking_lot::Mutex;
use rustix::{event::EventfdFlags, io::Errno, thread::CpuSet};

use super::slots::{DEPTH, Slots};
use crate::{
    dispatch::{Answer, Args, Body},
    session::{Session, answer, prefer_this_thread, wait_for},
};

/// Commands of the device.
const REGISTER: u32 = 1;
const COMMIT_AND_FETCH: u32 = 2;
/// `user_data` of the wake-up read; slots use their index.
const WAKE: u64 = u64::MAX;
/// Where `len` lies in a submission entry.
const SQE_LEN: usize = 24;

/// Answers made elsewhere, and the bell that wakes the thread for them.
struct Mailbox {
    answers: Mutex<Vec<(usize, Result<Body, Errno>)>>,
    bell: OwnedFd,
}

/// What the thread remembers of a request that waits.
#[derive(Clone, Copy, Default)]
struct Held {
    unique: u64,
    commit_id: u64,
}

struct Queue<'a> {
    session: &'a Arc<Session>,
    number: u16,
    // Before the memory its commands name, so that it is dropped first.
    ring: IoUring<Entry128>,
    slots: Slots,
    held: [Held; DEPTH],
    mailbox: Arc<Mailbox>,
    /// Slots whose command the kernel still accepts.
    live: usize,
}

/// Registers with the kernel, reports, and serves until the connection ends.
pub(super) fn run(session: &Arc<Session>, number: u16, started: &mpsc::Sender<io::Result<()>>) {
    prefer_this_thread();
    let mut cpus = CpuSet::new();
    cpus.set(usize::from(number));
    // A CPU that is not there cannot be pinned to, and no request will come from it.
    let _ = rustix::thread::sched_setaffinity(None, &cpus);
    let mut queue = match Queue::new(session, number) {
        Ok(queue) => queue,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let _ = started.send(Ok(()));
    while queue.live > 0 {
        if let Err(error) = queue.turn() {
            tracing::error!(%error, number, "an io_uring queue failed");
            break;
        }
    }
    if queue.live > 0 {
        // The kernel may still hold commands that name the memory.
        std::mem::forget(queue);
    }
    session.end();
}

impl<'a> Queue<'a> {
    fn new(session: &'a Arc<Session>, number: u16) -> io::Result<Self> {
        let ring = super::ring((DEPTH * 2) as u32)?;
        let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?;
        let mailbox = Arc::new(Mailbox {
            answers: Mutex::default(),
            bell,
        });
        let slots = Slots::new()?;
        let held = [Held::default(); DEPTH];
        let mut queue = Self {
            session,
            number,
            ring,
            slots,
            held,
            mailbox,
            live: DEPTH,
        };
        for slot in 0..DEPTH {
            queue.submit(slot, REGISTER, 0)?;
        }
        queue.listen()?;
        queue.ring.submit()?;
        // A refused registration completes at once, an accepted one with the first request.
        if let Some(refused) = queue.ring.completion().find(|done| done.result() < 0) {
            return Err(io::Error::from_raw_os_error(-refused.result()));
        }
        Ok(queue)
    }

    /// Queues command `operation` for `slot`: from here on the slot belongs to the kernel.
    fn submit(&mut self, slot: usize, operation: u32, commit_id: u64) -> io::Result<()> {
        // The command area: flags (8 bytes), commit id (8), queue (2).
        let mut command = [0; 80];
        command[8..16].copy_from_slice(&commit_id.to_ne_bytes());
        command[16..18].copy_from_slice(&self.number.to_ne_bytes());
        let fd = Fd(self.session.device.as_fd().as_raw_fd());
        let mut entry = opcode::UringCmd80::new(fd, operation)
            .cmd(command)
            .addr(Some(self.slots.iovecs(slot) as u64))
            .build()
            .user_data(slot as u64);
        // SAFETY: a submission entry is 128 plain bytes with a u32 `len` at this offset, which
        // the builder leaves zero. Two vectors are named.
        unsafe {
            (&raw mut entry)
                .cast::<u8>()
                .add(SQE_LEN)
                .cast::<u32>()
                .write_unaligned(2);
        }
        // SAFETY: headers and payload named by the vectors live until the ring is dropped.
        unsafe { self.ring.submission().push(&entry) }.map_err(io::Error::other)
    }

    fn listen(&mut self) -> io::Result<()> {
        let bell = Fd(self.mailbox.bell.as_raw_fd());
        let entry: Entry128 = opcode::Read::new(bell, self.slots.wake_counter(), 8)
            .build()
            .user_data(WAKE)
            .into();
        // SAFETY: the counter's memory lives until the ring is dropped and is used for nothing
        // else.
        unsafe { self.ring.submission().push(&entry) }.map_err(io::Error::other)
    }

    /// Submits what is queued, waits, and serves what has arrived.
    fn turn(&mut self) -> io::Result<()> {
        match self.ring.submit_and_wait(1) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        while let Some(done) = { self.ring.completion().next() } {
            match (done.user_data(), done.result()) {
                (WAKE, _) => {
                    self.deliver()?;
                    self.listen()?;
                }
                (slot, 0..) => self.serve(slot as usize)?,
                (slot, error) => {
                    // Unmounted or aborted: the slot is not taken back.
                    let error = Errno::from_raw_os_error(-error);
                    if !matches!(error, Errno::NOTCONN | Errno::CONNABORTED | Errno::CANCELED) {
                        tracing::error!(%error, slot, "the kernel refused an io_uring answer");
                    }
                    self.live -= 1;
                }
            }
        }
        Ok(())
    }

    fn serve(&mut self, slot: usize) -> io::Result<()> {
        // SAFETY: the slot's command has completed, and the next is submitted by `finish`, after
        // the last use of the request.
        let Some(request) = (unsafe { self.slots.request(slot) }) else {
            return Err(io::Error::other("the kernel sent a request without sense"));
        };
        let header = request.header;
        self.held[slot] = Held {
            unique: header.unique,
            commit_id: request.commit_id,
        };
        let args = Args::in_parts(request.op, request.payload);
        match answer(self.session, &header, args) {
            Answer::None => self.finish(slot, &Ok(Body::Empty)),
            Answer::Now(outcome) => self.finish(slot, &outcome),
            Answer::Later(future) => {
                let mailbox = self.mailbox.clone();
                wait_for(self.session, &header, future, move |_, outcome| {
                    mailbox.answers.lock().push((slot, outcome));
                    // Cannot fail before the counter overflows.
                    let _ = rustix::io::write(&mailbox.bell, &1u64.to_ne_bytes());
                });
                Ok(())
            }
        }
    }

    fn deliver(&mut self) -> io::Result<()> {
        let answers = std::mem::take(&mut *self.mailbox.answers.lock());
        for (slot, outcome) in answers {
            self.finish(slot, &outcome)?;
        }
        Ok(())
    }

    /// Answers the request in `slot` and asks for the next one.
    fn finish(&mut self, slot: usize, outcome: &Result<Body, Errno>) -> io::Result<()> {
        let Held { unique, commit_id } = self.held[slot];
        let parts = outcome.as_ref().map(Body::parts).map_err(|errno| *errno);
        // SAFETY: the slot's command has completed and the request is no longer used.
        unsafe { self.slots.answer(slot, unique, parts) };
        self.submit(slot, COMMIT_AND_FETCH, commit_id)
    }
}
