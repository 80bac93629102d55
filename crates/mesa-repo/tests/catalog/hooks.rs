//! Syncs, and the events that changes of state leave behind.

use mesa_repo::{
    PageRequest, Versioned,
    catalog::{NewSync, NewWebhook, RepoUpdate},
    records::{
        sync::{Sync, SyncDirection, SyncStatus},
        webhook::{DeliveryState, HookEvent},
    },
};
use mesa_types::EventName;

use crate::fixture::{Fixture, actor};

fn pull() -> NewSync {
    NewSync {
        direction: SyncDirection::Pull,
        branches: "*".to_owned(),
        tags: String::new(),
    }
}

async fn names(f: &Fixture) -> Vec<EventName> {
    let events: Vec<Versioned<HookEvent>> =
        f.catalog.unqueued_events(&f.org.id, 100).await.unwrap();
    events.iter().map(|e| e.what.name()).collect()
}

async fn target(f: &Fixture, events: &[EventName]) {
    let new = NewWebhook {
        url: "https://hooks.example/".to_owned(),
        name: None,
        events: Some(events.iter().copied().collect()),
        repos: None,
    };
    f.catalog
        .create_webhook(&f.admin, new, &actor())
        .await
        .unwrap();
}

#[tokio::test]
async fn syncs_are_listed_newest_first_in_pages() {
    let f = Fixture::new().await;
    let repo = f.repo("demo").await;
    let mut made = Vec::new();
    for _ in 0..5 {
        let sync = f
            .catalog
            .create_sync(&f.org.id, &repo.id, pull(), &actor())
            .await;
        made.push(sync.unwrap().id);
    }
    let mut seen = Vec::new();
    let mut page = PageRequest {
        cursor: None,
        limit: Some(2),
    };
    loop {
        let found = f
            .catalog
            .list_syncs(&f.org.id, &repo.id, &page)
            .await
            .unwrap();
        seen.extend(found.items.into_iter().map(|s| s.id));
        // One made meanwhile comes before the first page and changes no later one.
        f.catalog
            .create_sync(&f.org.id, &repo.id, pull(), &actor())
            .await
            .unwrap();
        page.cursor = found.next;
        if page.cursor.is_none() {
            break;
        }
    }
    made.reverse();
    assert_eq!(seen, made);
}

#[tokio::test]
async fn a_sync_is_told_at_every_step() {
    let f = Fixture::new().await;
    let repo = f.repo("demo").await;
    let steps = [
        EventName::SyncQueued,
        EventName::SyncInProgress,
        EventName::SyncFailed,
    ];
    target(&f, &steps).await;
    let sync = f
        .catalog
        .create_sync(&f.org.id, &repo.id, pull(), &actor())
        .await
        .unwrap();
    for status in [SyncStatus::InProgress, SyncStatus::Failed] {
        let read = f.catalog.sync(&f.org.id, &repo.id, &sync.id).await.unwrap();
        let next = Sync {
            status,
            ..read.record.clone()
        };
        assert!(f.catalog.update_sync(&read, &next).await.unwrap());
        assert!(
            !f.catalog.update_sync(&read, &next).await.unwrap(),
            "once only"
        );
    }
    assert_eq!(names(&f).await, steps);
}

#[tokio::test]
async fn events_are_kept_only_where_somebody_may_want_them() {
    let f = Fixture::new().await;
    let repo = f.repo("before").await;
    assert_eq!(names(&f).await, []);
    target(&f, &[EventName::RepoUpdated]).await;
    let tags = [("a".to_owned(), Some("b".to_owned()))];
    let update = RepoUpdate {
        tags: tags.into(),
        ..RepoUpdate::default()
    };
    f.catalog
        .update_repo(&f.org.id, &repo.id, &update, &actor())
        .await
        .unwrap();
    // The same again changes nothing.
    f.catalog
        .update_repo(&f.org.id, &repo.id, &update, &actor())
        .await
        .unwrap();
    f.catalog
        .delete_repo(&f.org.id, &repo.id, &actor())
        .await
        .unwrap();
    assert_eq!(
        names(&f).await,
        [EventName::RepoUpdated, EventName::RepoDeleted]
    );
}

#[tokio::test]
async fn an_event_is_queued_once_whoever_tries() {
    let f = Fixture::new().await;
    target(&f, &[EventName::RepoCreated]).await;
    f.repo("demo").await;
    let events = f.catalog.unqueued_events(&f.org.id, 10).await.unwrap();
    let targets = f.catalog.webhooks_for(&events[0]).await.unwrap();
    assert_eq!(targets.len(), 1);
    let queue = || f.catalog.queue_deliveries(&events[0], "{}", &targets);
    assert!(queue().await.unwrap());
    assert!(!queue().await.unwrap());
    let found = f
        .catalog
        .list_deliveries(&targets[0], &PageRequest::default())
        .await
        .unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(found.items[0].state, DeliveryState::Pending);
    assert_eq!(names(&f).await, []);
    // A target's deliveries go with it.
    f.catalog
        .delete_webhook(&f.admin, &targets[0].id, &actor())
        .await
        .unwrap();
    let found = f
        .catalog
        .list_deliveries(&targets[0], &PageRequest::default())
        .await
        .unwrap();
    assert_eq!(found.items, []);
}
