//! Reading and writing.

use std::os::unix::fs::FileExt;

use rustix::{
    fs::{FallocateFlags, Mode, OFlags, SeekFrom, fallocate, open, seek, stat},
    io::{Errno, pread, pwrite},
};

use crate::case::{Ctx, Failure, holds, refused, same};

super::cases!("data":
    holes_read_as_zero, overlapping_writes, two_descriptors_see_each_other, large_file,
    seek_data_and_hole, fallocate_extends, fallocate_keep_size, punch_hole, copy_range,
    copy_range_within_file, read_past_the_end, write_after_truncate, random_writes_match_a_model,
    shared_mapping_is_coherent, fsync_and_fdatasync, sendfile, locks,
);

fn rw(ctx: &Ctx, name: &str) -> Result<std::fs::File, Failure> {
    let flags = OFlags::RDWR | OFlags::CREATE;
    Ok(open(ctx.path(name), flags, Mode::from(0o644))?.into())
}

fn holes_read_as_zero(ctx: &Ctx) -> Result<(), Failure> {
    let f = rw(ctx, "f")?;
    f.write_all_at(b"end", 1_000_000)?;
    let bytes = std::fs::read(ctx.path("f"))?;
    same(bytes.len(), 1_000_003)?;
    holds(
        bytes[..1_000_000].iter().all(|&b| b == 0),
        "the hole is zero",
    )
}

fn overlapping_writes(ctx: &Ctx) -> Result<(), Failure> {
    let f = rw(ctx, "f")?;
    f.write_all_at(&[b'a'; 10_000], 0)?;
    f.write_all_at(&[b'b'; 5_000], 2_500)?;
    f.write_all_at(&[b'c'; 10], 7_495)?;
    let bytes = std::fs::read(ctx.path("f"))?;
    same(&bytes[2_495..2_505], b"aaaaabbbbb")?;
    same(&bytes[7_493..7_507], b"bbccccccccccaa")
}

fn two_descriptors_see_each_other(ctx: &Ctx) -> Result<(), Failure> {
    let one = rw(ctx, "f")?;
    let two = open(ctx.path("f"), OFlags::RDONLY, Mode::empty())?;
    for i in 0..100u8 {
        one.write_all_at(&[i], u64::from(i) * 100)?;
        let mut byte = [0u8; 1];
        same(pread(&two, &mut byte[..], u64::from(i) * 100)?, 1)?;
        same(byte[0], i)?;
    }
    Ok(())
}

fn large_file(ctx: &Ctx) -> Result<(), Failure> {
    let f = rw(ctx, "f")?;
    let far = (1u64 << 32) + 12_345;
    f.write_all_at(b"far", far)?;
    same(stat(ctx.path("f"))?.st_size as u64, far + 3)?;
    let mut bytes = [0u8; 3];
    f.read_exact_at(&mut bytes, far)?;
    same(&bytes, b"far")
}

fn seek_data_and_hole(ctx: &Ctx) -> Result<(), Failure> {
    let f = rw(ctx, "f")?;
    f.write_all_at(&[1; 4096], 1 << 20)?;
    same(seek(&f, SeekFrom::Data(0))?, 1 << 20)?;
    same(seek(&f, SeekFrom::Hole(1 << 20))?, (1 << 20) + 4096)?;
    same(seek(&f, SeekFrom::Hole(0))?, 0)?;
    refused(seek(&f, SeekFrom::Data(2 << 20)), Errno::NXIO)
}

fn fallocate_extends(ctx: &Ctx) -> Result<(), Failure> {
    let f = rw(ctx, "f")?;
    fallocate(&f, FallocateFlags::empty(), 0, 100_000)?;
    same(stat(ctx.path("f"))?.st_size, 100_000)?;
    holds(
        std::fs::read(ctx.path("f"))?.iter().all(|&b| b == 0),
        "new space is zero",
    )
}

fn fallocate_keep_size(ctx: &Ctx) -> Result<(), Failure> {
    let f = rw(ctx, "f")?;
    f.write_all_at(b"x", 0)?;
    fallocate(&f, FallocateFlags::KEEP_SIZE, 0, 100_000)?;
    same(stat(ctx.path("f"))?.st_size, 1)
}

fn punch_hole(ctx: &Ctx) -> Result<(), Failure> {
    let f = rw(ctx, "f")?;
    f.write_all_at(&vec![7; 32_768], 0)?;
    fallocate(
        &f,
        FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
        8192,
        8192,
    )?;
    let bytes = std::fs::read(ctx.path("f"))?;
    same(bytes.len(), 32_768)?;
    holds(
        bytes[8192..16_384].iter().all(|&b| b == 0),
        "the hole is zero",
    )?;
    holds(
        bytes[..8192]
            .iter()
            .chain(&bytes[16_384..])
            .all(|&b| b == 7),
        "the rest is kept",
    )
}

