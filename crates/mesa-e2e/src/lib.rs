//! What the end-to-end tests stand on: a server and any number of client machines (each a home
//! directory of its own), driven through the `mesa` binary as a user drives it.
//!
//! The binary is `$MESA_BIN`, or `mesa` beside the test's own target directory. These tests need
//! root and `/dev/fuse`; without them they fail and say so.

pub mod client;
pub mod namespace;
pub mod place;
pub mod sandbox;
pub mod server;
pub mod shell;
pub mod token;
pub mod wire;

pub use client::Client;
pub use place::Place;
pub use sandbox::{Fuse, Sandbox};
pub use server::Server;
pub use shell::{Output, sh};
pub use wire::Wire;

use std::path::PathBuf;

/// The `mesa` binary under test.
///
/// # Panics
/// If it was not built.
pub fn mesa_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("MESA_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("the test knows its own path");
    let target = test.ancestors().find(|dir| dir.join("mesa").is_file());
    target
        .expect("build it first: cargo build -p mesa-cli")
        .join("mesa")
}

/// Waits until `condition` holds.
///
/// # Panics
/// If it does not within `seconds`.
#[track_caller]
pub fn eventually(seconds: u64, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    while !condition() {
        assert!(
            std::time::Instant::now() < deadline,
            "not within {seconds} s: {what}"
        );
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
