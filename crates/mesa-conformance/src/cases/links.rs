//! link(2), symlink(2), readlink(2).

use rustix::{
    fs::{Mode, link, lstat, stat, symlink},
    io::Errno,
};

use crate::case::{Ctx, Failure, refused, same};

super::cases!("links":
    hard_link_shares_everything, hard_link_errors, hard_link_of_symlink, hard_link_survives_rename,
    rename_between_links_of_one_file, symlink_target_is_verbatim, symlink_errors, readlink_errors,
    symlink_size, ctime_changes_on_link,
);

fn hard_link_shares_everything(ctx: &Ctx) -> Result<(), Failure> {
    let a = ctx.file("a", b"one")?;
    let b = ctx.path("b");
    link(&a, &b)?;
    same(stat(&a)?.st_ino, stat(&b)?.st_ino)?;
    same(stat(&a)?.st_nlink as u64, 2)?;
    std::fs::write(&b, b"two!")?;
    same(std::fs::read(&a)?, b"two!".to_vec())?;
    rustix::fs::chmod(&a, Mode::from(0o600))?;
    same(stat(&b)?.st_mode & 0o7777, 0o600)?;
    same(stat(&b)?.st_size, 4)?;
    rustix::fs::unlink(&a)?;
    same(stat(&b)?.st_nlink as u64, 1)?;
    same(std::fs::read(&b)?, b"two!".to_vec())
}

fn hard_link_errors(ctx: &Ctx) -> Result<(), Failure> {
    let a = ctx.file("a", b"")?;
    ctx.file("b", b"")?;
    let dir = ctx.mkdir("d", 0o755)?;
    refused(link(&a, ctx.path("b")), Errno::EXIST)?;
    refused(link(ctx.path("none"), ctx.path("c")), Errno::NOENT)?;
    refused(link(&a, ctx.path("none/c")), Errno::NOENT)?;
    refused(link(&a, ctx.path("b/c")), Errno::NOTDIR)?;
    refused(link(&dir, ctx.path("c")), Errno::PERM)
}

fn hard_link_of_symlink(ctx: &Ctx) -> Result<(), Failure> {
    symlink("target", ctx.path("l"))?;
    link(ctx.path("l"), ctx.path("m"))?;
    same(lstat(ctx.path("l"))?.st_ino, lstat(ctx.path("m"))?.st_ino)?;
    same(
        std::fs::read_link(ctx.path("m"))?.into_os_string(),
        "target".into(),
    )
}

fn hard_link_survives_rename(ctx: &Ctx) -> Result<(), Failure> {
    let a = ctx.file("a", b"x")?;
    ctx.mkdir("d", 0o755)?;
    link(&a, ctx.path("d/b"))?;
    std::fs::rename(ctx.path("d"), ctx.path("e"))?;
    same(stat(&a)?.st_ino, stat(ctx.path("e/b"))?.st_ino)?;
    std::fs::write(ctx.path("e/b"), b"changed")?;
    same(std::fs::read(&a)?, b"changed".to_vec())
}

fn rename_between_links_of_one_file(ctx: &Ctx) -> Result<(), Failure> {
    let a = ctx.file("a", b"x")?;
    link(&a, ctx.path("b"))?;
    rustix::fs::rename(&a, ctx.path("b"))?;
    same(stat(&a)?.st_nlink as u64, 2)?;
    same(stat(ctx.path("b"))?.st_nlink as u64, 2)
}

fn symlink_target_is_verbatim(ctx: &Ctx) -> Result<(), Failure> {
    for (i, target) in ["x", "../..//y/./z", "/abs", "\u{e9} \n", &"t".repeat(4095)]
        .iter()
        .enumerate()
    {
        let path = ctx.path(&format!("l{i}"));
        symlink(*target, &path)?;
        same(
            std::fs::read_link(&path)?.into_os_string(),
            (*target).into(),
        )?;
    }
    Ok(())
}

fn symlink_errors(ctx: &Ctx) -> Result<(), Failure> {
    ctx.file("f", b"")?;
    refused(symlink("x", ctx.path("f")), Errno::EXIST)?;
    refused(symlink("", ctx.path("l")), Errno::NOENT)?;
    refused(symlink("x", ctx.path("none/l")), Errno::NOENT)?;
    refused(symlink("x", ctx.path("f/l")), Errno::NOTDIR)
}

fn readlink_errors(ctx: &Ctx) -> Result<(), Failure> {
    ctx.file("f", b"")?;
    refused(
        rustix::fs::readlink(ctx.path("f"), Vec::new()),
        Errno::INVAL,
    )?;
    refused(rustix::fs::readlink(ctx.dir(), Vec::new()), Errno::INVAL)?;
    refused(
        rustix::fs::readlink(ctx.path("none"), Vec::new()),
        Errno::NOENT,
    )
}

fn symlink_size(ctx: &Ctx) -> Result<(), Failure> {
    symlink("twelve-bytes", ctx.path("l"))?;
    let stat = lstat(ctx.path("l"))?;
    same((stat.st_size, stat.st_mode), (12, 0o120_777))
}

fn ctime_changes_on_link(ctx: &Ctx) -> Result<(), Failure> {
    let a = ctx.file("a", b"")?;
    let before = stat(&a)?;
    std::thread::sleep(std::time::Duration::from_millis(15)); // past the clock's tick
    link(&a, ctx.path("b"))?;
    let after = stat(&a)?;
    crate::case::holds(
        (after.st_ctime, after.st_ctime_nsec) > (before.st_ctime, before.st_ctime_nsec),
        "ctime moved",
    )?;
    same(
        (after.st_mtime, after.st_mtime_nsec),
        (before.st_mtime, before.st_mtime_nsec),
    )
}
