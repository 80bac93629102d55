//! A server of one repo in memory, and mounts on it.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

pub mod calls;
pub mod rig;
pub mod server;
