//! Conflicts in git commits, as Jujutsu 0.45 stores them (`lib/src/git_backend.rs` in
//! <https://github.com/jj-vcs/jj>).
//!
//! A commit in conflict has the header `jj:trees`, the oids of the merge's terms (whole trees, each
//! with what it has at the paths in conflict and the merged rest), alternately added and removed,
//! with blanks between them; and, if the terms have names, `jj:conflict-labels`, one name per
//! line. Its own tree is for git and for people: the first term's entries, the terms as
//! directories `.jjconflict-side-N` and `.jjconflict-base-N` so that git keeps them, and a file
//! `JJ-CONFLICT-README`. Both headers stand before `change-id`, the labels first.

use std::collections::BTreeMap;

use mesa_object::git::{self, Collision, Mode, TreeLine};
use mesa_types::GitOid;

use crate::{
    Labels, Merge,
    tree::{
        Conflict, Edit, MergedTree, Terms, TreeSource, TreeValue, VcsError,
        fold::{self, GitTree},
    },
};

/// The header that lists the terms.
pub const TREES_HEADER: &str = "jj:trees";
/// The header that names them.
pub const LABELS_HEADER: &str = "jj:conflict-labels";
/// The file that explains the tree.
pub const README_NAME: &str = "JJ-CONFLICT-README";
/// What that file says, byte for byte, so that equal conflicts have equal trees in Jujutsu and
/// here.
pub const README: &str = "\
This commit was made by jj, https://jj-vcs.dev/.
The commit contains file conflicts, and therefore looks wrong when used with
plain Git or other tools that are unfamiliar with jj.

The .jjconflict-* directories represent the different inputs to the conflict.
For details, see
https://docs.jj-vcs.dev/latest/git-compatibility/#format-mapping-details

If you see this file in your working copy, it probably means that you used a
regular `git` command to check out a conflicted commit. Use `jj abandon` to
recover.
";

/// Most terms read from a commit.
pub const TERMS_MAX: usize = 1 << 10;

/// Headers that describe no conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("conflict headers: {0}")]
pub struct StoredError(&'static str);

/// The header lines of a commit whose tree is a merge of `trees`, to be written after the
/// committer and before `change-id`; nothing for a resolved merge.
pub fn header_lines(trees: &Merge<GitOid>, labels: &Labels) -> Vec<u8> {
    let mut out = Vec::new();
    if trees.is_resolved() {
        return out;
    }
    let fits = |labels: &&Merge<String>| labels.terms().len() == trees.terms().len();
    if let Some(labels) = labels.as_merge().filter(fits) {
        out.extend_from_slice(LABELS_HEADER.as_bytes());
        for label in labels {
            // Lines after the first are continuations: a blank, then text.
            out.push(b' ');
            out.extend(label.bytes().filter(|b| !matches!(b, b'\n' | 0)));
            out.push(b'\n');
        }
    }
    out.extend_from_slice(TREES_HEADER.as_bytes());
    for tree in trees {
        out.extend_from_slice(format!(" {tree}").as_bytes());
    }
    out.push(b'\n');
    out
}

/// The conflict a commit's bytes (without git's type header) describe; `None` for one without.
pub fn read_commit(commit: &[u8]) -> Result<Option<(Merge<GitOid>, Labels)>, StoredError> {
    let Some(trees) = header(commit, TREES_HEADER) else {
        return Ok(None);
    };
    let trees = parse_trees(&trees)?;
    let labels = match header(commit, LABELS_HEADER) {
        Some(mut labels) => {
            // Ends the last label, which may be empty.
            labels.push(b'\n');
            parse_labels(&labels)?
        }
        None => Labels::none(),
    };
    Ok(Some((trees, labels)))
}

/// The value of `jj:trees`: three oids or more.
pub fn parse_trees(value: &[u8]) -> Result<Merge<GitOid>, StoredError> {
    let mut trees = Vec::new();
    for hex in value.split(|&b| b == b' ') {
        let oid = std::str::from_utf8(hex)
            .ok()
            .and_then(|hex| hex.parse().ok());
        trees.push(oid.ok_or(StoredError("not a tree's oid"))?);
        if trees.len() > TERMS_MAX {
            return Err(StoredError("too many trees"));
        }
    }
    // One tree would let a commit look different in jj and in git.
    Merge::from_terms(trees)
        .filter(|trees| !trees.is_resolved())
        .ok_or(StoredError("an even number of trees, or one"))
}

/// The value of `jj:conflict-labels`, continuation lines unfolded: every label with a line feed.
pub fn parse_labels(value: &[u8]) -> Result<Labels, StoredError> {
    let text = std::str::from_utf8(value).map_err(|_| StoredError("labels are not UTF-8"))?;
    let labels = text.strip_suffix('\n').unwrap_or(text).split('\n');
    let labels: Vec<String> = labels.take(TERMS_MAX + 1).map(str::to_owned).collect();
    Merge::from_terms(labels)
        .map(Labels::new)
        .ok_or(StoredError("an even number of labels"))
}

/// A header's value in a commit's bytes, lines joined by line feeds.
fn header(commit: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut lines = commit.split(|&b| b == b'\n');
    let mut lines = lines.by_ref().take_while(|line| !line.is_empty());
    let value = lines.find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b" "))?;
    let mut value = value.to_vec();
    for more in lines.map_while(|line| line.strip_prefix(b" ")) {
        value.push(b'\n');
        value.extend_from_slice(more);
    }
    Some(value)
}

