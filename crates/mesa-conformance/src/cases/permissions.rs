//! What ordinary users may do.

use std::os::unix::fs::chown;

use rustix::{
    fs::{Access, Mode, OFlags, access, chmod, open, stat},
    io::Errno,
};

use crate::case::{Ctx, Failure, OTHER, USER, refused, same};

super::cases!("permissions":
    new_files_belong_to_the_caller, read_and_write_bits, group_bits_win_over_other,
    supplementary_groups_count, search_permission,
    stat_below_an_unsearchable_directory, directory_write_permission, sticky_directory,
    chmod_needs_owner, chown_needs_root, chgrp_to_own_group, access_call, list_needs_read,
    rename_needs_both_directories, exec_bit,
);

fn rd(path: &std::path::Path) -> Result<(), Errno> {
    open(path, OFlags::RDONLY, Mode::empty()).map(drop)
}

fn wr(path: &std::path::Path) -> Result<(), Errno> {
    open(path, OFlags::WRONLY, Mode::empty()).map(drop)
}

fn new_files_belong_to_the_caller(ctx: &Ctx) -> Result<(), Failure> {
    ctx.as_user(USER, OTHER, || {
        ctx.file("f", b"")?;
        ctx.mkdir("d", 0o755)?;
        rustix::fs::symlink("x", ctx.path("l"))?;
        Ok(())
    })?;
    for name in ["f", "d", "l"] {
        let st = rustix::fs::lstat(ctx.path(name))?;
        same((st.st_uid, st.st_gid), (USER, OTHER))?;
    }
    Ok(())
}

fn read_and_write_bits(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"x")?;
    chown(&f, Some(USER), Some(USER))?;
    for (mode, can_read, can_write) in [
        (0o600, true, true),
        (0o400, true, false),
        (0o200, false, true),
        (0o077, false, false),
    ] {
        chmod(&f, Mode::from(mode))?;
        let path = f.clone();
        let got = ctx.as_user(USER, USER, move || {
            Ok((rd(&path).is_ok(), wr(&path).is_ok()))
        })?;
        same(got, (can_read, can_write))?;
    }
    Ok(())
}

fn group_bits_win_over_other(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"x")?;
    chown(&f, Some(0), Some(USER))?;
    chmod(&f, Mode::from(0o604))?;
    let path = f.clone();
    ctx.as_user(USER, USER, move || refused(rd(&path), Errno::ACCESS))?;
    ctx.as_user(OTHER, OTHER, move || Ok(rd(&f)?))
}

fn supplementary_groups_count(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"x")?;
    chown(&f, Some(0), Some(4444))?;
    chmod(&f, Mode::from(0o040))?;
    let path = f.clone();
    ctx.as_user(USER, USER, move || refused(rd(&path), Errno::ACCESS))?;
    ctx.as_user_in(USER, USER, &[1, 4444], move || Ok(rd(&f)?))
}

fn search_permission(ctx: &Ctx) -> Result<(), Failure> {
    ctx.mkdir("d", 0o755)?;
    let f = ctx.file("d/f", b"x")?;
    chmod(ctx.path("d"), Mode::from(0o666))?;
    let path = f.clone();
    ctx.as_user(USER, USER, move || refused(rd(&path), Errno::ACCESS))?;
    chmod(ctx.path("d"), Mode::from(0o711))?;
    ctx.as_user(USER, USER, move || Ok(rd(&f)?))
}

fn stat_below_an_unsearchable_directory(ctx: &Ctx) -> Result<(), Failure> {
    ctx.mkdir("d", 0o755)?;
    let f = ctx.file("d/f", b"x")?;
    stat(&f)?;
    chmod(ctx.path("d"), Mode::from(0o666))?;
    ctx.as_user(USER, USER, move || refused(stat(&f), Errno::ACCESS))
}

fn directory_write_permission(ctx: &Ctx) -> Result<(), Failure> {
    ctx.mkdir("d", 0o755)?;
    ctx.file("d/f", b"x")?;
    ctx.as_user(USER, USER, || {
        let create = OFlags::RDWR | OFlags::CREATE;
        refused(
            open(ctx.path("d/new"), create, Mode::from(0o644)),
            Errno::ACCESS,
        )?;
        refused(rustix::fs::unlink(ctx.path("d/f")), Errno::ACCESS)?;
        refused(
            rustix::fs::mkdir(ctx.path("d/sub"), Mode::from(0o755)),
            Errno::ACCESS,
        )?;
        refused(rustix::fs::symlink("x", ctx.path("d/l")), Errno::ACCESS)?;
        refused(
            rustix::fs::rename(ctx.path("d/f"), ctx.path("d/g")),
            Errno::ACCESS,
        )
    })
}

