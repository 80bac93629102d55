use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use mesa_repo::{
    AuthErrorKind, CatalogEvent, Scope, Scopes, Secret,
    catalog::{NewKey, RepoUpdate},
};
use mesa_types::{KeyId, Nanos};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::fixture::{Fixture, actor};

/// Signs as the published clients do.
fn token(secret: &Secret, id: &KeyId, edit: impl FnOnce(&mut Value)) -> String {
    let header = json!({"alg": "HS256", "typ": "mesa-at+jwt", "kid": format!("{id}.v1")});
    let mut claims = json!({
        "iss": id, "aud": "mesa-api", "scopes": ["read", "write"], "repos": null,
        "iat": 1_700_000_000, "exp": 1_700_003_600, "jti": "x",
    });
    edit(&mut claims);
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let text = format!("{}.{}", part(&header), part(&claims));
    let key = URL_SAFE_NO_PAD.encode(Sha256::digest(secret.expose()));
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    format!(
        "{text}.{}",
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    )
}

#[tokio::test]
async fn a_key_is_what_it_was_made_as() {
    let f = Fixture::new().await;
    assert_eq!(f.admin.org, f.org.id);
    assert_eq!(f.admin.org_slug.as_str(), "acme");
    assert_eq!(f.admin.key, f.admin_key.key.id);
    assert!(f.admin.operator && !f.admin.token);
    for scope in [Scope::Read, Scope::Write, Scope::Admin] {
        assert!(f.admin.require(scope).is_ok());
    }
    let repo = f.repo("demo").await;
    let new = NewKey {
        name: Some("reader".to_owned()),
        scopes: Some(vec![Scope::Read]),
        repos: Some(vec![repo.id.clone()]),
        expires_in_secs: Some(600),
        ..NewKey::default()
    };
    let made = f.key(new).await;
    let reader = f.login(&made.secret).await;
    assert_eq!(reader.key_name.as_deref(), Some("reader"));
    assert!(reader.sees(&repo.id) && !reader.sees(&"repo_other".parse().unwrap()));
    assert!(reader.require(Scope::Read).is_ok());
    let error = reader.require(Scope::Write).unwrap_err();
    assert_eq!(
        (error.kind, error.code()),
        (AuthErrorKind::Forbidden, "FORBIDDEN")
    );
    assert_eq!(
        reader.require_whole_org().unwrap_err().kind,
        AuthErrorKind::Forbidden
    );
    assert!(!reader.operator);
    let debug = format!("{made:?} {reader:?}");
    assert!(!debug.contains(&made.secret.expose()[5..]), "{debug}");
}

#[tokio::test]
async fn wrong_credentials_are_told_apart() {
    let f = Fixture::new().await;
    let kind = async |bearer: &str| {
        f.auth
            .authenticate(bearer, f.now())
            .await
            .err()
            .map(|e| e.kind)
    };
    let good = f.admin_key.secret.expose();
    assert_eq!(kind(good).await, None);
    assert_eq!(kind("").await, Some(AuthErrorKind::Missing));
    let other = format!("{}x", &good[..good.len() - 1]);
    assert_eq!(kind(&other).await, Some(AuthErrorKind::Unknown));
    assert_eq!(kind("mesa_").await, Some(AuthErrorKind::Unknown));
    for bad in [
        "Basic abc",
        "abc",
        "mesa_private_key_acme_x",
        "a.b.c",
        &"mesa_x".repeat(9999),
        "mesa_\n",
    ] {
        assert_eq!(kind(bad).await, Some(AuthErrorKind::Malformed), "{bad:.40}");
    }
}

#[tokio::test]
async fn keys_end_when_they_said() {
    let f = Fixture::new().await;
    let new = NewKey {
        expires_in_secs: Some(100),
        ..NewKey::default()
    };
    let made = f.key(new).await;
    let principal = f.login(&made.secret).await;
    f.clock.advance_secs(99);
    assert!(
        f.auth
            .authenticate(made.secret.expose(), f.now())
            .await
            .is_ok()
    );
    assert!(f.auth.recheck(&principal, f.now()).await.is_ok());
    f.clock.advance_secs(1);
    let error = f
        .auth
        .authenticate(made.secret.expose(), f.now())
        .await
        .unwrap_err();
    assert_eq!(error.kind, AuthErrorKind::Expired);
    let error = f.auth.recheck(&principal, f.now()).await.unwrap_err();
    assert_eq!(error.kind, AuthErrorKind::Expired);
}

