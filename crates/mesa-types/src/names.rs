//! Names that people and programs choose, with their rules.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// No characters at all.
    #[error("is empty")]
    Empty,
    /// Longer than allowed.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// Has a character outside the allowed set.
    #[error("has a character that is not allowed here")]
    Character,
    /// Is a word the service keeps for itself.
    #[error("is a reserved word")]
    Reserved,
}

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                $check(&text)?;
                Ok(Self(text))
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

text_name!(
    /// An organisation's slug: `^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`, at most 64 bytes, not one of the
    /// server's own first path segments.
    OrgSlug, check_org);
text_name!(
    /// A repo's name: `^[A-Za-z0-9._-]{1,100}$`, not `.`, `..`, ending in `.git` or a route word.
    RepoName, check_repo);
text_name!(
    /// A bookmark's name: a valid git branch name (`git check-ref-format --branch`), at most
    /// 200 bytes.
    BookmarkName, check_bookmark);

/// First path segments the server uses itself.
const ORG_RESERVED: &[&str] = &[
    "whoami", "admin", "healthz", "readyz", "metrics", "mcp", "install", "download", "v1",
    "console", "assets", "openapi", "docs", "login", "static", "api",
];

/// Second path segments that are routes, compared without case.
const REPO_RESERVED: &[&str] = &[
    "repo",
    "repos",
    "api-key",
    "api-keys",
    "webhook-target",
    "webhook-targets",
    "signing-key",
    "signing-keys",
    "audit",
    "members",
];

fn check_org(text: &str) -> Result<(), NameError> {
    length(text, 64)?;
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !text.bytes().all(allowed) || text.starts_with('-') || text.ends_with('-') {
        return Err(NameError::Character);
    }
    if ORG_RESERVED.contains(&text) {
        Err(NameError::Reserved)
    } else {
        Ok(())
    }
}

fn check_repo(text: &str) -> Result<(), NameError> {
    length(text, 100)?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if !text.bytes().all(allowed) {
        return Err(NameError::Character);
    }
    let lower = text.to_ascii_lowercase();
    let reserved = matches!(text, "." | "..")
        || lower.strip_suffix(".git").is_some()
        || REPO_RESERVED.contains(&lower.as_str());
    if reserved {
        Err(NameError::Reserved)
    } else {
        Ok(())
    }
}

fn check_bookmark(text: &str) -> Result<(), NameError> {
    length(text, 200)?;
    let bad_byte = |b: u8| {
        b <= b' ' || b == 0x7f || matches!(b, b'~' | b'^' | b':' | b'?' | b'*' | b'[' | b'\\')
    };
    let bad_part = |part: &str| {
        part.is_empty()
            || part.starts_with('.')
            || std::path::Path::new(part)
                .extension()
                .is_some_and(|e| e == "lock")
    };
    let wrong = text.bytes().any(bad_byte)
        || text.contains("..")
        || text.contains("@{")
        || text.starts_with('-')
        || text.ends_with('.')
        || text.split('/').any(bad_part);
    if wrong {
        return Err(NameError::Character);
    }
    if matches!(text, "@" | "HEAD") {
        Err(NameError::Reserved)
    } else {
        Ok(())
    }
}

fn length(text: &str, max: usize) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        n if n > max => Err(NameError::TooLong(max)),
        _ => Ok(()),
    }
}

/// The name of a directory entry: 1..=255 raw bytes, no `/`, no NUL, not `.` or `..`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryName(Box<[u8]>);

impl EntryName {
    /// Longest name in bytes.
    pub const LEN_MAX: usize = 255;

    /// Checks and takes a name.
    pub fn new(name: impl Into<Box<[u8]>>) -> Result<Self, NameError> {
        let name = name.into();
        Self::check(&name)?;
        Ok(Self(name))
    }

    /// Checks a name without taking it.
    pub fn check(name: &[u8]) -> Result<(), NameError> {
        match name {
            [] => Err(NameError::Empty),
            b"." | b".." => Err(NameError::Reserved),
            n if n.len() > Self::LEN_MAX => Err(NameError::TooLong(Self::LEN_MAX)),
            n if n.iter().any(|&b| b == b'/' || b == 0) => Err(NameError::Character),
            _ => Ok(()),
        }
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::borrow::Borrow<[u8]> for EntryName {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn org_slugs() {
        for good in ["a", "my-org", "0x", "acme"] {
            assert!(good.parse::<OrgSlug>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a/b", "whoami", "..", "é"] {
            assert!(bad.parse::<OrgSlug>().is_err(), "{bad}");
        }
    }

    #[test]
    fn repo_names() {
        for good in ["a", "Agent.Workspace_1", "x".repeat(100).as_str()] {
            assert!(good.parse::<RepoName>().is_ok(), "{good}");
        }
        for bad in [
            "", ".", "..", "a.git", "a.GIT", "Repos", "api-keys", "a/b", "a b",
        ] {
            assert!(bad.parse::<RepoName>().is_err(), "{bad}");
        }
        assert!("x".repeat(101).parse::<RepoName>().is_err());
    }

    #[test]
    fn bookmark_names() {
        for good in ["main", "feature/x", "recovered/ses_1-2", "é"] {
            assert!(good.parse::<BookmarkName>().is_ok(), "{good}");
        }
        for bad in [
            "", "a..b", "/a", "a/", "a//b", "a.lock", ".a", "a b", "a~", "@", "a@{b", "-a",
        ] {
            assert!(bad.parse::<BookmarkName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn entry_names() {
        assert!(EntryName::new(*b"\xff\n").is_ok());
        for bad in [&b""[..], b".", b"..", b"a/b", b"a\0b", &[b'x'; 256]] {
            assert!(EntryName::new(bad).is_err());
        }
    }
}
