//! Changes, bookmarks and merges, with live sessions around them.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

mod conflicts;
mod costs;
mod crash;
#[path = "../support/fuse.rs"]
mod fuse;
mod machine;
mod merges;
mod support;
#[path = "../support/tally.rs"]
mod tally;
mod writes;
