//! rename(2) and renameat2(2).

use rustix::{
    fs::{CWD, Mode, OFlags, RenameFlags, open, rename, renameat_with, stat},
    io::Errno,
};

use crate::case::{Ctx, Failure, holds, refused, refused_any, same};

super::cases!("rename":
    keeps_identity, replaces_file, replaced_open_file_lives_on, missing_source, onto_directory,
    directory_onto_file, directory_onto_empty_directory, directory_onto_full_directory,
    into_itself, to_same_name, across_directories, directory_moves_with_content,
    open_file_follows, noreplace, exchange_files, exchange_file_and_directory, exchange_missing,
    of_symlink, dot_is_refused, parent_times_change, many_times,
);

fn keeps_identity(ctx: &Ctx) -> Result<(), Failure> {
    let a = ctx.file("a", b"x")?;
    let before = stat(&a)?;
    rename(&a, ctx.path("b"))?;
    let after = stat(ctx.path("b"))?;
    same(
        (after.st_ino, after.st_mtime, after.st_mtime_nsec),
        (before.st_ino, before.st_mtime, before.st_mtime_nsec),
    )?;
    refused(stat(&a), Errno::NOENT)
}

fn replaces_file(ctx: &Ctx) -> Result<(), Failure> {
    let a = ctx.file("a", b"new")?;
    let b = ctx.file("b", b"old")?;
    rename(&a, &b)?;
    same(std::fs::read(&b)?, b"new".to_vec())?;
    same(std::fs::read_dir(ctx.dir())?.count(), 1)
}

fn replaced_open_file_lives_on(ctx: &Ctx) -> Result<(), Failure> {
    let a = ctx.file("a", b"new")?;
    let b = ctx.file("b", b"old")?;
    let old = open(&b, OFlags::RDONLY, Mode::empty())?;
    rename(&a, &b)?;
    let mut bytes = [0u8; 3];
    rustix::io::pread(&old, &mut bytes[..], 0)?;
    same(&bytes, b"old")
}

fn missing_source(ctx: &Ctx) -> Result<(), Failure> {
    ctx.file("f", b"")?;
    refused(rename(ctx.path("none"), ctx.path("b")), Errno::NOENT)?;
    refused(rename(ctx.path("f"), ctx.path("none/b")), Errno::NOENT)?;
    refused(rename(ctx.path("f/x"), ctx.path("b")), Errno::NOTDIR)
}

fn onto_directory(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    let d = ctx.mkdir("d", 0o755)?;
    refused(rename(&f, &d), Errno::ISDIR)
}

fn directory_onto_file(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    let d = ctx.mkdir("d", 0o755)?;
    refused(rename(&d, &f), Errno::NOTDIR)
}

fn directory_onto_empty_directory(ctx: &Ctx) -> Result<(), Failure> {
    let a = ctx.mkdir("a", 0o755)?;
    ctx.file("a/f", b"")?;
    let b = ctx.mkdir("b", 0o755)?;
    rename(&a, &b)?;
    holds(ctx.path("b/f").is_file(), "the content moved")?;
    refused(stat(&a), Errno::NOENT)
}

fn directory_onto_full_directory(ctx: &Ctx) -> Result<(), Failure> {
    let a = ctx.mkdir("a", 0o755)?;
    let b = ctx.mkdir("b", 0o755)?;
    ctx.file("b/f", b"")?;
    refused_any(rename(&a, &b), &[Errno::NOTEMPTY, Errno::EXIST])
}

fn into_itself(ctx: &Ctx) -> Result<(), Failure> {
    let a = ctx.mkdir("a", 0o755)?;
    ctx.mkdir("a/b", 0o755)?;
    refused(rename(&a, ctx.path("a/c")), Errno::INVAL)?;
    refused(rename(&a, ctx.path("a/b/c")), Errno::INVAL)?;
    refused_any(
        rename(ctx.path("a/b"), &a),
        &[Errno::NOTEMPTY, Errno::EXIST],
    )
}

fn to_same_name(ctx: &Ctx) -> Result<(), Failure> {
    let a = ctx.file("a", b"x")?;
    rename(&a, &a)?;
    same(std::fs::read(&a)?, b"x".to_vec())
}

fn across_directories(ctx: &Ctx) -> Result<(), Failure> {
    ctx.mkdir("d", 0o755)?;
    ctx.mkdir("e", 0o755)?;
    ctx.file("d/f", b"x")?;
    rename(ctx.path("d/f"), ctx.path("e/g"))?;
    same(std::fs::read(ctx.path("e/g"))?, b"x".to_vec())?;
    same(std::fs::read_dir(ctx.path("d"))?.count(), 0)
}

