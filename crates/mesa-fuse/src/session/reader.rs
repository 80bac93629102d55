//! The thread that reads requests and answers them from memory.

use std::{panic::AssertUnwindSafe, sync::Arc, thread};

use futures::FutureExt;
use rustix::io::Errno;
use zerocopy::FromBytes;

use super::{MAX_WRITE, Session, near::Near};
use crate::{
    dispatch::{self, Answer, Args, Body, Future},
    wire::{
        READ_BUFFER_MIN,
        request::{InHeader, WriteIn},
    },
};

/// Priority of threads that answer requests.
const NICE: i32 = -10;

pub(super) fn start(session: &Arc<Session>, number: usize) -> std::io::Result<()> {
    let session = session.clone();
    thread::Builder::new()
        .name(format!("fuse-{number}"))
        .spawn(move || {
            prefer_this_thread();
            run(&session);
            session.end();
        })?;
    Ok(())
}

/// Lets this thread run before others where that is permitted: somebody's system call waits for
/// every request, and on a busy machine the wait for a CPU is most of what it costs.
pub(crate) fn prefer_this_thread() {
    // On Linux this is the calling thread, not the process.
    let _ = rustix::process::setpriority_process(None, NICE);
}

/// Serves until the connection ends.
fn run(session: &Arc<Session>) {
    let header = size_of::<InHeader>() + size_of::<WriteIn>();
    let mut buffer = vec![0; (MAX_WRITE + header).max(READ_BUFFER_MIN)];
    let mut near = Near::new();
    loop {
        match session.device.read(&mut buffer) {
            Ok(len) => {
                if let Ok((header, _)) = InHeader::read_from_prefix(&buffer[..len]) {
                    near.request_of(header.pid);
                }
                serve(session, &buffer[..len]);
            }
            // ENOENT: the request was taken back between wake-up and read.
            Err(Errno::INTR | Errno::AGAIN | Errno::NOENT) => {}
            Err(Errno::NODEV | Errno::CONNABORTED) => return,
            Err(error) => {
                tracing::error!(%error, "reading from the FUSE device failed");
                return;
            }
        }
    }
}

/// Answers one request, now or from a task.
fn serve(session: &Arc<Session>, request: &[u8]) {
    let Ok((header, body)) = InHeader::read_from_prefix(request) else {
        tracing::error!(
            len = request.len(),
            "the kernel sent a request without header"
        );
        return;
    };
    match answer(session, &header, Args::new(body)) {
        Answer::None => {}
        Answer::Now(result) => reply(session, header.unique, &result),
        Answer::Later(future) => wait_for(session, &header, future, move |session, result| {
            reply(session, header.unique, &result);
        }),
    }
}

/// What to do about a request. A panic in the filesystem must not leave the caller (and everybody
/// after it) waiting, so it becomes an error.
pub(crate) fn answer(session: &Arc<Session>, header: &InHeader, args: Args<'_>) -> Answer {
    std::panic::catch_unwind(AssertUnwindSafe(|| {
        dispatch::dispatch(session, header, args)
    }))
    .unwrap_or_else(|_| {
        tracing::error!(opcode = header.opcode, "an operation panicked");
        Answer::Now(Err(Errno::IO))
    })
}

/// Has `done` called with the outcome of `future`, or with `EINTR` when its caller gave up.
pub(crate) fn wait_for(
    session: &Arc<Session>,
    header: &InHeader,
    future: Future,
    done: impl FnOnce(&Session, Result<Body, Errno>) + Send + 'static,
) {
    session.counters.waits();
    let unique = header.unique;
    let cancelled = session.pending.begin(unique, header.pid);
    let session = session.clone();
    session.runtime.clone().spawn(async move {
        let future = AssertUnwindSafe(future).catch_unwind();
        let result = tokio::select! {
            biased;
            result = future => result.unwrap_or(Err(Errno::IO)),
            _ = cancelled => Err(Errno::INTR),
        };
        session.pending.finish(unique);
        done(&session, result);
    });
}

fn reply(session: &Session, unique: u64, result: &Result<Body, Errno>) {
    let sent = match result {
        Ok(body) => session.device.reply(unique, body.parts()),
        Err(errno) => session.device.reply_error(unique, *errno),
    };
    // ENOENT and ENODEV: the connection was aborted, nobody waits any more.
    if let Err(error) = sent
        && !matches!(error, Errno::NOENT | Errno::NODEV)
    {
        tracing::error!(%error, unique, "the kernel refused an answer");
    }
}
