//! Naming conflicting hunks, and resolving them one by one.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    str::FromStr,
};

use super::TextMerge;
use crate::Merge;

/// Names a conflict in a file: a hash of its terms, and of how many conflicts with the same terms
/// come before it in the file. Resolving one conflict leaves the names of the others alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HunkId([u8; 16]);

impl HunkId {
    fn new(hunk: &Merge<Vec<u8>>, repetition: u32) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("mesa-vcs conflict hunk 1");
        hasher.update(&repetition.to_le_bytes());
        for term in hunk {
            hasher.update(&(term.len() as u64).to_le_bytes());
            hasher.update(term);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(id)
    }
}

impl fmt::Display for HunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for HunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that names no hunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a hunk id (32 hex digits)")]
pub struct HunkIdError;

impl FromStr for HunkId {
    type Err = HunkIdError;

    fn from_str(text: &str) -> Result<Self, HunkIdError> {
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id).map_err(|_| HunkIdError)?;
        Ok(Self(id))
    }
}

/// The names of the hunks in conflict, in order.
pub fn hunk_ids(hunks: &[Merge<Vec<u8>>]) -> Vec<HunkId> {
    let mut seen: HashMap<&Merge<Vec<u8>>, u32> = HashMap::new();
    let conflicts = hunks.iter().filter(|hunk| !hunk.is_resolved());
    conflicts
        .map(|hunk| {
            let repetition = seen.entry(hunk).or_default();
            let id = HunkId::new(hunk, *repetition);
            *repetition += 1;
            id
        })
        .collect()
}

/// How a hunk is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// By these bytes.
    Content(Vec<u8>),
    /// By the side of this number.
    Side(usize),
}

/// Resolutions that do not fit a conflict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// No conflict in the file has this name.
    #[error("there is no hunk {0}")]
    UnknownHunk(HunkId),
    /// The conflict has fewer sides.
    #[error("there is no side {0}")]
    UnknownSide(usize),
}

/// Resolves hunks by name. Hunks that are not named stay in conflict.
pub fn resolve_hunks(
    hunks: &[Merge<Vec<u8>>],
    resolutions: &BTreeMap<HunkId, Resolution>,
) -> Result<TextMerge, ResolveError> {
    let ids = hunk_ids(hunks);
    if let Some(unknown) = resolutions.keys().find(|id| !ids.contains(id)) {
        return Err(ResolveError::UnknownHunk(*unknown));
    }
    let mut ids = ids.into_iter();
    let mut left = Vec::new();
    let mut resolved = Vec::new();
    for hunk in hunks {
        let resolution = if hunk.is_resolved() {
            Some(&Resolution::Side(0))
        } else {
            ids.next().and_then(|id| resolutions.get(&id))
        };
        match resolution {
            Some(Resolution::Content(bytes)) => resolved.extend_from_slice(bytes),
            Some(Resolution::Side(side)) => {
                let side = hunk.add(*side).ok_or(ResolveError::UnknownSide(*side))?;
                resolved.extend_from_slice(side);
            }
            None => {
                if !resolved.is_empty() {
                    left.push(Merge::resolved(std::mem::take(&mut resolved)));
                }
                left.push(hunk.clone());
            }
        }
    }
    if left.is_empty() {
        return Ok(TextMerge::Resolved(resolved));
    }
    if !resolved.is_empty() {
        left.push(Merge::resolved(resolved));
    }
    Ok(TextMerge::Conflicted(left))
}

/// The contents of a file's terms, of which some hunks are in conflict: resolved hunks are in
/// every term.
pub fn join(hunks: &[Merge<Vec<u8>>]) -> Option<Merge<Vec<u8>>> {
    let terms = hunks.iter().map(|hunk| hunk.terms().len()).max()?;
    let mut texts = vec![Vec::new(); terms];
    for hunk in hunks {
        for (at, text) in texts.iter_mut().enumerate() {
            let part = hunk.as_resolved().or_else(|| hunk.terms().get(at))?;
            text.extend_from_slice(part);
        }
    }
    Merge::from_terms(texts)
}
