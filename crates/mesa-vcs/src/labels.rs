//! Names for the terms of a conflict.

use crate::Merge;

/// A text for each term of a conflict, empty where there is none; or no texts at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels(Option<Merge<String>>);

impl Labels {
    /// No labels.
    pub fn none() -> Self {
        Self(None)
    }

    /// Labels for a conflict's terms; resolved merges, and merges of empty texts only, have none.
    /// Line feeds become blanks, since they separate labels where they are stored.
    pub fn new(labels: Merge<String>) -> Self {
        if labels.is_resolved() || labels.iter().all(String::is_empty) {
            return Self(None);
        }
        Self(Some(labels.into_map(|label| label.replace('\n', " "))))
    }

    /// The labels, as many as the conflict has terms.
    pub fn as_merge(&self) -> Option<&Merge<String>> {
        self.0.as_ref()
    }

    /// The label of the `index`-th side.
    pub fn add(&self, index: usize) -> Option<&str> {
        let label = self.0.as_ref()?.add(index)?;
        (!label.is_empty()).then_some(label)
    }

    /// The label of the `index`-th base.
    pub fn remove(&self, index: usize) -> Option<&str> {
        let label = self.0.as_ref()?.remove(index)?;
        (!label.is_empty()).then_some(label)
    }

    /// Simplifies a merge and drops the labels of the terms that cancel. Labels of another number
    /// of terms are dropped altogether.
    pub fn simplify_with<T: Clone>(
        &self,
        merge: &Merge<T>,
        equal: impl Fn(&T, &T) -> bool,
    ) -> (Self, Merge<T>) {
        let labelled = self.0.clone().and_then(|labels| labels.zip(merge.clone()));
        match labelled {
            Some(pairs) => {
                let (labels, merge) = pairs.simplify_by(|a, b| equal(&a.1, &b.1)).unzip();
                (Self::new(labels), merge)
            }
            None => (Self::none(), merge.simplify_by(equal)),
        }
    }

    /// What to call the terms of a tree that takes part in a merge as `name`: a resolved tree's
    /// one term by that name, a conflict's terms by the names they have.
    pub fn of_terms(&self, terms: usize, name: &str) -> Merge<String> {
        match &self.0 {
            Some(labels) if labels.terms().len() == terms => labels.clone(),
            _ if terms == 1 => Merge::resolved(name.to_owned()),
            _ => Merge::resolved(String::new()).padded(terms / 2 + 1, &String::new()),
        }
    }
}
