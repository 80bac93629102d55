//! Requests about a node as a whole: attributes, extended attributes, symbolic links.

use bytes::Bytes;
use mesa_vfs::fs::{AttrChange, Handle, Step, TimeOrNow};
use rustix::io::Errno;

use super::{Answer, Body, Call, args::Args, convert};
use crate::wire::{
    flags::{GETATTR_FH, attr},
    reply::{GetxattrOut, StatfsOut},
    request::{AccessIn, GetattrIn, GetxattrIn, SetattrIn, SetxattrIn},
};

pub(super) fn getattr(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let GetattrIn {
        getattr_flags, fh, ..
    } = args.take()?;
    let handle = (getattr_flags & GETATTR_FH != 0).then_some(Handle(fh));
    let step = call.session.fs.getattr(call.caller(), call.node(), handle);
    Ok(call.answer(step, |_, found| Ok(Body::Attr(convert::attr_out(&found)))))
}

pub(super) fn setattr(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let raw: SetattrIn = args.take()?;
    let handle = (raw.valid & attr::FH != 0).then_some(Handle(raw.fh));
    let step = call
        .session
        .fs
        .setattr(call.caller(), call.node(), handle, change(&raw));
    Ok(call.answer(step, |_, found| Ok(Body::Attr(convert::attr_out(&found)))))
}

fn change(raw: &SetattrIn) -> AttrChange {
    let has = |bit| raw.valid & bit != 0;
    let time = |set, now, secs, nanos| {
        if has(now) {
            Some(TimeOrNow::Now)
        } else {
            has(set).then(|| TimeOrNow::Time(convert::join_time(secs, nanos)))
        }
    };
    AttrChange {
        mode: has(attr::MODE).then_some((raw.mode & 0o7777) as u16),
        uid: has(attr::UID).then_some(raw.uid),
        gid: has(attr::GID).then_some(raw.gid),
        size: has(attr::SIZE).then_some(raw.size),
        atime: time(attr::ATIME, attr::ATIME_NOW, raw.atime, raw.atimensec),
        mtime: time(attr::MTIME, attr::MTIME_NOW, raw.mtime, raw.mtimensec),
        ctime: has(attr::CTIME).then(|| convert::join_time(raw.ctime, raw.ctimensec)),
        kill_suid_gid: has(attr::KILL_SUIDGID),
    }
}

pub(super) fn access(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let AccessIn { mask, .. } = args.take()?;
    Ok(call.done(call.session.fs.access(call.caller(), call.node(), mask & 7)))
}

pub(super) fn readlink(call: &Call<'_>) -> Answer {
    let step = call.session.fs.readlink(call.caller(), call.node());
    call.answer(step, |_, target| Ok(Body::Data(target)))
}

pub(super) fn statfs(call: &Call<'_>) -> Answer {
    call.answer(call.session.fs.statfs(call.node()), |_, found| {
        Ok(Body::Statfs(StatfsOut {
            blocks: found.blocks,
            bfree: found.blocks_free,
            bavail: found.blocks_available,
            files: found.files,
            ffree: found.files_free,
            bsize: found.block_size,
            namelen: found.name_max,
            frsize: found.block_size,
            ..StatfsOut::default()
        }))
    })
}

pub(super) fn getxattr(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let GetxattrIn { size, .. } = args.take()?;
    let step = call
        .session
        .fs
        .getxattr(call.caller(), call.node(), args.name()?);
    Ok(sized(call, step, size))
}

pub(super) fn listxattr(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let GetxattrIn { size, .. } = args.take()?;
    let step = call.session.fs.listxattr(call.caller(), call.node());
    Ok(sized(call, step, size))
}

/// A caller with room for nothing asks how much there is.
fn sized(call: &Call<'_>, step: Step<Bytes>, room: u32) -> Answer {
    call.answer(step, move |_, value| {
        if room == 0 {
            Ok(Body::XattrSize(GetxattrOut {
                size: value.len() as u32,
                padding: 0,
            }))
        } else if value.len() > room as usize {
            Err(Errno::RANGE)
        } else {
            Ok(Body::Data(value))
        }
    })
}

pub(super) fn setxattr(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    let SetxattrIn { size, flags } = args.take()?;
    let name = args.name()?;
    let value = args.bytes(size as usize)?;
    Ok(call.done(
        call.session
            .fs
            .setxattr(call.caller(), call.node(), name, value, flags),
    ))
}

pub(super) fn removexattr(call: &Call<'_>, mut args: Args<'_>) -> Result<Answer, Errno> {
    Ok(call.done(
        call.session
            .fs
            .removexattr(call.caller(), call.node(), args.name()?),
    ))
}

#[cfg(test)]
mod tests {
    use mesa_vfs::fs::TimeOrNow;

    use super::{attr, change};
    use crate::wire::request::SetattrIn;

    #[test]
    fn only_the_marked_fields_change() {
        let none = change(&SetattrIn {
            mode: 0o777,
            uid: 5,
            size: 9,
            ..SetattrIn::default()
        });
        assert!(none.mode.is_none() && none.uid.is_none() && none.size.is_none());
        let some = change(&SetattrIn {
            valid: attr::MODE | attr::SIZE | attr::MTIME | attr::MTIME_NOW | attr::ATIME,
            mode: 0o104_755,
            size: 9,
            ..SetattrIn::default()
        });
        assert_eq!((some.mode, some.size), (Some(0o4755), Some(9)));
        assert!(matches!(some.mtime, Some(TimeOrNow::Now)));
        assert!(matches!(some.atime, Some(TimeOrNow::Time(_))));
        assert!(some.ctime.is_none() && !some.kill_suid_gid);
    }
}
