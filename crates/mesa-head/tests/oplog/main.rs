//! The operation log read back, undo, and restore.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

mod actions;
mod crash;
#[path = "../support/fuse.rs"]
mod fuse;
mod keep;
mod property;
mod restore;
mod support;
mod undo;
#[path = "../versions/support.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod writes;