fn directory_moves_with_content(ctx: &Ctx) -> Result<(), Failure> {
    ctx.mkdir("a", 0o755)?;
    ctx.mkdir("a/b", 0o755)?;
    ctx.file("a/b/f", b"x")?;
    ctx.mkdir("c", 0o755)?;
    rename(ctx.path("a"), ctx.path("c/a"))?;
    same(std::fs::read(ctx.path("c/a/b/f"))?, b"x".to_vec())?;
    same(
        stat(ctx.path("c/a/.."))?.st_ino,
        stat(ctx.path("c"))?.st_ino,
    )
}

fn open_file_follows(ctx: &Ctx) -> Result<(), Failure> {
    let a = ctx.file("a", b"x")?;
    let file = open(&a, OFlags::RDWR, Mode::empty())?;
    rename(&a, ctx.path("b"))?;
    rustix::io::pwrite(&file, b"written later", 0)?;
    same(std::fs::read(ctx.path("b"))?, b"written later".to_vec())
}

fn noreplace(ctx: &Ctx) -> Result<(), Failure> {
    let a = ctx.file("a", b"a")?;
    let b = ctx.file("b", b"b")?;
    refused(
        renameat_with(CWD, &a, CWD, &b, RenameFlags::NOREPLACE),
        Errno::EXIST,
    )?;
    renameat_with(CWD, &a, CWD, ctx.path("c"), RenameFlags::NOREPLACE)?;
    same(std::fs::read(ctx.path("c"))?, b"a".to_vec())
}

fn exchange_files(ctx: &Ctx) -> Result<(), Failure> {
    let a = ctx.file("a", b"a")?;
    let b = ctx.file("b", b"b")?;
    renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE)?;
    same(std::fs::read(&a)?, b"b".to_vec())?;
    same(std::fs::read(&b)?, b"a".to_vec())
}

fn exchange_file_and_directory(ctx: &Ctx) -> Result<(), Failure> {
    let a = ctx.file("a", b"a")?;
    ctx.mkdir("d", 0o755)?;
    let b = ctx.mkdir("d/b", 0o755)?;
    ctx.file("d/b/f", b"f")?;
    renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE)?;
    same(std::fs::read(ctx.path("a/f"))?, b"f".to_vec())?;
    same(std::fs::read(&b)?, b"a".to_vec())?;
    same(stat(ctx.path("d"))?.st_nlink as u64, 2)
}

fn exchange_missing(ctx: &Ctx) -> Result<(), Failure> {
    let a = ctx.file("a", b"a")?;
    refused(
        renameat_with(CWD, &a, CWD, ctx.path("none"), RenameFlags::EXCHANGE),
        Errno::NOENT,
    )
}

fn of_symlink(ctx: &Ctx) -> Result<(), Failure> {
    ctx.file("f", b"x")?;
    rustix::fs::symlink("f", ctx.path("l"))?;
    rename(ctx.path("l"), ctx.path("m"))?;
    same(
        std::fs::read_link(ctx.path("m"))?.into_os_string(),
        "f".into(),
    )
}

fn dot_is_refused(ctx: &Ctx) -> Result<(), Failure> {
    ctx.mkdir("d", 0o755)?;
    refused_any(
        rename(ctx.path("d/."), ctx.path("e")),
        &[Errno::BUSY, Errno::INVAL],
    )?;
    refused_any(
        rename(ctx.path("d/.."), ctx.path("e")),
        &[Errno::BUSY, Errno::INVAL],
    )
}

fn parent_times_change(ctx: &Ctx) -> Result<(), Failure> {
    ctx.mkdir("d", 0o755)?;
    ctx.mkdir("e", 0o755)?;
    ctx.file("d/f", b"")?;
    let before = (stat(ctx.path("d"))?, stat(ctx.path("e"))?);
    std::thread::sleep(std::time::Duration::from_millis(15)); // past the clock's tick
    rename(ctx.path("d/f"), ctx.path("e/f"))?;
    let after = (stat(ctx.path("d"))?, stat(ctx.path("e"))?);
    for (b, a) in [(before.0, after.0), (before.1, after.1)] {
        holds(
            (a.st_mtime, a.st_mtime_nsec) > (b.st_mtime, b.st_mtime_nsec),
            "mtime moved",
        )?;
        holds(
            (a.st_ctime, a.st_ctime_nsec) > (b.st_ctime, b.st_ctime_nsec),
            "ctime moved",
        )?;
    }
    Ok(())
}

fn many_times(ctx: &Ctx) -> Result<(), Failure> {
    ctx.file("f0", b"x")?;
    for i in 0..300 {
        rename(ctx.path(&format!("f{i}")), ctx.path(&format!("f{}", i + 1)))?;
    }
    same(std::fs::read_dir(ctx.dir())?.count(), 1)?;
    same(std::fs::read(ctx.path("f300"))?, b"x".to_vec())
}
