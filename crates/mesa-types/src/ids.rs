//! Identifiers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A text that is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct IdError {
    /// The text as given (cut to 80 characters).
    pub text: String,
    /// What was wanted, as a noun phrase.
    pub expected: &'static str,
}

impl IdError {
    pub(crate) fn new(text: &str, expected: &'static str) -> Self {
        Self {
            text: text.chars().take(80).collect(),
            expected,
        }
    }
}

/// Serialises a type as its text (`Display` and `FromStr`).
macro_rules! serde_as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;

/// The stable identity of a change: 16 random bytes, written as 32 letters `k`..`z`
/// (Jujutsu's reverse hex: digit `d` is the letter `'z' - d`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChangeId(pub [u8; 16]);

impl ChangeId {
    /// The virtual root change: 32 times `z`, an empty tree, parent of every first change.
    pub const ROOT: Self = Self([0; 16]);

    /// Whether this is the virtual root.
    pub fn is_root(&self) -> bool {
        *self == Self::ROOT
    }
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            for digit in [byte >> 4, byte & 15] {
                fmt::Write::write_char(f, char::from(b'z' - digit))?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ChangeId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError::new(text, "a change id (32 letters k..z)");
        let letters = text.as_bytes();
        if letters.len() != 32 || !letters.iter().all(|c| (b'k'..=b'z').contains(c)) {
            return Err(wrong());
        }
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(letters.chunks_exact(2)) {
            *byte = ((b'z' - pair[0]) << 4) | (b'z' - pair[1]);
        }
        Ok(Self(id))
    }
}

/// A git object id (SHA-1, 20 bytes, 40 hex digits).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GitOid(pub [u8; 20]);

impl GitOid {
    /// git's id of the empty blob.
    pub const EMPTY_BLOB: Self = Self([
        0xe6, 0x9d, 0xe2, 0x9b, 0xb2, 0xd1, 0xd6, 0x43, 0x4b, 0x8b, 0x29, 0xae, 0x77, 0x5a, 0xd8,
        0xc2, 0xe4, 0x8c, 0x53, 0x91,
    ]);

    /// git's id of the empty tree.
    pub const EMPTY_TREE: Self = Self([
        0x4b, 0x82, 0x5d, 0xc6, 0x42, 0xcb, 0x6e, 0xb9, 0xa0, 0x60, 0xe5, 0x4b, 0xf8, 0xd6, 0x92,
        0x88, 0xfb, 0xee, 0x49, 0x04,
    ]);
}

impl fmt::Display for GitOid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for GitOid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for GitOid {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut id = [0; 20];
        hex::decode_to_slice(text, &mut id)
            .map_err(|_| IdError::new(text, "a git object id (40 hex digits)"))?;
        Ok(Self(id))
    }
}

serde_as_text!(ChangeId);
serde_as_text!(GitOid);

/// The public id of a commit: the oid of its git projection.
pub type CommitOid = GitOid;

/// The identity of a file, directory or symlink: unique in its repo, never reused, kept across
/// seals, remounts and machines. It is the `st_ino`.
///
/// Layout: bits 40..62 are the repo's tag (random, non-zero, unique in the org, so that two repos
/// in one mount do not share inode numbers), bits 0..40 count up within the repo. `tag << 40 | 1`
/// is the repo's root directory. The two top bits are zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FileId(pub u64);

impl FileId {
    /// Bits of the counter part.
    pub const COUNTER_BITS: u32 = 40;
    /// Largest repo tag (22 bits).
    pub const TAG_MAX: u32 = (1 << 22) - 1;

    /// The root directory of the repo with this tag.
    pub const fn root_of(tag: u32) -> Self {
        Self(((tag as u64) << Self::COUNTER_BITS) | 1)
    }

    /// The tag of the repo this file belongs to.
    pub const fn repo_tag(self) -> u32 {
        (self.0 >> Self::COUNTER_BITS) as u32
    }

    /// Whether this is the root directory of its repo.
    pub const fn is_root(self) -> bool {
        self.0 & ((1 << Self::COUNTER_BITS) - 1) == 1
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:x}", self.0)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &str = $prefix;

            /// An id from its random part.
            pub fn from_unique(unique: &str) -> Self {
                Self(format!("{}{unique}", $prefix))
            }

            /// The whole text, prefix included.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                let tail = text.strip_prefix($prefix);
                let ok = tail.is_some_and(|t| {
                    (1..=64).contains(&t.len())
                        && t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                });
                if ok {
                    Ok(Self(text))
                } else {
                    Err(IdError::new(&text, concat!("an id of the form ", $prefix, "...")))
                }
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// Identity of an organisation, stable across renames.
    OrgId, "org_");
text_id!(
    /// Identity of a repo, stable across renames, never reused.
    RepoId, "repo_");
text_id!(
    /// Public identity of an API key (not the secret).
    KeyId, "key_");
text_id!(
    /// The live state of an open change, never reused.
    HeadId, "head_");
text_id!(
    /// A place that is told of events.
    WebhookId, "wt_");
text_id!(
    /// One event on its way to one webhook target.
    DeliveryId, "dlv_");
text_id!(
    /// One exchange with a repo's upstream.
    SyncId, "sync_");
text_id!(
    /// One read-write attachment of a mount or SDK client to a head.
    SessionId, "ses_");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_id_is_reverse_hex() {
        assert_eq!(ChangeId::ROOT.to_string(), "z".repeat(32));
        let id = ChangeId([0x0f; 16]);
        assert_eq!(id.to_string(), "zk".repeat(16));
        assert_eq!(id.to_string().parse::<ChangeId>(), Ok(id));
        assert!("j".repeat(32).parse::<ChangeId>().is_err());
        assert!("z".repeat(31).parse::<ChangeId>().is_err());
    }

    #[test]
    fn file_id_carries_the_repo_tag() {
        let root = FileId::root_of(7);
        assert!(root.is_root());
        assert_eq!(root.repo_tag(), 7);
        assert!(!FileId(root.0 + 1).is_root());
    }

    #[test]
    fn ids_are_texts_in_json() {
        let id = ChangeId([0x0f; 16]);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<ChangeId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<GitOid>("\"12\"").is_err());
        assert!(serde_json::from_str::<RepoId>("\"key_1\"").is_err());
    }

    #[test]
    fn text_ids_reject_foreign_prefixes() {
        assert!("repo_01AB".parse::<RepoId>().is_ok());
        assert!("key_01AB".parse::<RepoId>().is_err());
        assert!("repo_".parse::<RepoId>().is_err());
        assert!("repo_a/b".parse::<RepoId>().is_err());
    }
}
