//! Requests that look up or change directory entries.
//!
//! A request delivered again after a takeover may have been carried out by the former process,
//! which died before it answered. Where the outcome shows that (what was to be made is there,
//! what was to be removed is gone), the answer is success.

use bytes::Bytes;
use mesa_vfs::fs::{Entry, Found, FsError, FsResult, NodeId, RenameFlags, Step};
use rustix::{fs::RenameFlags as RawRenameFlags, io::Errno};

use super::{Answer, Body, Call, args::Args, convert};
use crate::wire::{
    UNIQUE_RESEND,
    request::{LinkIn, MkdirIn, MknodIn, Rename2In, RenameIn},
};

impl Call<'_> {
    fn is_resent(&self) -> bool {
        self.header.unique & UNIQUE_RESEND != 0
    }

    /// The answer to an operation that makes `name`.
    fn made(&self, parent: NodeId, name: &[u8], step: Step<Entry>) -> Answer {
        let step = if self.is_resent() {
            let fs = self.session.fs.clone();
            let (caller, name) = (self.caller(), Bytes::copy_from_slice(name));
            recover(step, FsError::Exists, move || {
                match fs.lookup(caller, parent, &name) {
                    Step::Done(Ok(Found::Entry(entry))) => Ok(entry),
                    // What the former process made is in memory; anything else is not its doing.
                    _ => Err(FsError::Exists),
                }
            })
        } else {
            step
        };
        self.answer(step, |_, entry| Ok(Body::Entry(convert::entry_out(&entry))))
    }

    /// The answer to an operation that removes a name.
    fn gone(&self, step: Step<()>) -> Answer {
        let step = if self.is_resent() {
            recover(step, FsError::NotFound, || Ok(()))
        } else {
            step
        };
        self.done(step)
    }
}

/// Replaces error `sign` by what `outcome` finds.
fn recover<T: Send + 'static>(
    step: Step<T>,
    sign: FsError,
    outcome: impl FnOnce() -> FsResult<T> + Send + 'static,
) -> Step<T> {
    match step {
        Step::Done(Err(error)) if error == sign => Step::Done(outcome()),
        Step::Done(result) => Step::Done(result),
        Step::Later(future) => Step::Later(Box::pin(async move {
            match future.await {
                Err(error) if error == sign => outcome(),
                result => result,
            }
        })),
    }
}

pub(super) fn lookup(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let step = call
        .session
        .fs
        .lookup(call.caller(), call.node(), args.name()?);
    Ok(call.answer(step, |_, found| {
        Ok(Body::Entry(match found {
            Found::Entry(entry) => convert::entry_out(&entry),
            Found::Absent => convert::absent(),
        }))
    }))
}

pub(super) fn mknod(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let MknodIn { mode, umask, .. } = args.take()?;
    let name = args.name()?;
    // Device nodes are refused: they would name hardware of whichever machine mounts.
    let kind = convert::kind_of(mode).ok_or(Errno::PERM)?;
    let caller = call.caller_with(umask);
    let step = call
        .session
        .fs
        .mknod(caller, call.node(), name, kind, mode & 0o7777);
    Ok(call.made(call.node(), name, step))
}

pub(super) fn mkdir(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let MkdirIn { mode, umask } = args.take()?;
    let name = args.name()?;
    let step = call
        .session
        .fs
        .mkdir(call.caller_with(umask), call.node(), name, mode & 0o7777);
    Ok(call.made(call.node(), name, step))
}

pub(super) fn symlink(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let name = args.name()?;
    let target = args.name()?;
    let step = call
        .session
        .fs
        .symlink(call.caller(), call.node(), name, target);
    Ok(call.made(call.node(), name, step))
}

pub(super) fn link(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let LinkIn { oldnodeid } = args.take()?;
    let name = args.name()?;
    let step = call
        .session
        .fs
        .link(call.caller(), NodeId(oldnodeid), call.node(), name);
    Ok(call.made(call.node(), name, step))
}

pub(super) fn unlink(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let step = call
        .session
        .fs
        .unlink(call.caller(), call.node(), args.name()?);
    Ok(call.gone(step))
}

pub(super) fn rmdir(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let step = call
        .session
        .fs
        .rmdir(call.caller(), call.node(), args.name()?);
    Ok(call.gone(step))
}

pub(super) fn rename(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let RenameIn { newdir } = args.take()?;
    moved(call, NodeId(newdir), args, RenameFlags::default())
}

pub(super) fn rename2(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let Rename2In { newdir, flags, .. } = args.take()?;
    let raw = RawRenameFlags::from_bits_retain(flags);
    let known = RawRenameFlags::NOREPLACE | RawRenameFlags::EXCHANGE;
    if !known.contains(raw) {
        return Err(Errno::INVAL);
    }
    let flags = RenameFlags {
        no_replace: raw.contains(RawRenameFlags::NOREPLACE),
        exchange: raw.contains(RawRenameFlags::EXCHANGE),
    };
    moved(call, NodeId(newdir), args, flags)
}

fn moved(
    call: &Call<'_>,
    new_parent: NodeId,
    mut args: Args<'_>,
    flags: RenameFlags,
) -> Result<Answer, Errno> {
    let (name, new_name) = (args.name()?, args.name()?);
    let fs = &call.session.fs;
    let step = fs.rename(
        call.caller(),
        call.node(),
        name,
        new_parent,
        new_name,
        flags,
    );
    // A resent exchange that was carried out would be undone by repeating it, and its outcome
    // does not show which it was; the rest is idempotent or recognised.
    Ok(call.gone(step))
}
