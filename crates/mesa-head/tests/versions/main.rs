//! Changes, bookmarks and merges, with live sessions around them.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

mod conflicts;
mod costs;
mod crash;
#[path = "../support/fuse.rs"]
mod fuse;
mod merges;
mod support;
mod writes;
