//! Talking to a Mesa server: the mount protocol over gRPC, the REST control plane, credentials,
//! retries. No filesystem, no terminal.

pub mod credential;
pub mod grpc;
pub mod origin;
pub mod rest;
pub mod sync;
pub mod transport;

pub use credential::{Credentials, Secret};
pub use grpc::GrpcSync;
pub use origin::{Origin, OriginError};
pub use rest::{RestClient, RestError, RestErrorKind};
pub use sync::{AttachStream, SyncApi, SyncError, SyncErrorKind};
pub use transport::{TransportError, TransportOptions};