#[tokio::test]
async fn revoking_takes_effect_at_once_and_is_told() {
    let f = Fixture::new().await;
    let made = f.key(NewKey::default()).await;
    let principal = f.login(&made.secret).await;
    let jwt = token(&made.secret, &made.key.id, |_| {});
    assert!(f.auth.authenticate(&jwt, f.now()).await.is_ok());
    let mut events = f.catalog.subscribe();
    f.catalog
        .revoke_key(&f.admin, &made.key.id, &actor())
        .await
        .unwrap();
    for bearer in [made.secret.expose(), &jwt] {
        let error = f.auth.authenticate(bearer, f.now()).await.unwrap_err();
        assert_eq!(error.kind, AuthErrorKind::Revoked);
    }
    assert_eq!(
        f.auth.recheck(&principal, f.now()).await.unwrap_err().kind,
        AuthErrorKind::Revoked
    );
    let event = CatalogEvent::KeyRevoked {
        org: f.org.id.clone(),
        key: made.key.id.clone(),
    };
    assert_eq!(events.try_recv().unwrap(), event);
    // Again: no second event, the first time stays.
    let first = f.catalog.key(&f.admin, &made.key.id).await.unwrap().revoked;
    f.clock.advance_secs(5);
    f.catalog
        .revoke_key(&f.admin, &made.key.id, &actor())
        .await
        .unwrap();
    assert_eq!(
        f.catalog.key(&f.admin, &made.key.id).await.unwrap().revoked,
        first
    );
    assert!(events.try_recv().is_err());
}

#[tokio::test]
async fn a_fresh_key_costs_reads_once_and_one_note_a_minute() {
    let f = Fixture::new().await;
    let made = f.key(NewKey::default()).await;
    f.login(&made.secret).await;
    let before = f.store.counters().calls();
    for _ in 0..100 {
        f.login(&made.secret).await;
    }
    assert_eq!(f.store.counters().calls().since(&before).total(), 0);
    f.clock.advance_secs(61);
    f.login(&made.secret).await;
    assert_eq!(f.store.counters().calls().since(&before).commits, 1);
    let keys = f
        .catalog
        .list_keys(&f.admin, &<_>::default(), &<_>::default())
        .await
        .unwrap();
    let used = keys
        .items
        .iter()
        .find(|k| k.key.id == made.key.id)
        .unwrap()
        .last_used;
    assert_eq!(used, Some(f.now()));
}

#[tokio::test]
async fn a_copy_of_the_database_lets_nobody_in() {
    let f = Fixture::new().await;
    let verifier = URL_SAFE_NO_PAD.encode(Sha256::digest(f.admin_key.secret.expose()));
    let needles = [
        f.admin_key.secret.expose().as_bytes().to_vec(),
        verifier.clone().into_bytes(),
        hex::encode(verifier).into_bytes(),
        hex::encode(Sha256::digest(f.admin_key.secret.expose())).into_bytes(),
    ];
    use mesa_meta::{Key, MetaStore, Range, Table};
    let all = Range {
        start: Key(bytes::Bytes::new()),
        end: None,
    };
    let mut rows = 0;
    for table in Table::ALL {
        for entry in f.store.scan(table, &all, usize::MAX, false).await.unwrap() {
            rows += 1;
            for needle in &needles {
                let found = entry.row.value.windows(needle.len()).any(|w| w == needle)
                    || entry.key.0.windows(needle.len()).any(|w| w == needle);
                assert!(!found, "{:?}", entry.key);
            }
        }
    }
    assert!(rows > 5);
}

