//! Values that may be conflicted.
//!
//! The algebra is Jujutsu's (`docs/technical/conflicts.md` and `lib/src/merge.rs` in
//! <https://github.com/jj-vcs/jj>): a merge is a sum of terms, alternately added and removed,
//! with one more added than removed. `[A]` is the plain value `A`; `[A, B, C]` is the three-way
//! merge of `A` and `C` with the base `B`, that is `A + (C - B)`. Equal added and removed terms
//! cancel, merges of merges flatten, and rebasing a conflict never nests.

mod simplify;

use std::fmt;

/// An odd number of terms, alternately added and removed, beginning and ending with an added one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Merge<T> {
    terms: Vec<T>,
}

impl<T> Merge<T> {
    /// A plain value.
    pub fn resolved(value: T) -> Self {
        Self { terms: vec![value] }
    }

    /// The three-way merge of two sides with their base.
    pub fn three_way(first: T, base: T, second: T) -> Self {
        Self {
            terms: vec![first, base, second],
        }
    }

    /// A first side and changes (from, to) to be applied to it.
    pub fn from_changes(first: T, changes: impl IntoIterator<Item = (T, T)>) -> Self {
        let mut terms = vec![first];
        for (from, to) in changes {
            terms.extend([from, to]);
        }
        Self { terms }
    }

    /// Alternating terms; `None` if their number is even.
    pub fn from_terms(terms: Vec<T>) -> Option<Self> {
        (terms.len() % 2 == 1).then_some(Self { terms })
    }

    /// Removed and added terms; `None` unless there is one more of the latter.
    pub fn from_removes_adds(removes: Vec<T>, adds: Vec<T>) -> Option<Self> {
        if adds.len() != removes.len() + 1 {
            return None;
        }
        let mut adds = adds.into_iter();
        let mut terms: Vec<T> = adds.next().into_iter().collect();
        for (remove, add) in removes.into_iter().zip(adds) {
            terms.extend([remove, add]);
        }
        Some(Self { terms })
    }

    /// All terms, alternately added and removed.
    pub fn terms(&self) -> &[T] {
        &self.terms
    }

    /// All terms, by value.
    pub fn into_terms(self) -> Vec<T> {
        self.terms
    }

    /// All terms in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.terms.iter()
    }

    /// The first added term.
    pub fn first(&self) -> &T {
        &self.terms[0]
    }

    /// The added terms.
    pub fn adds(&self) -> impl ExactSizeIterator<Item = &T> {
        self.terms.iter().step_by(2)
    }

    /// The removed terms.
    pub fn removes(&self) -> impl ExactSizeIterator<Item = &T> {
        self.terms[1..].iter().step_by(2)
    }

    /// The `index`-th added term.
    pub fn add(&self, index: usize) -> Option<&T> {
        self.terms.get(index * 2)
    }

    /// The `index`-th removed term.
    pub fn remove(&self, index: usize) -> Option<&T> {
        self.terms.get(index * 2 + 1)
    }

    /// Number of added terms.
    pub fn sides(&self) -> usize {
        self.terms.len() / 2 + 1
    }

    /// Whether there is one term only. Trivial merges are not resolved for this.
    pub fn is_resolved(&self) -> bool {
        self.terms.len() == 1
    }

    /// The value, if there is one term only.
    pub fn as_resolved(&self) -> Option<&T> {
        match &self.terms[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// The value, or the merge itself if there is more than one term.
    pub fn into_resolved(mut self) -> Result<T, Self> {
        match self.terms.pop() {
            Some(value) if self.terms.is_empty() => Ok(value),
            Some(value) => {
                self.terms.push(value);
                Err(self)
            }
            None => Err(self),
        }
    }

    /// Applies `f` to every term.
    pub fn map<'a, U>(&'a self, f: impl FnMut(&'a T) -> U) -> Merge<U> {
        Merge {
            terms: self.terms.iter().map(f).collect(),
        }
    }

    /// Applies `f` to every term, by value.
    pub fn into_map<U>(self, f: impl FnMut(T) -> U) -> Merge<U> {
        Merge {
            terms: self.terms.into_iter().map(f).collect(),
        }
    }

    /// Applies `f` to every term; the first error ends it.
    pub fn try_map<'a, U, E>(
        &'a self,
        f: impl FnMut(&'a T) -> Result<U, E>,
    ) -> Result<Merge<U>, E> {
        let terms = self.terms.iter().map(f).collect::<Result<_, E>>()?;
        Ok(Merge { terms })
    }

    /// Pairs of terms; `None` if the numbers of terms differ.
    pub fn zip<U>(self, other: Merge<U>) -> Option<Merge<(T, U)>> {
        (self.terms.len() == other.terms.len()).then(|| Merge {
            terms: self.terms.into_iter().zip(other.terms).collect(),
        })
    }

    /// As many terms as `sides` sides need, all equal to `value` where this has none.
    #[must_use]
    pub fn padded(mut self, sides: usize, value: &T) -> Self
    where
        T: Clone,
    {
        let wanted = (sides * 2).saturating_sub(1);
        if wanted > self.terms.len() {
            self.terms.resize(wanted, value.clone());
        }
        self
    }

    /// The value a trivial merge has: all but one term cancel, or every side that changed made
    /// the same change.
    pub fn resolve_trivial(&self) -> Option<&T>
    where
        T: PartialEq,
    {
        self.resolve_trivial_by(|a, b| a == b)
    }

    /// As [`Self::resolve_trivial`] with another notion of equality. Of equal terms, the value is
    /// the first added one.
    pub fn resolve_trivial_by(&self, equal: impl Fn(&T, &T) -> bool) -> Option<&T> {
        simplify::trivial(&self.terms, equal)
    }
}

impl<A, B> Merge<(A, B)> {
    /// Two merges of the pairs' parts.
    pub fn unzip(self) -> (Merge<A>, Merge<B>) {
        let (left, right) = self.terms.into_iter().unzip();
        (Merge { terms: left }, Merge { terms: right })
    }
}

impl<T> Merge<Option<T>> {
    /// Whether this is plainly nothing.
    pub fn is_absent(&self) -> bool {
        matches!(self.as_resolved(), Some(None))
    }
}

impl<T> IntoIterator for Merge<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.terms.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Merge<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: fmt::Debug> fmt::Debug for Merge<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_resolved() {
            Some(value) => f.debug_tuple("Resolved").field(value).finish(),
            None => f.debug_tuple("Conflicted").field(&self.terms).finish(),
        }
    }
}

#[cfg(test)]
mod tests;
