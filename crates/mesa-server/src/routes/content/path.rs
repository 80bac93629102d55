//! Paths within a repo, as requests name them.

use mesa_types::{EntryName, limits};

use crate::error::ApiError;

/// A checked path; without parts it is the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepoPath(Vec<EntryName>);

impl RepoPath {
    /// Reads `a/b`; one slash at the beginning and at the end is allowed.
    pub fn parse(raw: &[u8]) -> Result<Self, ApiError> {
        let wrong =
            |why: String| ApiError::bad_request(format!("the path {why}")).narrowed("INVALID_PATH");
        if raw.len() > limits::PATH_MAX {
            return Err(wrong(format!("is longer than {} bytes", limits::PATH_MAX)));
        }
        let inner = raw.strip_prefix(b"/").unwrap_or(raw);
        let inner = inner.strip_suffix(b"/").unwrap_or(inner);
        if inner.is_empty() {
            return Ok(Self::default());
        }
        inner
            .split(|&b| b == b'/')
            .map(|part| EntryName::new(part).map_err(|e| wrong(format!("has a part that {e}"))))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The names from the root down.
    pub fn parts(&self) -> &[EntryName] {
        &self.0
    }

    /// The raw path without slashes around it.
    pub fn joined(&self) -> Vec<u8> {
        let parts: Vec<_> = self.0.iter().map(EntryName::as_bytes).collect();
        parts.join(&b'/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (text, parts) in [("", 0), ("/", 0), ("a", 1), ("/a/b/", 2), ("a/ b\n", 2)] {
            assert_eq!(
                RepoPath::parse(text.as_bytes()).unwrap().parts().len(),
                parts
            );
        }
        let long = "x".repeat(256);
        let deep = "a/".repeat(2100);
        for bad in ["..", "a/../b", ".", "a//b", "a\0b", &long, &deep] {
            let error = RepoPath::parse(bad.as_bytes()).unwrap_err();
            assert_eq!(error.wire_code(), "INVALID_PATH");
        }
    }
}