#[tokio::test]
async fn tokens_are_clamped_to_their_key() {
    let f = Fixture::new().await;
    let (one, two) = (f.repo("one").await, f.repo("two").await);
    let new = NewKey {
        repos: Some(vec![one.id.clone(), two.id.clone()]),
        expires_in_secs: Some(1000),
        ..NewKey::default()
    };
    let made = f.key(new).await;
    let sign = |edit: &dyn Fn(&mut Value)| token(&made.secret, &made.key.id, edit);
    let login = async |jwt: String| f.auth.authenticate(&jwt, f.now()).await.unwrap();

    let plain = login(sign(&|_| {})).await;
    assert!(plain.token && !plain.operator);
    assert_eq!(plain.scopes, Scopes::standard());
    assert!(plain.sees(&one.id) && plain.sees(&two.id) && !plain.sees(&"repo_x".parse().unwrap()));
    assert_eq!(
        plain.expires, made.key.expires,
        "the key ends before the token"
    );

    let greedy = login(sign(&|c| c["scopes"] = json!(["admin"]))).await;
    assert!(greedy.require(Scope::Write).is_ok());
    assert!(greedy.require(Scope::Admin).is_err());

    let narrow = login(sign(&|c| {
        c["scopes"] = json!(["read"]);
        c["repos"] = json!(["acme/one", "acme/none", "other/two", "two", "acme/../x"]);
    }))
    .await;
    assert!(narrow.require(Scope::Write).is_err());
    assert!(narrow.sees(&one.id) && !narrow.sees(&two.id));

    let by_id = login(sign(&|c| c["repo_ids"] = json!([two.id, "repo_other"]))).await;
    assert!(by_id.sees(&two.id) && !by_id.sees(&one.id));
    assert!(!by_id.sees(&"repo_other".parse().unwrap()));

    let none = login(sign(&|c| c["repos"] = json!([]))).await;
    assert!(!none.sees(&one.id));

    let short = login(sign(&|c| c["exp"] = json!(1_700_000_010))).await;
    assert_eq!(short.expires, Some(Nanos::from_parts(1_700_000_010, 0)));
    f.clock.advance_secs(10);
    assert_eq!(
        f.auth.recheck(&short, f.now()).await.unwrap_err().kind,
        AuthErrorKind::Expired
    );
    assert!(f.auth.recheck(&plain, f.now()).await.is_ok());
}

#[tokio::test]
async fn a_token_names_repos_as_they_are_called_now() {
    let f = Fixture::new().await;
    let repo = f.repo("old").await;
    let jwt = token(&f.admin_key.secret, &f.admin.key, |c| {
        c["repos"] = json!(["acme/old"]);
    });
    assert!(
        f.auth
            .authenticate(&jwt, f.now())
            .await
            .unwrap()
            .sees(&repo.id)
    );
    let update = RepoUpdate {
        name: Some("new".parse().unwrap()),
        ..RepoUpdate::default()
    };
    f.catalog
        .update_repo(&f.org.id, &repo.id, &update, &actor())
        .await
        .unwrap();
    assert!(
        !f.auth
            .authenticate(&jwt, f.now())
            .await
            .unwrap()
            .sees(&repo.id)
    );
}

#[tokio::test]
async fn forged_tokens_are_unknown() {
    let f = Fixture::new().await;
    let made = f.key(NewKey::default()).await;
    let kind = async |jwt: String| f.auth.authenticate(&jwt, f.now()).await.unwrap_err().kind;
    // Signed with one key in the name of another.
    let cross = token(&made.secret, &f.admin.key, |_| {});
    assert_eq!(kind(cross).await, AuthErrorKind::Unknown);
    let ghost = token(&made.secret, &"key_ghost".parse().unwrap(), |_| {});
    assert_eq!(kind(ghost).await, AuthErrorKind::Unknown);
    let other_issuer = token(&made.secret, &made.key.id, |c| {
        c["iss"] = json!(f.admin.key);
    });
    assert_eq!(kind(other_issuer).await, AuthErrorKind::Malformed);
    let expired = token(&made.secret, &made.key.id, |c| {
        c["iat"] = json!(1_699_990_000);
        c["exp"] = json!(1_699_990_100);
    });
    assert_eq!(kind(expired).await, AuthErrorKind::Expired);
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_not_a_refusal() {
    use mesa_meta::MetaStore;
    let f = Fixture::new().await;
    f.clock.advance_secs(10);
    f.store.close().await.unwrap();
    let error = f
        .auth
        .authenticate(f.admin_key.secret.expose(), f.now())
        .await
        .unwrap_err();
    assert_eq!(error.kind, AuthErrorKind::Unavailable);
}
