//! Changes, bookmarks and merges, with live sessions around them.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

mod abandon;
mod apart;
mod conflicts;
mod costs;
mod crash;
mod crash_abandon;
mod crash_changes;
mod crosswise;
#[path = "../support/fuse.rs"]
mod fuse;
mod held;
mod links;
mod machine;
mod merges;
mod moved;
mod slow;
mod support;
#[path = "../support/tally.rs"]
mod tally;
mod writes;
