//! Single rows, batches and conditions.

use bytes::Bytes;

use super::{TABLE, get, key, put, yes};
use crate::{
    key::{Key, KeyBuf},
    store::{Batch, Committed, Condition, MetaErrorKind, MetaStore, Range, Table, Version},
};

pub(super) async fn absent_rows_are_none(store: &dyn MetaStore) {
    assert_eq!(get(store, "a").await, None);
    let rows = store.get_many(TABLE, &[key("a"), key("b")]).await.unwrap();
    assert_eq!(rows, [None, None]);
    assert_eq!(store.get_many(TABLE, &[]).await.unwrap(), []);
    let mut batch = Batch::new();
    batch.delete(TABLE, key("a"));
    yes(store, batch).await;
    store.ping().await.unwrap();
}

pub(super) async fn what_is_put_is_read(store: &dyn MetaStore) {
    let mut batch = Batch::new();
    batch.put(TABLE, key("a"), "1").put(TABLE, key("b"), "2");
    let version = yes(store, batch).await;
    let a = get(store, "a").await.unwrap();
    assert_eq!((&a.value[..], a.version), (&b"1"[..], version));
    let rows = store
        .get_many(TABLE, &[key("b"), key("x"), key("a"), key("b")])
        .await
        .unwrap();
    let values: Vec<_> = rows
        .iter()
        .map(|r| r.as_ref().map(|r| &r.value[..]))
        .collect();
    assert_eq!(values, [Some(&b"2"[..]), None, Some(b"1"), Some(b"2")]);
    let mut batch = Batch::new();
    batch.delete(TABLE, key("a"));
    yes(store, batch).await;
    assert_eq!(get(store, "a").await, None);
}

pub(super) async fn conditions(store: &dyn MetaStore) {
    let version = put(store, "a", "1").await;
    let cases = [
        (
            "absent, none there",
            Condition::Absent(TABLE, key("x")),
            true,
        ),
        (
            "absent, one there",
            Condition::Absent(TABLE, key("a")),
            false,
        ),
        (
            "present, one there",
            Condition::Present(TABLE, key("a")),
            true,
        ),
        (
            "present, none there",
            Condition::Present(TABLE, key("x")),
            false,
        ),
        (
            "is, same version",
            Condition::Is(TABLE, key("a"), version),
            true,
        ),
        (
            "is, other version",
            Condition::Is(TABLE, key("a"), Version(version.0 + 1)),
            false,
        ),
        (
            "is, none there",
            Condition::Is(TABLE, key("x"), version),
            false,
        ),
    ];
    for (name, condition, holds) in cases {
        let mut batch = Batch::new();
        batch.present(TABLE, key("a"));
        batch.conditions.push(condition);
        let outcome = store.commit(batch).await.unwrap();
        if holds {
            assert!(matches!(outcome, Committed::Yes(_)), "{name}");
        } else {
            assert_eq!(outcome, Committed::Conflict(1), "{name}");
        }
    }
    // Checking changed nothing.
    assert_eq!(get(store, "a").await.unwrap().version, version);
}

pub(super) async fn conditions_see_the_state_before_the_batch(store: &dyn MetaStore) {
    let mut batch = Batch::new();
    batch.put(TABLE, key("a"), "1").absent(TABLE, key("a"));
    yes(store, batch.clone()).await;
    assert_eq!(store.commit(batch).await.unwrap(), Committed::Conflict(0));
}

pub(super) async fn a_refused_batch_has_no_effect(store: &dyn MetaStore) {
    put(store, "a", "1").await;
    let mut batch = Batch::new();
    batch
        .put(TABLE, key("b"), "2")
        .put(Table::Repos, key("b"), "2")
        .delete(TABLE, key("a"))
        .absent(TABLE, key("a"));
    assert_eq!(store.commit(batch).await.unwrap(), Committed::Conflict(0));
    assert!(get(store, "a").await.is_some());
    assert_eq!(get(store, "b").await, None);
    assert_eq!(store.get(Table::Repos, &key("b")).await.unwrap(), None);
}

pub(super) async fn the_last_write_to_a_key_wins(store: &dyn MetaStore) {
    let mut batch = Batch::new();
    batch
        .put(TABLE, key("a"), "1")
        .put(TABLE, key("a"), "2")
        .put(TABLE, key("b"), "3");
    batch.delete(TABLE, key("b"));
    yes(store, batch).await;
    assert_eq!(get(store, "a").await.unwrap().value, "2");
    assert_eq!(get(store, "b").await, None);
}

