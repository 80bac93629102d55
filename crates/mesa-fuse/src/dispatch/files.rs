//! Requests on regular files.

use bytes::Bytes;
use mesa_vfs::fs::{AttrChange, Entry, Handle, NodeId, Opened, SeekKind, Step};
use rustix::io::Errno;

use super::{Answer, Body, Call, args::Args, convert, local};
use crate::{
    session::{Mode, Session},
    wire::{
        Opcode,
        flags::{FSYNC_FDATASYNC, WRITE_CACHE, WRITE_KILL_SUIDGID, open as open_bits},
        reply::{CopyFileRangeOut, CreateOut, LseekOut, OpenOut, WriteOut},
        request::{
            CopyFileRangeIn, CreateIn, FallocateIn, FlushIn, FsyncIn, LseekIn, OpenIn, ReadIn,
            ReleaseIn, WriteIn,
        },
    },
};

const SEEK_DATA: u32 = 3;
const SEEK_HOLE: u32 = 4;

/// What the kernel is told about an open, and the registration it needs.
fn opened(session: &Session, node: NodeId, opened: Opened) -> Result<OpenOut, Errno> {
    let Opened { handle, mode } = opened;
    let reply = session
        .open_files
        .opened(&session.device, node, handle, mode)
        .inspect_err(|_| session.fs.release(node, handle))?;
    let mut open_flags = reply.flags;
    // With write-back the kernel ignores this and FLUSH is refused instead.
    if !session.negotiated.flush_on_close && session.negotiated.mode == Mode::Passthrough {
        open_flags |= open_bits::NOFLUSH;
    }
    Ok(OpenOut {
        fh: handle.0,
        open_flags,
        backing_id: reply.backing_id,
    })
}

fn writeback(call: &Call<'_>) -> bool {
    call.session.negotiated.mode == Mode::Writeback
}

pub(super) fn open(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let OpenIn { flags, open_flags } = args.take()?;
    let node = call.node();
    let flags = convert::open_flags(flags, writeback(call));
    if open_flags & open_bits::KILL_SUIDGID != 0 {
        kill_suid_gid(call);
    }
    let step = call.session.fs.open(call.caller(), node, flags);
    Ok(call.answer(step, move |session, result| {
        opened(session, node, result).map(Body::Open)
    }))
}

/// A write by an unprivileged caller clears setuid and setgid; the write counts, not this.
fn kill_suid_gid(call: &Call<'_>) {
    let change = AttrChange {
        kill_suid_gid: true,
        ..AttrChange::default()
    };
    if let Step::Later(future) = call
        .session
        .fs
        .setattr(call.caller(), call.node(), None, change)
    {
        call.session.runtime.spawn(future);
    }
}

pub(super) fn create(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let CreateIn {
        flags, mode, umask, ..
    } = args.take()?;
    let name = args.name()?;
    let flags = convert::open_flags(flags, writeback(call));
    let caller = call.caller_with(umask);
    let step = call
        .session
        .fs
        .create(caller, call.node(), name, mode & 0o7777, flags);
    Ok(created(call, step))
}

pub(super) fn tmpfile(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let CreateIn {
        flags, mode, umask, ..
    } = args.take()?;
    let flags = convert::open_flags(flags, writeback(call));
    let caller = call.caller_with(umask);
    let step = call
        .session
        .fs
        .tmpfile(caller, call.node(), mode & 0o7777, flags);
    Ok(created(call, step))
}

fn created(call: &Call<'_>, step: Step<(Entry, Opened)>) -> Answer {
    call.answer(step, |session, (entry, result)| {
        let open = opened(session, entry.node, result)
            .inspect_err(|_| session.fs.forget(entry.node, 1))?;
        Ok(Body::Create(CreateOut {
            entry: convert::entry_out(&entry),
            open,
        }))
    })
}

