//! API keys. The secret itself is never stored.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use mesa_meta::{Key, KeyBuf, Table};
use mesa_types::{KeyId, Nanos, OrgId, RepoId};
use serde::{Deserialize, Serialize};

use super::{GLOBAL_SHARD, scope::Scopes};
use crate::record::Record;

/// Finds a key, verifies nothing: SHA-256 over `mesa key lookup v1`, a NUL and the key's text; of a
/// signing key, over `mesa signing key lookup v1`, a NUL, the org's slug, a NUL and the public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LookupHash(#[serde(with = "crate::record::hex_text")] pub [u8; 32]);

impl fmt::Debug for LookupHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LookupHash(..)")
    }
}

/// The verifier, encrypted under the server key (layout: [`crate::auth::server_key`]), in hex.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedVerifier(#[serde(with = "crate::record::hex_text")] pub Vec<u8>);

impl fmt::Debug for SealedVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedVerifier(..)")
    }
}

/// The public half of an Ed25519 key whose private half signs access tokens, in hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PublicKey(#[serde(with = "crate::record::hex_text")] pub [u8; 32]);

/// An API key, or a signing key: those have a public key in place of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Public identity.
    pub id: KeyId,
    /// The org it belongs to.
    pub org: OrgId,
    /// Name for people.
    pub name: Option<String>,
    /// Finds the key by its secret.
    pub lookup: LookupHash,
    /// Verifies the secret and tokens signed with it; empty for a signing key.
    pub verifier: SealedVerifier,
    /// What it permits.
    pub scopes: Scopes,
    /// The repos it sees; `None` = all of the org.
    pub repos: Option<BTreeSet<RepoId>>,
    /// Labels.
    pub tags: BTreeMap<String, String>,
    /// May also manage orgs (the key made at the server's first start).
    #[serde(default)]
    pub operator: bool,
    /// When it was created.
    pub created: Nanos,
    /// The key that created it.
    pub created_by: Option<KeyId>,
    /// When it ends.
    pub expires: Option<Nanos>,
    /// When it was revoked.
    pub revoked: Option<Nanos>,
    /// What verifies the tokens of a signing key; `None` for an API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<PublicKey>,
}

impl ApiKey {
    /// Where the key with this id is stored.
    pub fn key_of(org: &OrgId, id: &KeyId) -> Key {
        KeyBuf::new(org.as_str()).text("k").text(id.as_str()).into()
    }

    /// What every key's row of an org begins with.
    pub fn prefix(org: &OrgId) -> Key {
        KeyBuf::new(org.as_str()).text("k").into()
    }
}

impl Record for ApiKey {
    const TABLE: Table = Table::Keys;
    const NAME: &'static str = "API key";

    fn key(&self) -> Key {
        Self::key_of(&self.org, &self.id)
    }
}

/// When a key was last used, to about a minute; apart from [`ApiKey`] so that uses never make a
/// change of the key lose its compare-and-swap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// The org.
    pub org: OrgId,
    /// The key.
    pub id: KeyId,
    /// The use.
    pub last_used: Nanos,
}

impl KeyUse {
    /// Where the uses of a key are stored.
    pub fn key_of(org: &OrgId, id: &KeyId) -> Key {
        KeyBuf::new(org.as_str()).text("u").text(id.as_str()).into()
    }
}

impl Record for KeyUse {
    const TABLE: Table = Table::Keys;
    const NAME: &'static str = "key use";

    fn key(&self) -> Key {
        Self::key_of(&self.org, &self.id)
    }
}

/// Leads from a secret's lookup hash to the key. Written before the key's own row: one that leads
/// nowhere is a creation that did not finish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyByLookup {
    /// The hash.
    pub lookup: LookupHash,
    /// The org.
    pub org: OrgId,
    /// The key.
    pub id: KeyId,
}

impl KeyByLookup {
    /// Where the row of this hash is stored.
    pub fn key_of(lookup: &LookupHash) -> Key {
        KeyBuf::new(GLOBAL_SHARD).text("h").fixed(&lookup.0).into()
    }
}

impl Record for KeyByLookup {
    const TABLE: Table = Table::Keys;
    const NAME: &'static str = "key lookup";

    fn key(&self) -> Key {
        Self::key_of(&self.lookup)
    }
}

/// Leads from a key's id to its org, for tokens, which name no org.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyById {
    /// The key.
    pub id: KeyId,
    /// The org.
    pub org: OrgId,
}

impl KeyById {
    /// Where the row of this key is stored.
    pub fn key_of(id: &KeyId) -> Key {
        KeyBuf::new(GLOBAL_SHARD).text("i").text(id.as_str()).into()
    }
}

impl Record for KeyById {
    const TABLE: Table = Table::Keys;
    const NAME: &'static str = "key index";

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }
}
