//! Extended attributes.

use rustix::{
    fs::{XattrFlags, getxattr, listxattr, removexattr, setxattr},
    io::Errno,
};

use crate::case::{Ctx, Failure, USER, holds, refused, same};

super::cases!("xattr":
    set_get_list_remove, create_and_replace, missing, small_buffer, survives_rename_and_write,
    on_directory, user_needs_permission, big_value, empty_value,
);

fn get(path: &std::path::Path, name: &str) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0u8; 70_000];
    let n = getxattr(path, name, &mut buffer[..])?;
    buffer.truncate(n);
    Ok(buffer)
}

fn list(path: &std::path::Path) -> Result<Vec<String>, Errno> {
    let mut buffer = vec![0u8; 70_000];
    let n = listxattr(path, &mut buffer[..])?;
    let names = buffer[..n]
        .split(|&b| b == 0)
        .filter(|n| n.starts_with(b"user."));
    let mut names: Vec<String> = names
        .map(|n| String::from_utf8_lossy(n).into_owned())
        .collect();
    names.sort();
    Ok(names)
}

fn set(path: &std::path::Path, name: &str, value: &[u8]) -> Result<(), Errno> {
    setxattr(path, name, value, XattrFlags::empty())
}

fn set_get_list_remove(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    same(list(&f)?, Vec::<String>::new())?;
    set(&f, "user.a", b"one")?;
    set(&f, "user.b", b"\0two\xff")?;
    same(get(&f, "user.a")?, b"one".to_vec())?;
    same(get(&f, "user.b")?, b"\0two\xff".to_vec())?;
    same(list(&f)?, vec!["user.a".to_owned(), "user.b".to_owned()])?;
    removexattr(&f, "user.a")?;
    same(list(&f)?, vec!["user.b".to_owned()])?;
    refused(removexattr(&f, "user.a"), Errno::NODATA)
}

fn create_and_replace(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    refused(
        setxattr(&f, "user.a", b"1", XattrFlags::REPLACE),
        Errno::NODATA,
    )?;
    setxattr(&f, "user.a", b"1", XattrFlags::CREATE)?;
    refused(
        setxattr(&f, "user.a", b"2", XattrFlags::CREATE),
        Errno::EXIST,
    )?;
    setxattr(&f, "user.a", b"3", XattrFlags::REPLACE)?;
    same(get(&f, "user.a")?, b"3".to_vec())
}

fn missing(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    refused(get(&f, "user.none"), Errno::NODATA)?;
    refused(get(&ctx.path("none"), "user.a"), Errno::NOENT)
}

fn small_buffer(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    set(&f, "user.a", b"0123456789")?;
    let mut small = [0u8; 3];
    refused(getxattr(&f, "user.a", &mut small[..]), Errno::RANGE)
}

fn survives_rename_and_write(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    set(&f, "user.a", b"kept")?;
    std::fs::rename(&f, ctx.path("g"))?;
    std::fs::write(ctx.path("g"), b"new content")?;
    same(get(&ctx.path("g"), "user.a")?, b"kept".to_vec())
}

fn on_directory(ctx: &Ctx) -> Result<(), Failure> {
    let d = ctx.mkdir("d", 0o755)?;
    set(&d, "user.a", b"x")?;
    same(get(&d, "user.a")?, b"x".to_vec())
}

fn user_needs_permission(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    set(&f, "user.a", b"x")?;
    rustix::fs::chmod(&f, rustix::fs::Mode::from(0o644))?;
    ctx.as_user(USER, USER, move || {
        same(get(&f, "user.a")?, b"x".to_vec())?;
        refused(set(&f, "user.a", b"y"), Errno::ACCESS)
    })
}

fn big_value(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    let value = vec![7u8; 3000];
    set(&f, "user.big", &value)?;
    holds(get(&f, "user.big")? == value, "the value comes back")
}

fn empty_value(ctx: &Ctx) -> Result<(), Failure> {
    let f = ctx.file("f", b"")?;
    set(&f, "user.empty", b"")?;
    same(get(&f, "user.empty")?, Vec::new())
}
