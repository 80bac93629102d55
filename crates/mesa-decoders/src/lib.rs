//! What must hold of every decoder for any bytes: an error or a value, no panic, bounded memory,
//! and what was decoded encodes again. One function per format, for the short run of every test
//! (`tests/any_bytes.rs`) and for hours of libFuzzer (`fuzz/`).

pub mod config;
pub mod git;
pub mod journal;
pub mod manifest;
pub mod pack;
pub mod protocol;
pub mod saved;
pub mod tree;

/// A format's name, the same as its fuzz target's, and its check.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("config", config::check),
    ("git", git::check),
    ("journal", journal::check),
    ("manifest", manifest::check),
    ("pack", pack::check),
    ("protocol", protocol::check),
    ("saved", saved::check),
    ("tree", tree::check),
];
