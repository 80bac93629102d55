//! A catalog with an org, an admin and a clock that the test moves.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use mesa_meta::{MemoryStore, MetaStore};
use mesa_repo::{
    Actor, ApiKey, Authenticator, Catalog, Org, PageRequest, Principal, Repo, Secret, ServerKey,
    catalog::{NewKey, NewKeySecret, NewOrg, NewRepo},
};
use mesa_types::{Nanos, RepoId, random::SeededRandom, time::Clock};

pub const SECOND: i64 = 1_000_000_000;

#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    pub fn advance_secs(&self, secs: i64) {
        self.0.fetch_add(secs * SECOND, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Nanos {
        Nanos(self.0.load(Ordering::Relaxed))
    }
}

pub struct Fixture<S = MemoryStore> {
    pub store: Arc<S>,
    pub clock: Arc<ManualClock>,
    pub catalog: Catalog,
    pub auth: Authenticator,
    pub org: Org,
    pub admin: Principal,
    pub admin_key: NewKeySecret,
}

pub fn actor() -> Actor {
    Actor {
        key: None,
        source: "127.0.0.1".to_owned(),
        request: "req1".to_owned(),
    }
}

pub fn catalog_over(store: Arc<dyn MetaStore>, clock: Arc<ManualClock>) -> Catalog {
    let random = Arc::new(SeededRandom::new(7));
    Catalog::new(store, clock, random, ServerKey::from_bytes([3; 32]))
}

pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock(AtomicI64::new(1_700_000_000 * SECOND)))
}

impl Fixture {
    pub async fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new())).await
    }
}

impl<S: MetaStore> Fixture<S> {
    pub async fn over(store: Arc<S>) -> Self {
        let clock = clock();
        let catalog = catalog_over(Arc::clone(&store) as Arc<dyn MetaStore>, Arc::clone(&clock));
        let new = NewOrg {
            slug: "acme".parse().unwrap(),
            name: None,
        };
        let org = catalog.create_org(new, &actor()).await.unwrap();
        let admin_key = catalog
            .create_admin_key(&org.id, "admin", true, None, &actor())
            .await
            .unwrap();
        let auth = Authenticator::new(catalog.clone());
        let admin = auth
            .authenticate(admin_key.secret.expose(), clock.now())
            .await
            .unwrap();
        Self {
            store,
            clock,
            catalog,
            auth,
            org,
            admin,
            admin_key,
        }
    }

    pub fn now(&self) -> Nanos {
        self.clock.now()
    }

    pub async fn repo(&self, name: &str) -> Repo {
        let new = NewRepo {
            name: Some(name.parse().unwrap()),
            ..NewRepo::default()
        };
        self.catalog
            .create_repo(&self.org.id, new, &actor())
            .await
            .unwrap()
    }

    pub async fn key(&self, new: NewKey) -> NewKeySecret {
        self.catalog
            .create_key(&self.admin, new, &actor())
            .await
            .unwrap()
    }

    pub async fn login(&self, secret: &Secret) -> Principal {
        self.auth
            .authenticate(secret.expose(), self.now())
            .await
            .unwrap()
    }

    /// A caller restricted to some repos, with the admin scope.
    pub async fn restricted_admin(&self, repos: &[&RepoId]) -> Principal {
        let new = NewKey {
            scopes: Some(vec![mesa_repo::Scope::Admin]),
            repos: Some(repos.iter().map(|&r| r.clone()).collect()),
            ..NewKey::default()
        };
        let made = self.key(new).await;
        self.login(&made.secret).await
    }

    pub async fn audited(&self) -> Vec<String> {
        let mut out = Vec::new();
        let mut page = PageRequest::default();
        loop {
            let audit = self
                .catalog
                .list_audit(Some(&self.org.id), &page)
                .await
                .unwrap();
            out.extend(audit.items.into_iter().map(|a| a.action));
            match audit.next {
                None => return out,
                cursor => page.cursor = cursor,
            }
        }
    }
}

pub fn ids(keys: &[ApiKey]) -> Vec<&str> {
    keys.iter().map(|k| k.id.as_str()).collect()
}
