//! Paths that did not merge.

use mesa_object::tree::NodeRecord;
use mesa_types::{ContentRef, NodeKind};

use super::{Change, Stored, TreeValue};
use crate::{Labels, Merge};

/// A path in conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// What each of the merged trees has there, as many terms as trees were merged.
    pub terms: Merge<Option<TreeValue>>,
    /// How it can be shown and resolved.
    pub kind: ConflictKind,
    /// The attributes merged, for the file that shows the conflict: identity, mode, owners,
    /// xattrs. Its kind and content are those of the first side that has the path.
    pub shown: Box<NodeRecord>,
}

/// How a conflict can be shown and resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConflictKind {
    /// Texts, absent ones counting as empty: one file with conflict markers.
    Text,
    /// At least one side is not text: side files.
    Binary,
    /// At least one side is too large to be merged by lines: side files.
    TooLarge,
    /// Something else than a regular file takes part, or it is not about contents: side files.
    Types,
}

impl Conflict {
    /// The terms without those that cancel.
    pub fn simplified(&self) -> Merge<Option<TreeValue>> {
        self.terms.simplify_by(|a, b| {
            a.as_ref().map(TreeValue::substance) == b.as_ref().map(TreeValue::substance)
        })
    }

    /// The same conflict with more terms. Those added cancel; the first and the last stay so.
    #[must_use]
    pub fn padded(&self, terms: usize) -> Self {
        let mut all = self.terms.clone().into_terms();
        let first = all[0].clone();
        while all.len() < terms {
            all.splice(1..1, [first.clone(), first.clone()]);
        }
        let mut padded = self.clone();
        if let Some(terms) = Merge::from_terms(all) {
            padded.terms = terms;
        }
        padded
    }

    /// The contents of a conflict of regular files with their labels, without terms that cancel;
    /// `None` for an absent one. `None` altogether if something else takes part.
    pub fn contents(&self, labels: &Labels) -> Option<(Labels, Merge<Option<ContentRef>>)> {
        let (labels, contents) = if let Some(contents) = contents(&self.terms) {
            (labels.clone(), contents)
        } else {
            let (labels, simple) = labels.simplify_with(&self.terms, |a, b| {
                a.as_ref().map(TreeValue::substance) == b.as_ref().map(TreeValue::substance)
            });
            (labels, contents(&simple)?)
        };
        Some(labels.simplify_with(&contents, |a, b| a == b))
    }

    /// What the first side has.
    pub fn target(&self) -> Option<&TreeValue> {
        self.terms.first().as_ref()
    }

    /// What the last side has.
    pub fn source(&self) -> Option<&TreeValue> {
        self.terms.adds().last().and_then(Option::as_ref)
    }

    /// What resolves the conflict by one of its sides ([`Self::target`], [`Self::source`]).
    pub fn resolved_by(side: Option<&TreeValue>) -> Change {
        side.map_or(Change::Remove, |value| Change::Put(Box::new(value.clone())))
    }

    /// The conflict after the file that shows it was written with part of it resolved: `stored` is
    /// what its contents ([`Self::contents`]) became. `None` if that does not fit.
    pub fn updated(&self, stored: &Merge<Option<Stored>>) -> Option<Self> {
        let before = contents(&self.terms)?;
        let now = stored.map(|term| term.map(|stored| stored.content));
        let now = before.update_from_simplified(now)?;
        let terms = self.terms.iter().zip(&now).map(|(term, content)| {
            let content = (*content)?;
            let known = stored.iter().flatten().find(|s| s.content == content);
            let mut value = term.clone().unwrap_or(TreeValue {
                node: (*self.shown).clone(),
                links: None,
            });
            if value.node.attr.content != content {
                value.node.attr.content = content;
                value.node.git = known.map(|stored| stored.git);
            }
            Some(value)
        });
        Some(Self {
            terms: Merge::from_terms(terms.collect())?,
            ..self.clone()
        })
    }
}

/// The contents of terms that are regular files or absent.
fn contents(terms: &Merge<Option<TreeValue>>) -> Option<Merge<Option<ContentRef>>> {
    let contents = terms.try_map(|term| match term {
        None => Ok(None),
        Some(value) if value.kind() == NodeKind::File => Ok(Some(value.node.attr.content)),
        Some(_) => Err(()),
    });
    contents.ok()
}
