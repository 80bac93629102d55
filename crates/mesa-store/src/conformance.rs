//! What every [`ObjectStore`] must do, as a suite to run on each implementation.
//!
//! The functions panic where a store does not conform; they are meant for tests.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test suite"
)]

use std::sync::Arc;

use bytes::Bytes;

use crate::{ObjectName, ObjectStore, StoreErrorKind};

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).unwrap()
}

/// Runs everything on an empty store.
pub async fn run(store: Arc<dyn ObjectStore>) {
    puts_once(&*store).await;
    reads_ranges(&*store).await;
    lists_in_order(&*store).await;
    deletes(&*store).await;
    one_of_many_creators_wins(Arc::clone(&store)).await;
}

async fn puts_once(store: &dyn ObjectStore) {
    let object = name("once/a");
    store
        .put(&object, Bytes::from_static(b"first"))
        .await
        .unwrap();
    let second = store.put(&object, Bytes::from_static(b"second")).await;
    assert_eq!(second.unwrap_err().kind, StoreErrorKind::Exists);
    assert_eq!(store.get_range(&object, 0..5).await.unwrap(), "first");
    assert_eq!(store.size(&object).await.unwrap(), 5);
    let empty = name("once/empty");
    store.put(&empty, Bytes::new()).await.unwrap();
    assert_eq!(store.size(&empty).await.unwrap(), 0);
}

async fn reads_ranges(store: &dyn ObjectStore) {
    let object = name("ranges/deep/er/x");
    let bytes: Bytes = (0..=255).cycle().take(3 << 20).collect::<Vec<u8>>().into();
    store.put(&object, bytes.clone()).await.unwrap();
    for range in [0..1, 5..70_000, 3_145_727..3_145_728, 0..3_145_728] {
        let read = store.get_range(&object, range.clone()).await.unwrap();
        assert!(
            read == bytes.slice(range.start as usize..range.end as usize),
            "{range:?}"
        );
    }
    let kind = |result: Result<Bytes, crate::StoreError>| result.unwrap_err().kind;
    let beyond = store.get_range(&object, 3_145_727..3_145_729).await;
    assert_eq!(kind(beyond), StoreErrorKind::Corrupt);
    let outside = store.get_range(&object, 4_000_000..4_000_001).await;
    assert_eq!(kind(outside), StoreErrorKind::Corrupt);
    let nothing = store.get_range(&object, 7..7).await;
    assert_eq!(kind(nothing), StoreErrorKind::Usage);
    let absent = store.get_range(&name("ranges/absent"), 0..1).await;
    assert_eq!(kind(absent), StoreErrorKind::NotFound);
    let absent = store.size(&name("ranges/absent")).await;
    assert_eq!(absent.unwrap_err().kind, StoreErrorKind::NotFound);
    let folder = store.size(&name("ranges/deep")).await;
    assert_eq!(folder.unwrap_err().kind, StoreErrorKind::NotFound);
}

async fn lists_in_order(store: &dyn ObjectStore) {
    for text in [
        "list/b/2",
        "list/a",
        "list/b/1",
        "list-other/x",
        "list/c.d_e-f",
    ] {
        store
            .put(&name(text), Bytes::from_static(b"xyz"))
            .await
            .unwrap();
    }
    let listed = |prefix: &'static str, after: Option<&'static str>, limit| async move {
        let after = after.map(name);
        let found = store.list(prefix, after.as_ref(), limit).await.unwrap();
        found
            .into_iter()
            .inspect(|info| assert_eq!(info.bytes, 3))
            .map(|info| info.name.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    let all = ["list/a", "list/b/1", "list/b/2", "list/c.d_e-f"];
    assert_eq!(listed("list/", None, 10).await, all);
    assert_eq!(listed("list/", None, 2).await, all[..2]);
    assert_eq!(listed("list/", Some("list/b/1"), 2).await, all[2..]);
    assert_eq!(listed("list/b", None, 10).await, all[1..3]);
    assert_eq!(listed("list/b/", Some("list/b/2"), 10).await, [""; 0]);
    assert_eq!(listed("nothing/", None, 10).await, [""; 0]);
}

async fn deletes(store: &dyn ObjectStore) {
    let object = name("delete/x");
    store.put(&object, Bytes::from_static(b"1")).await.unwrap();
    store.delete(&object).await.unwrap();
    store.delete(&object).await.unwrap();
    let gone = store.get_range(&object, 0..1).await;
    assert_eq!(gone.unwrap_err().kind, StoreErrorKind::NotFound);
    assert!(store.list("delete/", None, 10).await.unwrap().is_empty());
}

async fn one_of_many_creators_wins(store: Arc<dyn ObjectStore>) {
    let object = name("race/x/y");
    let puts = (0..16_u8).map(|n| {
        let (store, object) = (Arc::clone(&store), object.clone());
        tokio::spawn(async move { store.put(&object, vec![n; 1000].into()).await })
    });
    let mut winners = 0;
    for put in futures::future::join_all(puts).await {
        match put.unwrap() {
            Ok(()) => winners += 1,
            Err(error) => assert_eq!(error.kind, StoreErrorKind::Exists),
        }
    }
    assert_eq!(winners, 1);
    let bytes = store.get_range(&object, 0..1000).await.unwrap();
    assert!(
        bytes.iter().all(|b| *b == bytes[0]),
        "half of one and half of another"
    );
}
