//! Requests on open directories.

use mesa_vfs::fs::{DirEntry, Filesystem, Handle};
use rustix::io::Errno;
use zerocopy::IntoBytes;

use super::{Answer, Body, Call, args::Args, convert};
use crate::wire::{
    reply::{Dirent, EntryOut, OpenOut},
    request::{FsyncIn, ReadIn, ReleaseIn},
};

pub(super) fn opendir(call: &Call<'_>) -> Answer {
    let step = call.session.fs.opendir(call.caller(), call.node());
    // The listing is not cached by the kernel: reading it again is what refreshes the attributes
    // of all its entries in one request.
    call.answer(step, |_, handle| {
        Ok(Body::Open(OpenOut {
            fh: handle.0,
            open_flags: 0,
            backing_id: 0,
        }))
    })
}

pub(super) fn readdir(call: &Call<'_>, mut args: Args<'_>, plus: bool) -> Result<Answer, Errno> {
    let ReadIn {
        fh, offset, size, ..
    } = args.take()?;
    let room = size as usize;
    let fs = &call.session.fs;
    let step = fs.readdir(call.caller(), call.node(), Handle(fh), offset, room, plus);
    Ok(call.answer(step, move |session, entries| {
        Ok(Body::Data(
            encode(session.fs.as_ref(), &entries, room, plus).into(),
        ))
    }))
}

/// As many entries as fit; lookups counted for the others are undone.
fn encode(fs: &dyn Filesystem, entries: &[DirEntry], room: usize, plus: bool) -> Vec<u8> {
    let head = size_of::<Dirent>() + if plus { size_of::<EntryOut>() } else { 0 };
    let mut out = Vec::with_capacity(room);
    let mut fits = true;
    for entry in entries {
        let len = (head + entry.name.len()).next_multiple_of(8);
        fits = fits && out.len() + len <= room;
        if (!fits || !plus)
            && let Some(found) = &entry.entry
        {
            fs.forget(found.node, 1);
        }
        if !fits {
            continue;
        }
        let end = out.len() + len;
        if plus {
            let found = entry
                .entry
                .as_ref()
                .map(convert::entry_out)
                .unwrap_or_default();
            out.extend_from_slice(found.as_bytes());
        }
        let dirent = Dirent {
            ino: entry.ino,
            off: entry.next,
            namelen: entry.name.len() as u32,
            kind: convert::type_bits(entry.kind) >> 12,
        };
        out.extend_from_slice(dirent.as_bytes());
        out.extend_from_slice(&entry.name);
        out.resize(end, 0);
    }
    out
}

pub(super) fn releasedir(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let ReleaseIn { fh, .. } = args.take()?;
    call.session.fs.releasedir(call.node(), Handle(fh));
    Ok(Answer::Now(Ok(Body::Empty)))
}

pub(super) fn fsyncdir(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let FsyncIn { fh, .. } = args.take()?;
    Ok(call.done(call.session.fs.fsyncdir(call.node(), Handle(fh))))
}
