//! open(2): creation, flags, errors.

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
};

use crate::case::{Ctx, Failure, holds, refused, refused_any, same};

super::cases!("open":
    create_then_exclusive, missing, not_a_directory, directory_for_writing, truncates, append_mode,
    trailing_slash, symlink_nofollow, directory_flag, create_through_dangling_symlink,
    exclusive_on_symlink, tmpfile_links_in, tmpfile_exclusive_stays_unnamed, mode_and_umask,
    read_only_descriptor_refuses_write, write_only_descriptor_refuses_read,
);

fn rw() -> OFlags {
    OFlags::RDWR
}

fn create_then_exclusive(ctx: &Ctx) -> Result<(), Failure> {
    let path = ctx.path("f");
    open(
        &path,
        rw() | OFlags::CREATE | OFlags::EXCL,
        Mode::from(0o644),
    )?;
    refused(
        open(
            &path,
            rw() | OFlags::CREATE | OFlags::EXCL,
            Mode::from(0o644),
        ),
        Errno::EXIST,
    )?;
    open(&path, rw() | OFlags::CREATE, Mode::from(0o644))?;
    Ok(())
}

fn missing(ctx: &Ctx) -> Result<(), Failure> {
    refused(
        open(ctx.path("none"), OFlags::RDONLY, Mode::empty()),
        Errno::NOENT,
    )?;
    refused(
        open(ctx.path("none/f"), rw() | OFlags::CREATE, Mode::from(0o644)),
        Errno::NOENT,
    )
}

fn not_a_directory(ctx: &Ctx) -> Result<(), Failure> {
    ctx.file("f", b"")?;
    refused(
        open(ctx.path("f/x"), OFlags::RDONLY, Mode::empty()),
        Errno::NOTDIR,
    )?;
    refused(
        open(ctx.path("f/x"), rw() | OFlags::CREATE, Mode::from(0o644)),
        Errno::NOTDIR,
    )
}

fn directory_for_writing(ctx: &Ctx) -> Result<(), Failure> {
    let dir = ctx.mkdir("d", 0o755)?;
    refused(open(&dir, OFlags::WRONLY, Mode::empty()), Errno::ISDIR)?;
    refused(open(&dir, rw(), Mode::empty()), Errno::ISDIR)?;
    refused(
        open(&dir, OFlags::RDONLY | OFlags::CREATE, Mode::from(0o644)),
        Errno::ISDIR,
    )
}

fn truncates(ctx: &Ctx) -> Result<(), Failure> {
    let path = ctx.file("f", b"0123456789")?;
    open(&path, OFlags::WRONLY | OFlags::TRUNC, Mode::empty())?;
    same(std::fs::metadata(&path)?.len(), 0)
}

fn append_mode(ctx: &Ctx) -> Result<(), Failure> {
    let path = ctx.file("f", b"abc")?;
    let one = open(&path, OFlags::WRONLY | OFlags::APPEND, Mode::empty())?;
    let two = open(&path, OFlags::WRONLY | OFlags::APPEND, Mode::empty())?;
    rustix::io::write(&one, b"1")?;
    rustix::io::write(&two, b"2")?;
    rustix::io::write(&one, b"3")?;
    same(std::fs::read(&path)?, b"abc123".to_vec())
}

fn trailing_slash(ctx: &Ctx) -> Result<(), Failure> {
    ctx.file("f", b"")?;
    refused(
        open(ctx.path("f/"), OFlags::RDONLY, Mode::empty()),
        Errno::NOTDIR,
    )?;
    refused_any(
        open(ctx.path("new/"), rw() | OFlags::CREATE, Mode::from(0o644)),
        &[Errno::ISDIR, Errno::NOENT],
    )
}

fn symlink_nofollow(ctx: &Ctx) -> Result<(), Failure> {
    ctx.file("f", b"")?;
    std::os::unix::fs::symlink("f", ctx.path("l"))?;
    refused(
        open(
            ctx.path("l"),
            OFlags::RDONLY | OFlags::NOFOLLOW,
            Mode::empty(),
        ),
        Errno::LOOP,
    )?;
    open(ctx.path("l"), OFlags::RDONLY, Mode::empty())?;
    std::os::unix::fs::symlink("loop", ctx.path("loop"))?;
    refused(
        open(ctx.path("loop"), OFlags::RDONLY, Mode::empty()),
        Errno::LOOP,
    )
}

