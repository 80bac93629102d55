//! A server's stores and live layer in memory, with one org.

use std::sync::Arc;

use mesa_head::{Heads, HeadsConfig};
use mesa_meta::MetaStore;
use mesa_repo::{
    Actor, Authenticator, Catalog, Principal, Repo, Scope, Scopes, ServerKey,
    catalog::{NewOrg, NewRepo},
};
use mesa_store::{ObjectStore, PackStore, PackStoreConfig};
use mesa_types::{KeyId, random::SystemRandom, time::Clock};

/// The parts of a server without its edges.
#[derive(Clone)]
pub struct Backend {
    /// Metadata.
    pub meta: Arc<dyn MetaStore>,
    /// Objects.
    pub objects: Arc<dyn ObjectStore>,
    /// Records.
    pub catalog: Catalog,
    /// Live heads.
    pub heads: Heads,
    /// Credentials.
    pub authenticator: Authenticator,
    clock: Arc<dyn Clock>,
    config: HeadsConfig,
}

impl Backend {
    /// A backend over these stores; what they hold stays.
    pub fn over(
        meta: Arc<dyn MetaStore>,
        objects: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        config: HeadsConfig,
    ) -> Self {
        let catalog = Catalog::new(
            Arc::clone(&meta),
            Arc::clone(&clock),
            Arc::new(SystemRandom),
            ServerKey::from_bytes([7; 32]),
        );
        let packs = PackStore::new(
            Arc::clone(&objects),
            Arc::clone(&meta),
            PackStoreConfig::default(),
        );
        Self {
            heads: Heads::new(catalog.clone(), packs, config.clone()),
            authenticator: Authenticator::new(catalog.clone()),
            catalog,
            meta,
            objects,
            clock,
            config,
        }
    }

    /// Everything in memory, with the machine's clock.
    pub fn memory() -> Self {
        Self::over(
            Arc::new(mesa_meta::MemoryStore::new()),
            Arc::new(mesa_store::MemoryStore::new()),
            Arc::new(mesa_types::time::SystemClock),
            HeadsConfig::default(),
        )
    }

    /// The same stores under a new server, as after a crash of the old one. Nothing of the old
    /// one may be used any more.
    #[must_use]
    pub fn restarted(&self) -> Self {
        Self::over(
            Arc::clone(&self.meta),
            Arc::clone(&self.objects),
            Arc::clone(&self.clock),
            self.config.clone(),
        )
    }

    /// Makes an org and answers a principal with these scopes in it. The principal's key has no
    /// record: good for calls of the live layer, not for the authenticator.
    pub async fn org(&self, slug: &str, scopes: &[Scope]) -> Result<Principal, mesa_repo::Error> {
        let slug: mesa_types::OrgSlug = match slug.parse() {
            Ok(slug) => slug,
            Err(error) => panic!("{slug:?} {error}"),
        };
        let new = NewOrg {
            slug: slug.clone(),
            name: None,
        };
        let org = self.catalog.create_org(new, &Actor::server()).await?;
        Ok(Principal {
            org: org.id,
            org_slug: slug,
            key: KeyId::from_unique("test"),
            key_name: None,
            scopes: Scopes::new(scopes.iter().copied()),
            repos: None,
            read_only: std::collections::BTreeSet::new(),
            authors: Vec::new(),
            expires: None,
            token: false,
            operator: false,
        })
    }

    /// Makes a repo.
    pub async fn repo(&self, owner: &Principal, name: &str) -> Result<Repo, mesa_repo::Error> {
        let new = NewRepo {
            name: name.parse().ok(),
            ..NewRepo::default()
        };
        self.catalog
            .create_repo(&owner.org, new, &Actor::server())
            .await
    }
}
