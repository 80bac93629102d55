//! What differs between two trees, two texts, and the sides of a conflict.

pub mod conflict;
pub mod content;
pub mod lines;
pub mod patch;
pub mod rename;
pub mod tree;

pub use conflict::{ConflictHunk, conflict_hunks};
pub use content::{ContentDiff, ContentOptions, Omitted, diff_contents};
pub use lines::{Hunk, Line, LineKind, diff_lines};
pub use patch::{PatchOptions, write_patch};
pub use tree::{DiffEntry, DiffOptions, Scope, Status, TreeDiff, diff_trees};
