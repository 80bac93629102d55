use std::collections::BTreeMap;

use mesa_repo::{
    ErrorKind, PageRequest, Scope,
    catalog::{KeyFilter, KeyStatus, NewKey},
};

use crate::fixture::{Fixture, actor, ids};

#[tokio::test]
async fn defaults_are_read_write_whole_org_and_for_ever() {
    let f = Fixture::new().await;
    let made = f.key(NewKey::default()).await;
    assert_eq!(
        made.key.scopes.iter().collect::<Vec<_>>(),
        [Scope::Read, Scope::Write]
    );
    assert_eq!((&made.key.repos, made.key.expires), (&None, None));
    assert_eq!(made.key.created_by.as_ref(), Some(&f.admin.key));
    assert!(!made.key.operator);
    assert_eq!(f.audited().await, ["api_key.create", "api_key.create"]);
}

#[tokio::test]
async fn wrong_arguments_are_invalid() {
    let f = Fixture::new().await;
    let repo = f.repo("gone").await;
    f.catalog
        .delete_repo(&f.org.id, &repo.id, &actor())
        .await
        .unwrap();
    let code = async |new: NewKey| {
        let error = f
            .catalog
            .create_key(&f.admin, new, &actor())
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        error.code
    };
    let blank = NewKey::default;
    assert_eq!(
        code(NewKey {
            scopes: Some(vec![]),
            ..blank()
        })
        .await,
        "INVALID_SCOPES"
    );
    for repos in [
        vec![],
        vec!["repo_none".parse().unwrap()],
        vec![repo.id.clone()],
    ] {
        assert_eq!(
            code(NewKey {
                repos: Some(repos),
                ..blank()
            })
            .await,
            "INVALID_REPO_IDS"
        );
    }
    for secs in [0, 99, 31_536_001, u64::MAX] {
        let new = NewKey {
            expires_in_secs: Some(secs),
            ..blank()
        };
        assert_eq!(code(new).await, "INVALID_EXPIRY");
    }
    let tags = BTreeMap::from([("$x".to_owned(), "1".to_owned())]);
    assert_eq!(code(NewKey { tags, ..blank() }).await, "INVALID_TAGS");
    assert_eq!(
        code(NewKey {
            name: Some("x".repeat(201)),
            ..blank()
        })
        .await,
        "INVALID_KEY_NAME"
    );
}

#[tokio::test]
async fn a_created_key_never_exceeds_its_creator() {
    let f = Fixture::new().await;
    let (one, two) = (f.repo("one").await, f.repo("two").await);
    let kind = async |caller: &mesa_repo::Principal, new: NewKey| {
        f.catalog
            .create_key(caller, new, &actor())
            .await
            .map(|m| m.key)
            .map_err(|e| e.kind)
    };
    let made = f.key(NewKey::default()).await;
    let writer = f.login(&made.secret).await;
    assert_eq!(
        kind(&writer, NewKey::default()).await,
        Err(ErrorKind::Forbidden)
    );

    let restricted = f.restricted_admin(&[&one.id]).await;
    let key = kind(&restricted, NewKey::default()).await.unwrap();
    assert_eq!(key.repos, restricted.repos, "inherits the restriction");
    // A repo it does not see does not exist for it.
    let new = NewKey {
        repos: Some(vec![two.id.clone()]),
        ..NewKey::default()
    };
    assert_eq!(kind(&restricted, new).await, Err(ErrorKind::Invalid));

    let short = NewKey {
        scopes: Some(vec![Scope::Admin]),
        expires_in_secs: Some(1000),
        ..NewKey::default()
    };
    let made = f.key(short).await;
    let short = f.login(&made.secret).await;
    for secs in [None, Some(1001)] {
        let new = NewKey {
            expires_in_secs: secs,
            ..NewKey::default()
        };
        assert_eq!(kind(&short, new).await, Err(ErrorKind::Forbidden));
    }
    let new = NewKey {
        expires_in_secs: Some(1000),
        ..NewKey::default()
    };
    assert!(kind(&short, new).await.is_ok());

    // An admin token limited to fewer scopes cannot lend more than it has.
    let mut token = f.admin.clone();
    token.scopes = mesa_repo::Scopes::new([Scope::Write]);
    assert_eq!(
        kind(&token, NewKey::default()).await,
        Err(ErrorKind::Forbidden)
    );
}

