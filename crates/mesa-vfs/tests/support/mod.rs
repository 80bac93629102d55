//! A server of one repo in memory, and mounts on it.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    clippy::single_match_else
)]

pub mod calls;
pub mod rig;
pub mod server;
