//! Names: length, bytes, case.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
};

use crate::case::{Ctx, Failure, holds, refused, same};

super::cases!("names":
    longest, too_long, path_too_long, any_bytes, case_is_kept_apart, unicode_forms_are_kept_apart,
    dot_git_and_friends, dots, many_in_one_directory,
);

fn longest(ctx: &Ctx) -> Result<(), Failure> {
    let name = "n".repeat(255);
    ctx.file(&name, b"x")?;
    ctx.mkdir(&"d".repeat(255), 0o755)?;
    same(std::fs::read(ctx.path(&name))?, b"x".to_vec())?;
    std::fs::rename(ctx.path(&name), ctx.path(&"m".repeat(255)))?;
    Ok(())
}

fn too_long(ctx: &Ctx) -> Result<(), Failure> {
    let name = "n".repeat(256);
    ctx.file("f", b"")?;
    let flags = OFlags::RDWR | OFlags::CREATE;
    refused(
        open(ctx.path(&name), flags, Mode::from(0o644)),
        Errno::NAMETOOLONG,
    )?;
    refused(
        rustix::fs::mkdir(ctx.path(&name), Mode::from(0o755)),
        Errno::NAMETOOLONG,
    )?;
    refused(rustix::fs::stat(ctx.path(&name)), Errno::NAMETOOLONG)?;
    refused(rustix::fs::unlink(ctx.path(&name)), Errno::NAMETOOLONG)?;
    refused(
        rustix::fs::rename(ctx.path("f"), ctx.path(&name)),
        Errno::NAMETOOLONG,
    )?;
    refused(
        rustix::fs::link(ctx.path("f"), ctx.path(&name)),
        Errno::NAMETOOLONG,
    )?;
    refused(
        rustix::fs::symlink("x", ctx.path(&name)),
        Errno::NAMETOOLONG,
    )
}

fn path_too_long(ctx: &Ctx) -> Result<(), Failure> {
    let path = format!("{}/{}", ctx.dir().display(), "d/".repeat(2500));
    refused(rustix::fs::stat(path.as_str()), Errno::NAMETOOLONG)?;
    refused(
        rustix::fs::symlink("x".repeat(4096).as_str(), ctx.path("l")),
        Errno::NAMETOOLONG,
    )
}

fn any_bytes(ctx: &Ctx) -> Result<(), Failure> {
    let names: [&[u8]; 7] = [
        b"\xff\xfe",
        b"a\nb",
        b" ",
        b"-rf",
        b"*?[",
        b"back\\slash",
        b"\x01\x7f",
    ];
    for name in names {
        let path = ctx.dir().join(OsStr::from_bytes(name));
        std::fs::write(&path, name)?;
        same(std::fs::read(&path)?, name.to_vec())?;
    }
    let mut listed: Vec<Vec<u8>> = Vec::new();
    for entry in std::fs::read_dir(ctx.dir())? {
        listed.push(entry?.file_name().as_bytes().to_vec());
    }
    listed.sort();
    let mut wanted: Vec<Vec<u8>> = names.iter().map(|n| n.to_vec()).collect();
    wanted.sort();
    same(listed, wanted)
}

fn case_is_kept_apart(ctx: &Ctx) -> Result<(), Failure> {
    ctx.file("File", b"1")?;
    ctx.file("file", b"2")?;
    same(std::fs::read(ctx.path("File"))?, b"1".to_vec())
}

fn unicode_forms_are_kept_apart(ctx: &Ctx) -> Result<(), Failure> {
    ctx.file("\u{e9}", b"composed")?;
    ctx.file("e\u{301}", b"decomposed")?;
    same(std::fs::read_dir(ctx.dir())?.count(), 2)
}

fn dot_git_and_friends(ctx: &Ctx) -> Result<(), Failure> {
    for name in [".git", ".GIT", "git~1", ".gitmodules", ".mesa", ".jj"] {
        ctx.mkdir(name, 0o755)?;
        ctx.file(&format!("{name}/config"), b"x")?;
        holds(
            ctx.path(name).join("config").is_file(),
            "the directory keeps its file",
        )?;
    }
    Ok(())
}

fn dots(ctx: &Ctx) -> Result<(), Failure> {
    ctx.mkdir("d", 0o755)?;
    let here = rustix::fs::stat(ctx.path("d"))?;
    same(rustix::fs::stat(ctx.path("d/."))?.st_ino, here.st_ino)?;
    let up = rustix::fs::stat(ctx.path("d/.."))?;
    same(up.st_ino, rustix::fs::stat(ctx.dir())?.st_ino)?;
    refused(
        rustix::fs::mkdir(ctx.path("d/."), Mode::from(0o755)),
        Errno::EXIST,
    )?;
    refused(rustix::fs::rmdir(ctx.path("d/.")), Errno::INVAL)?;
    refused(rustix::fs::rmdir(ctx.path("d/..")), Errno::NOTEMPTY)
}

fn many_in_one_directory(ctx: &Ctx) -> Result<(), Failure> {
    let count = 3000;
    for i in 0..count {
        ctx.file(&format!("file-{i:05}"), b"")?;
    }
    let mut names = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(ctx.dir())? {
        holds(names.insert(entry?.file_name()), "each name is listed once")?;
    }
    same(names.len(), count)
}
