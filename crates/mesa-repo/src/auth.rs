//! Who is calling, and what they may do.

pub(crate) mod cache;
mod error;
mod principal;
mod secret;
pub mod server_key;
mod token;
mod verifier;

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};

use mesa_meta::Batch;
use mesa_types::{KeyId, Nanos, RepoId, RepoName};

pub(crate) use self::verifier::{lookup_hash, signing_lookup_hash};
use self::{
    cache::{CachedKey, Proof},
    token::{Claims, Grant, Signer, Token},
};
pub use self::{
    error::{AuthError, AuthErrorKind},
    principal::{Author, Principal},
    secret::Secret,
    server_key::{ServerKey, ServerKeyError},
    verifier::Verifier,
};
use crate::{
    catalog::Catalog,
    record::RecordBatch,
    records::{
        ApiKey,
        api_key::{KeyById, KeyByLookup, KeyUse, LookupHash},
        repo::RepoByName,
    },
};

/// Longest credential looked at, in bytes.
pub const BEARER_LEN_MAX: usize = 16 * 1024;
/// How old a key's recorded last use gets before it is written again.
const USE_GRANULARITY: Nanos = Nanos(60 * 1_000_000_000);

/// Turns bearer credentials into principals.
#[derive(Debug, Clone)]
pub struct Authenticator {
    catalog: Catalog,
}

impl Authenticator {
    /// An authenticator over a catalog's keys.
    pub fn new(catalog: Catalog) -> Self {
        Self { catalog }
    }

