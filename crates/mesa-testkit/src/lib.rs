//! Servers, mounts and workloads for tests.

pub mod disk;

pub use disk::{Disk, freeze};