#[tokio::test]
async fn listing_filters_and_pages() {
    let f = Fixture::new().await;
    let repo = f.repo("one").await;
    let named = |name: &str| NewKey {
        name: Some(name.to_owned()),
        ..NewKey::default()
    };
    let ci = f.key(named("CI runner")).await.key;
    let old = f
        .key(NewKey {
            expires_in_secs: Some(100),
            ..named("old")
        })
        .await
        .key;
    let gone = f.key(named("gone")).await.key;
    let bound = f
        .key(NewKey {
            repos: Some(vec![repo.id.clone()]),
            ..named("bound")
        })
        .await
        .key;
    f.clock.advance_secs(200);
    f.catalog
        .revoke_key(&f.admin, &gone.id, &actor())
        .await
        .unwrap();

    let list = async |filter: KeyFilter| {
        let page = f
            .catalog
            .list_keys(&f.admin, &filter, &PageRequest::default())
            .await
            .unwrap();
        assert_eq!(page.next, None);
        page.items.into_iter().map(|k| k.key.id).collect::<Vec<_>>()
    };
    let blank = KeyFilter::default;
    let admin = f.admin.key.clone();
    let (ci, old, gone, bound) = (ci.id, old.id, gone.id, bound.id);
    let expect = [
        (blank(), vec![&admin, &ci, &old, &gone, &bound]),
        (
            KeyFilter {
                query: Some("ci R".to_owned()),
                ..blank()
            },
            vec![&ci],
        ),
        (
            KeyFilter {
                status: Some(KeyStatus::Active),
                ..blank()
            },
            vec![&admin, &ci, &bound],
        ),
        (
            KeyFilter {
                status: Some(KeyStatus::Expired),
                ..blank()
            },
            vec![&old],
        ),
        (
            KeyFilter {
                status: Some(KeyStatus::Revoked),
                ..blank()
            },
            vec![&gone],
        ),
        (
            KeyFilter {
                scope: Some(Scope::Admin),
                ..blank()
            },
            vec![&admin],
        ),
        (
            KeyFilter {
                repo: Some(repo.id.clone()),
                ..blank()
            },
            vec![&bound],
        ),
    ];
    for (filter, expected) in expect {
        let expected: Vec<_> = expected.into_iter().cloned().collect();
        assert_eq!(list(filter.clone()).await, expected, "{filter:?}");
    }

    let mut seen = Vec::new();
    let mut page = PageRequest {
        limit: Some(2),
        cursor: None,
    };
    loop {
        let got = f
            .catalog
            .list_keys(&f.admin, &blank(), &page)
            .await
            .unwrap();
        assert!(got.items.len() <= 2);
        seen.extend(got.items.into_iter().map(|k| k.key));
        match got.next {
            None => break,
            cursor => page.cursor = cursor,
        }
    }
    assert_eq!(
        ids(&seen),
        [&admin, &ci, &old, &gone, &bound].map(mesa_types::KeyId::as_str)
    );
}

#[tokio::test]
async fn restricted_callers_manage_only_what_they_could_make() {
    let f = Fixture::new().await;
    let (one, two) = (f.repo("one").await, f.repo("two").await);
    let caller = f.restricted_admin(&[&one.id]).await;
    let other = f.restricted_admin(&[&two.id]).await;
    let page = f
        .catalog
        .list_keys(&caller, &<_>::default(), &<_>::default())
        .await
        .unwrap();
    let listed: Vec<_> = page.items.into_iter().map(|k| k.key.id).collect();
    assert_eq!(listed, std::slice::from_ref(&caller.key));
    for id in [&f.admin.key, &other.key] {
        let error = f
            .catalog
            .revoke_key(&caller, id, &actor())
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind, error.code),
            (ErrorKind::NotFound, "API_KEY_NOT_FOUND")
        );
        let patch = BTreeMap::new();
        assert!(
            f.catalog
                .update_key_tags(&caller, id, &patch, &actor())
                .await
                .is_err()
        );
    }
    f.catalog
        .revoke_key(&caller, &caller.key, &actor())
        .await
        .unwrap();
}

#[tokio::test]
async fn tags_are_patched() {
    let f = Fixture::new().await;
    let tags = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
    let made = f
        .key(NewKey {
            tags,
            ..NewKey::default()
        })
        .await;
    let patch = BTreeMap::from([
        ("env".to_owned(), None),
        ("Team".to_owned(), Some("x".to_owned())),
    ]);
    let after = f
        .catalog
        .update_key_tags(&f.admin, &made.key.id, &patch, &actor())
        .await
        .unwrap();
    assert_eq!(after, BTreeMap::from([("team".to_owned(), "x".to_owned())]));
    assert_eq!(
        f.catalog.key(&f.admin, &made.key.id).await.unwrap().tags,
        after
    );
    assert_eq!(f.audited().await.last().unwrap(), "api_key.update");
}
