use std::sync::Arc;

use mesa_meta::{MemoryStore, MetaStore};
use mesa_repo::{AuthErrorKind, Authenticator, Catalog, PageRequest, Secret, ServerKey, bootstrap};
use mesa_types::{OrgSlug, random::SeededRandom, time::Clock};

use crate::fixture::{catalog_over, clock};

fn slug() -> OrgSlug {
    "my-org".parse().unwrap()
}

#[tokio::test]
async fn the_first_start_happens_once() {
    let clock = clock();
    let catalog = catalog_over(Arc::new(MemoryStore::new()), Arc::clone(&clock));
    let auth = Authenticator::new(catalog.clone());
    let first = bootstrap::first_start(&catalog, &slug(), None)
        .await
        .unwrap()
        .unwrap();
    // The server died before the key was stored: the next start makes another one.
    let second = bootstrap::first_start(&catalog, &slug(), None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(first.org, second.org);
    let old = auth
        .authenticate(first.admin.secret.expose(), clock.now())
        .await
        .unwrap_err();
    assert_eq!(old.kind, AuthErrorKind::Revoked);
    let admin = auth
        .authenticate(second.admin.secret.expose(), clock.now())
        .await
        .unwrap();
    assert!(admin.operator);
    bootstrap::complete(&catalog).await.unwrap();
    assert!(
        bootstrap::first_start(&catalog, &slug(), None)
            .await
            .unwrap()
            .is_none()
    );
    assert!(auth.recheck(&admin, clock.now()).await.is_ok());
    let orgs = catalog.list_orgs(&PageRequest::default()).await.unwrap();
    assert_eq!(orgs.items, [second.org]);
}

#[tokio::test]
async fn a_key_can_be_chosen() {
    let clock = clock();
    let catalog = catalog_over(Arc::new(MemoryStore::new()), Arc::clone(&clock));
    let text = format!("mesa_{}", "x1".repeat(22));
    let secret = Secret::from_text(&text).unwrap();
    bootstrap::first_start(&catalog, &slug(), Some(secret))
        .await
        .unwrap()
        .unwrap();
    let auth = Authenticator::new(catalog);
    assert!(auth.authenticate(&text, clock.now()).await.is_ok());
}

#[tokio::test]
async fn a_foreign_server_key_is_refused_at_start() {
    let (store, clock) = (Arc::new(MemoryStore::new()) as Arc<dyn MetaStore>, clock());
    let catalog = catalog_over(Arc::clone(&store), Arc::clone(&clock));
    bootstrap::first_start(&catalog, &slug(), None)
        .await
        .unwrap();
    let random = Arc::new(SeededRandom::new(1));
    let other = Catalog::new(store, clock, random, ServerKey::from_bytes([9; 32]));
    let error = bootstrap::first_start(&other, &slug(), None)
        .await
        .unwrap_err();
    assert_eq!(error.code, "SERVER_KEY_MISMATCH");
}

#[tokio::test]
async fn slugs_are_unique() {
    let catalog = catalog_over(Arc::new(MemoryStore::new()), clock());
    let new = || mesa_repo::catalog::NewOrg {
        slug: slug(),
        name: Some("Mine".to_owned()),
    };
    let actor = crate::fixture::actor();
    let org = catalog.create_org(new(), &actor).await.unwrap();
    assert_eq!(
        catalog.create_org(new(), &actor).await.unwrap_err().code,
        "ORG_EXISTS"
    );
    assert_eq!(
        catalog.org_by_slug(&slug()).await.unwrap(),
        Some(org.clone())
    );
    assert_eq!(
        catalog.org_by_slug(&"none".parse().unwrap()).await.unwrap(),
        None
    );
    let debug = format!("{org:?}");
    assert!(!debug.contains(&hex::encode(org.chunk_key.0)) && debug.contains("ChunkKey(..)"));
    let audit = catalog
        .list_audit(None, &PageRequest::default())
        .await
        .unwrap();
    assert_eq!(audit.items.len(), 1);
    assert_eq!(
        (&*audit.items[0].action, &*audit.items[0].target),
        ("org.create", org.id.as_str())
    );
}
