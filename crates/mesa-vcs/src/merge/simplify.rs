//! Cancelling terms.

use super::Merge;

/// See [`Merge::resolve_trivial`]. Counts every distinct value, +1 added and -1 removed: the sum
/// is 1, so what is left is one value, or one value against another that was changed into it.
pub(super) fn trivial<T>(terms: &[T], equal: impl Fn(&T, &T) -> bool) -> Option<&T> {
    let mut counts: Vec<(&T, isize)> = Vec::with_capacity(terms.len());
    // Added terms first, so that they stand for their equals.
    let adds = terms.iter().step_by(2).map(|term| (term, 1));
    let removes = terms.iter().skip(1).step_by(2).map(|term| (term, -1));
    for (term, sign) in adds.chain(removes) {
        match counts.iter_mut().find(|(known, _)| equal(known, term)) {
            Some((_, count)) => *count += sign,
            None => counts.push((term, sign)),
        }
    }
    let mut left = counts.iter().filter(|(_, count)| *count != 0);
    let (value, count) = left.next()?;
    match (left.next(), left.next()) {
        (None, _) => Some(value),
        (Some((other, _)), None) => Some(if *count > 0 { value } else { other }),
        _ => None,
    }
}

impl<T> Merge<T> {
    /// Joins changes `A -> B` and `B -> C` into `A -> C` and drops changes `A -> A`.
    #[must_use]
    pub fn simplify(&self) -> Self
    where
        T: PartialEq + Clone,
    {
        self.simplify_by(|a, b| a == b)
    }

    /// As [`Self::simplify`] with another notion of equality.
    #[must_use]
    pub fn simplify_by(&self, equal: impl Fn(&T, &T) -> bool) -> Self
    where
        T: Clone,
    {
        let terms = self.kept(equal).into_iter();
        Self {
            terms: terms.map(|at| self.terms[at].clone()).collect(),
        }
    }

    /// Puts the terms of a merge that was made from [`Self::simplify`] of this one in the places
    /// they came from; `None` if it has another number of terms.
    pub fn update_from_simplified(mut self, simplified: Self) -> Option<Self>
    where
        T: PartialEq,
    {
        let kept = self.kept(|a, b| a == b);
        if kept.len() != simplified.terms.len() {
            return None;
        }
        for (at, term) in kept.into_iter().zip(simplified.terms) {
            self.terms[at] = term;
        }
        Some(self)
    }

    /// The terms that are left after cancelling, as indices in their new order. The side a
    /// cancelled change led to takes the place of the side it began at, as in Jujutsu, so that
    /// both store the same conflict.
    fn kept(&self, equal: impl Fn(&T, &T) -> bool) -> Vec<usize> {
        let mut adds: Vec<usize> = (0..self.terms.len()).step_by(2).collect();
        let mut removes: Vec<usize> = (1..self.terms.len()).step_by(2).collect();
        let mut side = 0;
        while side < adds.len() {
            let here = &self.terms[adds[side]];
            match removes.iter().position(|&r| equal(&self.terms[r], here)) {
                Some(change) => {
                    adds.swap(change + 1, side);
                    adds.remove(change + 1);
                    removes.remove(change);
                }
                None => side += 1,
            }
        }
        let mut kept = Vec::with_capacity(adds.len() + removes.len());
        kept.push(adds[0]);
        for (remove, add) in removes.into_iter().zip(adds.into_iter().skip(1)) {
            kept.extend([remove, add]);
        }
        kept
    }
}

impl<T> Merge<Merge<T>> {
    /// A merge of merges as one merge. A removed merge changes signs: its changes are undone, and
    /// its first side is removed last.
    #[must_use]
    pub fn flatten(self) -> Merge<T> {
        let mut terms = Vec::new();
        for (at, inner) in self.terms.into_iter().enumerate() {
            if at % 2 == 0 {
                terms.extend(inner.terms);
                continue;
            }
            let mut inner = inner.terms.into_iter();
            let first = inner.next();
            while let (Some(remove), Some(add)) = (inner.next(), inner.next()) {
                terms.extend([add, remove]);
            }
            terms.extend(first);
        }
        Merge { terms }
    }
}
