//! unlink(2) and life after it.

use rustix::{
    fs::{Mode, OFlags, open, stat, unlink},
    io::Errno,
};

use crate::case::{Ctx, Failure, refused, refused_any, same};

super::cases!("unlink":
    removes, errors, open_file_lives_on, open_file_can_grow_and_shrink, name_is_free_at_once,
    of_symlink_keeps_target, mapped_file_lives_on, nlink_of_open_file_is_zero,
);

fn removes(ctx: &Ctx) -> Result<(), Failure> {
    let path = ctx.file("f", b"")?;
    unlink(&path)?;
    refused(stat(&path), Errno::NOENT)?;
    refused(unlink(&path), Errno::NOENT)
}

fn errors(ctx: &Ctx) -> Result<(), Failure> {
    ctx.file("f", b"")?;
    let dir = ctx.mkdir("d", 0o755)?;
    refused_any(unlink(&dir), &[Errno::ISDIR, Errno::PERM])?;
    refused(unlink(ctx.path("f/x")), Errno::NOTDIR)?;
    refused(unlink(ctx.path("none/x")), Errno::NOENT)
}

fn open_file_lives_on(ctx: &Ctx) -> Result<(), Failure> {
    let path = ctx.file("f", b"still here")?;
    let file = open(&path, OFlags::RDWR, Mode::empty())?;
    unlink(&path)?;
    let mut bytes = [0u8; 10];
    rustix::io::pread(&file, &mut bytes[..], 0)?;
    same(&bytes, b"still here")?;
    rustix::io::pwrite(&file, b"STILL", 0)?;
    rustix::io::pread(&file, &mut bytes[..], 0)?;
    same(&bytes, b"STILL here")
}

fn open_file_can_grow_and_shrink(ctx: &Ctx) -> Result<(), Failure> {
    let path = ctx.file("f", b"0123456789")?;
    let file = open(&path, OFlags::RDWR, Mode::empty())?;
    unlink(&path)?;
    rustix::fs::ftruncate(&file, 4)?;
    same(rustix::fs::fstat(&file)?.st_size, 4)?;
    rustix::io::pwrite(&file, b"x", 9999)?;
    same(rustix::fs::fstat(&file)?.st_size, 10_000)
}

fn name_is_free_at_once(ctx: &Ctx) -> Result<(), Failure> {
    let path = ctx.file("f", b"old")?;
    let old = open(&path, OFlags::RDONLY, Mode::empty())?;
    unlink(&path)?;
    ctx.file("f", b"new")?;
    let mut bytes = [0u8; 3];
    rustix::io::pread(&old, &mut bytes[..], 0)?;
    same(&bytes, b"old")?;
    same(std::fs::read(&path)?, b"new".to_vec())?;
    crate::case::holds(
        rustix::fs::fstat(&old)?.st_ino != stat(&path)?.st_ino,
        "the new file has its own inode",
    )
}

fn of_symlink_keeps_target(ctx: &Ctx) -> Result<(), Failure> {
    ctx.file("f", b"x")?;
    rustix::fs::symlink("f", ctx.path("l"))?;
    unlink(ctx.path("l"))?;
    same(std::fs::read(ctx.path("f"))?, b"x".to_vec())
}

fn mapped_file_lives_on(ctx: &Ctx) -> Result<(), Failure> {
    // Without unsafe code the mapping is made by another program: a child that maps, waits for
    // the unlink, then reads through the mapping.
    let path = ctx.file("f", b"mapped bytes")?;
    let script = "import mmap,os,sys\nf=open(sys.argv[1],'r+b')\nm=mmap.mmap(f.fileno(),0)\n\
                  f.close()\nos.unlink(sys.argv[1])\nm[0:6]=b'MAPPED'\nassert m[:]==b'MAPPED bytes'\n";
    let status = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(&path)
        .status()?;
    same(status.success(), true)
}

fn nlink_of_open_file_is_zero(ctx: &Ctx) -> Result<(), Failure> {
    let path = ctx.file("f", b"")?;
    let file = open(&path, OFlags::RDWR, Mode::empty())?;
    unlink(&path)?;
    same(rustix::fs::fstat(&file)?.st_nlink as u64, 0)
}
