//! The thread that reads requests and answers them from memory.

use std::{panic::AssertUnwindSafe, sync::Arc, thread};

use futures::FutureExt;
use rustix::io::Errno;
use zerocopy::FromBytes;

use super::{Session, negotiate::MAX_WRITE};
use crate::{
    dispatch::{self, Answer, Body},
    wire::{
        READ_BUFFER_MIN,
        request::{InHeader, WriteIn},
    },
};

pub(super) fn start(session: &Arc<Session>, number: usize) -> std::io::Result<()> {
    let session = session.clone();
    thread::Builder::new()
        .name(format!("fuse-{number}"))
        .spawn(move || {
            run(&session);
            session.end();
        })?;
    Ok(())
}

/// Serves until the connection ends.
fn run(session: &Arc<Session>) {
    let header = size_of::<InHeader>() + size_of::<WriteIn>();
    let mut buffer = vec![0; (MAX_WRITE + header).max(READ_BUFFER_MIN)];
    loop {
        match session.device.read(&mut buffer) {
            Ok(len) => serve(session, &buffer[..len]),
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
    // A panic in the filesystem must not leave the caller (and everybody after it) waiting.
    let answer = std::panic::catch_unwind(AssertUnwindSafe(|| {
        dispatch::dispatch(session, &header, body)
    }))
    .unwrap_or_else(|_| {
        tracing::error!(opcode = header.opcode, "an operation panicked");
        Answer::Now(Err(Errno::IO))
    });
    match answer {
        Answer::None => {}
        Answer::Now(result) => reply(session, header.unique, &result),
        Answer::Later(future) => {
            session.counters.waits();
            let cancelled = session.pending.begin(header.unique, header.pid);
            let session = session.clone();
            session.runtime.clone().spawn(async move {
                let future = AssertUnwindSafe(future).catch_unwind();
                let result = tokio::select! {
                    biased;
                    result = future => result.unwrap_or(Err(Errno::IO)),
                    _ = cancelled => Err(Errno::INTR),
                };
                session.pending.finish(header.unique);
                reply(&session, header.unique, &result);
            });
        }
    }
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
