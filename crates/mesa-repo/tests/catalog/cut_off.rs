//! What takes more than one transaction, cut off after each of them.

use std::sync::Arc;

use mesa_repo::{
    ErrorKind, PageRequest,
    catalog::{KeyFilter, NewKey, NewOrg},
    records::api_key::PublicKey,
};

use crate::{
    fixture::{Fixture, actor},
    meddler::Meddler,
};

const STEPS_MAX: usize = 8;

async fn fixture() -> Fixture<Meddler> {
    Fixture::over(Arc::new(Meddler::default())).await
}

#[tokio::test]
async fn an_org_comes_with_its_first_key_or_not_at_all() {
    for step in 0..STEPS_MAX {
        let f = fixture().await;
        let slug: mesa_types::OrgSlug = "other".parse().unwrap();
        let new = || NewOrg {
            slug: slug.clone(),
            name: None,
        };
        f.store.fails_after(step);
        let first = f.catalog.create_org_with_key(new(), &actor()).await;
        f.store.fails_after(usize::MAX);
        let done = first.is_ok();
        let (org, key) = if let Ok(made) = first {
            made
        } else {
            assert!(f.catalog.org_by_slug(&slug).await.unwrap().is_none());
            let again = f.catalog.create_org_with_key(new(), &actor()).await;
            again.unwrap()
        };
        assert_eq!(f.login(&key.secret).await.org, org.id);
        let taken = f.catalog.create_org_with_key(new(), &actor()).await;
        assert_eq!(taken.unwrap_err().kind, ErrorKind::Exists);
        if done {
            assert_eq!(step, 2, "the key, and the org with what leads to both");
            return;
        }
    }
    panic!("it never came to its end");
}

#[tokio::test]
async fn a_signing_key_can_be_registered_again_after_a_cut() {
    for step in 0..STEPS_MAX {
        let f = fixture().await;
        let who = actor();
        let register = || {
            let key = PublicKey([9; 32]);
            f.catalog
                .create_signing_key(&f.admin, NewKey::default(), key, &who)
        };
        f.store.fails_after(step);
        let first = register().await;
        f.store.fails_after(usize::MAX);
        let done = first.is_ok();
        if !done {
            register().await.unwrap();
        }
        assert_eq!(register().await.unwrap_err().kind, ErrorKind::Exists);
        let filter = KeyFilter {
            signing: true,
            ..KeyFilter::default()
        };
        let page = PageRequest::default();
        let keys = f.catalog.list_keys(&f.admin, &filter, &page).await;
        assert_eq!(keys.unwrap().items.len(), 1);
        if done {
            assert_eq!(step, 2, "what leads to it, and the key");
            return;
        }
    }
    panic!("it never came to its end");
}
