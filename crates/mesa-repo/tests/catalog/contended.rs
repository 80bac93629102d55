//! A writer that is always a little faster: what callers are told must not depend on it.

use std::{collections::BTreeMap, sync::Arc};

use mesa_repo::{
    ErrorKind,
    catalog::{NewKey, NewKeySecret, NewUpstream, NewWebhook, RepoUpdate, WebhookUpdate},
    records::{
        ChangeState,
        webhook::{Attempt, DeliveryState},
    },
};
use mesa_types::{BookmarkName, ChangeId, EventName, Nanos};

use crate::{
    bookmarks::change,
    fixture::{Fixture, actor},
    meddler::Meddler,
};

/// More than a few and far fewer than can happen before somebody gives up.
const LOST: usize = 24;

async fn fixture() -> (Arc<Meddler>, Fixture<Meddler>) {
    let fixture = Fixture::over(Arc::new(Meddler::default())).await;
    (Arc::clone(&fixture.store), fixture)
}

fn hook() -> NewWebhook {
    NewWebhook {
        url: "https://hooks.example/".to_owned(),
        name: None,
        events: Some([EventName::RepoCreated].into()),
        repos: None,
    }
}

#[tokio::test]
async fn repos_bookmarks_and_changes_are_changed_all_the_same() {
    let (store, f) = fixture().await;
    let repo = f.repo("demo").await.id;
    let org = &f.org.id;
    let tags: BTreeMap<_, _> = [("a".to_owned(), Some("b".to_owned()))].into();
    let update = RepoUpdate {
        tags,
        ..RepoUpdate::default()
    };
    store.loses(LOST);
    f.catalog
        .update_repo(org, &repo, &update, &actor())
        .await
        .unwrap();
    store.loses(LOST);
    f.catalog
        .bulk_tag(
            &f.admin,
            std::slice::from_ref(&repo),
            "c",
            Some("d"),
            &actor(),
        )
        .await
        .unwrap();

    let at = change(org, &repo, ChangeId([7; 16]));
    f.catalog.create_change(&at, &actor()).await.unwrap();
    store.loses(LOST);
    f.catalog
        .set_change_state(org, &repo, &at.id, ChangeState::Closed, &actor())
        .await
        .unwrap();
    let name: BookmarkName = "side".parse().unwrap();
    f.catalog
        .create_bookmark(org, &repo, &name, ChangeId::ROOT, &actor())
        .await
        .unwrap();
    store.loses(LOST);
    f.catalog
        .move_bookmark(org, &repo, &name, None, at.id, &actor())
        .await
        .unwrap();
    store.loses(LOST);
    f.catalog
        .delete_bookmark(org, &repo, &name, &actor())
        .await
        .unwrap();

    let upstream = |url: &str| NewUpstream {
        url: url.to_owned(),
        auth: None,
    };
    for new in [Some("https://a.example/"), Some("https://b.example/"), None] {
        store.loses(if new == Some("https://a.example/") {
            0
        } else {
            LOST
        });
        f.catalog
            .set_upstream(org, &repo, new.map(upstream), &actor())
            .await
            .unwrap();
    }
    store.loses(LOST);
    f.catalog.delete_repo(org, &repo, &actor()).await.unwrap();
    assert!(store.is_done());
}

#[tokio::test]
async fn keys_and_webhook_targets_are_changed_all_the_same() {
    let (store, f) = fixture().await;
    let NewKeySecret { key, .. } = f.key(NewKey::default()).await;
    let tags: BTreeMap<_, _> = [("a".to_owned(), Some("b".to_owned()))].into();
    store.loses(LOST);
    f.catalog
        .update_key_tags(&f.admin, &key.id, &tags, &actor())
        .await
        .unwrap();
    store.loses(LOST);
    f.catalog
        .revoke_key(&f.admin, &key.id, &actor())
        .await
        .unwrap();

    let (target, _) = f
        .catalog
        .create_webhook(&f.admin, hook(), &actor())
        .await
        .unwrap();
    let update = WebhookUpdate {
        name: Some(Some("other".to_owned())),
        ..WebhookUpdate::default()
    };
    store.loses(LOST);
    f.catalog
        .update_webhook(&f.admin, &target.id, &update, &actor())
        .await
        .unwrap();
    store.loses(LOST);
    f.catalog
        .delete_webhook(&f.admin, &target.id, &actor())
        .await
        .unwrap();
    assert!(store.is_done());
}

/// The worker records attempts while the target goes.
#[tokio::test]
async fn deliveries_under_way_do_not_keep_their_target() {
    let (store, f) = fixture().await;
    let (target, _) = f
        .catalog
        .create_webhook(&f.admin, hook(), &actor())
        .await
        .unwrap();
    f.repo("demo").await;
    let events = f.catalog.unqueued_events(&f.org.id, 10).await.unwrap();
    let targets = f.catalog.webhooks_for(&events[0]).await.unwrap();
    let queued = f.catalog.queue_deliveries(&events[0], "{}", &targets);
    assert!(queued.await.unwrap());
    let (_, pending) = f
        .catalog
        .next_delivery(&f.org.id, &target.id)
        .await
        .unwrap()
        .unwrap();

    store.loses(1);
    let dropped = f.catalog.drop_deliveries(&f.org.id, &target.id, 0).await;
    assert_eq!(dropped.unwrap(), 1);
    store.loses(0);
    // What was under way is recorded nowhere.
    let attempt = Attempt {
        at: Nanos(1),
        status: Some(200),
        error: None,
        millis: 1,
    };
    let recorded = f
        .catalog
        .record_attempt(&pending, attempt, DeliveryState::Delivered, Nanos(1))
        .await;
    assert!(!recorded.unwrap());
    let gone = f
        .catalog
        .next_delivery(&f.org.id, &target.id)
        .await
        .unwrap();
    assert!(gone.is_none());
    f.catalog
        .delete_webhook(&f.admin, &target.id, &actor())
        .await
        .unwrap();
    let twice = f
        .catalog
        .delete_webhook(&f.admin, &target.id, &actor())
        .await;
    assert_eq!(twice.unwrap_err().kind, ErrorKind::NotFound);
}