pub(super) fn read(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let ReadIn {
        fh, offset, size, ..
    } = args.take()?;
    let (node, handle) = (call.node(), Handle(fh));
    let step = match call.session.open_files.backing(node, handle) {
        Some(backing) => local::read(&call.session.runtime, &backing, offset, size),
        None => call.session.fs.read(node, handle, offset, size),
    };
    Ok(call.answer(step, move |_, mut data: Bytes| {
        data.truncate(size as usize);
        Ok(Body::Data(data))
    }))
}

pub(super) fn write(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let WriteIn {
        fh,
        offset,
        size,
        write_flags,
        ..
    } = args.take()?;
    let data = args.bytes(size as usize)?;
    if write_flags & WRITE_KILL_SUIDGID != 0 && write_flags & WRITE_CACHE == 0 {
        kill_suid_gid(call);
    }
    let (node, handle) = (call.node(), Handle(fh));
    let step = match call.session.open_files.backing(node, handle) {
        Some(backing) => local::write(&call.session.runtime, &backing, offset, data),
        None => call.session.fs.write(node, handle, offset, data),
    };
    Ok(call.answer(step, |_, size| {
        Ok(Body::Write(WriteOut { size, padding: 0 }))
    }))
}

pub(super) fn flush(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let FlushIn { fh, .. } = args.take()?;
    if !call.session.negotiated.flush_on_close {
        // Remembered by the kernel, which has written dirty pages out before it asks.
        return Err(Errno::NOSYS);
    }
    Ok(call.done(call.session.fs.flush(call.node(), Handle(fh))))
}

pub(super) fn release(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let ReleaseIn { fh, .. } = args.take()?;
    let (node, handle) = (call.node(), Handle(fh));
    call.session
        .open_files
        .released(&call.session.device, node, handle);
    call.session.fs.release(node, handle);
    Ok(Answer::Now(Ok(Body::Empty)))
}

pub(super) fn fsync(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let FsyncIn {
        fh, fsync_flags, ..
    } = args.take()?;
    let data_only = fsync_flags & FSYNC_FDATASYNC != 0;
    Ok(call.done(call.session.fs.fsync(call.node(), Handle(fh), data_only)))
}

pub(super) fn fallocate(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let FallocateIn {
        fh,
        offset,
        length,
        mode,
        ..
    } = args.take()?;
    let fs = &call.session.fs;
    Ok(call.done(fs.fallocate(call.node(), Handle(fh), mode as i32, offset, length)))
}

pub(super) fn lseek(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let LseekIn {
        fh, offset, whence, ..
    } = args.take()?;
    if writeback(call) {
        // What was written may be in the kernel's pages only; without an answer it takes the whole
        // file for data.
        return Err(Errno::NOSYS);
    }
    let kind = match whence {
        SEEK_DATA => SeekKind::Data,
        SEEK_HOLE => SeekKind::Hole,
        _ => return Err(Errno::INVAL),
    };
    let step = call.session.fs.seek(call.node(), Handle(fh), offset, kind);
    Ok(call.answer(step, |_, offset| Ok(Body::Position(LseekOut { offset }))))
}

pub(super) fn copy_file_range(
    call: &Call<'_>,
    opcode: Opcode,
    mut args: Args<'_>,
) -> Result<Answer, Errno> {
    if call.session.negotiated.mode == Mode::Passthrough {
        // The kernel copies from local file to local file without asking, if it may.
        return Err(Errno::NOSYS);
    }
    let raw: CopyFileRangeIn = args.take()?;
    let step = call.session.fs.copy_file_range(
        (call.node(), Handle(raw.fh_in)),
        raw.off_in,
        (NodeId(raw.nodeid_out), Handle(raw.fh_out)),
        raw.off_out,
        raw.len,
    );
    // The older request has 32 bits for the answer.
    let wide = opcode == Opcode::CopyFileRange64;
    Ok(call.answer(step, move |_, copied| {
        Ok(if wide {
            Body::Copied(CopyFileRangeOut {
                bytes_copied: copied,
            })
        } else {
            Body::Write(WriteOut {
                size: copied.min(u64::from(u32::MAX)) as u32,
                padding: 0,
            })
        })
    }))
}
