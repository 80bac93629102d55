//! Scopes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A permission; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Clone, read, list.
    Read,
    /// Everything that changes repos and their content.
    Write,
    /// API keys and the org's settings.
    Admin,
}

impl Scope {
    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a scope is one of read, write, admin")]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        match text {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            "admin" => Ok(Self::Admin),
            _ => Err(UnknownScope),
        }
    }
}

/// A set of scopes as it was asked for, ascending and without repeats. What it permits is its
/// highest member and everything below that.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// A set.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let mut scopes: Vec<_> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }

    /// What a key gets that asks for nothing: read and write.
    pub fn standard() -> Self {
        Self::new([Scope::Read, Scope::Write])
    }

    /// The highest member.
    pub fn highest(&self) -> Option<Scope> {
        self.0.last().copied()
    }

    /// Whether the set permits what needs `scope`.
    pub fn allow(&self, scope: Scope) -> bool {
        self.highest() >= Some(scope)
    }

    /// The set lowered so that it permits nothing that `limit` does not.
    #[must_use]
    pub fn clamped_to(&self, limit: &Self) -> Self {
        match limit.highest() {
            Some(top) => Self::new(self.0.iter().map(|&s| s.min(top))),
            None => Self::default(),
        }
    }

    /// The members, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_scopes_include_lower_ones() {
        let write = Scopes::new([Scope::Write]);
        assert!(write.allow(Scope::Read) && write.allow(Scope::Write));
        assert!(!write.allow(Scope::Admin));
        assert!(!Scopes::default().allow(Scope::Read));
    }

    #[test]
    fn clamping_never_raises() {
        let all = [
            vec![],
            vec![Scope::Read],
            vec![Scope::Read, Scope::Write],
            vec![Scope::Admin],
        ];
        for asked in &all {
            for limit in &all {
                let (asked, limit) = (Scopes::new(asked.clone()), Scopes::new(limit.clone()));
                let got = asked.clamped_to(&limit);
                assert!(got.highest() <= asked.highest());
                assert!(got.highest() <= limit.highest());
            }
        }
    }
}
