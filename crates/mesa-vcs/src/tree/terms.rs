//! Trees that may be conflicts, and merges of them.

use mesa_object::tree::Root;

use super::TreeValue;
use crate::{Labels, Merge};

/// A tree, or the terms of a conflict between trees with what to call them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The terms.
    pub roots: Merge<Root>,
    /// Names for them.
    pub labels: Labels,
}

impl Terms {
    /// A tree without conflicts.
    pub fn resolved(root: Root) -> Self {
        Self {
            roots: Merge::resolved(root),
            labels: Labels::none(),
        }
    }

    /// The merge of trees, each with a name for its side of conflicts. Trees that are conflicts
    /// themselves bring their terms and the names those have; terms that cancel are gone. What is
    /// left goes to [`super::merge_trees`].
    #[must_use]
    pub fn merge(trees: Merge<(Self, String)>) -> Self {
        let labels = trees.map(|(tree, name)| tree.labels.of_terms(tree.roots.terms().len(), name));
        let labels = Labels::new(labels.flatten());
        let roots = trees.into_map(|(tree, _)| tree.roots).flatten();
        let (labels, roots) = labels.simplify_with(&roots, |a, b| {
            TreeValue::of_root(a).is_same(&TreeValue::of_root(b))
        });
        Self { roots, labels }
    }

    /// The merge of `first` and `second`, whose nearest common ancestor is `base`.
    #[must_use]
    pub fn three_way(first: (Self, String), base: (Self, String), second: (Self, String)) -> Self {
        Self::merge(Merge::three_way(first, base, second))
    }

    /// What `tree`, a change of `old_parent`, becomes on `new_parent`.
    #[must_use]
    pub fn rebase(
        new_parent: (Self, String),
        old_parent: (Self, String),
        tree: (Self, String),
    ) -> Self {
        Self::three_way(new_parent, old_parent, tree)
    }

    /// What `head` becomes when the change from `before` to `after` is undone in it.
    #[must_use]
    pub fn undo(head: (Self, String), after: (Self, String), before: (Self, String)) -> Self {
        Self::three_way(head, after, before)
    }
}
