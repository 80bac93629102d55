//! The mount's processes.
//!
//! `mesa mount -d` starts a supervisor, which starts a worker. The worker serves the mount; the
//! supervisor only keeps the kernel connection open, so that a worker that died can be replaced
//! without the mount going away. `mesa mount` in the foreground is a worker without a supervisor.
//! Commands talk to the worker over a unix socket (`control`).

pub mod client;
pub mod control;
pub mod frame;
pub mod launch;
pub mod plan;
pub mod runtime_dir;
pub mod server;
pub mod service;
pub mod status;
pub mod supervisor;
mod upward;
pub mod worker;