fn copy_range(ctx: &Ctx) -> Result<(), Failure> {
    let a = rw(ctx, "a")?;
    a.write_all_at(&(0..=255).cycle().take(300_000).collect::<Vec<u8>>(), 0)?;
    let b = rw(ctx, "b")?;
    let (mut from, mut to) = (1000u64, 0u64);
    let mut left = 200_000;
    while left > 0 {
        let n = rustix::fs::copy_file_range(&a, Some(&mut from), &b, Some(&mut to), left)?;
        holds(n > 0, "something is copied")?;
        left -= n;
    }
    same(
        std::fs::read(ctx.path("b"))?,
        std::fs::read(ctx.path("a"))?[1000..201_000].to_vec(),
    )
}

fn copy_range_within_file(ctx: &Ctx) -> Result<(), Failure> {
    let a = rw(ctx, "a")?;
    a.write_all_at(&[1; 4096], 0)?;
    let (mut from, mut to) = (0u64, 8192u64);
    let n = rustix::fs::copy_file_range(&a, Some(&mut from), &a, Some(&mut to), 4096)?;
    same(n, 4096)?;
    same(stat(ctx.path("a"))?.st_size, 12_288)
}

fn read_past_the_end(ctx: &Ctx) -> Result<(), Failure> {
    let f = rw(ctx, "f")?;
    f.write_all_at(b"abc", 0)?;
    let mut bytes = [0u8; 10];
    same(pread(&f, &mut bytes[..], 1)?, 2)?;
    same(pread(&f, &mut bytes[..], 3)?, 0)?;
    same(pread(&f, &mut bytes[..], 1 << 40)?, 0)
}

fn write_after_truncate(ctx: &Ctx) -> Result<(), Failure> {
    let f = rw(ctx, "f")?;
    f.write_all_at(&[9; 10_000], 0)?;
    f.set_len(5)?;
    pwrite(&f, b"z", 8)?;
    same(
        std::fs::read(ctx.path("f"))?,
        b"\x09\x09\x09\x09\x09\0\0\0z".to_vec(),
    )
}

fn random_writes_match_a_model(ctx: &Ctx) -> Result<(), Failure> {
    let f = rw(ctx, "f")?;
    let mut model: Vec<u8> = Vec::new();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for step in 0..600 {
        if next(12) == 0 {
            let len = next(200_000);
            f.set_len(len)?;
            model.resize(len as usize, 0);
            continue;
        }
        let (offset, len) = (next(180_000), next(9_000) + 1);
        let bytes = vec![step as u8; len as usize];
        f.write_all_at(&bytes, offset)?;
        let end = (offset + len) as usize;
        if model.len() < end {
            model.resize(end, 0);
        }
        model[offset as usize..end].copy_from_slice(&bytes);
    }
    holds(
        std::fs::read(ctx.path("f"))? == model,
        "the file equals the model",
    )
}

fn shared_mapping_is_coherent(ctx: &Ctx) -> Result<(), Failure> {
    ctx.file("f", &[0; 8192])?;
    let script = "import mmap,os,sys\nf=open(sys.argv[1],'r+b')\nm=mmap.mmap(f.fileno(),0)\n\
                  m[5:8]=b'map'\nassert os.pread(f.fileno(),3,5)==b'map'\n\
                  os.pwrite(f.fileno(),b'wrt',4096)\nassert m[4096:4099]==b'wrt'\nm.flush()\n";
    let status = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(ctx.path("f"))
        .status()?;
    same(status.success(), true)?;
    same(&std::fs::read(ctx.path("f"))?[5..8], b"map")
}

fn fsync_and_fdatasync(ctx: &Ctx) -> Result<(), Failure> {
    let f = rw(ctx, "f")?;
    f.write_all_at(b"x", 0)?;
    rustix::fs::fsync(&f)?;
    rustix::fs::fdatasync(&f)?;
    let dir = open(ctx.dir(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    Ok(rustix::fs::fsync(&dir)?)
}

fn sendfile(ctx: &Ctx) -> Result<(), Failure> {
    let a = rw(ctx, "a")?;
    a.write_all_at(&vec![3; 50_000], 0)?;
    let b = rw(ctx, "b")?;
    let mut offset = 0;
    while offset < 50_000 {
        let left = 50_000 - offset as usize;
        rustix::fs::sendfile(&b, &a, Some(&mut offset), left)?;
    }
    same(std::fs::read(ctx.path("b"))?, vec![3; 50_000])
}

fn locks(ctx: &Ctx) -> Result<(), Failure> {
    use rustix::fs::{FlockOperation, flock};
    let one = rw(ctx, "f")?;
    let two = rw(ctx, "f")?;
    flock(&one, FlockOperation::LockExclusive)?;
    refused(
        flock(&two, FlockOperation::NonBlockingLockExclusive),
        Errno::AGAIN,
    )?;
    flock(&one, FlockOperation::Unlock)?;
    Ok(flock(&two, FlockOperation::NonBlockingLockShared)?)
}
