//! mkdir(2), rmdir(2), readdir(3), directory link counts.

use rustix::{
    fs::{Dir, Mode, OFlags, mkdir, open, rmdir, stat},
    io::Errno,
};

use crate::case::{Ctx, Failure, holds, refused, refused_any, same};

super::cases!("directories":
    make_and_exists, missing_parent, parent_is_file, link_counts, remove, remove_non_empty,
    remove_file, remove_open_directory, setgid_is_inherited, list_while_removing,
    rewind_sees_new_entries, deep, dot_entries_are_listed,
);

fn make_and_exists(ctx: &Ctx) -> Result<(), Failure> {
    mkdir(ctx.path("d"), Mode::from(0o755))?;
    refused(mkdir(ctx.path("d"), Mode::from(0o755)), Errno::EXIST)?;
    ctx.file("f", b"")?;
    refused(mkdir(ctx.path("f"), Mode::from(0o755)), Errno::EXIST)?;
    std::os::unix::fs::symlink("nowhere", ctx.path("l"))?;
    refused(mkdir(ctx.path("l"), Mode::from(0o755)), Errno::EXIST)
}

fn missing_parent(ctx: &Ctx) -> Result<(), Failure> {
    refused(mkdir(ctx.path("a/b"), Mode::from(0o755)), Errno::NOENT)
}

fn parent_is_file(ctx: &Ctx) -> Result<(), Failure> {
    ctx.file("f", b"")?;
    refused(mkdir(ctx.path("f/d"), Mode::from(0o755)), Errno::NOTDIR)
}

fn link_counts(ctx: &Ctx) -> Result<(), Failure> {
    let dir = ctx.mkdir("d", 0o755)?;
    same(stat(&dir)?.st_nlink as u64, 2)?;
    ctx.mkdir("d/a", 0o755)?;
    ctx.mkdir("d/b", 0o755)?;
    ctx.file("d/f", b"")?;
    same(stat(&dir)?.st_nlink as u64, 4)?;
    ctx.mkdir("e", 0o755)?;
    std::fs::rename(ctx.path("d/a"), ctx.path("e/a"))?;
    same(stat(&dir)?.st_nlink as u64, 3)?;
    same(stat(ctx.path("e"))?.st_nlink as u64, 3)?;
    rmdir(ctx.path("d/b"))?;
    same(stat(&dir)?.st_nlink as u64, 2)
}

fn remove(ctx: &Ctx) -> Result<(), Failure> {
    let dir = ctx.mkdir("d", 0o755)?;
    rmdir(&dir)?;
    refused(stat(&dir), Errno::NOENT)?;
    refused(rmdir(&dir), Errno::NOENT)
}

fn remove_non_empty(ctx: &Ctx) -> Result<(), Failure> {
    let dir = ctx.mkdir("d", 0o755)?;
    ctx.file("d/f", b"")?;
    refused_any(rmdir(&dir), &[Errno::NOTEMPTY, Errno::EXIST])
}

fn remove_file(ctx: &Ctx) -> Result<(), Failure> {
    let file = ctx.file("f", b"")?;
    refused(rmdir(&file), Errno::NOTDIR)?;
    std::os::unix::fs::symlink(".", ctx.path("l"))?;
    refused(rmdir(ctx.path("l")), Errno::NOTDIR)
}

fn remove_open_directory(ctx: &Ctx) -> Result<(), Failure> {
    let dir = ctx.mkdir("d", 0o755)?;
    let fd = open(&dir, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    rmdir(&dir)?;
    let flags = OFlags::RDWR | OFlags::CREATE;
    refused(
        rustix::fs::openat(&fd, "x", flags, Mode::from(0o644)),
        Errno::NOENT,
    )?;
    let listed: Vec<_> = Dir::read_from(&fd)?.collect();
    let names = listed.into_iter().filter_map(Result::ok);
    holds(
        names
            .into_iter()
            .all(|e| matches!(e.file_name().to_bytes(), b"." | b"..")),
        "a removed directory lists nothing",
    )
}

fn setgid_is_inherited(ctx: &Ctx) -> Result<(), Failure> {
    let dir = ctx.mkdir("d", 0o755)?;
    std::os::unix::fs::chown(&dir, None, Some(4321))?;
    rustix::fs::chmod(&dir, Mode::from(0o2775))?;
    ctx.file("d/f", b"")?;
    mkdir(ctx.path("d/sub"), Mode::from(0o755))?;
    same(stat(ctx.path("d/f"))?.st_gid, 4321)?;
    let sub = stat(ctx.path("d/sub"))?;
    same((sub.st_gid, sub.st_mode & 0o7777), (4321, 0o2755))
}

fn list_while_removing(ctx: &Ctx) -> Result<(), Failure> {
    for i in 0..500 {
        ctx.file(&format!("f{i}"), b"")?;
    }
    let mut seen = 0;
    for entry in std::fs::read_dir(ctx.dir())? {
        std::fs::remove_file(entry?.path())?;
        seen += 1;
    }
    same(seen, 500)?;
    same(std::fs::read_dir(ctx.dir())?.count(), 0)
}

fn rewind_sees_new_entries(ctx: &Ctx) -> Result<(), Failure> {
    ctx.file("a", b"")?;
    let fd = open(ctx.dir(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    let mut dir = Dir::read_from(&fd)?;
    let before = dir.by_ref().count();
    ctx.file("b", b"")?;
    dir.rewind();
    same(dir.count(), before + 1)
}

fn deep(ctx: &Ctx) -> Result<(), Failure> {
    let mut path = String::new();
    for i in 0..120 {
        path.push_str(if i == 0 { "deep" } else { "/deep" });
        ctx.mkdir(&path, 0o755)?;
    }
    ctx.file(&format!("{path}/f"), b"bottom")?;
    same(
        std::fs::read(ctx.path(&format!("{path}/f")))?,
        b"bottom".to_vec(),
    )?;
    std::fs::remove_dir_all(ctx.path("deep"))?;
    Ok(())
}

fn dot_entries_are_listed(ctx: &Ctx) -> Result<(), Failure> {
    let dir = ctx.mkdir("d", 0o755)?;
    let fd = open(&dir, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    let mut found = std::collections::BTreeMap::new();
    for entry in Dir::read_from(&fd)? {
        let entry = entry?;
        found.insert(entry.file_name().to_bytes().to_vec(), entry.ino());
    }
    same(found.get(&b"."[..]).copied(), Some(stat(&dir)?.st_ino))?;
    same(
        found.get(&b".."[..]).copied(),
        Some(stat(ctx.dir())?.st_ino),
    )
}
