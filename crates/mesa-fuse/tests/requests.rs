//! How many kernel requests common operations cost. The numbers are the product's promise: a
//! request is a round trip through the scheduler.

#![allow(clippy::unwrap_used)] // A failed step is a failed test.

mod support;

use std::{
    fs,
    io::{Read, Write},
};

use mesa_fuse::{Feature, Mode, wire::Opcode};
use support::{Mounted, eventually, must_mount};

/// Requests of every kind since `before`, without the ones that arrive whenever they like.
fn since(
    mounted: &Mounted,
    before: &std::collections::BTreeMap<&'static str, u64>,
) -> Vec<(&'static str, u64)> {
    mounted
        .handle
        .counters()
        .snapshot()
        .into_iter()
        .map(|(name, count)| (name, count - before.get(name).copied().unwrap_or(0)))
        .filter(|(name, count)| {
            *count > 0 && !matches!(*name, "Forget" | "BatchForget" | "Release" | "Releasedir")
        })
        .collect()
}

#[test]
fn passthrough_costs_what_it_must() {
    must_mount();
    let mounted = Mounted::new();
    assert_eq!(mounted.handle.mode(), Mode::Passthrough);
    let count = |what: &mut dyn FnMut()| {
        let before = mounted.handle.counters().snapshot();
        what();
        since(&mounted, &before)
    };
    let file = mounted.join("file");

    let made = count(&mut || fs::write(&file, b"hello").unwrap());
    let expected = [("Create", 1), ("Getxattr", 1), ("Lookup", 1)];
    assert!(
        made == expected || made == [expected[0], expected[2]],
        "{made:?}"
    );
    let read = count(&mut || assert_eq!(fs::read(&file).unwrap(), b"hello"));
    assert!(
        read.iter()
            .all(|(name, _)| ["Open", "Getattr", "Statx"].contains(name)),
        "{read:?}"
    );
    let warm = count(&mut || {
        for _ in 0..100 {
            fs::metadata(mounted.path()).unwrap();
            assert!(fs::metadata(mounted.join("none")).is_err());
        }
    });
    assert!(
        warm.iter().map(|(_, count)| count).sum::<u64>() <= 2,
        "{warm:?}"
    );

    let mut open = fs::OpenOptions::new().append(true).open(&file).unwrap();
    let appends = count(&mut || {
        for _ in 0..1000 {
            open.write_all(b"line\n").unwrap();
        }
    });
    assert!(
        appends.iter().map(|(_, count)| count).sum::<u64>() <= 1,
        "{appends:?}"
    );
    let reads = count(&mut || {
        let mut text = String::new();
        fs::File::open(&file)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text.len(), 5005);
    });
    assert!(!reads.iter().any(|(name, _)| *name == "Read"), "{reads:?}");
    drop(open);

    let renamed = count(&mut || fs::rename(&file, mounted.join("other")).unwrap());
    assert_eq!(renamed, [("Lookup", 1), ("Rename", 1)], "{renamed:?}");
    let removed = count(&mut || fs::remove_file(mounted.join("other")).unwrap());
    assert_eq!(removed, [("Unlink", 1)]);
}

#[test]
fn listing_a_directory_refreshes_its_attributes() {
    must_mount();
    let mounted = Mounted::new();
    for number in 0..200 {
        fs::write(mounted.join(&format!("f{number}")), b"x").unwrap();
    }
    eventually("every file is closed", || mounted.fs.open_handles() == 0);
    let before = mounted.count(Opcode::Getattr) + mounted.count(Opcode::Lookup);
    let mut entries = 0;
    for entry in fs::read_dir(mounted.path()).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().len(), 1);
        entries += 1;
    }
    assert_eq!(entries, 200);
    let after = mounted.count(Opcode::Getattr) + mounted.count(Opcode::Lookup);
    assert!(
        after - before <= 2,
        "{} requests for 200 entries",
        after - before
    );
    assert_eq!(mounted.count(Opcode::Readdir), 0, "always with attributes");
}

#[test]
fn close_costs_a_request_only_where_it_promises_something() {
    must_mount();
    for passthrough in [Feature::Auto, Feature::Off] {
        for flush_on_close in [false, true] {
            let mounted = Mounted::with(|options| {
                options.passthrough = passthrough;
                options.flush_on_close = flush_on_close;
            });
            for number in 0..10 {
                fs::write(mounted.join(&format!("f{number}")), b"x").unwrap();
            }
            let flushes = mounted.count(Opcode::Flush);
            match (flush_on_close, passthrough) {
                (true, _) => assert_eq!(flushes, 10),
                (false, Feature::Auto) => assert_eq!(flushes, 0),
                (false, _) => assert!(flushes <= 1, "refused once, then remembered"),
            }
        }
    }
}
