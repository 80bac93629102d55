//! API keys.

use std::collections::{BTreeMap, BTreeSet};

use mesa_meta::Batch;
use mesa_types::{KeyId, Nanos, OrgId, RepoId};
use serde_json::json;

use super::{Actor, CAS_ATTEMPTS, Catalog, CatalogEvent};
use crate::{
    auth::{Principal, Secret, Verifier},
    error::Error,
    page::{Page, PageRequest},
    record::{Record, RecordBatch, Versioned},
    records::{
        ApiKey, Scope, Scopes,
        api_key::{KeyById, KeyByLookup, KeyUse, PublicKey},
    },
    tags,
};

/// Shortest and longest life of a key in seconds.
const LIFE_SECS: std::ops::RangeInclusive<u64> = 100..=31_536_000;
const NAME_CHARS_MAX: usize = 200;
const REPOS_MAX: usize = 1000;

/// What a new key needs; everything has a default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewKey {
    /// Name for people.
    pub name: Option<String>,
    /// What it permits; read and write when absent.
    pub scopes: Option<Vec<Scope>>,
    /// The repos it sees; what its creator sees when absent.
    pub repos: Option<Vec<RepoId>>,
    /// Seconds until it ends; never when absent.
    pub expires_in_secs: Option<u64>,
    /// Labels.
    pub tags: BTreeMap<String, String>,
}

/// A key just made, with its text, which is not kept anywhere.
#[derive(Debug, Clone)]
pub struct NewKeySecret {
    /// The record.
    pub key: ApiKey,
    /// The text, to be shown once.
    pub secret: Secret,
}

/// A key in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    /// The record.
    pub key: ApiKey,
    /// When it was last used, to about a minute.
    pub last_used: Option<Nanos>,
}

/// Whether a key works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStatus {
    /// Works.
    Active,
    /// Was revoked.
    Revoked,
    /// Ended without being revoked.
    Expired,
}

/// Which keys are listed; absent fields let all through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Part of the name, without case.
    pub query: Option<String>,
    /// Status.
    pub status: Option<KeyStatus>,
    /// Named among its scopes.
    pub scope: Option<Scope>,
    /// Named among the repos it is restricted to.
    pub repo: Option<RepoId>,
    /// Signing keys instead of API keys.
    pub signing: bool,
}

impl ApiKey {
    /// Whether the key works at this time.
    pub fn status(&self, now: Nanos) -> KeyStatus {
        if self.revoked.is_some() {
            KeyStatus::Revoked
        } else if self.expires.is_some_and(|end| end <= now) {
            KeyStatus::Expired
        } else {
            KeyStatus::Active
        }
    }

    fn passes(&self, filter: &KeyFilter, now: Nanos) -> bool {
        let named = |query: &String| {
            let name = self.name.as_deref().unwrap_or_default().to_lowercase();
            name.contains(&query.to_lowercase())
        };
        filter.query.as_ref().is_none_or(named)
            && filter.status.is_none_or(|s| s == self.status(now))
            && filter
                .scope
                .is_none_or(|s| self.scopes.iter().any(|own| own == s))
            && filter
                .repo
                .as_ref()
                .is_none_or(|r| self.repos.as_ref().is_some_and(|own| own.contains(r)))
    }
}

/// Whether `caller` may manage the key: it reaches nothing that the caller does not see.
fn within(caller: &Principal, key: &ApiKey) -> bool {
    if key.operator && !caller.operator {
        return false;
    }
    match (&caller.repos, &key.repos) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(own), Some(its)) => its.is_subset(own),
    }
}

fn missing() -> Error {
    Error::not_found("API_KEY_NOT_FOUND", "there is no such API key")
}

fn denied(error: &crate::auth::AuthError) -> Error {
    Error::forbidden(error.message.clone())
}

impl Catalog {
    /// Creates a key for a caller with the admin scope. It never exceeds the caller in scopes,
    /// repos or expiry (`Forbidden`).
    pub async fn create_key(
        &self,
        caller: &Principal,
        new: NewKey,
        actor: &Actor,
    ) -> Result<NewKeySecret, Error> {
        let record = self.bounded_key(caller, new).await?;
        let made = self.sealed_key(record, Secret::generate(&**self.random()));
        self.insert_key(&made.key, actor).await?;
        Ok(made)
    }

