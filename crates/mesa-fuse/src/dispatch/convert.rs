//! Between the filesystem's values and the kernel's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesa_types::NodeKind;
use mesa_vfs::fs::{Entry, FileAttr, OpenFlags};
use rustix::fs::OFlags;

use crate::wire::reply::{Attr, AttrOut, EntryOut};

/// How long the kernel may keep names and attributes, in seconds: for good, since everything
/// that changes elsewhere is announced by a notification.
pub(super) const VALID_SECS: u64 = 10 * 365 * 24 * 3600;
/// What `st_blksize` shows: a size at which programs read and write with few calls.
const BLOCK_SIZE: u32 = 4096;

/// The file type bits of `st_mode`.
pub(super) fn type_bits(kind: NodeKind) -> u32 {
    match kind {
        NodeKind::File => 0o100_000,
        NodeKind::Dir | NodeKind::Gitlink => 0o040_000,
        NodeKind::Symlink => 0o120_000,
        NodeKind::Fifo => 0o010_000,
        NodeKind::Socket => 0o140_000,
    }
}

/// The kind a `mknod` mode asks for; `None` for devices and nonsense.
pub(super) fn kind_of(mode: u32) -> Option<NodeKind> {
    match mode & 0o170_000 {
        0 | 0o100_000 => Some(NodeKind::File),
        0o010_000 => Some(NodeKind::Fifo),
        0o140_000 => Some(NodeKind::Socket),
        _ => None,
    }
}

/// Seconds (two's complement) and nanoseconds since 1970.
pub(super) fn split_time(time: SystemTime) -> (u64, u32) {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => (since.as_secs(), since.subsec_nanos()),
        Err(error) => {
            let before = error.duration();
            let mut secs = -(before.as_secs() as i64);
            let mut nanos = before.subsec_nanos();
            if nanos > 0 {
                secs -= 1;
                nanos = 1_000_000_000 - nanos;
            }
            (secs as u64, nanos)
        }
    }
}

/// The inverse of [`split_time`]; the clock's limits where it cannot show the time.
pub(super) fn join_time(secs: u64, nanos: u32) -> SystemTime {
    let nanos = Duration::from_nanos(u64::from(nanos.min(999_999_999)));
    let secs = secs as i64;
    let whole = Duration::from_secs(secs.unsigned_abs());
    let base = if secs < 0 {
        UNIX_EPOCH.checked_sub(whole)
    } else {
        UNIX_EPOCH.checked_add(whole)
    };
    base.and_then(|time| time.checked_add(nanos))
        .unwrap_or(UNIX_EPOCH)
}

pub(super) fn attr(attr: &FileAttr) -> Attr {
    let (atime, atimensec) = split_time(attr.atime);
    let (mtime, mtimensec) = split_time(attr.mtime);
    let (ctime, ctimensec) = split_time(attr.ctime);
    Attr {
        ino: attr.ino,
        size: attr.size,
        blocks: attr.blocks,
        atime,
        mtime,
        ctime,
        atimensec,
        mtimensec,
        ctimensec,
        mode: type_bits(attr.kind) | u32::from(attr.mode & 0o7777),
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        rdev: 0,
        blksize: BLOCK_SIZE,
        flags: 0,
    }
}

pub(super) fn attr_out(value: &FileAttr) -> AttrOut {
    AttrOut {
        attr_valid: VALID_SECS,
        attr_valid_nsec: 0,
        dummy: 0,
        attr: attr(value),
    }
}

pub(super) fn entry_out(entry: &Entry) -> EntryOut {
    EntryOut {
        nodeid: entry.node.0,
        generation: 0,
        entry_valid: VALID_SECS,
        attr_valid: VALID_SECS,
        entry_valid_nsec: 0,
        attr_valid_nsec: 0,
        attr: attr(&entry.attr),
    }
}

/// A name known to be absent.
pub(super) fn absent() -> EntryOut {
    EntryOut {
        entry_valid: VALID_SECS,
        ..EntryOut::default()
    }
}

/// The flags of open(2). With `writeback` the kernel fills pages and places appends itself, so
/// writers need to read and must not append.
pub(super) fn open_flags(raw: u32, writeback: bool) -> OpenFlags {
    let flags = OFlags::from_bits_retain(raw);
    let access = flags & OFlags::ACCMODE;
    let write = access == OFlags::WRONLY || access == OFlags::RDWR;
    OpenFlags {
        read: access != OFlags::WRONLY || writeback,
        write,
        append: flags.contains(OFlags::APPEND) && !writeback,
        truncate: flags.contains(OFlags::TRUNC),
        exclusive: flags.contains(OFlags::EXCL),
        direct: flags.contains(OFlags::DIRECT),
        sync: flags.intersects(OFlags::SYNC | OFlags::DSYNC),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use mesa_types::NodeKind;
    use rustix::fs::OFlags;

    use super::{join_time, kind_of, open_flags, split_time};

    #[test]
    fn times_round_trip_on_both_sides_of_1970() {
        for (secs, nanos) in [
            (0, 0),
            (1_700_000_000, 999_999_999),
            (-1, 0),
            (-1, 1),
            (-86_401, 5),
        ] {
            let secs = secs as u64;
            assert_eq!(split_time(join_time(secs, nanos)), (secs, nanos));
        }
        assert_eq!(
            join_time(-1i64 as u64, 0),
            UNIX_EPOCH - Duration::from_secs(1)
        );
        join_time(i64::MIN as u64, u32::MAX);
    }

    #[test]
    fn devices_have_no_kind() {
        assert_eq!(kind_of(0o010_644), Some(NodeKind::Fifo));
        assert_eq!(kind_of(0o100_644), Some(NodeKind::File));
        assert_eq!(kind_of(0o020_644), None);
        assert_eq!(kind_of(0o060_644), None);
        assert_eq!(kind_of(0o040_755), None);
    }

    #[test]
    fn write_only_appends_become_plain_writes_under_write_back() {
        let raw = (OFlags::WRONLY | OFlags::APPEND).bits();
        let plain = open_flags(raw, false);
        assert!(plain.write && plain.append && !plain.read);
        let back = open_flags(raw, true);
        assert!(back.write && back.read && !back.append);
    }
}
