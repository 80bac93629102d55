//! Bodies of replies and notifications. Every one follows an [`OutHeader`].
#![allow(missing_docs)] // Field names are the kernel's.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::request::layout;

layout! {
    /// Precedes every reply; a notification has its code in `error` and `unique` 0.
    OutHeader 16 { len: u32, error: i32, unique: u64, }
    Attr 88 {
        ino: u64,
        size: u64,
        blocks: u64,
        atime: u64,
        mtime: u64,
        ctime: u64,
        atimensec: u32,
        mtimensec: u32,
        ctimensec: u32,
        mode: u32,
        nlink: u32,
        uid: u32,
        gid: u32,
        rdev: u32,
        blksize: u32,
        flags: u32,
    }
    EntryOut 128 {
        nodeid: u64,
        generation: u64,
        entry_valid: u64,
        attr_valid: u64,
        entry_valid_nsec: u32,
        attr_valid_nsec: u32,
        attr: Attr,
    }
    AttrOut 104 { attr_valid: u64, attr_valid_nsec: u32, dummy: u32, attr: Attr, }
    OpenOut 16 { fh: u64, open_flags: u32, backing_id: i32, }
    /// The answer to `CREATE` and `TMPFILE`.
    CreateOut 144 { entry: EntryOut, open: OpenOut, }
    WriteOut 8 { size: u32, padding: u32, }
    StatfsOut 80 {
        blocks: u64,
        bfree: u64,
        bavail: u64,
        files: u64,
        ffree: u64,
        bsize: u32,
        namelen: u32,
        frsize: u32,
        padding: u32,
        spare: [u32; 6],
    }
    GetxattrOut 8 { size: u32, padding: u32, }
    InitOut 64 {
        major: u32,
        minor: u32,
        max_readahead: u32,
        flags: u32,
        max_background: u16,
        congestion_threshold: u16,
        max_write: u32,
        time_gran: u32,
        max_pages: u16,
        map_alignment: u16,
        flags2: u32,
        max_stack_depth: u32,
        request_timeout: u16,
        unused: [u16; 11],
    }
    LseekOut 8 { offset: u64, }
    CopyFileRangeOut 8 { bytes_copied: u64, }
    /// A directory entry; the name follows, padded to 8 bytes.
    Dirent 24 { ino: u64, off: u64, namelen: u32, kind: u32, }
    InvalInodeOut 24 { ino: u64, off: i64, len: i64, }
    /// The name and a NUL follow.
    InvalEntryOut 16 { parent: u64, namelen: u32, flags: u32, }
    /// `count` node numbers follow.
    PruneOut 16 { count: u32, padding: u32, spare: u64, }
    /// The name and a NUL follow.
    DeleteOut 24 { parent: u64, child: u64, namelen: u32, padding: u32, }
}
