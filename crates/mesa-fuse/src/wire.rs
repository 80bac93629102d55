//! The FUSE kernel protocol, ABI 7.45: numbers and message layouts as Linux's
//! `include/uapi/linux/fuse.h` publishes them. Native byte order, no code.

pub mod flags;
pub mod opcode;
pub mod reply;
pub mod request;

pub use opcode::Opcode;

/// Major protocol version; the kernel has spoken 7 since 2005.
pub const MAJOR: u32 = 7;
/// The newest minor version these layouts describe.
pub const MINOR: u32 = 45;
/// The oldest minor version accepted: first with `INIT_EXT` (Linux 5.17).
pub const MINOR_MIN: u32 = 36;
/// Smallest buffer the kernel accepts on a read of the device.
pub const READ_BUFFER_MIN: usize = 8192;
/// Set in `unique` of an interrupt's own request.
pub const UNIQUE_INTERRUPT: u64 = 1;
/// Set in `unique` of a request delivered again after `NOTIFY_RESEND`.
pub const UNIQUE_RESEND: u64 = 1 << 63;

/// Codes of messages the daemon sends unasked (in the `error` field, `unique` 0).
pub mod notify {
    /// Forget attributes and pages of a node.
    pub const INVAL_INODE: i32 = 2;
    /// Forget a directory entry.
    pub const INVAL_ENTRY: i32 = 3;
    /// A directory entry was removed.
    pub const DELETE: i32 = 6;
    /// Deliver again every request that was read and not answered.
    pub const RESEND: i32 = 7;
    /// Drop the unused names of nodes, so that the nodes are looked up afresh (7.45).
    pub const PRUNE: i32 = 9;
}
