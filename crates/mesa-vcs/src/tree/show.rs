//! Showing conflicts in a tree of plain files.

use std::collections::BTreeMap;

use bytes::Bytes;
use mesa_types::{ContentRef, EntryName};

use super::{Conflict, TreeSource, TreeValue, VcsError};
use crate::{
    Labels, Merge,
    diff::{ConflictHunk, conflict_hunks},
    markers::{self, Update},
    text::{self, HunkId, Resolution, ResolveError, TextMerge, resolve_hunks},
};

/// A conflict between texts, with the texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictText {
    /// The texts; `None` for a side that has no such file.
    pub terms: Merge<Option<Bytes>>,
    /// Names for them.
    pub labels: Labels,
}

impl ConflictText {
    fn texts(&self) -> Merge<&[u8]> {
        self.terms.map(|term| term.as_deref().unwrap_or_default())
    }

    /// The file that shows the conflict, with markers.
    pub fn shown(&self) -> Vec<u8> {
        markers::materialize(&self.texts(), &self.labels)
    }

    /// What writing that file did to the conflict.
    pub fn update(&self, written: &[u8]) -> Update {
        markers::update(&self.texts(), written)
    }

    /// The hunks in conflict.
    pub fn hunks(&self) -> Vec<ConflictHunk> {
        conflict_hunks(&self.terms)
    }

    /// The number of the last side, for [`Resolution::Side`].
    pub fn source_side(&self) -> usize {
        self.terms.sides() - 1
    }

    /// Resolves hunks by name.
    pub fn resolve(
        &self,
        resolutions: &BTreeMap<HunkId, Resolution>,
    ) -> Result<TextMerge, ResolveError> {
        match text::merge(&self.texts()) {
            TextMerge::Conflicted(hunks) => resolve_hunks(&hunks, resolutions),
            resolved @ TextMerge::Resolved(_) => match resolutions.keys().next() {
                Some(id) => Err(ResolveError::UnknownHunk(*id)),
                None => Ok(resolved),
            },
        }
    }
}

/// Reads the texts of a conflict; `None` unless regular files alone take part. Whether they are
/// texts of a size to be shown is what [`super::ConflictKind::Text`] says.
pub async fn conflict_text<S: TreeSource>(
    source: &S,
    conflict: &Conflict,
    labels: &Labels,
) -> Result<Option<ConflictText>, VcsError<S::Error>> {
    let Some((labels, contents)) = conflict.contents(labels) else {
        return Ok(None);
    };
    let wanted: Vec<ContentRef> = contents
        .iter()
        .flatten()
        .copied()
        .filter(|content| *content != ContentRef::Empty)
        .collect();
    let answer = source.read(&wanted).await.map_err(VcsError::Source)?;
    if answer.len() != wanted.len() {
        return Err(VcsError::Answer("not as many contents as asked for"));
    }
    let mut answer = answer.into_iter();
    let terms = contents.map(|content| match content {
        None => None,
        Some(ContentRef::Empty) => Some(Bytes::new()),
        Some(_) => answer.next(),
    });
    Ok(Some(ConflictText { terms, labels }))
}

/// The files that stand beside a conflict which no text can show: every term that is there, named
/// after the path's name with `.base-1`, `.side-1` and so on. `taken` says whether a name is in
/// use; then a `~` is added until it is not.
pub fn side_files(
    conflict: &Conflict,
    name: &EntryName,
    taken: impl Fn(&[u8]) -> bool,
) -> Vec<(EntryName, TreeValue)> {
    const NAME_BYTES_MAX: usize = 255;
    const SUFFIX_BYTES_MAX: usize = 24;
    let stem = &name.as_bytes()[..name.as_bytes().len().min(NAME_BYTES_MAX - SUFFIX_BYTES_MAX)];
    let mut files: Vec<(EntryName, TreeValue)> = Vec::new();
    for (at, term) in conflict.simplified().into_iter().enumerate() {
        let Some(value) = term else { continue };
        let sign = if at % 2 == 0 { "side" } else { "base" };
        let mut wanted = [stem, format!(".{sign}-{}", at / 2 + 1).as_bytes()].concat();
        while taken(&wanted) || files.iter().any(|(name, _)| name.as_bytes() == wanted) {
            wanted.push(b'~');
        }
        files.extend(EntryName::new(wanted).ok().map(|name| (name, value)));
    }
    files
}
