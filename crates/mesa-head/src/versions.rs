//! Versions of a repo: which commit descends from which, and merging them.

pub(crate) mod apply;
pub(crate) mod base;
pub(crate) mod git;
pub(crate) mod graph;
pub mod merge;
pub(crate) mod opened;
pub(crate) mod scratch;
pub(crate) mod store;
pub(crate) mod table;
