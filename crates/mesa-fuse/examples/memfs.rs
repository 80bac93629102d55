//! Mounts the tests' filesystem (metadata in memory, data in local files) until it is unmounted:
//! the cost of the FUSE layer alone, for `benches/bench.sh`.
//!
//! `memfs MOUNT_POINT STATE_DIR [plain|two-readers|writeback|io-uring]`

#![allow(clippy::unwrap_used)] // A tool of the developers.

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use mesa_fuse::{Feature, MountOptions};

fn main() {
    let mut args = std::env::args().skip(1);
    let (mount_point, state_dir) = (args.next().unwrap(), args.next().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let fs = Arc::new(support::memfs::MemFs::new(state_dir.as_ref()));
    let mut options = MountOptions::new(mount_point, state_dir, runtime.handle().clone());
    match args.next().as_deref() {
        None | Some("plain") => {}
        Some("two-readers") => options.readers = 2,
        Some("writeback") => options.passthrough = Feature::Off,
        Some("io-uring") => options.io_uring = Feature::Required,
        Some(other) => panic!("unknown way {other}"),
    }
    let (_notices, receiver) = tokio::sync::mpsc::unbounded_channel();
    let handle = mesa_fuse::mount(options, fs, receiver).unwrap();
    runtime.block_on(handle.ended());
}