    /// Checks an API key or access token, given without `Bearer `.
    pub async fn authenticate(&self, bearer: &str, now: Nanos) -> Result<Principal, AuthError> {
        if bearer.is_empty() {
            return Err(AuthErrorKind::Missing.into());
        }
        if bearer.len() > BEARER_LEN_MAX || !bearer.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(AuthError::malformed(
                "this is neither an API key nor an access token",
            ));
        }
        let principal = if bearer.starts_with("mesa_private_key_") {
            return Err(AuthError::malformed(
                "a private key signs access tokens, it is never sent itself",
            ));
        } else if bearer.starts_with(Secret::PREFIX) {
            self.by_key(bearer, now).await?
        } else if bearer.split('.').count() == 3 {
            self.by_token(bearer, now).await?
        } else {
            return Err(AuthError::malformed(
                "this is neither an API key nor an access token",
            ));
        };
        Ok(principal)
    }

    /// Checks a principal again, for connections that live longer than a request: revoked or
    /// expired credentials fail, and what the key has lost since is lost to the answer too.
    pub async fn recheck(&self, held: &Principal, now: Nanos) -> Result<Principal, AuthError> {
        let key = self.key(&held.key, now).await?;
        valid(&key.record, now)?;
        if held.expires.is_some_and(|end| end <= now) {
            return Err(AuthErrorKind::Expired.into());
        }
        let fresh = principal(&key);
        Ok(Principal {
            scopes: held.scopes.clamped_to(&fresh.scopes),
            repos: narrowed(fresh.repos, held.repos.clone()),
            expires: sooner(fresh.expires, held.expires),
            token: held.token,
            operator: held.operator && fresh.operator,
            read_only: held.read_only.clone(),
            authors: held.authors.clone(),
            ..fresh
        })
    }

    async fn by_key(&self, bearer: &str, now: Nanos) -> Result<Principal, AuthError> {
        let lookup = lookup_hash(bearer);
        let key = self.key_by_lookup(&lookup, now).await?;
        match &key.proof {
            Proof::Secret(verifier) if verifier.accepts(bearer) => {}
            _ => return Err(AuthErrorKind::Unknown.into()),
        }
        valid(&key.record, now)?;
        self.note_use(&key, now).await;
        Ok(principal(&key))
    }

    async fn by_token(&self, bearer: &str, now: Nanos) -> Result<Principal, AuthError> {
        let token = Token::parse(bearer)?;
        let (key, claims) = self.signer(&token, now).await?;
        valid(&key.record, now)?;
        let grant = claims.grant(now)?;
        let (repos, read_only) = self.granted_repos(&key, &grant).await?;
        self.note_use(&key, now).await;
        let whole = principal(&key);
        Ok(Principal {
            scopes: grant.scopes.clamped_to(&whole.scopes),
            repos: narrowed(whole.repos, repos),
            expires: sooner(whole.expires, Some(grant.expires)),
            token: true,
            operator: false,
            read_only,
            authors: grant.authors,
            ..whole
        })
    }

    /// The key that signed a token, and what it says.
    async fn signer(
        &self,
        token: &Token<'_>,
        now: Nanos,
    ) -> Result<(Arc<CachedKey>, Claims), AuthError> {
        match token.signer() {
            Signer::Secret(id) => {
                let key = self.key(id, now).await?;
                let Proof::Secret(verifier) = &key.proof else {
                    return Err(AuthErrorKind::Unknown.into());
                };
                let claims = token.verified(verifier)?;
                Ok((key, claims))
            }
            Signer::Public(public) => {
                // The signature first: an org is only looked for by those who can sign.
                let (org, claims) = token.self_signed(public)?;
                let lookup = signing_lookup_hash(&org, public);
                let key = self.key_by_lookup(&lookup, now).await?;
                let registered = matches!(&key.proof, Proof::Public(own) if own == public);
                if !registered || key.org_slug.as_str() != org {
                    return Err(AuthErrorKind::Unknown.into());
                }
                Ok((key, claims))
            }
        }
    }

    async fn key_by_lookup(
        &self,
        lookup: &LookupHash,
        now: Nanos,
    ) -> Result<Arc<CachedKey>, AuthError> {
        if let Some(key) = self.catalog.key_cache().by_lookup(lookup, now) {
            return Ok(key);
        }
        let row = self
            .catalog
            .read::<KeyByLookup>(&KeyByLookup::key_of(lookup))
            .await?
            .ok_or(AuthErrorKind::Unknown)?;
        self.key(&row.record.id, now).await
    }

    /// The repos a token is for (`None` = no restriction), and those of them it may only read.
    /// Names that do not exist, or of other orgs, stand for nothing.
    async fn granted_repos(
        &self,
        key: &CachedKey,
        grant: &Grant,
    ) -> Result<(Option<BTreeSet<RepoId>>, BTreeSet<RepoId>), AuthError> {
        let Some(named) = &grant.repos else {
            return Ok((grant.repo_ids.clone(), BTreeSet::new()));
        };
        let (mut keys, mut read_only) = (Vec::new(), Vec::new());
        for repo in named {
            let parts = repo.name.split_once('/');
            let name = parts.filter(|(org, _)| *org == key.org_slug.as_str());
            if let Some(Ok(name)) = name.map(|(_, name)| name.parse::<RepoName>()) {
                keys.push(RepoByName::key_of(&key.record.org, &name));
                read_only.push(repo.read_only);
            }
        }
        let rows = self.catalog.read_many::<RepoByName>(&keys).await?;
        let (mut ids, mut only_read) = (BTreeSet::new(), BTreeSet::new());
        for (row, read_only) in rows.into_iter().zip(read_only) {
            let Some(row) = row else { continue };
            if read_only {
                only_read.insert(row.record.repo.clone());
            }
            ids.insert(row.record.repo);
        }
        Ok((narrowed(Some(ids), grant.repo_ids.clone()), only_read))
    }

    /// The key with this id, from the cache if it is fresh there.
    async fn key(&self, id: &KeyId, now: Nanos) -> Result<Arc<CachedKey>, AuthError> {
        let cache = self.catalog.key_cache();
        if let Some(key) = cache.by_id(id, now) {
            return Ok(key);
        }
        let generation = cache.generation();
        let index = self
            .catalog
            .read::<KeyById>(&KeyById::key_of(id))
            .await?
            .ok_or(AuthErrorKind::Unknown)?;
        let org = index.record.org;
        let record = self
            .catalog
            .read::<ApiKey>(&ApiKey::key_of(&org, id))
            .await?
            .ok_or(AuthErrorKind::Unknown)?
            .record;
        let used = self
            .catalog
            .read::<KeyUse>(&KeyUse::key_of(&org, id))
            .await?;
        let org_slug = self
            .catalog
            .org(&org)
            .await?
            .ok_or(AuthErrorKind::Unknown)?
            .slug;
        let proof = if let Some(public) = record.public_key {
            Proof::Public(public)
        } else {
            let opened = self.catalog.server_key().open(&record.id, &record.verifier);
            Proof::Secret(opened.map_err(AuthError::internal)?)
        };
        let key = Arc::new(CachedKey {
            record,
            org_slug,
            proof,
            last_used: used.map_or(i64::MIN, |u| u.record.last_used.0).into(),
            loaded: now,
        });
        cache.insert(Arc::clone(&key), generation);
        Ok(key)
    }

    /// Records the use, at most once a minute for each key. A failure is logged only: it must not
    /// keep anybody out.
    async fn note_use(&self, key: &CachedKey, now: Nanos) {
        let last = key.last_used.load(Ordering::Relaxed);
        let due = now.0.saturating_sub(last) >= USE_GRANULARITY.0;
        let first = || {
            key.last_used
                .compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        if !due || !first() {
            return;
        }
        let mut batch = Batch::new();
        batch.put_record(&KeyUse {
            org: key.record.org.clone(),
            id: key.record.id.clone(),
            last_used: now,
        });
        if let Err(error) = self.catalog.meta().commit(batch).await {
            tracing::warn!(key = %key.record.id, %error, "last use of a key not recorded");
        }
    }
}

fn principal(key: &CachedKey) -> Principal {
    let record = &key.record;
    Principal {
        org: record.org.clone(),
        org_slug: key.org_slug.clone(),
        key: record.id.clone(),
        key_name: record.name.clone(),
        scopes: record.scopes.clone(),
        repos: record.repos.clone(),
        read_only: BTreeSet::new(),
        authors: Vec::new(),
        expires: record.expires,
        token: false,
        operator: record.operator,
    }
}

fn valid(key: &ApiKey, now: Nanos) -> Result<(), AuthError> {
    if key.revoked.is_some() {
        return Err(AuthErrorKind::Revoked.into());
    }
    if key.expires.is_some_and(|end| end <= now) {
        return Err(AuthErrorKind::Expired.into());
    }
    Ok(())
}

/// What both restrictions allow; `None` = everything.
fn narrowed<T: Ord>(a: Option<BTreeSet<T>>, b: Option<BTreeSet<T>>) -> Option<BTreeSet<T>> {
    match (a, b) {
        (Some(mut a), Some(b)) => {
            a.retain(|x| b.contains(x));
            Some(a)
        }
        (a, b) => a.or(b),
    }
}

fn sooner(a: Option<Nanos>, b: Option<Nanos>) -> Option<Nanos> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
