//! Timestamps.

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, open, stat,
    utimensat,
};
use rustix::io::Errno;

use crate::case::{Ctx, Failure, OTHER, USER, holds, refused_any, same};

super::cases!("times":
    set_and_get_nanoseconds, omit_and_now, before_the_epoch, create_changes_parent,
    write_changes_mtime_and_ctime, chmod_changes_only_ctime, read_changes_no_mtime,
    truncate_to_same_size, kept_after_close, of_symlink, who_may_set, directory_times,
);

fn tick() {
    std::thread::sleep(std::time::Duration::from_millis(15)); // past the clock's tick
}

fn mtime(st: &Stat) -> (i64, u64) {
    (st.st_mtime, st.st_mtime_nsec)
}

fn ctime(st: &Stat) -> (i64, u64) {
    (st.st_ctime, st.st_ctime_nsec)
}

fn at(seconds: i64, nanos: i64) -> Timespec {
    Timespec {
        tv_sec: seconds,
        tv_nsec: nanos,
    }
}

fn set(path: &std::path::Path, atime: Timespec, mtime: Timespec) -> Result<(), Errno> {
    let times = Timestamps {
        last_access: atime,
        last_modification: mtime,
    };
    utimensat(CWD, path, &times, AtFlags::empty())
}

fn set_and_get_nanoseconds(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"x")?;
    set(&f, at(1_000_000_000, 1), at(1_600_000_000, 123_456_789))?;
    same(mtime(&stat(&f)?), (1_600_000_000, 123_456_789))
}

fn omit_and_now(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"x")?;
    set(&f, at(5, 5), at(6, 6))?;
    set(&f, at(0, UTIME_NOW), at(0, UTIME_OMIT))?;
    same(mtime(&stat(&f)?), (6, 6))?;
    set(&f, at(0, UTIME_OMIT), at(0, UTIME_NOW))?;
    holds(mtime(&stat(&f)?).0 > 1_700_000_000, "mtime is now")
}

fn before_the_epoch(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"x")?;
    set(&f, at(-10, 0), at(-10, 500))?;
    same(mtime(&stat(&f)?), (-10, 500))
}

fn create_changes_parent(ctx: &Ctx) -> Result<(), Failure> {
    let d = ctx.mkdir("d", 0o755)?;
    for step in 0..4 {
        let before = stat(&d)?;
        tick();
        match step {
            0 => drop(ctx.file("d/f", b"")?),
            1 => rustix::fs::symlink("x", ctx.path("d/l"))?,
            2 => rustix::fs::link(ctx.path("d/f"), ctx.path("d/h"))?,
            _ => rustix::fs::unlink(ctx.path("d/f"))?,
        }
        let after = stat(&d)?;
        holds(
            mtime(&after) > mtime(&before),
            "the directory's mtime moved",
        )?;
        holds(
            ctime(&after) > ctime(&before),
            "the directory's ctime moved",
        )?;
    }
    Ok(())
}

fn write_changes_mtime_and_ctime(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"x")?;
    let before = stat(&f)?;
    tick();
    let file = open(&f, OFlags::WRONLY, Mode::empty())?;
    rustix::io::write(&file, b"y")?;
    let during = stat(&f)?;
    holds(mtime(&during) > mtime(&before), "mtime moved")?;
    holds(ctime(&during) > ctime(&before), "ctime moved")
}

fn chmod_changes_only_ctime(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"x")?;
    let before = stat(&f)?;
    tick();
    rustix::fs::chmod(&f, Mode::from(0o600))?;
    let after = stat(&f)?;
    same(mtime(&after), mtime(&before))?;
    holds(ctime(&after) > ctime(&before), "ctime moved")
}

fn read_changes_no_mtime(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"x")?;
    let before = stat(&f)?;
    tick();
    std::fs::read(&f)?;
    let after = stat(&f)?;
    same(
        (mtime(&after), ctime(&after)),
        (mtime(&before), ctime(&before)),
    )
}

fn truncate_to_same_size(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"x")?;
    let before = stat(&f)?;
    tick();
    let file = open(&f, OFlags::WRONLY, Mode::empty())?;
    rustix::fs::ftruncate(&file, 1)?;
    holds(
        mtime(&stat(&f)?) > mtime(&before),
        "ftruncate(2) to the same size moves mtime",
    )
}

fn kept_after_close(ctx: &Ctx) -> Result<(), Failure> {
    // tar, cp -p and git set times on a descriptor that is still open for writing.
    let f = ctx.path("f");
    let file = open(&f, OFlags::WRONLY | OFlags::CREATE, Mode::from(0o644))?;
    rustix::io::write(&file, b"data")?;
    let times = Timestamps {
        last_access: at(1, 1),
        last_modification: at(1_234_567_890, 42),
    };
    rustix::fs::futimens(&file, &times)?;
    same(mtime(&stat(&f)?), (1_234_567_890, 42))?;
    drop(file);
    same(mtime(&stat(&f)?), (1_234_567_890, 42))?;
    tick();
    same(mtime(&stat(&f)?), (1_234_567_890, 42))
}

fn of_symlink(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    let before = mtime(&stat(&f)?);
    rustix::fs::symlink("f", ctx.path("l"))?;
    let times = Timestamps {
        last_access: at(1, 1),
        last_modification: at(99, 7),
    };
    utimensat(CWD, ctx.path("l"), &times, AtFlags::SYMLINK_NOFOLLOW)?;
    same(mtime(&rustix::fs::lstat(ctx.path("l"))?), (99, 7))?;
    same(mtime(&stat(&f)?), before)
}

fn who_may_set(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    rustix::fs::chmod(&f, Mode::from(0o666))?;
    std::os::unix::fs::chown(&f, Some(OTHER), Some(OTHER))?;
    ctx.as_user(USER, USER, move || {
        refused_any(set(&f, at(1, 1), at(1, 1)), &[Errno::PERM])?;
        let now = UTIME_NOW;
        Ok(set(&f, at(0, now), at(0, now))?) // allowed by write permission
    })
}

fn directory_times(ctx: &Ctx) -> Result<(), Failure> {
    let d = ctx.mkdir("d", 0o755)?;
    set(&d, at(10, 0), at(20, 30))?;
    same(mtime(&stat(&d)?), (20, 30))
}
