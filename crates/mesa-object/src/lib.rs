//! The bytes of stored objects: content-defined chunks and their manifests, directory listings,
//! packs, and the projection to git objects. Pure: no I/O, no clock, no randomness.
//!
//! Decoders take bytes from anywhere and never panic; every count is checked against the bytes
//! that are left before anything is allocated for it.

pub mod content;
pub mod git;
pub mod hash;
pub mod manifest;
pub mod object;
pub mod pack;
pub mod tree;
mod wire;

pub use hash::{Domain, OrgKey};
pub use object::Object;
