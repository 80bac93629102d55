//! Limits that formats and both sides of the wire agree on. Limits a server may change are sent
//! in `OpenHead`; these may not change without a new format version.

/// Files up to this many bytes are a single chunk and have no manifest.
pub const SINGLE_CHUNK_MAX: u64 = 128 * 1024;
/// Smallest chunk the chunker cuts in larger files (the last one may be shorter).
pub const CHUNK_MIN: u32 = 64 * 1024;
/// Average chunk size.
pub const CHUNK_AVG: u32 = 256 * 1024;
/// Largest chunk.
pub const CHUNK_MAX: u32 = 1024 * 1024;
/// Entries in one manifest object before it grows a level.
pub const MANIFEST_FANOUT: usize = 1024;
/// Longest path from the repo's root in bytes.
pub const PATH_MAX: usize = 4096;
/// Longest symlink target in bytes.
pub const SYMLINK_MAX: usize = 4095;
/// Largest file in bytes.
pub const FILE_MAX: u64 = 1 << 40;
/// Content up to this many bytes travels inside the operation and lives in the log until sealed.
pub const INLINE_MAX: usize = 64 * 1024;
/// Longest name of an extended attribute in bytes, prefix included.
pub const XATTR_NAME_MAX: usize = 255;
/// Longest value of an extended attribute in bytes.
pub const XATTR_VALUE_MAX: usize = 64 * 1024;
/// All extended attributes of one node together: names, values, and [`XATTR_OVERHEAD`] each.
pub const XATTR_TOTAL_MAX: usize = 256 * 1024;
/// What an extended attribute counts beside its bytes, so that their number is bounded too.
pub const XATTR_OVERHEAD: usize = 16;
