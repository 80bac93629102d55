//! The server: one listener for REST and MCP (HTTP/1.1 and HTTP/2) and the mount protocol (gRPC),
//! over an embedded store in one data directory.
//!
//! This is the only crate that knows HTTP status codes; [`error`] is their table. Handlers are one
//! file per resource under [`routes`].

pub mod data_dir;
pub mod downloads;
pub mod edge;
pub mod error;
pub mod hooks;
pub mod listener;
pub mod logging;
pub mod mcp;
pub mod metrics;
pub mod openapi;
pub mod options;
pub mod routes;
pub mod server;
pub mod snapshot;
pub mod state;
mod storage;
pub mod sync;

pub use downloads::DownloadOptions;
pub use options::{ServerOptions, TlsOptions};
pub use server::{RunningServer, Server, StartError};