pub(super) async fn versions_are_never_reused(store: &dyn MetaStore) {
    let mut seen = Vec::new();
    for round in 0..50 {
        seen.push(put(store, "a", "1").await);
        seen.push(put(store, &format!("b{round}"), "1").await);
        let mut batch = Batch::new();
        batch.delete(TABLE, key("a"));
        yes(store, batch).await;
        // An old version matches neither the absent row nor its successor.
        for recreated in [false, true] {
            if recreated {
                seen.push(put(store, "a", "1").await);
            }
            let mut batch = Batch::new();
            batch.is(TABLE, key("a"), seen[0]);
            assert_eq!(store.commit(batch).await.unwrap(), Committed::Conflict(0));
        }
    }
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count);
}

pub(super) async fn tables_are_separate(store: &dyn MetaStore) {
    for (n, table) in Table::ALL.into_iter().enumerate() {
        assert_eq!(table.index(), n);
        let mut batch = Batch::new();
        batch.put(table, key("a"), n.to_string());
        yes(store, batch).await;
    }
    for (n, table) in Table::ALL.into_iter().enumerate() {
        let row = store.get(table, &key("a")).await.unwrap().unwrap();
        assert_eq!(row.value, n.to_string());
        let all = store
            .scan(table, &Range::prefix(key("a")), 10, false)
            .await
            .unwrap();
        assert_eq!(all.len(), 1);
    }
}

pub(super) async fn big_and_odd_values(store: &dyn MetaStore) {
    let odd = Key::from(
        KeyBuf::new("org_1")
            .bytes(b"\0\xff\x00\x01")
            .fixed(&[0, 255, 0]),
    );
    let big = Bytes::from(
        (0..5_000_000_u32)
            .map(|i| (i % 251) as u8)
            .collect::<Vec<_>>(),
    );
    for value in [Bytes::new(), Bytes::from_static(b"\0\xff"), big] {
        for table in [TABLE, Table::OpLog] {
            let mut batch = Batch::new();
            batch.put(table, odd.clone(), value.clone());
            yes(store, batch).await;
            let row = store.get(table, &odd).await.unwrap().unwrap();
            assert!(row.value == value, "{} bytes", value.len());
        }
    }
    let long = Key::from(KeyBuf::new("org_1").bytes(&[7; Batch::KEY_BYTES_MAX - 10]));
    let mut batch = Batch::new();
    batch.put(TABLE, long.clone(), "x");
    yes(store, batch).await;
    assert!(store.get(TABLE, &long).await.unwrap().is_some());
}

pub(super) async fn wrong_calls_are_refused(store: &dyn MetaStore) {
    let foreign = || Key::from(KeyBuf::new("org_2").text("a"));
    let mut two_shards = Batch::new();
    two_shards
        .put(TABLE, key("a"), "1")
        .put(TABLE, foreign(), "1");
    let mut condition_elsewhere = Batch::new();
    condition_elsewhere
        .put(TABLE, key("a"), "1")
        .absent(TABLE, foreign());
    let mut long_key = Batch::new();
    long_key.put(
        TABLE,
        KeyBuf::new("org_1").bytes(&[7; Batch::KEY_BYTES_MAX]),
        "1",
    );
    let mut many_rows = Batch::new();
    for _ in 0..=Batch::ROWS_MAX {
        many_rows.absent(TABLE, key("x"));
    }
    let mut many_bytes = Batch::new();
    let value = Bytes::from(vec![0; Batch::BYTES_MAX / 2]);
    many_bytes
        .put(TABLE, key("a"), value.clone())
        .put(TABLE, key("b"), value);
    for batch in [
        two_shards,
        condition_elsewhere,
        long_key,
        many_rows,
        many_bytes,
    ] {
        let error = store.commit(batch).await.unwrap_err();
        assert_eq!(error.kind, MetaErrorKind::Usage);
    }
    assert_eq!(get(store, "a").await, None);
}

pub(super) async fn closed_stores_refuse(store: &dyn MetaStore) {
    put(store, "a", "1").await;
    store.close().await.unwrap();
    let mut batch = Batch::new();
    batch.put(TABLE, key("a"), "2");
    for error in [
        store.commit(batch).await.unwrap_err(),
        store.get(TABLE, &key("a")).await.unwrap_err(),
        store.ping().await.unwrap_err(),
    ] {
        assert_eq!(error.kind, MetaErrorKind::Unavailable);
    }
}
