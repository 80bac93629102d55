//! The hunks of a conflict, to be shown and resolved one by one.

use crate::{
    Merge,
    text::{self, HunkId, TextMerge, hunk_ids},
};

/// A conflict in a file with its sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictHunk {
    /// Names it in a resolution.
    pub id: HunkId,
    /// Number of the first line of the base, from 1; if there is none, of the line before.
    pub old_start: usize,
    /// Lines of the base.
    pub old_lines: usize,
    /// The same for the target.
    pub new_start: usize,
    /// Lines of the target.
    pub new_lines: usize,
    /// The first side; `None` if it has no such file.
    pub target: Option<Vec<u8>>,
    /// The first base; `None` if it has no such file.
    pub base: Option<Vec<u8>>,
    /// The last side; `None` if it has no such file.
    pub source: Option<Vec<u8>>,
}

/// The hunks in conflict of a file's terms, `None` where there is no such file. Lines are counted
/// in the first base and the first side with everything before them that merged.
pub fn conflict_hunks<T: AsRef<[u8]>>(terms: &Merge<Option<T>>) -> Vec<ConflictHunk> {
    let texts = terms.map(|term| term.as_ref().map(AsRef::as_ref).unwrap_or_default());
    let TextMerge::Conflicted(hunks) = text::merge(&texts) else {
        return Vec::new();
    };
    let mut ids = hunk_ids(&hunks).into_iter();
    let (mut old, mut new) = (0, 0);
    let mut found = Vec::new();
    for hunk in &hunks {
        let base = hunk.remove(0).unwrap_or(hunk.first());
        let (old_lines, new_lines) = (count(base), count(hunk.first()));
        let id = if hunk.is_resolved() { None } else { ids.next() };
        if let Some(id) = id {
            let last = hunk.sides() - 1;
            let there = |term: Option<&Option<T>>| term.is_some_and(Option::is_some);
            let side = |text: Option<&Vec<u8>>, there: bool| text.filter(|_| there).cloned();
            found.push(ConflictHunk {
                id,
                old_start: old + usize::from(old_lines > 0),
                old_lines,
                new_start: new + usize::from(new_lines > 0),
                new_lines,
                target: side(hunk.add(0), there(terms.add(0))),
                base: side(hunk.remove(0), there(terms.remove(0))),
                source: side(hunk.add(last), there(terms.add(last))),
            });
        }
        old += old_lines;
        new += new_lines;
    }
    found
}

fn count(text: &[u8]) -> usize {
    text::lines(text).count()
}
