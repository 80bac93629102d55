//! Versions of trees: merging, conflicts, differences.
//!
//! Pure: no clock, no randomness, no files, no terminal. Trees and contents come from a
//! [`tree::TreeSource`]; everything else is a function of its arguments.
//!
//! - [`Merge`]: values that may be conflicted, with Jujutsu's algebra.
//! - [`text`]: merging texts by lines; naming and resolving the conflicts left.
//! - [`diff`]: differences of trees ([`diff::diff_trees`]) and texts, patches, the hunks of a conflict.
//! - [`markers`]: conflicts in the text of a file.
//! - [`stored`]: conflicts in git commits.
//! - [`tree`]: merging trees ([`tree::merge_trees`]).
//!
//! Design and formats: `docs/design/versioning.md`.

pub mod diff;
pub mod labels;
pub mod markers;
pub mod memory;
pub mod merge;
pub mod stored;
pub mod text;
pub mod tree;

pub use labels::Labels;
pub use merge::Merge;