    /// Registers the public half of a signing key for a caller with the admin scope, within the
    /// same bounds as [`Catalog::create_key`]. Its tokens never exceed it.
    pub async fn create_signing_key(
        &self,
        caller: &Principal,
        new: NewKey,
        public_key: PublicKey,
        actor: &Actor,
    ) -> Result<ApiKey, Error> {
        let mut record = self.bounded_key(caller, new).await?;
        record.public_key = Some(public_key);
        record.lookup = crate::auth::signing_lookup_hash(caller.org_slug.as_str(), &public_key);
        self.insert_key(&record, actor).await?;
        Ok(record)
    }

    /// A new key within what its creator may do; without what proves it.
    async fn bounded_key(&self, caller: &Principal, new: NewKey) -> Result<ApiKey, Error> {
        caller.require(Scope::Admin).map_err(|e| denied(&e))?;
        let scopes = checked_scopes(new.scopes.as_deref())?;
        if scopes.highest() > caller.scopes.highest() {
            return Err(Error::forbidden(
                "a key cannot have more scopes than its creator",
            ));
        }
        let repos = match &new.repos {
            None => caller.repos.clone(),
            Some(ids) => Some(self.checked_repos(caller, ids).await?),
        };
        let expires = self.checked_expiry(new.expires_in_secs)?;
        if let Some(end) = caller.expires
            && expires.is_none_or(|e| e > end)
        {
            let left = Nanos(end.0.saturating_sub(self.now().0)).parts().0.max(0);
            return Err(Error::forbidden(format!(
                "a key cannot outlive its creator: give an expiry of at most {left} seconds"
            )));
        }
        let mut record = self.blank_key(&caller.org, new.name, scopes, &new.tags)?;
        record.repos = repos;
        record.expires = expires;
        record.created_by = Some(caller.key.clone());
        Ok(record)
    }

    /// Makes an admin key of an org without a creator: at the server's first start and for orgs
    /// an operator creates. `secret` is generated when absent.
    pub async fn create_admin_key(
        &self,
        org: &OrgId,
        name: &str,
        operator: bool,
        secret: Option<Secret>,
        actor: &Actor,
    ) -> Result<NewKeySecret, Error> {
        let made = self.new_admin_key(org, name, operator, secret)?;
        self.insert_key(&made.key, actor).await?;
        Ok(made)
    }

    /// The same, not stored yet.
    pub(super) fn new_admin_key(
        &self,
        org: &OrgId,
        name: &str,
        operator: bool,
        secret: Option<Secret>,
    ) -> Result<NewKeySecret, Error> {
        let scopes = Scopes::new([Scope::Read, Scope::Write, Scope::Admin]);
        let mut record = self.blank_key(org, Some(name.to_owned()), scopes, &BTreeMap::new())?;
        record.operator = operator;
        let secret = secret.unwrap_or_else(|| Secret::generate(&**self.random()));
        Ok(self.sealed_key(record, secret))
    }

    /// The keys the caller may manage, in the order they were created.
    pub async fn list_keys(
        &self,
        caller: &Principal,
        filter: &KeyFilter,
        page: &PageRequest,
    ) -> Result<Page<ListedKey>, Error> {
        let now = self.now();
        let keep = |key: &ApiKey| {
            key.public_key.is_some() == filter.signing
                && within(caller, key)
                && key.passes(filter, now)
        };
        let page = self.page(&ApiKey::prefix(&caller.org), page, keep).await?;
        let uses: Vec<_> = page
            .items
            .iter()
            .map(|r| KeyUse::key_of(&r.org, &r.id))
            .collect();
        let mut uses = self.read_many::<KeyUse>(&uses).await?.into_iter();
        Ok(page.map(|r| ListedKey {
            key: r.record,
            last_used: uses.next().flatten().map(|u| u.record.last_used),
        }))
    }

    /// A key the caller may manage.
    pub async fn key(&self, caller: &Principal, id: &KeyId) -> Result<Versioned<ApiKey>, Error> {
        self.read::<ApiKey>(&ApiKey::key_of(&caller.org, id))
            .await?
            .filter(|r| within(caller, r))
            .ok_or_else(missing)
    }

