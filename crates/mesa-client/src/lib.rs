//! Talking to a Mesa server: the mount protocol over gRPC, the REST control plane, credentials,
//! retries. No filesystem, no terminal.

pub mod sync;

pub use sync::{AttachStream, SyncApi, SyncError, SyncErrorKind};
