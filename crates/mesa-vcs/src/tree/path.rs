//! Paths from the root of a tree.

use std::fmt;

use mesa_types::EntryName;

/// Names joined by `/`, without a leading one; empty for the root. Any bytes, as names are.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct TreePath(Vec<u8>);

impl TreePath {
    /// The root.
    pub fn root() -> Self {
        Self::default()
    }

    /// From names joined by `/`; `None` if one of them is no entry's name.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let names = bytes.split(|&b| b == b'/');
        let valid = bytes.is_empty() || names.clone().all(|name| EntryName::new(name).is_ok());
        valid.then(|| Self(bytes.to_vec()))
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// An entry of this directory.
    #[must_use]
    pub fn join(&self, name: &EntryName) -> Self {
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.as_bytes().len());
        if !self.is_root() {
            bytes.extend_from_slice(&self.0);
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name.as_bytes());
        Self(bytes)
    }

    /// The names from the root down.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|name| !name.is_empty())
    }

    /// The directory this stands in; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|&b| b == b'/').unwrap_or(0);
        Some(Self(self.0[..end].to_vec()))
    }

    /// The last name; empty for the root.
    pub fn name(&self) -> &[u8] {
        let start = self
            .0
            .iter()
            .rposition(|&b| b == b'/')
            .map_or(0, |at| at + 1);
        &self.0[start..]
    }

    /// Whether this is `above` or stands below it.
    pub fn is_within(&self, above: &Self) -> bool {
        above.is_root()
            || self
                .0
                .strip_prefix(&above.0[..])
                .is_some_and(|rest| rest.first().is_none_or(|&b| b == b'/'))
    }
}

/// By names, so that everything below a directory follows it at once.
impl Ord for TreePath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.names().cmp(other.names())
    }
}

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text.as_bytes()).expect("a path")
    }

    #[test]
    fn what_is_below_follows_its_directory() {
        let mut paths = ["a.b", "a/b", "a", "a-b", "b"].map(path);
        paths.sort();
        assert_eq!(paths, ["a", "a/b", "a-b", "a.b", "b"].map(path));
    }

    #[test]
    fn paths_come_apart() {
        assert_eq!(path("a/b").parent(), Some(path("a")));
        assert_eq!(path("a").parent(), Some(TreePath::root()));
        assert_eq!(TreePath::root().parent(), None);
        assert_eq!(path("a/b").name(), b"b");
        assert!(path("a/b").is_within(&path("a")));
        assert!(path("a/b").is_within(&TreePath::root()));
        assert!(!path("ab").is_within(&path("a")));
        assert_eq!(TreePath::new(b"a//b"), None);
        assert_eq!(TreePath::new(b"../b"), None);
    }
}