    /// Revokes a key: it and its tokens are refused from the moment this returns. Revoking again
    /// changes nothing.
    pub async fn revoke_key(
        &self,
        caller: &Principal,
        id: &KeyId,
        actor: &Actor,
    ) -> Result<(), Error> {
        for attempt in 0..CAS_ATTEMPTS {
            let _turn = self.turn(attempt, id).await;
            let read = self.key(caller, id).await?;
            if self.revoke_in(&read, actor).await? {
                return Ok(());
            }
        }
        Err(Error::contended())
    }

    /// One attempt to revoke a key as read.
    pub(crate) async fn revoke_in(
        &self,
        read: &Versioned<ApiKey>,
        actor: &Actor,
    ) -> Result<bool, Error> {
        if read.revoked.is_some() {
            return Ok(true);
        }
        let next = ApiKey {
            revoked: Some(self.now()),
            ..read.record.clone()
        };
        let mut batch = Batch::new();
        batch.replace_record(&next, read.version);
        let action = if next.public_key.is_some() {
            "signing_key.revoke"
        } else {
            "api_key.revoke"
        };
        self.audit(
            &mut batch,
            &next.org,
            actor,
            action,
            next.id.as_str(),
            json!({}),
        );
        let done = self.commit(batch).await;
        // Also after a failure: the batch may have been applied.
        self.key_cache().invalidate(&next.id);
        if done? {
            self.announce(CatalogEvent::KeyRevoked {
                org: next.org,
                key: next.id,
            });
            return Ok(true);
        }
        Ok(false)
    }

    /// Sets or removes labels of a key; answers all of them.
    pub async fn update_key_tags(
        &self,
        caller: &Principal,
        id: &KeyId,
        patch: &BTreeMap<String, Option<String>>,
        actor: &Actor,
    ) -> Result<BTreeMap<String, String>, Error> {
        for attempt in 0..CAS_ATTEMPTS {
            let _turn = self.turn(attempt, id).await;
            let read = self.key(caller, id).await?;
            let mut next = read.record.clone();
            tags::patch(&mut next.tags, patch)?;
            if next == read.record {
                return Ok(next.tags);
            }
            let mut batch = Batch::new();
            batch.replace_record(&next, read.version);
            let detail = json!({"tags": next.tags});
            self.audit(
                &mut batch,
                &next.org,
                actor,
                "api_key.update",
                id.as_str(),
                detail,
            );
            if self.commit(batch).await? {
                self.key_cache().invalidate(id);
                return Ok(next.tags);
            }
        }
        Err(Error::contended())
    }

    fn blank_key(
        &self,
        org: &OrgId,
        name: Option<String>,
        scopes: Scopes,
        labels: &BTreeMap<String, String>,
    ) -> Result<ApiKey, Error> {
        if name
            .as_ref()
            .is_some_and(|n| n.chars().count() > NAME_CHARS_MAX)
        {
            return Err(Error::invalid(
                "INVALID_KEY_NAME",
                format!("a key's name must have at most {NAME_CHARS_MAX} characters"),
            ));
        }
        Ok(ApiKey {
            id: KeyId::from_unique(&self.unique()),
            org: org.clone(),
            name,
            lookup: crate::records::api_key::LookupHash([0; 32]),
            verifier: crate::records::api_key::SealedVerifier(Vec::new()),
            scopes,
            repos: None,
            tags: tags::checked(labels)?,
            operator: false,
            created: self.now(),
            created_by: None,
            expires: None,
            revoked: None,
            public_key: None,
        })
    }

    fn sealed_key(&self, mut record: ApiKey, secret: Secret) -> NewKeySecret {
        let verifier = Verifier::of(secret.expose());
        record.lookup = crate::auth::lookup_hash(secret.expose());
        record.verifier = self
            .server_key()
            .seal(&record.id, &verifier, &**self.random());
        NewKeySecret {
            key: record,
            secret,
        }
    }

