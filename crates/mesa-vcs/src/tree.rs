//! Trees: where they come from and how they merge.

mod attrs;
pub mod conflict;
pub mod edit;
pub mod fold;
pub(crate) mod listing;
pub mod merge;
pub mod path;
pub mod show;
pub mod source;
pub mod terms;
pub mod value;

pub use conflict::{Conflict, ConflictKind};
pub use edit::{Change, Edit};
pub use merge::{Clash, Field, MergeOptions, MergedTree, merge_paths, merge_trees};
pub use path::TreePath;
pub use show::{ConflictText, conflict_text, side_files};
pub use source::{Stored, TreeSource, TreeStore};
pub use terms::Terms;
pub use value::TreeValue;

use mesa_object::tree::TreeError;

/// Why trees could not be merged or compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VcsError<E: std::error::Error + 'static> {
    /// The source failed.
    #[error("reading trees failed")]
    Source(#[source] E),
    /// The source answered something else than it was asked for.
    #[error("the source of trees answered wrongly: {0}")]
    Answer(&'static str),
    /// A tree is a SHA-1 collision attack, or damaged, or cannot be encoded.
    #[error("a tree is damaged")]
    Tree(#[from] TreeError),
}
