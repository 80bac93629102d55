//! What a refused call carries besides the gRPC status: keys of its metadata (ASCII).

/// The server's stable code, `UPPER_SNAKE`, the same words as REST's `error.code`.
pub const CODE: &str = "mesa-code";
/// Earliest useful retry in milliseconds, decimal.
pub const RETRY_AFTER_MS: &str = "mesa-retry-after-ms";
/// The request's trace id, as in REST's `x-request-id`.
pub const TRACE_ID: &str = "x-request-id";

/// Largest message either side accepts, in bytes: room for one `Append` or `ChunkData` batch.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