    /// Stores a key: what leads to it, in the global shard, and then its own row.
    async fn insert_key(&self, record: &ApiKey, actor: &Actor) -> Result<(), Error> {
        // One creation at a time: what another one left half done is then known to be abandoned.
        let _turn = self.turn(1, record.lookup.0).await;
        self.free_abandoned(record).await?;
        let mut index = Batch::new();
        Self::add_key_index(&mut index, record);
        if !self.commit(index).await? {
            return Err(Error::new(
                crate::error::ErrorKind::Exists,
                "API_KEY_EXISTS",
                "this key exists already",
            ));
        }
        let mut batch = Batch::new();
        self.add_key(&mut batch, record, actor);
        if self.commit(batch).await? {
            Ok(())
        } else {
            Err(Error::contended())
        }
    }

    /// Frees the lookup hash of a key whose creation was cut off before its own row: a public key
    /// is registered again with the same one.
    async fn free_abandoned(&self, record: &ApiKey) -> Result<(), Error> {
        let lookup = KeyByLookup::key_of(&record.lookup);
        let Some(found) = self.read::<KeyByLookup>(&lookup).await? else {
            return Ok(());
        };
        let key = ApiKey::key_of(&found.org, &found.id);
        if self.read::<ApiKey>(&key).await?.is_some() {
            return Ok(());
        }
        let mut free = Batch::new();
        free.remove_record(&found)
            .delete(KeyById::TABLE, KeyById::key_of(&found.id));
        // Lost to nobody but another server, which then has it: the insertion tells.
        self.commit(free).await?;
        Ok(())
    }

    /// Adds what leads to a key; all of it is in the global shard.
    pub(super) fn add_key_index(batch: &mut Batch, record: &ApiKey) {
        batch
            .insert_record(&KeyByLookup {
                lookup: record.lookup,
                org: record.org.clone(),
                id: record.id.clone(),
            })
            .insert_record(&KeyById {
                id: record.id.clone(),
                org: record.org.clone(),
            });
    }

    /// Adds a key's own row.
    pub(super) fn add_key(&self, batch: &mut Batch, record: &ApiKey, actor: &Actor) {
        batch.insert_record(record);
        let detail = json!({
            "scopes": record.scopes, "repo_ids": record.repos, "expires": record.expires,
        });
        let action = if record.public_key.is_some() {
            "signing_key.create"
        } else {
            "api_key.create"
        };
        self.audit(
            batch,
            &record.org,
            actor,
            action,
            record.id.as_str(),
            detail,
        );
    }

    fn checked_expiry(&self, secs: Option<u64>) -> Result<Option<Nanos>, Error> {
        match secs {
            None => Ok(None),
            Some(secs) if LIFE_SECS.contains(&secs) => {
                let life = i64::try_from(secs)
                    .unwrap_or(i64::MAX)
                    .saturating_mul(1_000_000_000);
                Ok(Some(Nanos(self.now().0.saturating_add(life))))
            }
            Some(_) => Err(Error::invalid(
                "INVALID_EXPIRY",
                format!(
                    "expires_in_seconds must be from {} to {}",
                    LIFE_SECS.start(),
                    LIFE_SECS.end()
                ),
            )),
        }
    }

    /// Checks that ids name repos the caller sees.
    pub(super) async fn checked_repos(
        &self,
        caller: &Principal,
        ids: &[RepoId],
    ) -> Result<BTreeSet<RepoId>, Error> {
        let invalid = |message: String| Error::invalid("INVALID_REPO_IDS", message);
        if ids.is_empty() || ids.len() > REPOS_MAX {
            return Err(invalid(format!(
                "repo_ids must name 1 to {REPOS_MAX} repos"
            )));
        }
        for id in ids {
            let living = self
                .repo(&caller.org, id)
                .await?
                .is_some_and(|r| r.deleted.is_none());
            // A repo the caller does not see is as unknown to it as one that does not exist.
            if !living || !caller.sees(id) {
                return Err(invalid(format!("there is no repo '{id}'")));
            }
        }
        Ok(ids.iter().cloned().collect())
    }
}

fn checked_scopes(scopes: Option<&[Scope]>) -> Result<Scopes, Error> {
    match scopes {
        None => Ok(Scopes::standard()),
        Some([]) => Err(Error::invalid(
            "INVALID_SCOPES",
            "scopes must name at least one scope",
        )),
        Some(some) => Ok(Scopes::new(some.iter().copied())),
    }
}