fn sticky_directory(ctx: &Ctx) -> Result<(), Failure> {
    ctx.mkdir("d", 0o1777)?;
    let mine = ctx.file("d/mine", b"")?;
    chown(&mine, Some(USER), Some(USER))?;
    let theirs = ctx.file("d/theirs", b"")?;
    chown(&theirs, Some(OTHER), Some(OTHER))?;
    ctx.as_user(USER, USER, || {
        let theirs = ctx.path("d/theirs");
        refused(rustix::fs::unlink(&theirs), Errno::PERM)
            .or_else(|_| refused(rustix::fs::unlink(&theirs), Errno::ACCESS))?;
        crate::case::refused_any(
            rustix::fs::rename(&theirs, ctx.path("d/x")),
            &[Errno::PERM, Errno::ACCESS],
        )?;
        crate::case::refused_any(
            rustix::fs::rename(ctx.path("d/mine"), &theirs),
            &[Errno::PERM, Errno::ACCESS],
        )?;
        Ok(rustix::fs::unlink(ctx.path("d/mine"))?)
    })
}

fn chmod_needs_owner(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    chmod(&f, Mode::from(0o666))?;
    let path = f.clone();
    ctx.as_user(USER, USER, move || {
        refused(chmod(&path, Mode::from(0o777)), Errno::PERM)
    })?;
    chown(&f, Some(USER), Some(USER))?;
    let path = f.clone();
    ctx.as_user(USER, USER, move || Ok(chmod(&path, Mode::from(0o600))?))?;
    same(stat(&f)?.st_mode & 0o7777, 0o600)
}

fn chown_needs_root(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    chown(&f, Some(USER), Some(USER))?;
    let path = f.clone();
    ctx.as_user(USER, USER, move || {
        let given = chown(&path, Some(OTHER), None);
        same(
            given.map_err(|e| e.raw_os_error()),
            Err(Some(Errno::PERM.raw_os_error())),
        )
    })?;
    same(stat(&f)?.st_uid, USER)
}

fn chgrp_to_own_group(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    chown(&f, Some(USER), Some(USER))?;
    let path = f.clone();
    ctx.as_user_in(USER, USER, &[4444], move || {
        Ok(chown(&path, None, Some(4444))?)
    })?;
    same(stat(&f)?.st_gid, 4444)?;
    let path = f.clone();
    ctx.as_user(USER, USER, move || {
        let given = chown(&path, None, Some(5555));
        same(
            given.map_err(|e| e.raw_os_error()),
            Err(Some(Errno::PERM.raw_os_error())),
        )
    })
}

fn access_call(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    chmod(&f, Mode::from(0o744))?;
    access(&f, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)?;
    ctx.as_user(USER, USER, || {
        access(ctx.path("f"), Access::READ_OK)?;
        refused(access(ctx.path("f"), Access::WRITE_OK), Errno::ACCESS)?;
        refused(access(ctx.path("f"), Access::EXEC_OK), Errno::ACCESS)?;
        refused(access(ctx.path("none"), Access::EXISTS), Errno::NOENT)
    })
}

fn list_needs_read(ctx: &Ctx) -> Result<(), Failure> {
    ctx.mkdir("d", 0o711)?;
    ctx.as_user(USER, USER, || {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        refused(open(ctx.path("d"), flags, Mode::empty()), Errno::ACCESS)
    })
}

fn rename_needs_both_directories(ctx: &Ctx) -> Result<(), Failure> {
    ctx.mkdir("open", 0o777)?;
    ctx.mkdir("closed", 0o755)?;
    ctx.file("open/f", b"")?;
    ctx.file("closed/g", b"")?;
    ctx.as_user(USER, USER, || {
        let to = rustix::fs::rename(ctx.path("open/f"), ctx.path("closed/f"));
        refused(to, Errno::ACCESS)?;
        let from = rustix::fs::rename(ctx.path("closed/g"), ctx.path("open/g"));
        refused(from, Errno::ACCESS)
    })
}

fn exec_bit(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"#!/bin/sh\nexit 7\n")?;
    let denied = std::process::Command::new(&f).status();
    same(
        denied.map(|_| ()).map_err(|e| e.kind()),
        Err(std::io::ErrorKind::PermissionDenied),
    )?;
    chmod(&f, Mode::from(0o755))?;
    same(std::process::Command::new(&f).status()?.code(), Some(7))
}