fn directory_flag(ctx: &Ctx) -> Result<(), Failure> {
    ctx.file("f", b"")?;
    refused(
        open(
            ctx.path("f"),
            OFlags::RDONLY | OFlags::DIRECTORY,
            Mode::empty(),
        ),
        Errno::NOTDIR,
    )
}

fn create_through_dangling_symlink(ctx: &Ctx) -> Result<(), Failure> {
    std::os::unix::fs::symlink("target", ctx.path("l"))?;
    open(ctx.path("l"), rw() | OFlags::CREATE, Mode::from(0o644))?;
    holds(
        ctx.path("target").is_file(),
        "the link's target was created",
    )
}

fn exclusive_on_symlink(ctx: &Ctx) -> Result<(), Failure> {
    std::os::unix::fs::symlink("target", ctx.path("l"))?;
    let flags = rw() | OFlags::CREATE | OFlags::EXCL;
    refused(open(ctx.path("l"), flags, Mode::from(0o644)), Errno::EXIST)
}

fn tmpfile_links_in(ctx: &Ctx) -> Result<(), Failure> {
    let file = open(ctx.dir(), rw() | OFlags::TMPFILE, Mode::from(0o640))?;
    rustix::io::write(&file, b"hello")?;
    same(std::fs::read_dir(ctx.dir())?.count(), 0)?;
    let source = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let cwd = rustix::fs::CWD;
    let flags = rustix::fs::AtFlags::SYMLINK_FOLLOW;
    rustix::fs::linkat(cwd, source.as_str(), cwd, ctx.path("f"), flags)?;
    drop(file);
    same(std::fs::read(ctx.path("f"))?, b"hello".to_vec())?;
    same(rustix::fs::stat(ctx.path("f"))?.st_nlink as u64, 1)
}

fn tmpfile_exclusive_stays_unnamed(ctx: &Ctx) -> Result<(), Failure> {
    let flags = rw() | OFlags::TMPFILE | OFlags::EXCL;
    let file = open(ctx.dir(), flags, Mode::from(0o640))?;
    same(rustix::fs::fstat(&file)?.st_nlink as u64, 0)?;
    let source = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let cwd = rustix::fs::CWD;
    let follow = rustix::fs::AtFlags::SYMLINK_FOLLOW;
    refused(
        rustix::fs::linkat(cwd, source.as_str(), cwd, ctx.path("f"), follow),
        Errno::NOENT,
    )
}

fn mode_and_umask(ctx: &Ctx) -> Result<(), Failure> {
    let old = rustix::process::umask(Mode::from(0o027));
    let made = open(ctx.path("f"), rw() | OFlags::CREATE, Mode::from(0o666));
    let dir = rustix::fs::mkdir(ctx.path("d"), Mode::from(0o777));
    rustix::process::umask(old);
    made?;
    dir?;
    same(rustix::fs::stat(ctx.path("f"))?.st_mode & 0o7777, 0o640)?;
    same(rustix::fs::stat(ctx.path("d"))?.st_mode & 0o7777, 0o750)
}

fn read_only_descriptor_refuses_write(ctx: &Ctx) -> Result<(), Failure> {
    let path = ctx.file("f", b"x")?;
    let file = open(&path, OFlags::RDONLY, Mode::empty())?;
    refused(rustix::io::write(&file, b"y"), Errno::BADF)?;
    refused_any(
        rustix::fs::ftruncate(&file, 0),
        &[Errno::BADF, Errno::INVAL],
    )
}

fn write_only_descriptor_refuses_read(ctx: &Ctx) -> Result<(), Failure> {
    let path = ctx.file("f", b"x")?;
    let file = open(&path, OFlags::WRONLY, Mode::empty())?;
    let mut byte = [0u8; 1];
    refused(rustix::io::read(&file, &mut byte[..]), Errno::BADF)
}
