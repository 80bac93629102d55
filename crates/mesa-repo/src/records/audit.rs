//! The audit log: written in the batch that makes the change it tells of.

use mesa_meta::{Key, KeyBuf, Table};
use mesa_types::{KeyId, Nanos, OrgId};
use serde::{Deserialize, Serialize};

use super::GLOBAL_SHARD;
use crate::record::Record;

/// One change of state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// The org; `None` = the server.
    pub org: Option<OrgId>,
    /// Place in the order: a ULID, ascending.
    pub id: String,
    /// When.
    pub at: Nanos,
    /// Who: the key; `None` = the server itself.
    pub key: Option<KeyId>,
    /// From where: the client's address or `server`.
    pub source: String,
    /// The request it was part of; may be empty.
    pub request: String,
    /// What: `<noun>.<verb>`, e.g. `repo.create`.
    pub action: String,
    /// The id of what it was done to.
    pub target: String,
    /// More about it, without secrets and content.
    #[serde(default)]
    pub detail: serde_json::Value,
}

impl Audit {
    /// What every audit row of an org begins with.
    pub fn prefix(org: Option<&OrgId>) -> Key {
        KeyBuf::new(org.map_or(GLOBAL_SHARD, OrgId::as_str)).into()
    }
}

impl Record for Audit {
    const TABLE: Table = Table::Audit;
    const NAME: &'static str = "audit record";

    fn key(&self) -> Key {
        KeyBuf::new(self.org.as_ref().map_or(GLOBAL_SHARD, OrgId::as_str))
            .text(&self.id)
            .into()
    }
}
