//! The command as people and scripts meet it: exit codes, messages, files.

#![allow(clippy::unwrap_used)] // helpers of tests are not tests to the lint

#[path = "it/harness.rs"]
mod harness;
#[path = "it/keys.rs"]
mod keys;
#[path = "it/offline.rs"]
mod offline;
#[path = "it/served.rs"]
mod served;
#[path = "it/usage.rs"]
mod usage;
