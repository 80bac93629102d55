//! The order in which directories are made and nodes are moved.

use std::collections::HashMap;

use super::path_of;
use crate::edit::Prepared;

/// Directories that are made and nodes that are moved, each after the directory that it stands in
/// then, and after the one that it is taken out of: a directory may be moved below one that is
/// made, and have others made below it.
pub(super) fn from_the_root(placed: Vec<Prepared>) -> Vec<Prepared> {
    let at: HashMap<Vec<u8>, usize> = placed
        .iter()
        .enumerate()
        .filter_map(|(n, one)| Some((path_of(one)?, n)))
        .collect();
    let mut left: Vec<Option<Prepared>> = placed.into_iter().map(Some).collect();
    let mut ordered = Vec::with_capacity(left.len());
    for n in 0..left.len() {
        let mut open = vec![n];
        while let Some(&n) = open.last() {
            let Some(one) = &left[n] else {
                open.pop();
                continue;
            };
            let from = match one {
                Prepared::Shift { from, .. } => Some(from.to_bytes()),
                _ => None,
            };
            let paths = [path_of(one), from];
            let below = paths.iter().flatten().flat_map(|path| above(path));
            let mut below = below.filter_map(|path| at.get(path).copied());
            let first = below.find(|m| left[*m].is_some() && !open.contains(m));
            if let Some(first) = first {
                open.push(first);
            } else {
                ordered.extend(left[n].take());
                open.pop();
            }
        }
    }
    ordered
}

/// The paths of the directories above a path.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    ends.map(|(end, _)| &path[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::FilePath;

    fn shift(from: &str, to: &str) -> Prepared {
        Prepared::Shift {
            from: FilePath::parse(from.as_bytes()).unwrap(),
            to: FilePath::parse(to.as_bytes()).unwrap(),
        }
    }

    #[test]
    fn what_is_moved_comes_after_where_it_goes_and_where_it_comes_from() {
        // `c` goes below a directory that another move puts in place, and something of it elsewhere.
        let placed = vec![
            shift("d/e/x", "a"),
            shift("c", "d/e"),
            shift("b", "d"),
            shift("y", "d/e/z"),
        ];
        let order: Vec<_> = from_the_root(placed).iter().filter_map(path_of).collect();
        assert_eq!(order, [&b"d"[..], b"d/e", b"a", b"d/e/z"]);
    }
}
