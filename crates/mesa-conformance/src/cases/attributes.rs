//! chmod(2), chown(2), truncate(2), stat(2).

use std::os::unix::fs::chown;

use rustix::{
    fs::{Mode, OFlags, chmod, ftruncate, open, stat},
    io::Errno,
};

use crate::case::{Ctx, Failure, USER, holds, refused, same};

super::cases!("attributes":
    chmod_bits, chmod_through_symlink, chown_by_root, chown_clears_setuid, write_clears_setuid,
    truncate_shrinks_and_grows, truncate_errors, truncate_directory, special_kinds,
    device_nodes_are_refused, inode_number_is_stable, blocks_follow_size, statfs_is_sensible,
);

fn chmod_bits(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    for mode in [0o000, 0o777, 0o4755, 0o2711, 0o1644, 0o7777, 0o644] {
        chmod(&f, Mode::from(mode))?;
        same(stat(&f)?.st_mode & 0o7777, mode)?;
    }
    let d = ctx.mkdir("d", 0o755)?;
    chmod(&d, Mode::from(0o3770))?;
    same(stat(&d)?.st_mode & 0o7777, 0o3770)
}

fn chmod_through_symlink(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    rustix::fs::symlink("f", ctx.path("l"))?;
    chmod(ctx.path("l"), Mode::from(0o600))?;
    same(stat(&f)?.st_mode & 0o7777, 0o600)
}

fn chown_by_root(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    chown(&f, Some(1234), Some(5678))?;
    let now = stat(&f)?;
    same((now.st_uid, now.st_gid), (1234, 5678))?;
    chown(&f, None, Some(42))?;
    let now = stat(&f)?;
    same((now.st_uid, now.st_gid), (1234, 42))?;
    rustix::fs::symlink("f", ctx.path("l"))?;
    std::os::unix::fs::lchown(ctx.path("l"), Some(7), Some(8))?;
    let link = rustix::fs::lstat(ctx.path("l"))?;
    same((link.st_uid, link.st_gid), (7, 8))?;
    same(stat(&f)?.st_uid, 1234)
}

fn chown_clears_setuid(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    chown(&f, Some(USER), Some(USER))?;
    chmod(&f, Mode::from(0o6755))?;
    let path = f.clone();
    ctx.as_user(USER, USER, move || {
        Ok(chown(&path, Some(USER), Some(USER))?)
    })?;
    same(stat(&f)?.st_mode & 0o7777, 0o755)
}

fn write_clears_setuid(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    chmod(&f, Mode::from(0o6777))?;
    let path = f.clone();
    ctx.as_user(USER, USER, move || {
        let file = open(&path, OFlags::WRONLY, Mode::empty())?;
        rustix::io::write(&file, b"x")?;
        Ok(())
    })?;
    same(stat(&f)?.st_mode & 0o6000, 0)
}

fn truncate_shrinks_and_grows(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"0123456789")?;
    let file = open(&f, OFlags::RDWR, Mode::empty())?;
    ftruncate(&file, 4)?;
    same(std::fs::read(&f)?, b"0123".to_vec())?;
    ftruncate(&file, 8)?;
    same(std::fs::read(&f)?, b"0123\0\0\0\0".to_vec())?;
    drop(file);
    std::fs::OpenOptions::new()
        .write(true)
        .open(&f)?
        .set_len(1 << 33)?;
    same(stat(&f)?.st_size, 1 << 33)?;
    std::fs::OpenOptions::new()
        .write(true)
        .open(&f)?
        .set_len(0)?;
    same(stat(&f)?.st_size, 0)
}

fn truncate_errors(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"x")?;
    chmod(&f, Mode::from(0o444))?;
    let path = f.clone();
    ctx.as_user(USER, USER, move || {
        refused(
            open(&path, OFlags::WRONLY | OFlags::TRUNC, Mode::empty()),
            Errno::ACCESS,
        )
    })?;
    same(stat(&f)?.st_size, 1)
}

fn truncate_directory(ctx: &Ctx) -> Result<(), Failure> {
    let d = ctx.mkdir("d", 0o755)?;
    refused(
        open(&d, OFlags::WRONLY | OFlags::TRUNC, Mode::empty()),
        Errno::ISDIR,
    )
}

fn special_kinds(ctx: &Ctx) -> Result<(), Failure> {
    use rustix::fs::{CWD, FileType, mknodat};
    mknodat(CWD, ctx.path("fifo"), FileType::Fifo, Mode::from(0o640), 0)?;
    same(stat(ctx.path("fifo"))?.st_mode, 0o010_640)?;
    let socket = std::os::unix::net::UnixListener::bind(ctx.path("s"));
    if ctx.path("s").as_os_str().len() < 100 {
        socket?;
        same(stat(ctx.path("s"))?.st_mode & 0o170_000, 0o140_000)?;
    }
    mknodat(
        CWD,
        ctx.path("plain"),
        FileType::RegularFile,
        Mode::from(0o600),
        0,
    )?;
    same(stat(ctx.path("plain"))?.st_mode, 0o100_600)?;
    refused(
        mknodat(CWD, ctx.path("fifo"), FileType::Fifo, Mode::from(0o640), 0),
        Errno::EXIST,
    )
}

fn device_nodes_are_refused(ctx: &Ctx) -> Result<(), Failure> {
    use rustix::fs::{CWD, FileType, makedev, mknodat};
    let path = ctx.path("null");
    let as_user = path.clone();
    ctx.as_user(USER, USER, move || {
        let made = mknodat(
            CWD,
            &as_user,
            FileType::CharacterDevice,
            Mode::from(0o666),
            makedev(1, 3),
        );
        refused(made, Errno::PERM)
    })?;
    refused(stat(&path), Errno::NOENT)
}

fn inode_number_is_stable(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"x")?;
    let ino = stat(&f)?.st_ino;
    std::fs::write(&f, b"longer than before")?;
    chmod(&f, Mode::from(0o600))?;
    rustix::fs::rename(&f, ctx.path("g"))?;
    same(stat(ctx.path("g"))?.st_ino, ino)?;
    let listed = std::fs::read_dir(ctx.dir())?
        .next()
        .ok_or(Failure("empty".into()))??;
    same(std::os::unix::fs::DirEntryExt::ino(&listed), ino)
}

fn blocks_follow_size(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", &vec![1u8; 1 << 20])?;
    let file = open(&f, OFlags::RDWR, Mode::empty())?;
    rustix::fs::fsync(&file)?;
    holds(stat(&f)?.st_blocks >= 2048, "a MiB of data has 2048 blocks")
}

fn statfs_is_sensible(ctx: &Ctx) -> Result<(), Failure> {
    let stat = rustix::fs::statvfs(ctx.dir())?;
    same(stat.f_namemax, 255)?;
    holds(stat.f_blocks > 0 && stat.f_bavail > 0, "there is room")
}
