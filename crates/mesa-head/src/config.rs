//! Bounds and times of the live layer.

use mesa_proto::v1;
use mesa_types::{Nanos, limits};

const SECOND: i64 = 1_000_000_000;

/// Settings; the defaults are those of the documents.
#[derive(Debug, Clone)]
pub struct HeadsConfig {
    /// What clients are told in `OpenHead`, and what is enforced.
    pub limits: v1::Limits,
    /// Seal after this long without an operation.
    pub seal_quiet: Nanos,
    /// Seal at the latest this long after the first unsealed operation.
    pub seal_age: Nanos,
    /// Seal after so many operations.
    pub seal_ops: u64,
    /// Seal after so many bytes of inline content.
    pub seal_bytes: u64,
    /// How long a recalled lease may take to come back while nothing advances.
    pub recall: Nanos,
    /// How long the lease of a holder whose stream ended is kept when somebody else wants it.
    pub gone_grace: Nanos,
    /// The same when it was not seen since this server took the head: everybody reconnects then.
    pub lease_ttl: Nanos,
    /// A head without attached sessions leaves memory after this long.
    pub idle: Nanos,
    /// Sessions end after this long unused.
    pub session_life: Nanos,
    /// Single operations are kept this long, and the states around them with them.
    pub log_life: Nanos,
    /// States by time are kept this long, as far as they were sealed.
    pub commits_life: Nanos,
    /// After an expiry, operations journalled before it are accepted for this long.
    pub expiry_grace: Nanos,
    /// Messages queued for one subscriber.
    pub queue_messages: usize,
    /// Bytes queued for one subscriber.
    pub queue_bytes: usize,
    /// Entries kept in memory for subscribers that come back.
    pub recent_entries: usize,
    /// Bytes of them.
    pub recent_bytes: usize,
    /// Nodes in memory after a seal above which the tree is dropped and loaded anew.
    pub nodes_max: usize,
    /// Largest file that is merged by ranges; larger ones are replaced as a whole.
    pub layer_bytes_max: u64,
    /// Files above this are projected to git as pointers.
    pub pointer_bytes: u64,
    /// Actions that may go on at the same time in a list; of more, those that ended earlier are on
    /// its next page, or the list is refused if none of them has ended.
    pub actions_at_once: usize,
    /// File ids granted at a time unless a client asks for another number.
    pub ids_default: u32,
    /// Most file ids granted at a time.
    pub ids_max: u32,
}

impl Default for HeadsConfig {
    fn default() -> Self {
        Self {
            limits: v1::Limits {
                inline_bytes_max: limits::INLINE_MAX as u32,
                append_bytes_max: 4 << 20,
                append_ops_max: 1024,
                unacked_ops_max: 16_384,
                unacked_bytes_max: 64 << 20,
                file_bytes_max: limits::FILE_MAX,
                chunks_per_call_max: 4096,
                upload_bytes_max: 256 << 20,
                heartbeat_ms: 10_000,
                lease_ttl_ms: 30_000,
            },
            seal_quiet: Nanos(2 * SECOND),
            seal_age: Nanos(30 * SECOND),
            seal_ops: 10_000,
            seal_bytes: 64 << 20,
            recall: Nanos(10 * SECOND),
            gone_grace: Nanos(3 * SECOND),
            lease_ttl: Nanos(30 * SECOND),
            idle: Nanos(60 * SECOND),
            session_life: Nanos(90 * 86_400 * SECOND),
            log_life: Nanos(86_400 * SECOND),
            commits_life: Nanos(30 * 86_400 * SECOND),
            expiry_grace: Nanos(300 * SECOND),
            queue_messages: 4096,
            queue_bytes: 64 << 20,
            recent_entries: 4096,
            recent_bytes: 32 << 20,
            nodes_max: 500_000,
            layer_bytes_max: 64 << 20,
            pointer_bytes: mesa_object::git::POINTER_BYTES_DEFAULT,
            actions_at_once: 4096,
            ids_default: 1 << 16,
            ids_max: 1 << 20,
        }
    }
}
