//! Organisations.

use std::fmt;

use mesa_meta::{Key, KeyBuf, Table};
use mesa_types::{Nanos, OrgId, OrgSlug};
use serde::{Deserialize, Serialize};

use super::GLOBAL_SHARD;
use crate::record::Record;

/// The key under which the org's object ids are made: 32 bytes, written as 64 hex digits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkKey(#[serde(with = "crate::record::hex_text")] pub [u8; 32]);

impl fmt::Debug for ChunkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkKey(..)")
    }
}

/// An organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Org {
    /// Identity.
    pub id: OrgId,
    /// Name in paths.
    pub slug: OrgSlug,
    /// Name for people.
    pub name: String,
    /// Key of its object ids.
    pub chunk_key: ChunkKey,
    /// When it was created.
    pub created: Nanos,
}

impl Org {
    /// Where the org with this id is stored.
    pub fn key_of(id: &OrgId) -> Key {
        KeyBuf::new(GLOBAL_SHARD).text("o").text(id.as_str()).into()
    }
}

impl Record for Org {
    const TABLE: Table = Table::Orgs;
    const NAME: &'static str = "org";

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }
}

/// Which org has a slug.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrgSlugRow {
    /// The slug.
    pub slug: OrgSlug,
    /// The org.
    pub org: OrgId,
}

impl OrgSlugRow {
    /// Where the row of this slug is stored.
    pub fn key_of(slug: &OrgSlug) -> Key {
        KeyBuf::new(GLOBAL_SHARD)
            .text("s")
            .text(slug.as_str())
            .into()
    }
}

impl Record for OrgSlugRow {
    const TABLE: Table = Table::Orgs;
    const NAME: &'static str = "org slug";

    fn key(&self) -> Key {
        Self::key_of(&self.slug)
    }
}
