//! Talking to a Mesa server: the mount protocol over gRPC, the REST control plane, credentials,
//! retries. No filesystem, no terminal.

pub mod credential;
pub mod grpc;
pub mod origin;
pub mod private_key;
pub mod rest;
pub mod sync;
pub mod transport;

pub use credential::{Credentials, Secret};
pub use grpc::GrpcSync;
pub use origin::{Origin, OriginError};
pub use private_key::PrivateKey;
pub use rest::{RestClient, RestError, RestErrorKind};
pub use sync::{AttachStream, SyncApi, SyncError, SyncErrorKind};
pub use transport::{TransportError, TransportOptions, roots::CERTIFICATE_REFUSED};