/// Whether a name in the root is there for the conflict only.
pub fn is_for_conflict(name: &[u8]) -> bool {
    name.starts_with(b".jjconflict") || name == README_NAME.as_bytes()
}

/// The tree of a commit in conflict: its bytes (without git's type header) and oid. `first` is
/// what the first term's root has. The blob [`README`] has to be stored as well.
pub fn conflict_tree(
    trees: &Merge<GitOid>,
    first: &[TreeLine<'_>],
) -> Result<(Vec<u8>, GitOid), Collision> {
    let bases = trees.removes().enumerate();
    let sides = trees.adds().enumerate();
    let names: Vec<(String, GitOid)> = bases
        .map(|(n, oid)| (format!(".jjconflict-base-{n}"), *oid))
        .chain(sides.map(|(n, oid)| (format!(".jjconflict-side-{n}"), *oid)))
        .collect();
    let mut lines: Vec<TreeLine<'_>> = names
        .iter()
        .map(|(name, oid)| TreeLine {
            name: name.as_bytes(),
            mode: Mode::Tree,
            oid: *oid,
        })
        .collect();
    lines.push(TreeLine {
        name: README_NAME.as_bytes(),
        mode: Mode::File,
        oid: git::blob_oid(README.as_bytes())?,
    });
    lines.extend(first.iter().filter(|line| !is_for_conflict(line.name)));
    git::encode_tree(&lines)
}

/// A conflict as git will have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredConflict {
    /// The terms' trees; one if git sees no conflict.
    pub trees: Merge<GitOid>,
    /// Names for them.
    pub labels: Labels,
    /// Tree objects of the terms that may be new: oid and bytes (without git's type header).
    pub objects: Vec<GitTree>,
}

/// Makes the trees of a merge's terms: the merged tree, with what each term has at the paths in
/// conflict. Terms that are the same for git cancel.
pub async fn store_conflict<S: TreeSource>(
    source: &S,
    terms: &Terms,
    merged: &MergedTree,
) -> Result<StoredConflict, VcsError<S::Error>> {
    let first = TreeValue::of_root(terms.roots.first());
    let count = if merged.conflicts.is_empty() {
        1
    } else {
        terms.roots.terms().len()
    };
    let mut objects: BTreeMap<GitOid, Vec<u8>> = BTreeMap::new();
    let mut trees = Vec::with_capacity(count);
    for at in 0..count {
        let conflicts: Vec<Edit> = merged
            .conflicts
            .iter()
            .map(|(path, conflict)| Edit {
                path: path.clone(),
                change: Conflict::resolved_by(
                    conflict.terms.terms().get(at).and_then(Option::as_ref),
                ),
            })
            .collect();
        let edits = merged.edits.iter().chain(&conflicts);
        let (oid, made) = fold::git_trees(source, &first, edits).await?;
        objects.extend(made);
        trees.push(oid);
    }
    let trees = Merge::from_terms(trees).ok_or(VcsError::Answer("an even number of terms"))?;
    let (labels, trees) = terms.labels.simplify_with(&trees, |a, b| a == b);
    Ok(StoredConflict {
        trees,
        labels,
        objects: objects.into_iter().collect(),
    })
}

#[cfg(test)]
mod tests;
