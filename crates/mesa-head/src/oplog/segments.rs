//! What of the log has to be undone to undo an action.
//!
//! Other sessions' operations may lie between those of an action. As long as they concern other
//! paths, an action is the difference between the states before and after it, at the paths it
//! touched. Where somebody else wrote to the same paths in between, the action is cut there, and
//! undone piece by piece, the last one first.

use std::collections::BTreeSet;

use mesa_types::FileId;

use super::{
    Who,
    operation::{Touch, is_within, touches},
    scan::Log,
};
use crate::error::{HeadError, HeadErrorKind, Result};

/// Most pieces of one action.
const SEGMENTS_MAX: usize = 64;
/// Most paths of an action that others' operations lie between.
const PATHS_MAX: usize = 200_000;

/// Operations in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub first: u64,
    pub last: u64,
    /// The paths to look at; `None` if nobody else's operations are among them.
    pub paths: Option<PathSet>,
}

/// Paths, of which none is below another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PathSet(BTreeSet<Vec<u8>>);

/// How a path stands to a set of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Outside,
    /// A directory above one of them.
    Above,
    /// One of them, or below one.
    Inside,
}

impl PathSet {
    /// Adds a path.
    pub fn insert(&mut self, path: Vec<u8>) {
        match self.place(&path) {
            Place::Inside => {}
            Place::Above => {
                self.0.retain(|known| !is_within(known, &path));
                self.0.insert(path);
            }
            Place::Outside => {
                self.0.insert(path);
            }
        }
    }

    /// How a path stands to these.
    pub fn place(&self, path: &[u8]) -> Place {
        let above = path.iter().enumerate().filter(|(_, b)| **b == b'/');
        let mut prefixes = above.map(|(end, _)| &path[..end]).chain([&b""[..], path]);
        if prefixes.any(|prefix| self.0.contains(prefix)) {
            return Place::Inside;
        }
        let below = [path, b"/"].concat();
        let next = self.0.range(below..).next();
        if path.is_empty() {
            return if self.0.is_empty() {
                Place::Outside
            } else {
                Place::Above
            };
        }
        match next {
            Some(next) if is_within(next, path) => Place::Above,
            _ => Place::Outside,
        }
    }

    /// The paths, sorted.
    pub fn into_paths(self) -> impl Iterator<Item = Vec<u8>> {
        self.0.into_iter()
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<Vec<u8>> for PathSet {
    fn from_iter<I: IntoIterator<Item = Vec<u8>>>(paths: I) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.insert(path);
        }
        set
    }
}

/// The pieces of the action `first..=last` of `who`, in order.
pub(crate) async fn segments(
    log: Log<'_>,
    root: FileId,
    who: &Who,
    (first, last): (u64, u64),
) -> Result<Vec<Segment>> {
    if is_alone(log, who, (first, last)).await? {
        return Ok(vec![Segment {
            first,
            last,
            paths: None,
        }]);
    }
    let mut found: Vec<Segment> = Vec::new();
    let mut paths = PathSet::default();
    let mut current: Option<(u64, u64)> = None;
    let mut anywhere = false;
    // Somebody else's operations lie in the present piece.
    let mut mixed = false;
    let begin = log.row_of(first).await?.map_or(first, |row| row.first_seq);
    let mut rows = log.forwards(begin, last);
    while let Some(entry) = rows.next().await? {
        for (index, op) in entry.ops.iter().enumerate() {
            let seq = entry.first_seq + index as u64;
            if seq < first || seq > last {
                continue;
            }
            let touched = touches(op, root);
            let clashes = |paths: &PathSet| {
                touched.iter().any(|touch| match touch {
                    Touch::Path(path) => paths.place(path) != Place::Outside,
                    Touch::Anywhere => true,
                })
            };
            if Who::of(&entry, index) == *who {
                if mixed
                    && touched.contains(&Touch::Anywhere)
                    && let Some((begin, end)) = current.take()
                {
                    let set = std::mem::take(&mut paths);
                    push(&mut found, begin, end, set, anywhere)?;
                    (anywhere, mixed) = (false, false);
                }
                let (begin, _) = *current.get_or_insert((seq, seq));
                current = Some((begin, seq));
                for touch in touched {
                    match touch {
                        Touch::Path(path) => paths.insert(path),
                        Touch::Anywhere => anywhere = true,
                    }
                }
                if paths.len() > PATHS_MAX {
                    return Err(too_much(
                        "the action touches too many paths to be undone while others write",
                    ));
                }
            } else if let Some((begin, end)) = current
                && (anywhere || clashes(&paths))
            {
                let set = std::mem::take(&mut paths);
                push(&mut found, begin, end, set, anywhere)?;
                (current, anywhere, mixed) = (None, false, false);
            } else {
                mixed |= current.is_some();
            }
        }
    }
    if let Some((begin, end)) = current {
        push(&mut found, begin, end, paths, anywhere)?;
    }
    Ok(found)
}

fn push(
    found: &mut Vec<Segment>,
    first: u64,
    last: u64,
    paths: PathSet,
    anywhere: bool,
) -> Result<()> {
    if found.len() >= SEGMENTS_MAX {
        return Err(too_much(
            "others wrote to the same files in between too often for the action to be undone",
        ));
    }
    // Nobody else's operation lies within a piece that may have touched anything.
    found.push(Segment {
        first,
        last,
        paths: Some(paths).filter(|_| !anywhere),
    });
    Ok(())
}

async fn is_alone(log: Log<'_>, who: &Who, (first, last): (u64, u64)) -> Result<bool> {
    let begin = log.row_of(first).await?.map_or(first, |row| row.first_seq);
    let mut rows = log.forwards(begin, last);
    while let Some(entry) = rows.next().await? {
        for index in 0..entry.ops.len() {
            let seq = entry.first_seq + index as u64;
            if (first..=last).contains(&seq) && Who::of(&entry, index) != *who {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn too_much(message: &'static str) -> HeadError {
    HeadError::new(HeadErrorKind::Conflict, "TOO_INTERLEAVED", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(paths: &[&str]) -> PathSet {
        paths.iter().map(|path| path.as_bytes().to_vec()).collect()
    }

    #[test]
    fn places_are_by_names() {
        let set = set(&["a/b", "c", "a/b/d"]);
        assert_eq!(set.len(), 2);
        for (path, place) in [
            ("", Place::Above),
            ("a", Place::Above),
            ("a/b", Place::Inside),
            ("a/b/x/y", Place::Inside),
            ("a/bc", Place::Outside),
            ("a-", Place::Outside),
            ("c", Place::Inside),
            ("b", Place::Outside),
        ] {
            assert_eq!(set.place(path.as_bytes()), place, "{path}");
        }
        assert_eq!(PathSet::default().place(b""), Place::Outside);
    }

    #[test]
    fn what_is_below_another_is_dropped() {
        assert_eq!(set(&["a/b", "a/c", "a"]), set(&["a"]));
        assert_eq!(set(&["", "a"]).place(b"x/y"), Place::Inside);
    }
}
